"""Label all values of a model: every node once, in order, each by the rule of its operator.

    a weight's axes make labels; rules unite, move and pin them; what reaches an output is pinned

A node that has to choose how to group channels takes the way with most of them; where that turns out to free none, the
run is made again with another choice.
"""

import logging
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.cuttable import WHOLE_HEADS, Cuttable
from worker.compression.graph.channels.labels.heads import multiplies_computed_values, preferred_pieces
from worker.compression.graph.channels.labels.label_run import Choices, LabelRun
from worker.compression.graph.channels.labels.ledger import Vector, joined
from worker.compression.graph.channels.labels.node_view import (
    Labelled,
    NodeView,
    Shape,
    originating,
)
from worker.compression.graph.channels.labels.sizes import Entries, computed_entries
from worker.compression.graph.channels.labels.standins import concrete_shapes
from worker.compression.graph.channels.rules import TABLE, UNLABELLED
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.values import has_subgraph, is_constant, subgraphs_of, tensor_of

log = logging.getLogger(__name__)

DOMAINS: Final = ("", "com.microsoft")
MAX_LABELLINGS: Final = 4
RULE_ERRORS: Final = (AssertionError, IndexError, KeyError, TypeError, ValueError)
"""What a rule raises on a node that is not as its operator has it."""


class Labelling:
    """The labels of all values of a model, and what follows from them."""

    def __init__(
        self,
        model: ir.Model,
        shapes: dict[str, Shape],
        choices: Choices,
        preferred: Choices,
        *,
        stream: bool = False,
        search: bool = False,
    ) -> None:
        """`stream`: what is normalised and belongs to a residual stream is not pinned by that. `search`: for heads."""
        self.run = LabelRun(choices=choices, preferred=preferred, pieces={} if search else None)
        self.values: dict[ir.Value, Labelled] = {}
        self.misfits = 0
        """Nodes that are not as their operator has it, or not for these shapes."""
        self.entries: dict[ir.Value, Entries] = {}
        """What is computed from shapes, entry by entry."""
        self._shapes = shapes
        self._opset = opset_of(model)
        self._walk(model.graph)
        for value in model.graph.outputs:
            self._pin(value, f"graph output '{value.name}'")
        self.classes = self.run.ledger.classes()
        self.stream = self._stream()
        """The classes that are the width of a residual stream: added up in it, and normalised over."""
        self.stream_reasons = self.run.ledger.reason_of_labels(self.classes)[self.stream]
        """Of each of these the index of the reason that would pin it all the same, −1 for none."""
        for vector, reason in self.run.normalised:
            if not (stream and np.isin(self.classes[vector], self.stream).all()):
                self.run.ledger.pin(vector, reason)
        self.reasons = self.run.ledger.reason_of_labels(self.classes)
        """For each label the index of the reason that pins it, −1 for none."""

    def _stream(self) -> Vector:
        normalised = joined([vector for vector, _ in self.run.normalised])
        return np.intersect1d(self.classes[normalised], self.classes[joined(self.run.joins)])

    def free(self) -> Vector:
        """Return the classes that can be cut: made by a weight, and not pinned."""
        made = joined([labels for _, labels in self.run.producers])
        return np.unique(self.classes[made[self.reasons[made] < 0]])

    def next_choices(self) -> Choices:
        """Choose otherwise where all channels of one turned out to be pinned, or to be one channel.

        Of choices about the same channels the last changes first, with all that are like it: the heads of Q, K and V.
        """
        choices = dict(self.run.choices)
        turns: dict[int, tuple[int, ...]] = {}
        for split in reversed(self.run.splits):
            free = split.labels[self.reasons[split.labels] < 0]
            tried = choices.get(split.key, 0)
            if tried + 1 < split.options and len(np.unique(self.classes[free])) < 2:
                turn = turns.setdefault(int(self.classes[split.labels].min()), split.sizes)
                if turn == split.sizes:
                    choices[split.key] = tried + 1
        return choices

    def _walk(self, graph: ir.Graph) -> None:
        for node in graph:
            outputs = self._branches(node) if node.op_type == "If" else self._node(node)
            for value, labelled in zip(node.outputs, outputs, strict=False):
                self.values[value] = labelled

    def _node(self, node: ir.Node) -> list[Labelled]:
        inputs = [None if value is None else self._labelled(value) for value in node.inputs]
        shapes = [self._shapes.get(str(value.name)) if value.name else () for value in node.outputs]
        known = [shape for shape in shapes if shape is not None]
        view = NodeView(node, self._opset, inputs, known, self.run)
        if len(known) < len(shapes) or any(
            (v is not None and i is None) for v, i in zip(node.inputs, inputs, strict=True)
        ):
            return self._stop(view, f"the shape of what {view} reads or answers is only known when it runs")
        self._follow(view)
        if node.op_type in UNLABELLED and node.domain == "":
            return [view.unlabelled(output) for output in range(len(known))]
        rule = TABLE.get(node.op_type) if node.domain in DOMAINS else None
        if rule is None or has_subgraph(node):
            return self._stop(view, f"no rule for operator {node.op_type} ('{node.name}')")
        try:
            made = rule(view)
        except RULE_ERRORS:
            log.info("the rule of %s failed", view, exc_info=True)
            self.misfits += 1
            return self._stop(view, f"the rule of {view} does not fit it")
        return self._finished(view, made if isinstance(made, list) else [made])

    def _follow(self, view: NodeView) -> None:
        """Note what is computed from shapes; a float made of the number of channels would change with a cut."""
        entries = (
            computed_entries(view.node, self.entries, view.optional(0)) if view.node.domain == "" else None
        )
        if entries is None:
            return
        value = view.node.outputs[0]
        wanted = ir.DataType(view.node.attributes.get_int("to", ir.DataType.INT64))
        if view.node.op_type == "Cast" and wanted.is_floating_point():
            for labels in (labels for entry in entries for labels in entry.counts):
                view.pin(labels, f"{view} computes with how many there are")
            return
        self.entries[value] = entries
        numbers = [entry.number for entry in entries if entry.number is not None]
        if len(numbers) == len(entries):
            self.run.numbers[value] = numbers

    def _finished(self, view: NodeView, made: list[Labelled]) -> list[Labelled]:
        inputs = [value for value in view.inputs if value is not None]
        weight = bool(inputs) and all(value.weight for value in inputs)
        origin = next((value.origin for value in inputs if value.origin), "")
        return [originating(value, origin, weight=weight) for value in made]

    def _stop(self, view: NodeView, reason: str) -> list[Labelled]:
        """Pin whatever the node reads, in its subgraphs too."""
        inner = (
            i
            for graph in subgraphs_of(view.node)
            for n in ir.traversal.RecursiveGraphIterator(graph)
            for i in n.inputs
        )
        for value in (*view.node.inputs, *inner):
            if value is not None and (value in self.values or is_constant(value)):
                self._pin(value, reason)
        shapes = [self._shapes.get(str(value.name)) for value in view.node.outputs]
        if any(shape is None for shape in shapes):
            return []
        return [_bare(shape, f"the result of {view}") for shape in shapes if shape is not None]

    def _branches(self, node: ir.Node) -> list[Labelled]:
        """Label an If. Either branch may be taken: their results share labels."""
        graphs = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        for graph in graphs:
            self._walk(graph)
        merged = []
        for outputs in zip(*(graph.outputs for graph in graphs), strict=True):
            results = [self._labelled(value) for value in outputs]
            if (
                any(value is None for value in results)
                or len({len(v.shape) for v in results if v is not None}) > 1
            ):
                for value in outputs:
                    self._pin(value, f"the branches of If '{node.name}' answer differently")
                return []
            known = [value for value in results if value is not None]
            view = NodeView(node, self._opset, known, [known[0].shape], self.run)
            axes = [view.share_labels(*pairs) for pairs in zip(*(v.pairs() for v in known), strict=True)]
            merged.append(view.result(axes, zero=all(value.zero for value in known)))
        return merged

    def _labelled(self, value: ir.Value) -> Labelled | None:
        """The labels of a value; a constant gets its own when it is first read. None where the rank is unknown."""
        if value not in self.values:
            if is_constant(value):
                shape = tuple(int(dim) for dim in tensor_of(value).shape.numpy())
                fresh = [self.run.ledger.fresh(size) if size > 1 else None for size in shape]
                self.values[value] = Labelled(shape, tuple(fresh), zero=True, weight=True)
            elif value.producer() is None and str(value.name) in self._shapes:
                self.values[value] = _bare(self._shapes[str(value.name)], f"graph input '{value.name}'")
        return self.values.get(value)

    def _pin(self, value: ir.Value, reason: str) -> None:
        labelled = self._labelled(value)
        for vector in labelled.vectors() if labelled is not None else ():
            self.run.ledger.pin(vector, reason)


