"""Plans the zeros of a training step before it begins: those that stay (`keep_zeros`), and where more grow (`gradual`).

During the training `loop.zero_masks` carries the plan out.
"""

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
from winnow.contract.steps.zeros import zeros_of
from worker.compression.engine.module import GraphModule
from worker.compression.graph.nodes.weights import Weight, layers
from worker.compression.layers import zero_allocation
from worker.compression.layers.linear import layers_by_weight
from worker.compression.layers.sparsity_pattern import Structure
from worker.compression.steps.decisions import zeros_targets
from worker.compression.training.loop.zero_masks import Growth, ZeroMasks
from worker.compression.weight_storage.sparse_layers import remember_sparse, sparse_layers

BLOCK = (1, 4)
"""Outputs × inputs of gradual zeros in blocks."""


@dataclass(frozen=True)
class SparsityPlan:
    """`masks` for the training; `targets` and `notes` for the report; `readers` are the nodes' names by their weights'.
    `palettes`: by its codebook, the share of a weight that is zero."""

    masks: ZeroMasks
    readers: dict[str, list[str]]
    palettes: dict[str, float]
    targets: list[RequirementResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def details(self) -> list[dict[str, Any]]:
        """List each layer with the share of zeros that it has in the end."""
        return [
            {
                "name": self.readers.get(weight, [weight])[0],
                "zeros": round(self.palettes.get(weight, share), 6),
            }
            for weight, share in sorted(self.masks.shares().items())
        ]


def plan_sparsity(model: ir.Model, module: GraphModule, step: Training) -> SparsityPlan:
    """Plan a training's zeros. Raises `nothing_to_compress` when `gradual` finds no layer that its structure fits."""
    learning = {name: p for name, p in module.named_parameters() if p.requires_grad}
    weights: dict[str, Weight] = {}
    readers: dict[str, list[str]] = defaultdict(list)
    for node, weights_of_node in layers(model):
        for weight in weights_of_node:
            weights[_learned(weight)] = weight
            readers[_learned(weight)].append(str(node.name))
    palettes = {name: w.zeros() / w.size for name, w in weights.items() if w.codebook is not None}
    existing = _existing_zeros(model, readers, learning) if step.keep_zeros else {}
    growth, targets, notes = _growth(model, step.gradual, learning)
    masks = ZeroMasks(learning, existing, growth)
    remember_sparse(model, (name for weight in masks.shares() for name in readers.get(weight, ())))
    return SparsityPlan(masks, readers, palettes, targets, notes)


def _learned(weight: Weight) -> str:
    """Name the constant that training changes: of a palette, its codebook, whose zero then stays zero."""
    return str((weight.value if weight.codebook is None else weight.codebook.learnt).name)


def _existing_zeros(
    model: ir.Model, readers: dict[str, list[str]], learning: dict[str, nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Mask the zeros of weights that have some. Rounding makes zeros too: of integers only those that a step made."""
    sparse, masks = sparse_layers(model), {}
    for weight, nodes in readers.items():
        if weight not in learning or (_is_integer(model, weight) and sparse.isdisjoint(nodes)):
            continue
        zero = learning[weight].detach() == 0
        if zero.any() and not zero.all():
            masks[weight] = zero
    return masks


def _is_integer(model: ir.Model, weight: str) -> bool:
    value = model.graph.initializers.get(weight)
    return value is not None and value.dtype is not None and value.dtype.is_integer()


def _growth(
    model: ir.Model, gradual: Gradual | None, learning: dict[str, nn.Parameter]
) -> tuple[Growth | None, list[RequirementResult], list[str]]:
    if gradual is None:
        return None, [], []
    structure = Structure.named(gradual.structure, BLOCK)
    candidates = [layer for layer in layers_by_weight(model) if str(layer.weight.name) in learning]
    taken = [layer for layer in candidates if structure.why_ineligible(layer) is None]
    skipped = [
        f"{layer.name} ({why})"
        for layer in candidates
        if (why := structure.why_ineligible(layer)) is not None
    ]
    if not taken:
        raise Refusal(
            "nothing_to_compress",
            f"gradual finds no layer that {gradual.structure} zeros fit: {', '.join(skipped[:8]) or 'none learns'}.",
            field="recipe.steps",
        )
    sizes = [int(np.prod(layer.shape)) for layer in taken]
    share = zeros_of(gradual.structure, gradual.sparsity)
    wanted = zero_allocation.whole_units(zero_allocation.uniform(sizes, share), structure.unit)
    if structure.m:
        wanted = [structure.max_zeros(layer.shape) for layer in taken]
    goals = [min(count, structure.max_zeros(layer.shape)) for count, layer in zip(wanted, taken, strict=True)]
    notes = [f"Skipped, {gradual.structure} does not fit {len(skipped)}: {', '.join(skipped[:8])}."]
    return (
        Growth(taken, goals, structure, gradual.until),
        zeros_targets("gradual", goals, wanted, sizes),
        notes if skipped else [],
    )
