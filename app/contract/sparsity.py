"""Can a step make zeros: do its patterns match layers, and do the structure's sizes divide theirs?"""

from fnmatch import fnmatchcase
from typing import Final

from app.contract.errors import Refusal
from app.contract.model import Layer
from app.contract.recipe import Gradual, Sparsity, Training
from app.contract.stages import Stage, low

PRODUCTS: Final = frozenset({"Conv", "Gemm", "MatMul"})
SHOWN: Final = 5
BLOCK: Final = (1, 4)
"""Of gradual zeros in blocks: outputs × inputs."""


def check_sparsity(index: int, step: Sparsity, stage: Stage, reshaped: bool) -> None:
    """Raises `pattern_matches_nothing`, `nothing_to_prune`, `does_not_divide`. `reshaped`: a step before changes sizes,
    which then are the worker's to check."""
    where = f"recipe.steps.{index}"
    layers = stage.facts.layers
    for position, pattern in enumerate(step.layers):
        _check_pattern(pattern, layers, stage, f"{where}.layers.{position}")
    for position, name in enumerate(step.layers):
        for layer in layers:
            why = None if reshaped or layer.name != name else why_not(layer, step.structure, step.block)
            if why is not None:
                raise Refusal(
                    "does_not_divide",
                    f"{name!r} is named, and its weight {layer.weight} has {why}, as {step.structure} asks. Leave it "
                    "out, or choose another structure.",
                    field=f"{where}.layers.{position}",
                    layer=name,
                )
    left = [layer for layer in layers if layer.op in PRODUCTS and _is_taken(layer.name, step)]
    _check_some(left, step.structure, step.block, reshaped, stage, f"{where}.structure")


def check_gradual(index: int, step: Training, stage: Stage, reshaped: bool) -> None:
    """Raises `nothing_to_prune`."""
    if isinstance(step.gradual, Gradual):
        left = [
            layer
            for layer in stage.facts.layers
            if layer.op in PRODUCTS and not any(fnmatchcase(layer.name, x) for x in step.exclude)
        ]
        where = f"recipe.steps.{index}.gradual.structure"
        _check_some(left, step.gradual.structure, BLOCK, reshaped, stage, where)


def why_not(layer: Layer, structure: str, block: tuple[int, int]) -> str | None:
    """Why the weight cannot have the structure, with its sizes. A Gemm stores its weight either way about: None if one
    of them would do."""
    if layer.weight is None or len(layer.weight) < 2 or structure == "unstructured":
        return None
    rows, columns = block if structure == "block" else (1, int(structure.split(":")[1]))
    first, second = layer.weight[:2]
    ways = {"Conv": [(first, second)], "MatMul": [(second, first)]}
    found = [
        _why_sizes(*sizes, rows, columns) for sizes in ways.get(layer.op, [(first, second), (second, first)])
    ]
    return None if None in found else found[0]


def _why_sizes(outputs: int, inputs: int, rows: int, columns: int) -> str | None:
    if inputs % columns:
        return f"{inputs} inputs in a row, which do not divide by {columns}"
    return f"{outputs} outputs, which do not divide by {rows}" if outputs % rows else None


def _is_taken(name: str, step: Sparsity) -> bool:
    named = not step.layers or any(fnmatchcase(name, pattern) for pattern in step.layers)
    return named and not any(fnmatchcase(name, pattern) for pattern in step.exclude)


def _check_pattern(pattern: str, layers: list[Layer], stage: Stage, field: str) -> None:
    matched = [layer for layer in layers if fnmatchcase(layer.name, pattern)]
    if not matched:
        some = ", ".join(repr(layer.name) for layer in layers[:SHOWN]) or "none"
        raise Refusal(
            "pattern_matches_nothing",
            f"{pattern!r} matches none of the {len(layers)} layers of {low(stage.model)}, which are called like "
            f"{some}. `*` stands for anything.",
            field=field,
        )
    if not any(layer.op in PRODUCTS for layer in matched):
        raise Refusal(
            "nothing_to_prune",
            f"{matched[0].name!r} is a {matched[0].op}; zeros are made in Conv, Gemm and MatMul.",
            field=field,
            layer=matched[0].name,
        )


def _check_some(
    left: list[Layer], structure: str, block: tuple[int, int], reshaped: bool, stage: Stage, field: str
) -> None:
    if not left:
        raise Refusal(
            "nothing_to_prune",
            f"{stage.model} has no Conv, Gemm or MatMul with a weight that is not left out.",
            field=field,
        )
    reasons = {layer.name: why_not(layer, structure, block) for layer in left}
    if not reshaped and all(reasons.values()):
        listed = ", ".join(f"{name!r}: {why}" for name, why in list(reasons.items())[:SHOWN])
        raise Refusal(
            "nothing_to_prune",
            f"No layer has sizes that {structure} divides ({listed}). Choose another structure.",
            field=field,
        )
