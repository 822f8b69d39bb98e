"""Has a model weights that a step can store or factorise? Asked of its layer table."""

from collections import Counter
from typing import Final

from app.admission.model_state import ModelState, lower_first
from winnow.contract.errors import Refusal
from winnow.contract.model import Layer
from winnow.contract.recipe import Binary, LowRank, Palette, WeightOnly

MATMULS: Final = frozenset({"Gemm", "MatMul"})
MATMULS_AND_CONV: Final = MATMULS | {"Conv"}
EMBEDDINGS: Final = frozenset({"Gather"})

Weights = WeightOnly | Palette | Binary | LowRank


def check_weights(index: int, step: Weights, state: ModelState, layers: list[Layer]) -> None:
    """Raises `nothing_to_quantize`, or `nothing_to_compress` for `low_rank`, where none of the layers is eligible.

    What speaks against single layers is left to the worker.
    """
    operators = Counter(layer.op for layer in layers)
    eligible = _eligible(step)
    if eligible & operators.keys():
        return
    has = ", ".join(f"{count} × {op}" for op, count in operators.most_common(5)) or "no layers with weights"
    more = not isinstance(step, LowRank) and _all_eligible(step) & operators.keys()
    raise Refusal(
        "nothing_to_compress" if isinstance(step, LowRank) else "nothing_to_quantize",
        f"{step.kind} takes the weights of {', '.join(sorted(eligible))}; {lower_first(state.model)} has {has}"
        f"{' that no pattern excludes' if len(layers) < len(state.facts.layers) else ''}. "
        + ("Set layers to `all`, or leave the step out." if more else "Leave the step out."),
        field=f"recipe.steps.{index}.{'layers' if more or isinstance(step, Palette | Binary) else 'kind'}",
    )


def _eligible(step: Weights) -> frozenset[str]:
    return MATMULS if not isinstance(step, LowRank) and step.layers == "products" else _all_eligible(step)


def _all_eligible(step: Weights) -> frozenset[str]:
    """The operators that the step takes where it is not told to leave some."""
    takes_tables = isinstance(step, WeightOnly) or (isinstance(step, LowRank) and step.rank != "macs")
    return MATMULS_AND_CONV | EMBEDDINGS if takes_tables else MATMULS_AND_CONV
