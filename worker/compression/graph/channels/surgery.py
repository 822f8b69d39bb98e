"""Cut channels: delete slices of initializers, and adapt whatever says a size.

cut = the classes of the channels given;  every axis keeps the indices whose class is not cut
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.graph.channels.account import Channel, Groups, groups_of
from worker.compression.graph.channels.cuttable import WHOLE_HEADS, Cuttable
from worker.compression.graph.channels.fixup import Fixup, Mask
from worker.compression.graph.channels.labelling import Labelling, label
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.shape_fixups import FIXUPS
from worker.compression.graph.normal_form.tracing import trace
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.values import tensor_of


def cut(model: ir.Model, channels: Iterable[Channel], cuttable: Cuttable = WHOLE_HEADS) -> ir.Model:
    """Make a copy without these channels; weights that lose nothing are shared with the model given. `cuttable`: that
    of their groups.

    Raises `ValueError` for a channel that the model does not have or that is pinned, and when none of a group would
    stay.
    """
    copy = model.clone()
    labelling = label(copy, cuttable)
    chosen = set(channels)
    groups, roots = groups_of(labelling)
    require_one_kept(groups, chosen)
    if missing := chosen - set(roots):
        raise ValueError(
            f"not a channel of this model: {next(iter(missing)).parts[:1]}, and {len(missing) - 1} more"
        )
    remove(labelling, copy, np.array([roots[channel] for channel in chosen], np.int64))
    trace(copy)
    return copy


def require_one_kept(groups: Groups, chosen: set[Channel]) -> None:
    """Raises `ValueError` where all channels of a group would be cut."""
    for group in groups.groups:
        if chosen.issuperset(group.channels):
            raise ValueError(
                f"all {len(group.channels)} channels of '{group.name}' would be cut; one must stay"
            )


def remove(labelling: Labelling, model: ir.Model, classes: Vector) -> None:
    """Cut these classes out of the labelled model, in place. All inferred shapes are forgotten."""
    gone = np.isin(labelling.classes, classes)
    opset = opset_of(model)
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.op_type in FIXUPS and node.outputs[0] in labelling.values:
            FIXUPS[node.op_type](Fixup(node, labelling, gone, opset))
    for value, labelled in labelling.values.items():
        if value.is_initializer():
            _shorten(value, [None if v is None else ~gone[v] for v in labelled.axes])
    passes.RemoveUnusedNodesPass()(model)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None


def _shorten(value: ir.Value, masks: list[Mask | None]) -> None:
    tensor = tensor_of(value)
    cuts = [(axis, mask) for axis, mask in enumerate(masks) if mask is not None and not mask.all()]
    if not cuts:
        return
    array = tensor.numpy()
    for axis, mask in cuts:
        array = array.compress(mask, axis)
    value.const_value = ir.Tensor(np.ascontiguousarray(array), dtype=tensor.dtype, name=value.name)
    value.shape = ir.Shape(array.shape)
