"""Can `low_rank` do anything: is there a layer of a kind that it can factorise?"""

from collections import Counter
from fnmatch import fnmatchcase
from typing import Final

from app.contract.errors import Refusal
from app.contract.recipe import LowRank
from app.contract.stages import Stage, low

PRODUCTS: Final = ("Conv", "Gemm", "MatMul")


def check_low_rank(index: int, step: LowRank, stage: Stage) -> None:
    """Raises `nothing_to_compress`."""
    layers = [
        layer
        for layer in stage.facts.layers
        if not any(fnmatchcase(layer.name, pattern) for pattern in step.exclude)
    ]
    if any(layer.op in PRODUCTS for layer in layers):
        return
    counts = Counter(layer.op for layer in layers)
    there = ", ".join(f"{count} × {op}" for op, count in counts.most_common()) or "no layers"
    raise Refusal(
        "nothing_to_compress",
        f"low_rank factorises {', '.join(PRODUCTS)}; {low(stage.model)} has {there}"
        f"{' that no pattern excludes' if step.exclude else ''}. Leave this step out.",
        field=f"recipe.steps.{index}.kind",
    )
