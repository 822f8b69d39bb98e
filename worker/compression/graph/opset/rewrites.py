"""Rewrite what onnx's converter of opsets gets wrong, so that it cannot.

Found by comparing every operator over its versions and the values of its attributes in ONNX Runtime
(`make bench-faults`, part graphs). A rewrite stands between two steps of the converter; what has no rewrite is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.naming import Names
from worker.compression.ir.values import graph_of, nodes_of, required_input


@dataclass(frozen=True)
class Rewrite:
    """For models of opset `until` or lower that go beyond it: they are taken to opset `at`, then rewritten."""

    until: int
    at: int
    apply: Callable[[ir.Model], None]


def check_convertible(model: ir.Model, current: int, minimum: int) -> None:
    """Raise `ValueError` where the converter's result would compute something else."""
    if current <= SCAN_WITH_BATCH < minimum and (node := next(_nodes(model, "Scan"), None)):
        raise ValueError(
            f"Scan ({node.name}) of opset {SCAN_WITH_BATCH} has a batch in front, which later opsets do not know"
        )
    if current < PRELU_OF_ANY_TYPE_UNTIL <= minimum and (node := next(_prelus_without_kernel(model), None)):
        raise ValueError(
            f"PRelu ({node.name}) of anything but float32 and float16 has no kernel in ONNX Runtime from opset "
            f"{PRELU_OF_ANY_TYPE_UNTIL} on"
        )


def write_out_softmax(model: ir.Model) -> None:
    """Flatten around Softmax, LogSoftmax and Hardmax: until opset 12 they took all axes from `axis` on for one."""
    names = Names(model)
    for node in list(_nodes(model, "Softmax", "LogSoftmax", "Hardmax")):
        x, axis = node.inputs[0], node.attributes.get_int("axis", 1)
        if x is None:
            continue
        rank = None if x.shape is None else len(x.shape)
        if rank is not None and axis % rank == rank - 1:
            node.attributes["axis"] = ir.AttrInt64("axis", axis % rank)
            continue
        shape = _inserted(node, names, "Shape", [x])
        flat = _inserted(node, names, "Flatten", [x], axis=axis)
        node.replace_input_with(0, flat)
        node.attributes["axis"] = ir.AttrInt64("axis", 1)
        _insert_behind(node, names, "Reshape", [shape])


def keep_resize_meaning(model: ir.Model) -> None:
    """Write out what Resize of opset 10 and Upsample meant: no half pixels; nearest rounds down, up if shrinking."""
    names = Names(model)
    for node in list(_nodes(model, "Resize")):
        node.attributes["coordinate_transformation_mode"] = ir.AttrString(
            "coordinate_transformation_mode", "asymmetric"
        )
        if node.attributes.get_string("mode", "nearest") == "nearest":
            _keep_rounding(node, names)


def _keep_rounding(node: ir.Node, names: Names) -> None:
    """One Resize that grows and rounds down, behind it one that shrinks and rounds up, where both are needed."""
    scales = required_input(node, 2)
    known = None if scales.const_value is None else scales.const_value.numpy()
    shrinks, grows = (True, True) if known is None else (bool((known < 1).any()), bool((known > 1).any()))
    node.attributes["nearest_mode"] = ir.AttrString(
        "nearest_mode", "ceil" if shrinks and not grows else "floor"
    )
    if not (shrinks and grows):
        return
    ones = _constant(node, names, np.array([1], np.float32))
    larger, smaller = (_inserted(node, names, kind, [scales, ones]) for kind in ("Max", "Min"))
    node.replace_input_with(2, larger)
    behind = _insert_behind(node, names, "Resize", [node.inputs[1], smaller])
    for name, attribute in node.attributes.items():
        behind.attributes[name] = attribute
    behind.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "ceil")