def label(model: ir.Model, cuttable: Cuttable = WHOLE_HEADS) -> Labelling:
    """Label the model so that most channels are free, for numbers of the open dimensions that fit all nodes."""
    labellings: list[Labelling] = []
    for shapes in concrete_shapes(model):
        labellings.append(labelling := _freest(model, shapes, cuttable))
        if labelling.misfits == 0:
            break
    return min(labellings, key=lambda labelling: labelling.misfits)


def _freest(model: ir.Model, shapes: dict[str, Shape], cuttable: Cuttable) -> Labelling:
    preferred: Choices = {}
    if multiplies_computed_values(model):
        search = Labelling(model, shapes, {}, {}, search=True)
        preferred = preferred_pieces(search.run, search.classes, cuttable.heads)
    stream = cuttable.embedding_width
    best = labelling = Labelling(model, shapes, {}, preferred, stream=stream)
    for _ in range(MAX_LABELLINGS - 1):
        choices = labelling.next_choices()
        if choices == labelling.run.choices:
            break
        labelling = Labelling(model, shapes, choices, preferred, stream=stream)
        best = max(best, labelling, key=lambda r: len(r.free()))
    return best


def _bare(shape: Shape, origin: str) -> Labelled:
    return Labelled(shape, (None,) * len(shape), origin=origin)
