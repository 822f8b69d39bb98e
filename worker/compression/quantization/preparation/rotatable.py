"""Which channels may be rotated: those that every operator they go through treats as one vector.

    linear in them, or without an effect on them       products, sums, moving, a factor for all of them
    what an orthogonal Q does not change               Σ x², a product of two rotated values
    what it does not change where Q 1 = 1              Σ x, one number for all, LayerNormalization without a scale

Whatever else reads or makes one of them keeps all of them as they are, and is named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.account import Channel, Group, Pinned, groups_of
from worker.compression.graph.channels.cuttable import Cuttable
from worker.compression.graph.channels.labelling import Labelling, label
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled
from worker.compression.ir.values import array_of, is_constant
from worker.compression.quantization.preparation.norm_folding import NORMALISATIONS

MOVING: Final = frozenset(
    {
        *("Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Neg", "Reshape"),
        *("Shape", "Size", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    }
)
PRODUCTS: Final = frozenset({"MatMul", "FusedMatMul", "Gemm", "Conv"})
MEANS: Final = frozenset({"ReduceMean", "ReduceSum"})
INSIDE_HEADS: Final = Cuttable(heads="inside", embedding_width=True)


def rotatable(model: ir.Model, may_change: Callable[[ir.Node], bool]) -> tuple[list[Group], list[Pinned]]:
    """Return the residual streams and the widths of values of attention that an orthogonal matrix leaves the network as
    it is for (of a stream: one with Q 1 = 1), and why the others are none. The model is only read."""
    copy = model.clone()
    labelling = label(copy, INSIDE_HEADS)
    groups, roots = groups_of(labelling)
    free, pinned = list[Group](), [p for p in groups.pinned if p.unit == "embedding"]
    for group in groups.groups:
        if group.unit not in ("embedding", "head_width") or not group.consumers:
            continue
        reason = next(_Rotation(labelling, group, roots).obstacles(copy, may_change), None)
        if reason is None:
            free.append(group)
        else:
            pinned.append(Pinned(group.name, len(group.channels), reason, group.unit))
    return free, pinned


@dataclass(frozen=True)
class _Rotation:
    labelling: Labelling
    group: Group
    roots: dict[Channel, int]

    @cached_property
    def order(self) -> Vector:
        """The class of each channel."""
        return np.array([self.roots[channel] for channel in self.group.channels], np.int64)

    @property
    def keeps_means(self) -> bool:
        return self.group.unit == "embedding"

    def obstacles(self, model: ir.Model, may_change: Callable[[ir.Node], bool]) -> Iterator[str]:
        """What stands against a rotation, in the order of the graph."""
        if any(
            part.initializer not in model.graph.initializers for c in self.group.channels for part in c.parts
        ):
            yield "a weight of a branch has them"
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            inputs = [None if value is None else self.labelling.values.get(value) for value in node.inputs]
            outputs = [self.labelling.values.get(value) for value in node.outputs]
            labelled = [each for each in (*inputs, *outputs) if each is not None and self._axes(each)]
            if not labelled:
                continue
            called = f"{node.op_type} '{node.name}'"
            if not all(self._is_whole(each) for each in labelled):
                yield f"{called} parts some of them from others"
            elif str(node.name) in (*self.group.producers, *self.group.consumers) and not may_change(node):
                yield f"{called} is excluded"
            elif reason := self._why_not(node, inputs, outputs):
                yield f"{called} {reason}"

    def _axes(self, labelled: Labelled) -> list[int]:
        """Axes along which the channels lie, counted from the end."""
        return [
            axis - len(labelled.axes)
            for axis, vector in enumerate(labelled.axes)
            if vector is not None and np.isin(self.labelling.classes[vector], self.order).any()
        ]

    def _is_whole(self, labelled: Labelled) -> bool:
        """Whether all channels are there in their order, once or for each head."""
        for axis in self._axes(labelled):
            classes = self.labelling.classes[labelled.axes[axis]]
            own = classes[np.isin(classes, self.order)]
            times = len(own) // len(self.order)
            if not any(
                np.array_equal(own, each) for each in (np.tile(self.order, times), self.order.repeat(times))
            ):
                return False
        return True

    def _why_not(
        self, node: ir.Node, inputs: list[Labelled | None], outputs: list[Labelled | None]
    ) -> str | None:
        match node.op_type:
            case kind if kind in MOVING:
                return None
            case "Conv" if node.attributes.get_int("group", 1) > 1:
                return "has a filter for each of them"
            case kind if kind in PRODUCTS:
                return self._why_no_sum(inputs[2:3], outputs) if kind != "MatMul" else None
            case "Add" | "Sub" | "Sum":
                return self._why_no_sum(inputs, outputs)
            case "Mul" if node.inputs[0] is node.inputs[1]:
                return self._why_no_square(node)
            case "Mul" | "Div":
                return self._why_no_factor(node, inputs)
            case "Pow" if is_constant(node.inputs[1]) and np.all(array_of(node.inputs[1]) == 2):
                return self._why_no_square(node)
            case kind if kind in MEANS:
                return self._why_no_mean(inputs[0], outputs[0])
            case kind if kind in NORMALISATIONS:
                return self._why_no_norm(node)
        return "takes each of them by itself"

    def _why_no_sum(self, inputs: list[Labelled | None], outputs: list[Labelled | None]) -> str | None:
        """x Q + y Q; c 1 Q = c 1 where the means are kept."""
        for axis in self._axes(outputs[0]) if outputs[0] is not None else ():
            for summand in inputs:
                if summand is None or axis in self._axes(summand):
                    continue
                if not self.keeps_means or _size(summand, axis) != 1:
                    return "adds one number to all of them"
        return None

    def _why_no_factor(self, node: ir.Node, inputs: list[Labelled | None]) -> str | None:
        first, second = inputs[:2]
        if first is None or second is None:
            return "has a factor of unknown size"
        if (self._axes(first) and self._axes(second)) or (node.op_type == "Div" and self._axes(second)):
            return "scales each of them by itself"
        rotated, factor = (first, second) if self._axes(first) else (second, first)
        if any(_size(factor, axis) != 1 for axis in self._axes(rotated)):
            return "scales each of them by itself"
        return None

    def _why_no_square(self, node: ir.Node) -> str | None:
        """Σ (x Q)² = Σ x², whose result has no channels any more."""
        for reader, _ in node.outputs[0].uses():
            given = self.labelling.values.get(reader.outputs[0])
            if reader.op_type not in MEANS or given is None or self._axes(given):
                return "squares each of them by itself"
        return None if node.outputs[0].uses() else "squares each of them by itself"

    def _why_no_mean(self, before: Labelled | None, behind: Labelled | None) -> str | None:
        """Over others it is linear in them; over them it is that of squares, which are not rotated, or of all."""
        if before is None or behind is None:
            return "has an unknown shape"
        over = len(self._axes(before)) > len(self._axes(behind))
        return "is taken over them" if over and not self.keeps_means else None

    def _why_no_norm(self, node: ir.Node) -> str | None:
        if node.attributes.get_int("axis", -1) != -1 and node.attributes.get_int("axis", -1) != _last(node):
            return "normalises over more than them"
        if not self.keeps_means and node.op_type == "LayerNormalization":
            return "takes the mean over them"
        for value, neutral in zip(node.inputs[1:], (1, 0), strict=False):
            if value is not None and not (is_constant(value) and np.all(array_of(value) == neutral)):
                return "has a scale and a shift that no weights of what reads it can take"
        return None


def _size(labelled: Labelled, axis: int) -> int:
    """1 where it is broadcast along the axis, counted from the end."""
    return labelled.shape[axis] if -axis <= len(labelled.shape) else 1


def _last(node: ir.Node) -> int | None:
    shape = node.outputs[0].shape
    return None if shape is None else len(shape) - 1
