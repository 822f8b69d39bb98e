"""Chooses the layers of a graph that `sparsity` changes, and says why it leaves the others."""

from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.glob import matches_any
from winnow.contract.recipe import Sparsity
from worker.compression.layers.linear import Linear, layers_by_weight
from worker.compression.layers.sparsity_pattern import Structure

SHOWN: Final = 8
"""Layers named in a note or a refusal."""


@dataclass(frozen=True)
class SparsityLayers:
    """The layers that are changed, and those that are not, with the reason."""

    taken: list[Linear]
    skipped: list[tuple[Linear, str]]


def sparsity_layers(model: ir.Model, step: Sparsity) -> SparsityLayers:
    """Choose the layers whose sizes the structure divides.

    Raises `does_not_divide` for a layer that is named and has other sizes, and `nothing_to_compress`.
    """
    structure = Structure.named(step.structure, step.block)
    layers = SparsityLayers([], [])
    for layer in layers_by_weight(model):
        names = [reader.name for reader in layer.readers]
        if layer.excluded(step.exclude) or (
            step.layers and not any(matches_any(name, step.layers) for name in names)
        ):
            continue
        why = structure.why_ineligible(layer)
        if why is not None and set(names) & set(step.layers):
            raise Refusal(
                "does_not_divide",
                f"{layer.name!r} is named, and its weight has {why}, as {step.structure} asks. Leave it out, or "
                "choose another structure.",
                field="recipe.steps",
                layer=layer.name,
            )
        if why is None:
            layers.taken.append(layer)
        else:
            layers.skipped.append((layer, why))
    if not layers.taken:
        raise Refusal("nothing_to_compress", _why_none(layers))
    return layers


def _why_none(layers: SparsityLayers) -> str:
    if not layers.skipped:
        return "The model has no Conv, Gemm or MatMul with a constant float32 weight that is not left out."
    listed = ", ".join(f"{layer.name!r}: {why}" for layer, why in layers.skipped[:SHOWN])
    return f"No layer has sizes that the structure divides ({listed}). Choose another structure."
