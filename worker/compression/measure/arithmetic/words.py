"""What both models are computed in, in sentences."""

from collections.abc import Iterator
from typing import Final

from winnow.contract.arithmetic import Kernels

ALL: Final = 0.9995
"""Share from which on it is all of it, as it is written."""


def in_words(runtime: str, before: Kernels | None, after: Kernels | None) -> Iterator[str]:
    """Yield a sentence for each model of which something is known."""
    for whose, kernels in (("the original", before), ("the result", after)):
        if kernels is not None:
            yield f"{runtime} computes {_work(whose, kernels)}; {_nodes(kernels)}."


def _work(whose: str, kernels: Kernels) -> str:
    floats = " and ".join(kernels.float_types[:2]) or "floats"
    if kernels.integer_macs is None or kernels.float_macs is None:
        return f"{whose} in kernels whose multiply-accumulates cannot be told, or without any"
    work = f"the multiply-accumulates of {whose}"
    if kernels.float_macs > ALL:
        return f"all {work.removeprefix('the ')} in {floats}"
    if kernels.integer_macs > ALL:
        return f"all {work.removeprefix('the ')} in integers"
    return f"{kernels.integer_macs:.1%} of {work} in integers, the rest in {floats}"


def _nodes(kernels: Kernels) -> str:
    integers, floats = kernels.integer_nodes, kernels.float_nodes
    return (
        f"of its {kernels.nodes} nodes {integers:.0%} are of integers, {floats:.0%} of floats, and the others move or "
        "convert numbers"
    )
