"""Has a model weights that `weight_only` can store in fewer bits? Asked of its layer table."""

from collections import Counter
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.recipe import WeightOnly
from winnow.contract.stages import Stage, low

PRODUCTS: Final = frozenset({"MatMul", "Gemm"})
TAKEN: Final = PRODUCTS | {"Conv", "Gather"}


def check_weights(index: int, step: WeightOnly, stage: Stage) -> None:
    """Raises `nothing_to_quantize`. What speaks against single layers is left to the worker."""
    wanted = PRODUCTS if step.layers == "products" else TAKEN
    operators = Counter(layer.op for layer in stage.facts.layers)
    if wanted & operators.keys():
        return
    has = ", ".join(f"{count} × {op}" for op, count in operators.most_common(5)) or "no layers with weights"
    others = step.layers == "products" and TAKEN & operators.keys()
    raise Refusal(
        "nothing_to_quantize",
        f"{step.kind} looks for {', '.join(sorted(wanted))} with a constant weight; {low(stage.model)} has {has}. "
        + ("Set layers to `all`, or leave the step out." if others else "Leave the step out."),
        field=f"recipe.steps.{index}.{'layers' if others else 'kind'}",
    )
