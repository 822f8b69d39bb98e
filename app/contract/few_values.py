"""Is there a layer whose weights can take few values, told from the layer table?"""

from fnmatch import fnmatchcase
from typing import Final

from app.contract.errors import Refusal
from app.contract.recipe import Binary, Palette
from app.contract.stages import Stage, low

PRODUCTS: Final = frozenset({"Gemm", "MatMul"})


def check_few_values(index: int, step: Palette | Binary, stage: Stage) -> None:
    """Raises `nothing_to_quantize`."""
    wanted = PRODUCTS if step.layers == "products" else PRODUCTS | {"Conv"}
    named = [x for x in stage.facts.layers if not any(fnmatchcase(x.name, p) for p in step.exclude)]
    if any(layer.op in wanted for layer in named):
        return
    there = ", ".join(sorted({layer.op for layer in named})) or "none"
    hint = " Set layers to all to take convolutions." if "Conv" in {layer.op for layer in named} else ""
    raise Refusal(
        "nothing_to_quantize",
        f"{step.kind} takes the weights of {', '.join(sorted(wanted))}; of these {low(stage.model)} "
        f"has none that is not left out (layers with weights: {there}).{hint}",
        field=f"recipe.steps.{index}.layers",
    )