def separate_masks(model: ir.Model) -> None:
    """Let a constant stand for the mask of a Dropout where it is used: it is zero where nothing is dropped."""
    names = Names(model)
    for node in list(_nodes(model, "Dropout")):
        if len(node.outputs) < 2 or not (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
            continue
        mask, dtype = node.outputs[1], node.outputs[1].dtype
        passed_on = ir.Node("", "Identity", [node.inputs[0]], name=names.fresh(f"{node.name}_kept"))
        zero = ir.Tensor(np.zeros(1, (dtype or ir.DataType.BOOL).numpy()), name="value")
        shape = _inserted(node, names, "Shape", [node.inputs[0]])
        filled = ir.Node(
            "",
            "ConstantOfShape",
            [shape],
            [ir.AttrTensor("value", zero)],
            name=names.fresh(f"{node.name}_mask"),
        )
        graph_of(node).insert_before(node, [passed_on, filled])
        for old, new in ((node.outputs[0], passed_on.outputs[0]), (mask, filled.outputs[0])):
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
            new.name, new.shape, new.type = old.name, old.shape, old.type
        graph_of(node).remove(node, safe=True)


def drop_unused_pad_values(model: ir.Model) -> None:
    """Forget the value of a Pad that repeats what is there: as an input it is refused."""
    for node in _nodes(model, "Pad"):
        if node.attributes.get_string("mode", "constant") != "constant":
            node.attributes.pop("value", None)


def write_axes_as_attributes(model: ir.Model, opset: int) -> None:
    """Write constant axes as attributes, for models that go down to `opset`, in which they are no inputs yet."""
    for node in _nodes(model, *AXES_ARE_INPUTS):
        axes = node.inputs[1] if len(node.inputs) > 1 else None
        if opset < AXES_ARE_INPUTS[node.op_type] and axes is not None and axes.const_value is not None:
            numbers = [int(axis) for axis in axes.const_value.numpy().reshape(-1)]
            node.attributes["axes"] = ir.AttrInt64s("axes", numbers)
            node.resize_inputs(1)


AXES_ARE_INPUTS: Final = {
    **dict.fromkeys(("Squeeze", "Unsqueeze", "ReduceSum"), 13),
    **dict.fromkeys(
        (
            *("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"),
            *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
        ),
        18,
    ),
}
"""operator → the opset from which on its second input says the axes"""
SCAN_WITH_BATCH: Final = 8
PRELU_OF_ANY_TYPE_UNTIL: Final = 19
REWRITES: Final = (
    Rewrite(9, 9, separate_masks),
    Rewrite(10, 10, drop_unused_pad_values),
    Rewrite(10, 11, keep_resize_meaning),
    Rewrite(11, 11, separate_masks),
    Rewrite(12, 12, write_out_softmax),
)


def _prelus_without_kernel(model: ir.Model) -> Iterator[ir.Node]:
    for node in _nodes(model, "PRelu"):
        dtypes = {value.dtype for value in (*node.inputs, *node.outputs) if value is not None}
        if dtypes - {None, ir.DataType.FLOAT, ir.DataType.FLOAT16}:
            yield node


def _nodes(model: ir.Model, *operators: str) -> Iterator[ir.Node]:
    """Yield nodes of these operators of ONNX's own domain, in subgraphs and functions too."""
    return (node for node in nodes_of(model) if node.op_type in operators)


def _inserted(
    node: ir.Node, names: Names, kind: str, inputs: list[ir.Value | None], **attributes: int
) -> ir.Value:
    """Put a new node in front of this one; return its output."""
    new = ir.Node(
        "",
        kind,
        inputs,
        [ir.AttrInt64(k, v) for k, v in attributes.items()],
        name=names.fresh(f"{node.name}_{kind}"),
    )
    new.outputs[0].name = names.fresh(f"{new.name}_out")
    graph_of(node).insert_before(node, new)
    return new.outputs[0]


def _insert_behind(node: ir.Node, names: Names, kind: str, more: list[ir.Value | None]) -> ir.Node:
    """Put a node behind this one that takes its output and `more`, and takes over its output's name and uses."""
    new = ir.Node("", kind, [node.outputs[0], *more], name=names.fresh(f"{node.name}_{kind}"))
    before, after = node.outputs[0], new.outputs[0]
    graph_of(node).insert_after(node, new)
    ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
    new.replace_input_with(0, before)
    after.name, after.shape, after.type = before.name, before.shape, before.type
    before.name, before.shape = names.fresh(f"{before.name}_before"), None
    return new


def _constant(node: ir.Node, names: Names, array: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(array)
    new = ir.Node(
        "", "Constant", [], [ir.AttrTensor("value", tensor)], name=names.fresh(f"{node.name}_constant")
    )
    new.outputs[0].name = names.fresh(f"{new.name}_out")
    graph_of(node).insert_before(node, new)
    return new.outputs[0]
