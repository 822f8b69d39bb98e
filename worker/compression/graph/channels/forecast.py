"""Count from its labels what a cut leaves of a network: nothing is built.

axis         keeps the indices whose class is not cut
parameters   Σ over constants of what they count · Π over their axes of kept / size
MACs         by the formulas of `formulas`, for the sizes that are kept
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.graph.channels.account import Group, groups_of
from worker.compression.graph.channels.cuttable import WHOLE_HEADS, Cuttable
from worker.compression.graph.channels.labelling import label
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled
from worker.compression.graph.facts.cost import macs_of_shaped
from worker.compression.graph.facts.parameters import count_of
from worker.compression.graph.nodes.formulas import FORMULAS
from worker.compression.graph.shapes.shapes import with_shapes

Gone = NDArray[np.bool_]
"""For each label, whether its class is cut."""


class Forecast:
    """Counts of cuts of these groups of one model, for inputs of these shapes.

    It can be wrong where a size follows from the number of channels in a way that no label carries: check what was
    decided by it on the network that was cut.
    """

    def __init__(
        self,
        model: ir.Model,
        groups: Sequence[Group],
        shapes: dict[str, list[int]] | None = None,
        cuttable: Cuttable = WHOLE_HEADS,
    ) -> None:
        """`cuttable`: that of the groups. Raises `KeyError` where the groups are others for these shapes."""
        self._model = with_shapes(model, shapes)
        labelling = label(self._model, cuttable)
        roots = groups_of(labelling)[1]
        self._roots = [np.array([roots[channel] for channel in group.channels]) for group in groups]
        self._classes = labelling.classes
        self._constants = [
            (count, labelling.values.get(value))
            for graph in self._model.graphs()
            for value in graph.initializers.values()
            if (count := count_of(value))
        ]
        self._sizes = [
            (v, v.shape, labelling.values[v]) for v in _of_linear_nodes(self._model) if v in labelling.values
        ]

    def parameters(self, cut_channels: Sequence[Vector]) -> int:
        """`cut_channels`: of each group the indices of the channels that are cut."""
        gone = self._cut_labels(cut_channels)
        return sum(
            count if labelled is None else _kept_count(count, labelled, gone)
            for count, labelled in self._constants
        )

    def macs(self, cut_channels: Sequence[Vector]) -> int | None:
        """None where a shape is unknown. `cut_channels`: as for `parameters`."""
        gone = self._cut_labels(cut_channels)
        for value, shape, labelled in self._sizes:
            if shape is not None:
                value.shape = _shortened(shape, labelled.axes, gone)
        return macs_of_shaped(self._model)

    def _cut_labels(self, cut_channels: Sequence[Vector]) -> Gone:
        cut = np.zeros(len(self._classes), bool)
        for roots, indices in zip(self._roots, cut_channels, strict=True):
            cut[roots[indices]] = True
        return cut[self._classes]


def _of_linear_nodes(model: ir.Model) -> set[ir.Value]:
    """What the formulas read the shapes of."""
    nodes = [n for n in ir.traversal.RecursiveGraphIterator(model.graph) if n.op_type in FORMULAS]
    return {value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None}


def _kept_count(count: int, labelled: Labelled, gone: Gone) -> int:
    for vector in labelled.vectors():
        count = count * int(np.count_nonzero(~gone[vector])) // len(vector)
    return count


def _shortened(shape: ir.Shape, axes: tuple[Vector | None, ...], gone: Gone) -> ir.Shape:
    return ir.Shape(
        [
            dim if vector is None else int(np.count_nonzero(~gone[vector]))
            for dim, vector in zip(shape, axes, strict=True)
        ]
    )
