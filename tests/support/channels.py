"""The laws of channel groups: what is offered can be cut, and cutting what is zero changes nothing."""

import numpy as np
import onnx
import onnx_ir as ir

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.channels import WHOLE_HEADS, Channel, Cuttable, Groups, channel_groups, cut
from worker.compression.graph.normal_form.normalise import normalise

TOLERANCE = 1e-5


def normal(model: onnx.ModelProto) -> ir.Model:
    return normalise(ir.from_proto(model))


def every_third(groups: Groups) -> list[Channel]:
    return [channel for group in groups.groups for channel in group.channels[:-1:3]]


def zeroed(model: ir.Model, channels: list[Channel]) -> ir.Model:
    """A copy in which all parts of these channels are zero: weights, biases, and the slices that read them.

    What a channel is divided by, and what it is scaled by when it is quantized, stays.
    """
    copy = model.clone()
    values = {v.name: v for graph in copy.graphs() for v in graph.initializers.values()}
    arrays = {}
    for channel in channels:
        for part in channel.parts:
            value = values[part.initializer]
            if value.dtype != ir.DataType.FLOAT or _divides(value):
                continue
            array = arrays.setdefault(part.initializer, value.const_value.numpy().copy())
            array[(slice(None),) * part.axis + (list(part.indices),)] = 0
    for name, array in arrays.items():
        values[name].const_value = ir.Tensor(array, name=name)
    return copy


def _divides(value: ir.Value) -> bool:
    return any(
        (use.node.op_type == "Div" and use.idx == 1) or "Quantize" in use.node.op_type for use in value.uses()
    )


def cut_and_run(
    model: ir.Model,
    channels: list[Channel],
    feeds: dict[str, np.ndarray],
    cuttable: Cuttable = WHOLE_HEADS,
) -> list[np.ndarray]:
    """The outputs after the cut. The result passes the checker, shapes included."""
    smaller = ir.to_proto(cut(model, channels, cuttable))
    onnx.checker.check_model(smaller, full_check=True)
    return run(smaller, feeds)


def assert_laws(
    model: ir.Model,
    channels: list[Channel],
    feeds: dict[str, np.ndarray],
    cuttable: Cuttable = WHOLE_HEADS,
) -> None:
    """The cut model runs; and where the channels are zero it answers what the whole one does."""
    cut_and_run(model, channels, feeds, cuttable)
    zero = zeroed(model, channels)
    assert_equal(run(zero, feeds), cut_and_run(zero, channels, feeds, cuttable))


def assert_equal(expected: list[np.ndarray], found: list[np.ndarray], tolerance: float = TOLERANCE) -> None:
    """Within the tolerance, relative and of each output's largest value."""
    for a, b in zip(expected, found, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(
            b, a, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(a).max(initial=0)))
        )


def groups_of(model: onnx.ModelProto, cuttable: Cuttable = WHOLE_HEADS) -> tuple[ir.Model, Groups]:
    made = normal(model)
    return made, channel_groups(made, cuttable)


def sizes(groups: Groups) -> dict[str, int]:
    """Name → how many channels a group has."""
    return {group.name: len(group.channels) for group in groups.groups}


def reasons(groups: Groups) -> dict[str, str]:
    """Node → why its channels stay."""
    return {pinned.node: pinned.reason for pinned in groups.pinned}


def units(groups: Groups) -> dict[str, tuple[str, int]]:
    """Name → what the channels of a group are, and how many it has."""
    return {group.name: (group.unit, len(group.channels)) for group in groups.groups}


def laws(model: onnx.ModelProto, cuttable: Cuttable = WHOLE_HEADS) -> Groups:
    """The groups of the normalised model, a third of whose channels was cut under the laws."""
    made, groups = groups_of(model, cuttable)
    assert_laws(made, every_third(groups), graphs.feeds(model, batch=2), cuttable)
    return groups
