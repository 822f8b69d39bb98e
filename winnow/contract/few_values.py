"""Is there a layer whose weights can take few values, told from the layer table?"""

from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.model import Layer
from winnow.contract.recipe import Binary, Palette
from winnow.contract.stages import Stage, low

PRODUCTS: Final = frozenset({"Gemm", "MatMul"})


def check_few_values(index: int, step: Palette | Binary, stage: Stage, left: list[Layer]) -> None:
    """Raises `nothing_to_quantize`. `left` are the layers that no pattern excludes."""
    wanted = PRODUCTS if step.layers == "products" else PRODUCTS | {"Conv"}
    if any(layer.op in wanted for layer in left):
        return
    there = ", ".join(sorted({layer.op for layer in left})) or "none"
    hint = " Set layers to all to take convolutions." if "Conv" in {layer.op for layer in left} else ""
    raise Refusal(
        "nothing_to_quantize",
        f"{step.kind} takes the weights of {', '.join(sorted(wanted))}; of these {low(stage.model)} "
        f"has none that is not left out (layers with weights: {there}).{hint}",
        field=f"recipe.steps.{index}.layers",
    )
