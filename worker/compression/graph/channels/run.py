"""The label run: every node once, in order, each by the rule of its operator.

    a weight's axes make labels; rules unite, move and pin them; what reaches an output is pinned

A node that has to choose how to group channels takes the way with most of them; where that turns out to free none, the
run is made again with another choice.
"""

import logging
from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.ledger import Vector, joined
from worker.compression.graph.channels.node_view import Book, Choices, Labelled, Shape, Step, originating
from worker.compression.graph.channels.rules import TABLE, UNLABELLED
from worker.compression.graph.channels.sizes import Entries, follow
from worker.compression.graph.channels.standins import concrete_shapes
from worker.compression.graph.opset.conversion import opset_of

log = logging.getLogger(__name__)

DOMAINS: Final = ("", "com.microsoft")
MOST_RUNS: Final = 4
BROKEN: Final = (AssertionError, IndexError, KeyError, TypeError, ValueError)
"""What a rule raises on a node that is not as its operator has it."""


class Run:
    """The labels of all values of a model, and what follows from them."""

    def __init__(self, model: ir.Model, shapes: dict[str, Shape], choices: Choices) -> None:
        self.book = Book(choices=choices)
        self.values: dict[ir.Value, Labelled] = {}
        self.misfits = 0
        """Nodes that are not as their operator has it, or not for these shapes."""
        self._entries: dict[ir.Value, Entries] = {}
        self._shapes = shapes
        self._opset = opset_of(model)
        self._walk(model.graph)
        for value in model.graph.outputs:
            self._pin(value, f"graph output '{value.name}'")
        self.classes = self.book.ledger.classes()
        self.why = self.book.ledger.why(self.classes)
        """For each label the reason that pins it, −1 for none."""

    def free(self) -> Vector:
        """The classes that can be cut: made by a weight, and not pinned."""
        made = joined([labels for _, labels in self.book.producers])
        return np.unique(self.classes[made[self.why[made] < 0]])

    def next_choices(self) -> Choices:
        """Another choice where all channels of one turned out to be pinned, or to be one channel.

        Of choices about the same channels the last changes first, with all that are like it: the heads of Q, K and V.
        """
        choices = dict(self.book.choices)
        turns: dict[int, tuple[int, ...]] = {}
        for split in reversed(self.book.splits):
            free = split.labels[self.why[split.labels] < 0]
            tried = choices.get(split.key, 0)
            if tried + 1 < split.options and len(np.unique(self.classes[free])) < 2:
                turn = turns.setdefault(int(self.classes[split.labels].min()), split.sizes)
                if turn == split.sizes:
                    choices[split.key] = tried + 1
        return choices

    def _walk(self, graph: ir.Graph) -> None:
        for node in graph:
            answers = self._branches(node) if node.op_type == "If" else self._node(node)
            for value, labelled in zip(node.outputs, answers, strict=False):
                self.values[value] = labelled

    def _node(self, node: ir.Node) -> list[Labelled]:
        inputs = [None if value is None else self._labelled(value) for value in node.inputs]
        shapes = [self._shapes.get(str(value.name)) if value.name else () for value in node.outputs]
        known = [shape for shape in shapes if shape is not None]
        step = Step(node, self._opset, inputs, known, self.book)
        if len(known) < len(shapes) or any(
            _is_missing(v, i) for v, i in zip(node.inputs, inputs, strict=True)
        ):
            return self._stop(step, f"the shape of what {step} reads or answers is only known when it runs")
        self._follow(step)
        if node.op_type in UNLABELLED and node.domain == "":
            return [step.plain(output) for output in range(len(known))]
        rule = TABLE.get(node.op_type) if node.domain in DOMAINS else None
        if rule is None or any(True for _ in _subgraphs(node)):
            return self._stop(step, f"no rule for operator {node.op_type} ('{node.name}')")
        try:
            made = rule(step)
        except BROKEN:
            log.info("the rule of %s failed", step, exc_info=True)
            self.misfits += 1
            return self._stop(step, f"the rule of {step} does not fit it")
        return self._finished(step, made if isinstance(made, list) else [made])

    def _follow(self, step: Step) -> None:
        """Note what is computed from shapes; a float made of the number of channels would change with a cut."""
        entries = follow(step.node, self._entries, step.optional(0)) if step.node.domain == "" else None
        if entries is None:
            return
        value = step.node.outputs[0]
        wanted = ir.DataType(step.node.attributes.get_int("to", ir.DataType.INT64))
        if step.node.op_type == "Cast" and wanted.is_floating_point():
            for labels in (labels for entry in entries for labels in entry.counts):
                step.pin(labels, f"{step} computes with how many there are")
            return
        self._entries[value] = entries
        numbers = [entry.number for entry in entries if entry.number is not None]
        if len(numbers) == len(entries):
            self.book.numbers[value] = numbers

    def _finished(self, step: Step, made: list[Labelled]) -> list[Labelled]:
        there = [value for value in step.inputs if value is not None]
        weight = bool(there) and all(value.weight for value in there)
        origin = next((value.origin for value in there if value.origin), "")
        return [originating(value, origin, weight=weight) for value in made]

    def _stop(self, step: Step, reason: str) -> list[Labelled]:
        """Pin whatever the node reads, in its subgraphs too."""
        inner = (
            i
            for graph in _subgraphs(step.node)
            for n in ir.traversal.RecursiveGraphIterator(graph)
            for i in n.inputs
        )
        for value in (*step.node.inputs, *inner):
            if value is not None and (value in self.values or _is_constant(value)):
                self._pin(value, reason)
        shapes = [self._shapes.get(str(value.name)) for value in step.node.outputs]
        if any(shape is None for shape in shapes):
            return []
        return [_bare(shape, f"the result of {step}") for shape in shapes if shape is not None]

    def _branches(self, node: ir.Node) -> list[Labelled]:
        """Either branch may be taken: what they answer lies on each other."""
        graphs = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        for graph in graphs:
            self._walk(graph)
        answers = []
        for outputs in zip(*(graph.outputs for graph in graphs), strict=True):
            found = [self._labelled(value) for value in outputs]
            if (
                any(value is None for value in found)
                or len({len(v.shape) for v in found if v is not None}) > 1
            ):
                for value in outputs:
                    self._pin(value, f"the branches of If '{node.name}' answer differently")
                return []
            there = [value for value in found if value is not None]
            step = Step(node, self._opset, there, [there[0].shape], self.book)
            axes = [step.meet(*pairs) for pairs in zip(*(v.pairs() for v in there), strict=True)]
            answers.append(step.result(axes, zero=all(value.zero for value in there)))
        return answers

    def _labelled(self, value: ir.Value) -> Labelled | None:
        """The labels of a value; a constant gets its own when it is first read. None where the rank is unknown."""
        if value not in self.values:
            if _is_constant(value):
                assert value.const_value is not None
                shape = tuple(int(dim) for dim in value.const_value.shape.numpy())
                fresh = [self.book.ledger.fresh(size) if size > 1 else None for size in shape]
                self.values[value] = Labelled(shape, tuple(fresh), zero=True, weight=True)
            elif value.producer() is None and str(value.name) in self._shapes:
                self.values[value] = _bare(self._shapes[str(value.name)], f"graph input '{value.name}'")
        return self.values.get(value)

    def _pin(self, value: ir.Value, reason: str) -> None:
        labelled = self._labelled(value)
        for vector in labelled.vectors() if labelled is not None else ():
            self.book.ledger.pin(vector, reason)


def label(model: ir.Model) -> Run:
    """The run that frees most channels, for numbers of the open dimensions that fit all nodes."""
    runs: list[Run] = []
    for shapes in concrete_shapes(model):
        runs.append(run := _freest(model, shapes))
        if run.misfits == 0:
            break
    return min(runs, key=lambda run: run.misfits)


def _freest(model: ir.Model, shapes: dict[str, Shape]) -> Run:
    best = run = Run(model, shapes, {})
    for _ in range(MOST_RUNS - 1):
        choices = run.next_choices()
        if choices == run.book.choices:
            break
        run = Run(model, shapes, choices)
        best = max(best, run, key=lambda r: len(r.free()))
    return best


def _bare(shape: Shape, origin: str) -> Labelled:
    return Labelled(shape, (None,) * len(shape), origin=origin)


def _is_constant(value: ir.Value) -> bool:
    return value.const_value is not None and value.is_initializer() and not value.is_graph_input()


def _is_missing(value: ir.Value | None, labelled: Labelled | None) -> bool:
    return value is not None and labelled is None


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
