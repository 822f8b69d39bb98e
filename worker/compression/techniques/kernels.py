"""How large int8 weights may be, so that the CPU multiplies them exactly with uint8 activations.

On x86 without VNNI, ONNX Runtime multiplies with VPMADDUBSW, which adds two products in int16 and saturates:

    2 · 255 · 127 = 64770 > 32767        sums of full-range weights are cut off, silently
    2 · 255 · 64  = 32640 ≤ 32767        weights in ±64, 7 bits, are exact

VPDPBUSD (VNNI) adds four products in int32, Arm's kernels widen before they add: both take ±127.

Sources: ONNX Runtime, "Quantize ONNX Models" ("When and why do I need to try U8U8?", reduce_range); Intel, "Intel
Deep Learning Boost" (VNNI); onnxruntime/core/mlas/lib (qgemm_kernel_avx2.cpp, qgemm_kernel_neon.cpp).
"""

import platform
from collections.abc import Set
from dataclasses import dataclass
from typing import Literal, assert_never

from worker.compression.cpu import cpu_flags

Asked = Literal["auto", "full", "reduced"]

FULL, REDUCED, FOUR_BITS = 127, 64, 7
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
X86 = frozenset({"x86_64", "amd64", "i386", "i686"})


@dataclass(frozen=True)
class WeightRange:
    """Weights lie in ±`limit`; `notes` is what the user should know of it."""

    limit: int
    notes: list[str]

    def details(self) -> dict[str, object]:
        return {
            "weight_bits": self.limit.bit_length() + (self.limit != REDUCED),
            "weight_range": [-self.limit, self.limit],
        }


def weight_range(asked: Asked) -> WeightRange:
    """The range asked for; with `auto` the one that this machine's CPU multiplies exactly."""
    exact = multiplies_exactly(platform.machine(), cpu_flags())
    match asked:
        case "auto" if exact:
            return WeightRange(FULL, [])
        case "auto":
            return WeightRange(REDUCED, [_NARROWED])
        case "full":
            return WeightRange(FULL, [] if exact else [_SATURATES])
        case "reduced":
            return WeightRange(REDUCED, [])
    assert_never(asked)


def four_bits() -> WeightRange:
    """Weights in ±7. Runtimes multiply them as floats: they are for size."""
    return WeightRange(FOUR_BITS, [_FOR_SIZE])


def multiplies_exactly(machine: str, flags: Set[str]) -> bool:
    """Whether sums of uint8 · int8 products keep every bit."""
    return machine.lower() not in X86 or not VNNI.isdisjoint(flags)


_NARROWED = (
    "Weights in 7 bits (-64 to 64): this CPU has no VNNI, and its kernels would cut off sums of 8-bit products. "
    'For a target that has it, ask for "weight_range": "full".'
)
_FOR_SIZE = (
    "Weights in 4 bits (-7 to 7) are for size: ONNX Runtime turns them into floats before it multiplies, so the "
    "result is usually not faster than the original."
)
_SATURATES = (
    "Weights in 8 bits, as asked, but this CPU has no VNNI: its kernels cut off large sums, so the quality measured "
    "here is worse than on a CPU that has it."
)
