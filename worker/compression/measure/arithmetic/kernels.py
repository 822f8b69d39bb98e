"""What a runtime computes a graph with, node by node, and the shares that follow from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from winnow.contract.arithmetic import Kernels

INTEGER: Final = "integer"
OTHER: Final = "other"
"""Precisions that are no type of floats."""


class TooLarge(Exception):
    """More than is looked at. The message is a sentence for the user."""


@dataclass(frozen=True)
class Kernel:
    """One node as the runtime has it. `precision`: `INTEGER`, `OTHER`, or the type of floats that it computes in.
    `macs`: of one run, None where they cannot be told."""

    op: str
    precision: str
    macs: int | None = 0


def shares(kernels: Sequence[Kernel]) -> Kernels:
    """Count nodes, and weigh them by their multiply-accumulates. The sums of shares are 1, rounding apart; without
    nodes all are `OTHER`."""
    nodes = Counter(_kind(kernel) for kernel in kernels)
    macs = _macs(kernels)
    return Kernels(
        nodes=len(kernels),
        integer_nodes=nodes["integer"] / max(1, len(kernels)),
        float_nodes=nodes["float"] / max(1, len(kernels)),
        other_nodes=nodes["other"] / len(kernels) if kernels else 1.0,
        integer_macs=None if macs is None else macs["integer"] / macs.total(),
        float_macs=None if macs is None else macs["float"] / macs.total(),
        float_types=_float_types(kernels),
        products=dict(sorted(Counter(kernel.op for kernel in kernels if kernel.macs != 0).items())),
    )


def _macs(kernels: Sequence[Kernel]) -> Counter[str] | None:
    """Multiply-accumulates by kind; None where there are none, or not all can be told."""
    total = Counter[str]()
    for kernel in kernels:
        if kernel.macs is None or (kernel.macs and kernel.precision == OTHER):
            return None
        total[_kind(kernel)] += kernel.macs
    return total if total.total() else None


def _float_types(kernels: Sequence[Kernel]) -> list[str]:
    work = {kernel.precision: (0, 0) for kernel in kernels if _kind(kernel) == "float"}
    for kernel in kernels:
        if kernel.precision in work:
            macs, nodes = work[kernel.precision]
            work[kernel.precision] = macs + (kernel.macs or 0), nodes + 1
    return sorted(work, key=lambda name: (*(-count for count in work[name]), name))


def _kind(kernel: Kernel) -> str:
    return kernel.precision if kernel.precision in (INTEGER, OTHER) else "float"
