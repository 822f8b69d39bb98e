"""Can a step make zeros: do its patterns match layers, and do the structure's sizes divide theirs?"""

from typing import Final

from app.admission.model_state import ModelState
from app.admission.named_layers import NamedLayers, distinct
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.model import Layer
from winnow.contract.recipe import Gradual, Sparsity, Training

PRODUCTS: Final = frozenset({"Conv", "Gemm", "MatMul"})
SHOWN: Final = 5
BLOCK: Final = (1, 4)
"""Of gradual zeros in blocks: outputs × inputs."""


def check_sparsity(
    index: int, step: Sparsity, state: ModelState, named: NamedLayers, included: list[int], reshaped: bool
) -> None:
    """Raises `pattern_matches_nothing`, `nothing_to_compress`, `does_not_divide`.

    `included`: the places of the layers that no pattern excludes. `reshaped`: a step before changes sizes, which then
    are the worker's to check.
    """
    where = f"recipe.steps.{index}"
    taken: set[int] = set() if step.layers else set(included)
    refusals = Refusals()
    for pattern, position in distinct(step.layers).items():
        with refusals:
            field = f"{where}.layers.{position}"
            places = _asked_for(pattern, named, field)
            taken.update(places)
            if not reshaped:
                _check_divides(pattern, [named.layers[place] for place in places], step, field)
    refusals.raise_all()
    layers = [named.layers[i] for i in included if i in taken and named.layers[i].op in PRODUCTS]
    _check_some(layers, step.structure, step.block, reshaped, state, f"{where}.structure")


def check_gradual(
    index: int, step: Training, state: ModelState, included: list[Layer], reshaped: bool
) -> None:
    """Raises `nothing_to_compress`. `included` are the layers that no pattern excludes."""
    if isinstance(step.gradual, Gradual):
        products = [layer for layer in included if layer.op in PRODUCTS]
        where = f"recipe.steps.{index}.gradual.structure"
        _check_some(products, step.gradual.structure, BLOCK, reshaped, state, where)


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


def _asked_for(pattern: str, named: NamedLayers, field: str) -> list[int]:
    """The places of the layers that a pattern of `layers` names, one of which has to be a product."""
    places = named.matched(pattern, field)
    if not any(named.layers[place].op in PRODUCTS for place in places):
        first = named.layers[places[0]]
        raise Refusal(
            "nothing_to_compress",
            f"{first.name!r} is a {first.op}; zeros are made in Conv, Gemm and MatMul.",
            field=field,
            layer=first.name,
        )
    return places


def _check_divides(name: str, layers: list[Layer], step: Sparsity, field: str) -> None:
    """A layer that is named in full has to be able to have the structure."""
    for layer in layers:
        why = why_not(layer, step.structure, step.block) if layer.name == name else None
        if why is not None:
            raise Refusal(
                "does_not_divide",
                f"{name!r} is named, and its weight {layer.weight} has {why}, as {step.structure} asks. Leave it "
                "out, or choose another structure.",
                field=field,
                layer=name,
            )


def _check_some(
    included: list[Layer],
    structure: str,
    block: tuple[int, int],
    reshaped: bool,
    state: ModelState,
    field: str,
) -> None:
    if not included:
        raise Refusal(
            "nothing_to_compress",
            f"{state.model} has no Conv, Gemm or MatMul with a weight that is not left out.",
            field=field,
        )
    reasons = {layer.name: why_not(layer, structure, block) for layer in included}
    if not reshaped and all(reasons.values()):
        listed = ", ".join(f"{name!r}: {why}" for name, why in list(reasons.items())[:SHOWN])
        raise Refusal(
            "nothing_to_compress",
            f"No layer has sizes that {structure} divides ({listed}). Choose another structure.",
            field=field,
        )
