"""What a machine multiplies fast and exactly in 8 bits: a small table of facts.

    target     activations        weights   biases   because
    cpu_vnni   uint8, asymmetric  ±127      int32    VPDPBUSD is uint8 · int8, four sums in int32
    cpu        uint8, asymmetric  ±64       int32    VPMADDUBSW adds two products in int16, and saturates
    arm        uint8, asymmetric  ±127      int32    kernels widen before they add
    cuda       int8, symmetric    ±127      float    TensorRT takes zero points of 0 only, and biases in float

What a job's target takes that no worker has (tensorrt, qnn, …) follows from its rules, which have the sources
(`ruled_target`): also which operators take a scale for each channel, and which want unsigned weights.

With signed activations resnet20 came out slower than float32 on a VNNI machine (0.84×), with unsigned twice as fast.

On x86 without VNNI, ONNX Runtime multiplies with VPMADDUBSW, which adds two products in int16 and saturates:

    2 · 255 · 127 = 64770 > 32767        sums of full-range weights are cut off, silently
    2 · 255 · 64  = 32640 ≤ 32767        weights in ±64, 7 bits, are exact

VPDPBUSD (VNNI) adds four products in int32, Arm's kernels widen before they add: both take ±127.

Sources: ONNX Runtime, "Quantize ONNX Models" ("When and why do I need to try U8U8?", reduce_range); Intel, "Intel
Deep Learning Boost" (VNNI); onnxruntime/core/mlas/lib (qgemm_kernel_avx2.cpp, qgemm_kernel_neon.cpp); NVIDIA,
"Working with Quantized Types" in the TensorRT documentation (symmetric quantization only); ONNX Runtime's example
image_classification/trt (ActivationSymmetric, QuantizeBias off).
"""

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, assert_never, get_args

from winnow.contract.target import ArmFeature, CheckedTarget, CpuFeature
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.rules import TargetRules, Weights
from worker.compression.machine.cpu import cpu_flags

WeightRangeChoice = Literal["auto", "full", "reduced"]
Signs = Literal["unsigned", "signed", "by_range"]
"""Of activations: uint8 with zero points; int8 around 0; uint8 from 0 on where nothing is negative, else int8 around
0."""

FULL_LIMIT, REDUCED_LIMIT, FOUR_BITS_LIMIT = 127, 64, 7
"""Weights lie in ± these."""
FOUR_BITS: Final = "int4"
PRODUCTS: Final = ("Conv", "Gemm", "MatMul")
FOUR_IN_INT32 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Whatever adds four products of 8 bits in int32."""
X86 = frozenset({"x86_64", "amd64", "i386", "i686"})


@dataclass(frozen=True)
class WeightRange:
    """Weights lie in ±`limit`; `notes` is what the user should know of it."""

    limit: int
    notes: list[str]

    def details(self) -> dict[str, object]:
        return {
            "weight_bits": self.limit.bit_length() + (self.limit != REDUCED_LIMIT),
            "weight_range": [-self.limit, self.limit],
        }


@dataclass(frozen=True)
class Target:
    """`exact`: products of uint8 and full-range int8 are summed exactly. `signs` are those of activations.

    `channel_axes`: operator → the axis of its weight that may have a scale for each channel; None for any. Weights of
    `unsigned_weights` are uint8 around 128. `four_bits`: operators whose weights may be int4; None for any. `tables`:
    integers outside of Q/DQ pairs, as of embeddings, are taken too, and ONNX Runtime's own fusions for the CPU will be
    made. `sixteen_bits`: activations may be uint16.
    """

    exact: bool
    signs: Signs = "unsigned"
    float_bias: bool = False
    channel_axes: Mapping[str, int] | None = None
    unsigned_weights: frozenset[str] = frozenset()
    four_bits: frozenset[str] | None = None
    tables: bool = True
    sixteen_bits: bool = False

    @property
    def without_four_bits(self) -> list[str]:
        """The products whose weights have 8 bits where 4 are asked for."""
        return [] if self.four_bits is None else [name for name in PRODUCTS if name not in self.four_bits]

    @property
    def takes_four_bits(self) -> bool:
        """Whether any product may have weights of 4 bits."""
        return len(self.without_four_bits) < len(PRODUCTS)

    def limit_of(self, operator: str, limit: int) -> int:
        """The limit of an operator's weights where so much is asked: 8 bits where it takes no 4."""
        return FULL_LIMIT if limit <= FOUR_BITS_LIMIT and operator in self.without_four_bits else limit

    def takes_channels(self, operator: str, axis: int) -> bool:
        """Whether a weight may have a scale for each index of this axis."""
        return self.channel_axes is None or self.channel_axes.get(operator) == axis


