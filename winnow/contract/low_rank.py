"""Can `low_rank` do anything: is there a layer of a kind that it can factorise?"""

from collections import Counter
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.model import Layer
from winnow.contract.recipe import LowRank
from winnow.contract.stages import Stage, low

PRODUCTS: Final = ("Conv", "Gemm", "MatMul")


def check_low_rank(index: int, step: LowRank, stage: Stage, left: list[Layer]) -> None:
    """Raises `nothing_to_compress`. `left` are the layers that no pattern excludes."""
    if any(layer.op in PRODUCTS for layer in left):
        return
    counts = Counter(layer.op for layer in left)
    there = ", ".join(f"{count} × {op}" for op, count in counts.most_common()) or "no layers"
    raise Refusal(
        "nothing_to_compress",
        f"low_rank factorises {', '.join(PRODUCTS)}; {low(stage.model)} has {there}"
        f"{' that no pattern excludes' if step.exclude else ''}. Leave this step out.",
        field=f"recipe.steps.{index}.kind",
    )
