"""Batch normalisations: folded into the convolution before them, so that the two become one integer kernel, or each
with numbers of its own.

Runtimes fold them in a float model too; between Q/DQ pairs they no longer can.
"""

import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.naming import Names
from worker.compression.layers.channel_affine import ChannelAffine, channel_affine, fold

ROLES = ("input", "scale", "bias", "mean", "variance")


def fold_batchnorms(edit: GraphEdit) -> int:
    """Fold what can be folded in the main graph, and answer how many were; excluded nodes stay."""
    affines = [affine for node in edit.graph if (affine := _foldable(edit, node)) is not None]
    for affine in affines:
        fold(edit, affine)
    return len(affines)


def untie_batchnorms(model: ir.Model) -> None:
    """Give every batch normalisation initializers of its own, in place: exporters join equal ones, and in a network
    that was never trained statistics and weights are equal, of all of its normalisations. Statistics have no gradient,
    and what one of them loses or learns is not the other's."""
    names = Names(model)
    for node in model.graph:
        if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_initializer() and len(value.uses()) > 1:
                fresh = names.fresh(f"{node.name}_{ROLES[index]}")
                copy = ir.Value(name=fresh, type=value.type, shape=value.shape, const_value=value.const_value)
                model.graph.register_initializer(copy)
                node.replace_input_with(index, copy)


def _foldable(edit: GraphEdit, norm: ir.Node) -> ChannelAffine | None:
    """How a batch normalisation goes into the convolution before it."""
    affine = channel_affine(norm) if norm.op_type == "BatchNormalization" else None
    if affine is None or affine.layer.op_type != "Conv":
        return None
    return affine if edit.may_change(affine.layer) and edit.may_change(norm) else None