TARGETS: Final[dict[str, Target]] = {
    "cpu_vnni": Target(exact=True),
    "cpu": Target(exact=False),
    "arm": Target(exact=True),
    "cuda": Target(exact=True, signs="signed", float_bias=True, tables=False),
}


def resolve_target(
    choice: str, checked: CheckedTarget | None = None, features: Collection[CpuFeature] | None = None
) -> tuple[str, Target]:
    """Name the machine and what it does well; `auto` is the target that the job is made for and rules know, else the
    CPU with these features, None for the one that this runs on."""
    if choice == "auto" and checked is not None:
        return checked, ruled_target(rules_of(checked))
    name = machine_of(features) if choice == "auto" else choice
    return name, TARGETS[name]


def ruled_target(rules: TargetRules) -> Target:
    """Read off the rules; what is not known there is as on a CPU."""
    activations, weights, bias, channels = rules.activations, rules.weights, rules.bias, rules.per_channel
    return Target(
        exact=True,
        signs="signed"
        if activations is not None and "int8" in activations.types and "uint8" not in activations.types
        else "unsigned",
        float_bias=bias is not None and "int32" not in bias.types,
        channel_axes=None if channels is None else channels.axes,
        unsigned_weights=frozenset(
            operator
            for operator, types in ({} if weights is None else weights.types_of).items()
            if "uint8" in types and "int8" not in types
        ),
        four_bits=None if weights is None else _with_four_bits(weights),
        tables=False,
        sixteen_bits=rules.sixteen_bit is not None
        and rules.sixteen_bit.taken
        and activations is not None
        and "uint16" in activations.types,
    )


def machine_of(features: Collection[CpuFeature] | None = None) -> str:
    """Name the target that a CPU with these features is, None for the one that this runs on."""
    if features is None:
        return _machine(platform.machine(), cpu_flags())
    is_arm = not {*features}.isdisjoint(get_args(ArmFeature))
    return _machine("aarch64" if is_arm else "x86_64", features)


def _machine(architecture: str, features: Collection[str]) -> str:
    if architecture.lower() not in X86:
        return "arm"
    return "cpu" if FOUR_IN_INT32.isdisjoint(features) else "cpu_vnni"


def _with_four_bits(weights: Weights) -> frozenset[str]:
    return frozenset(name for name in PRODUCTS if FOUR_BITS in weights.types_of.get(name, weights.types))


def weight_range(choice: WeightRangeChoice, exact: bool | None = None) -> WeightRange:
    """Resolve a choice: `auto` is the range that the target multiplies exactly, by itself this machine's CPU. Quality
    is measured here, whatever the target."""
    here = TARGETS[machine_of()].exact
    exact = here if exact is None else exact
    full = WeightRange(FULL_LIMIT, [] if exact and here else [_SATURATES])
    match choice:
        case "auto":
            return full if exact else WeightRange(REDUCED_LIMIT, [_NARROWED])
        case "full":
            return full
        case "reduced":
            return WeightRange(REDUCED_LIMIT, [])
    assert_never(choice)


def four_bits(target: Target) -> WeightRange:
    """Weights in ±7, where the target takes them. Runtimes multiply them as floats: they are for size."""
    if not target.takes_four_bits:
        return WeightRange(FULL_LIMIT, four_bits_lacking(target))
    return WeightRange(FOUR_BITS_LIMIT, [_FOR_SIZE, *four_bits_lacking(target)])


def four_bits_lacking(target: Target) -> list[str]:
    """Say which weights have 8 bits where 4 are asked for; nothing where the target takes 4 for all."""
    others = ", ".join(target.without_four_bits)
    return [f"Weights of {others} have 8 bits: the target takes none of 4."] if others else []


def multiplies_exactly(architecture: str, flags: Collection[str]) -> bool:
    """Whether sums of uint8 · int8 products keep every bit."""
    return TARGETS[_machine(architecture, flags)].exact


_NARROWED = (
    "Weights in 7 bits (-64 to 64): the CPU has no VNNI, and its kernels would cut off sums of 8-bit products. "
    'For a target that has it, ask for "weight_range": "full".'
)
_FOR_SIZE = (
    "Weights in 4 bits (-7 to 7) are for size: ONNX Runtime turns them into floats before it multiplies, so the "
    "result is usually not faster than the original."
)
_SATURATES = (
    "Weights in 8 bits, as the settings or the target ask, but this CPU has no VNNI: its kernels cut off large sums, "
    "so the quality measured here is worse than on a CPU that has it."
)
