"""The zeros of a training step: those that are there and stay, and those that are to grow (`gradual`)."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Gradual, Training
from winnow.contract.report import RequirementResult
from winnow.contract.steps.training import zeros_of
from worker.compression.engine.module import GraphModule
from worker.compression.graph.nodes.weights import Weight, layers
from worker.compression.layers import zero_allocation
from worker.compression.layers.linear import by_weight
from worker.compression.layers.sparsity_pattern import Structure
from worker.compression.steps.targets import zeros_targets
from worker.compression.training.loop.zero_masks import Growth, Zeros
from worker.compression.weight_storage.sparse_layers import remember_sparse, sparse_layers

BLOCK = (1, 4)
"""Of gradual zeros in blocks."""


@dataclass(frozen=True)
class Sparse:
    """`zeros` for the training; `targets` and `notes` for the report; `readers` are the nodes' names by their weights'.
    `palettes`: by its codebook, the share of a weight that is zero."""

    zeros: Zeros
    readers: dict[str, list[str]]
    palettes: dict[str, float]
    targets: list[RequirementResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def details(self) -> list[dict[str, Any]]:
        """Each layer with the share of zeros that it has in the end."""
        return [
            {
                "name": self.readers.get(weight, [weight])[0],
                "zeros": round(self.palettes.get(weight, share), 6),
            }
            for weight, share in sorted(self.zeros.shares().items())
        ]


def sparse(model: ir.Model, module: GraphModule, step: Training) -> Sparse:
    """Raises `nothing_to_compress` when `gradual` finds no layer that its structure fits."""
    learning = {name: p for name, p in module.named_parameters() if p.requires_grad}
    weights: dict[str, Weight] = {}
    readers: dict[str, list[str]] = defaultdict(list)
    for node, found in layers(model):
        for weight in found:
            weights[_learns(weight)] = weight
            readers[_learns(weight)].append(str(node.name))
    palettes = {learns: w.zeros() / w.size for learns, w in weights.items() if w.codebook is not None}
    masked = _masked(model, readers, learning) if step.keep_zeros else {}
    growth, targets, notes = _growth(model, step.gradual, learning)
    zeros = Zeros(learning, masked, growth)
    remember_sparse(model, (name for weight in zeros.shares() for name in readers.get(weight, ())))
    return Sparse(zeros, readers, palettes, targets, notes)


def _learns(weight: Weight) -> str:
    """The constant that training changes: of a palette, its codebook, whose zero then stays zero."""
    return str((weight.value if weight.codebook is None else weight.codebook.learnt).name)


def _masked(
    model: ir.Model, readers: dict[str, list[str]], learning: dict[str, nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Weights with some zeros, by value. Rounding makes zeros too: of integers only those that a step made sparse."""
    known, found = sparse_layers(model), {}
    for weight, nodes in readers.items():
        if weight not in learning or (_is_integer(model, weight) and known.isdisjoint(nodes)):
            continue
        zero = learning[weight].detach() == 0
        if zero.any() and not zero.all():
            found[weight] = zero
    return found


def _is_integer(model: ir.Model, weight: str) -> bool:
    value = model.graph.initializers.get(weight)
    return value is not None and value.dtype is not None and value.dtype.is_integer()


def _growth(
    model: ir.Model, gradual: Gradual | None, learning: dict[str, nn.Parameter]
) -> tuple[Growth | None, list[RequirementResult], list[str]]:
    if gradual is None:
        return None, [], []
    structure = Structure.named(gradual.structure, BLOCK)
    there = [layer for layer in by_weight(model) if str(layer.weight.name) in learning]
    taken = [layer for layer in there if structure.why_not(layer) is None]
    skipped = [f"{layer.name} ({why})" for layer in there if (why := structure.why_not(layer)) is not None]
    if not taken:
        raise Refusal(
            "nothing_to_compress",
            f"gradual finds no layer that {gradual.structure} zeros fit: {', '.join(skipped[:8]) or 'none learns'}.",
            field="recipe.steps",
        )
    sizes = [int(np.prod(layer.shape)) for layer in taken]
    share = zeros_of(gradual.structure, gradual.sparsity)
    wanted = zero_allocation.whole(zero_allocation.uniform(sizes, share), structure.unit)
    if structure.of:
        wanted = [structure.most(layer.shape) for layer in taken]
    goals = [min(count, structure.most(layer.shape)) for count, layer in zip(wanted, taken, strict=True)]
    notes = [f"Skipped, {gradual.structure} does not fit {len(skipped)}: {', '.join(skipped[:8])}."]
    return (
        Growth(taken, goals, structure, gradual.until),
        zeros_targets("gradual", goals, wanted, sizes),
        notes if skipped else [],
    )
