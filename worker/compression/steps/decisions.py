"""What a step did to each layer, counted truthfully, and the refusals that go with it."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.report import RequirementResult
from worker.compression.graph.facts.facts import quantized_nodes
from worker.compression.graph.nodes.weights import Weight, weights_of
from worker.compression.ir.values import all_nodes
from worker.compression.steps.context import StepResult

SHOWN = 8
"""Operators, or layers, named in a refusal."""
NOT_SMALLER: Final = "it would not get smaller"


class TrainingDiverged(Refusal):
    """`model` has the best weights that there were before."""

    def __init__(self, model: ir.Model, detail: str) -> None:
        super().__init__("training_diverged", detail, field="recipe.steps")
        self.model = model


@dataclass(frozen=True)
class LayerDecision:
    """A node with a weight that the step could change: why it stays as it is, None when it is changed. `eligible`: it
    could have been changed, and stays since it is better as it is."""

    node: ir.Node
    reason: str | None
    eligible: bool = False


def refuse_quantized(model: ir.Model) -> None:
    """Raises `already_quantized` naming the first integer layer and its weight, or else the first integer operator."""
    quantized = list(quantized_nodes(model))
    if not quantized:
        return
    node = next((node for node in quantized if _integers(node)), quantized[0])
    weight = "".join(f", which reads {name!r} as {dtype}" for name, dtype in _integers(node)[:1])
    raise Refusal(
        "already_quantized",
        f"The model is already quantized: it has {node.op_type} {node.name!r}{weight}. Use the float32 model it came "
        "from, or leave this step out.",
        layer=node.name,
    )


def _integers(node: ir.Node) -> list[tuple[str, str]]:
    """Name and dtype of the weights that a quantized node reads, or turns back into floats."""
    weights = weights_of(node)
    if node.op_type == "DequantizeLinear" and node.inputs[0] is not None and node.inputs[0].is_initializer():
        weights = [Weight(node.inputs[0])]
    return [(str(weight.value.name), weight.dtype) for weight in weights]


def step_result(
    model: ir.Model,
    layers: list[LayerDecision],
    wanted: str,
    notes: list[str],
    details: dict[str, object] | None = None,
) -> StepResult:
    """Make the result of a step from what it decided about each layer. Raises `nothing_to_quantize` when no layer was
    changed and none was eligible."""
    count = len(changed_nodes(layers))
    if count == 0:
        if not any(layer.eligible for layer in layers):
            raise Refusal("nothing_to_quantize", f"The step looks for {wanted}; {why_not(model, layers)}")
        notes = [f"The model stays as it was: {why_not(model, layers)}"]
    return StepResult(model, count, len(layers), notes, {"layers": report_rows(layers), **(details or {})})


def changed_nodes(layers: Iterable[LayerDecision]) -> list[ir.Node]:
    """List the nodes that the step changes."""
    return [layer.node for layer in layers if layer.reason is None]


def report_rows(layers: Iterable[LayerDecision]) -> list[dict[str, object]]:
    """Write a row of the report for each layer."""
    return [
        {
            "name": layer.node.name,
            "op": layer.node.op_type,
            "quantized": layer.reason is None,
            "reason": layer.reason,
        }
        for layer in layers
    ]


def why_not(model: ir.Model, layers: list[LayerDecision]) -> str:
    """Write the end of a sentence that says why no layer was changed."""
    if layers:
        reasons = Counter(f"{layer.node.op_type}: {layer.reason}" for layer in layers)
        return f"none of {len(layers)} could be taken ({_listed(reasons)})."
    return f"the model has {_listed(Counter(node.op_type for node in all_nodes(model)))}."


def _listed(counts: Counter[str]) -> str:
    items: Iterable[tuple[str, int]] = counts.most_common(SHOWN)
    rest = ", …" if len(counts) > SHOWN else ""
    return ", ".join(f"{times} × {name}" for name, times in items) + rest if counts else "no nodes"


def few(names: Collection[str]) -> str:
    """Name so many as a sentence can list."""
    return ", ".join(sorted(names)[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def zeros_targets(
    name: str, counts: Sequence[int], wanted: Sequence[int], sizes: Sequence[int]
) -> list[RequirementResult]:
    """Report the target of zeros where it cannot be reached; nothing where it can."""
    reached, goal, size = sum(counts), sum(wanted), sum(sizes)
    if reached >= goal:
        return []
    return [
        RequirementResult(
            name=name,
            asked=goal / size,
            measured=reached / size,
            interval=None,
            met=False,
            why=f"{goal} of {size} weights were to be zero, but every layer keeps at least one unit of its structure, "
            f"so that something gets through: {reached} are.",
        )
    ]
