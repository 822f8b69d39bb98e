"""Raising the opset to exactly what is asked, lowering it by the label alone, with the same outputs."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_ir.passes import common as passes

from tests.support import graphs
from tests.support.ort import largest_difference, run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import (
    convert_down,
    lower_opset,
    opset_of,
    raise_for,
    raise_opset,
)
from worker.compression.onnx_files import model_files


@pytest.mark.parametrize(
    "model",
    [graphs.cnn(opset=9), graphs.lstm(opset=13), graphs.branches(opset=13)],
    ids=["cnn", "lstm", "if"],
)
def test_outputs_stay_equal_and_names_survive(model, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    normal = normalise(model_files.load(path))
    raised = raise_opset(normal, 19)
    feeds = graphs.feeds(model)
    assert opset_of(raised) == 19
    assert largest_difference(run(model, feeds), run(raised, feeds)) <= 1e-5
    assert {node.name for node in normal.graph} <= {node.name for node in raised.graph}
    assert set(normal.graph.initializers) <= set(raised.graph.initializers)


def test_a_model_that_is_high_enough_is_returned_as_it_is(tmp_path: Path) -> None:
    model = normalise(model_files.load(graphs.with_external_data(tmp_path)))
    assert raise_opset(model, 13) is model


def test_external_weights_and_metadata_survive(tmp_path: Path) -> None:
    model = normalise(model_files.load(graphs.with_external_data(tmp_path)))
    model_files.stamp(model, {"note": "kept"})
    raised = raise_opset(model, 20)
    assert isinstance(raised.graph.initializers["w1"].const_value, ir.ExternalTensor)
    target = tmp_path / "raised.onnx"
    model_files.save(raised, target)
    feeds = graphs.feeds(graphs.mlp())
    assert raised.metadata_props["winnow.note"] == "kept"
    assert largest_difference(run(graphs.mlp(), feeds), run(target, feeds)) <= 1e-6


def test_weights_are_shared_not_copied_so_that_their_size_does_not_matter() -> None:
    """Two weights of 1.25 GiB each, of which not a byte is touched: no protobuf could hold them."""

    class Untouched(ir.Tensor):  # type: ignore[type-arg]
        def tobytes(self) -> bytes:
            raise AssertionError("the weight was serialised")

    model = normalise(ir.from_proto(graphs.mlp(hidden=64, opset=13)))
    for name in ("w1", "w2"):
        value = model.graph.initializers[name]
        rows, columns = 2**14, 2**14 + 2**12
        value.const_value = Untouched(np.broadcast_to(np.float32(0), (rows, columns)), name=name)
        value.shape = ir.Shape([rows, columns])
    model.graph.inputs[0].shape = ir.Shape(["N", 2**14])
    raised = raise_opset(model, 20)
    assert opset_of(raised) == 20
    assert raised.graph.initializers["w1"].const_value is model.graph.initializers["w1"].const_value


def test_raised_for_an_operator_to_the_smallest_opset_that_has_it() -> None:
    model = normalise(ir.from_proto(graphs.cnn(opset=11)))
    assert raise_for(model, lambda node: 1) is model
    assert raise_for(model, lambda node: {"Gemm": 11, "Relu": 6}.get(node.op_type, 1)) is model
    raised = raise_for(model, lambda node: {"Gemm": 12, "Relu": 14}.get(node.op_type, 1))
    assert opset_of(raised) == 14
    with pytest.raises(ValueError, match="Relu"):
        raise_for(model, lambda node: 999 if node.op_type == "Relu" else 1)


def test_a_version_that_is_there_already_raises_nothing() -> None:
    """Gemm 12 is asked for, Gemm 13 is what opset 14 means."""
    model = normalise(ir.from_proto(graphs.cnn(opset=14)))
    assert raise_for(model, lambda node: 12 if node.op_type == "Gemm" else 1) is model


BUILDERS = [graphs.cnn, graphs.lstm, graphs.branches]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(BUILDERS), st.integers(13, 18), st.integers(19, 24))
def test_up_and_down_again_computes_the_same(build, own: int, top: int) -> None:  # type: ignore[no-untyped-def]
    model = build(opset=own)
    normal = normalise(ir.from_proto(model))
    raised = raise_opset(normal, top)
    lowered = lower_opset(raised.clone(), own, ir_floor=normal.ir_version)
    passes.CheckerPass()(lowered)
    assert own <= opset_of(lowered) <= top
    feeds = graphs.feeds(model)
    assert largest_difference(run(raised, feeds), run(lowered, feeds)) == 0
    assert largest_difference(run(model, feeds), run(lowered, feeds)) <= 1e-5
    assert opset_of(lower_opset(lowered, own)) == opset_of(lowered)


def test_never_below_the_floor() -> None:
    model = normalise(ir.from_proto(graphs.mlp(opset=18)))
    assert opset_of(lower_opset(model, 17)) == 17
    assert opset_of(lower_opset(model, 20)) == 17


def test_a_version_that_says_something_else_is_kept() -> None:
    """ReduceMean takes its axes as an input from version 18 on."""
    model = ir.from_proto(
        graphs.parse(
            "(float[N,4] x) => (float[N,1] y) { [mean] y = ReduceMean (x, axes) }",
            {"axes": np.array([1])},
            opset=21,
        )
    )
    assert opset_of(lower_opset(model, 11)) == 18


def quantized(dtype: type, opset: int, ir_version: int) -> ir.Model:
    """A weight behind a DequantizeLinear, then a Reshape: operators whose versions differ in types alone."""
    weight = ir.Tensor(np.ones((4, 4), dtype), name="q")
    constants = {
        "q": weight.numpy().astype(np.int8),
        "s": np.array(0.1, np.float32),
        "target": np.array([-1, 2]),
    }
    proto = graphs.parse(
        """(float[N,4] x) => (float[M,2] y) {
            [dq] w = DequantizeLinear (q, s)
            [layer] m = MatMul (x, w)
            [reshape] y = Reshape (m, target)
        }""",
        constants,
        opset=opset,
    )
    proto.ir_version = ir_version
    model = ir.from_proto(proto)
    model.graph.initializers["q"].const_value = weight
    model.graph.initializers["q"].dtype = weight.dtype
    return normalise(model)


def test_operators_that_differ_in_types_alone_go_below_their_version() -> None:
    model = quantized(np.int8, 21, 10)
    feeds = {"x": np.ones((2, 4), np.float32)}
    expected = run(model, feeds)
    lower_opset(model, 11)
    assert (opset_of(model), model.ir_version) == (13, 7)
    passes.CheckerPass()(model)
    assert largest_difference(expected, run(model, feeds)) == 0


def test_types_that_an_older_version_does_not_know_keep_the_newer() -> None:
    model = quantized(ir.DataType.INT4.numpy().type, 21, 10)
    lower_opset(model, 11)
    assert (opset_of(model), model.ir_version) == (21, 10)


def test_attributes_that_an_older_version_does_not_know_keep_the_newer() -> None:
    model = quantized(np.int8, 21, 10)
    reshape = model.graph.node("reshape")
    reshape.attributes.add(ir.AttrInt64("allowzero", 1))
    assert opset_of(lower_opset(model, 11)) == 14


def test_the_ir_version_goes_back_but_not_below_the_uploads() -> None:
    model = quantized(np.int8, 21, 10)
    lower_opset(model, 11, ir_floor=9)
    assert model.ir_version == 9


@pytest.mark.parametrize("mode", ["constant", "wrap"])
def test_a_pad_that_wraps_needs_its_version(mode: str) -> None:
    constants = {"pads": np.array([1, 1], np.int64)}
    model = ir.from_proto(
        graphs.parse(
            f'(float[4] x) => (float[6] y) {{ [pad] y = Pad <mode="{mode}"> (x, pads) }}', constants, opset=21
        )
    )
    assert opset_of(lower_opset(model, 13)) == {"constant": 13, "wrap": 19}[mode]


def test_operators_inside_branches_count() -> None:
    proto: onnx.ModelProto = graphs.branches(opset=21)
    for attribute in proto.graph.node[0].attribute:
        last = attribute.g.node[-1].output[0]
        attribute.g.node[-1].output[0] = f"{last}_before"
        attribute.g.node.append(helper.make_node("Gelu", [f"{last}_before"], [last], name=f"{last}_gelu"))
    assert opset_of(lower_opset(normalise(ir.from_proto(proto)), 13)) == 20


def test_a_lower_opset_than_the_label_alone_reaches_has_the_operators_of_then() -> None:
    """Axes of Squeeze are an attribute until opset 12."""
    made = graphs.lstm(opset=18)
    lowered = convert_down(normalise(ir.from_proto(made)), 11)
    assert opset_of(lowered) == 11
    squeeze = next(node for node in lowered.graph if node.op_type == "Squeeze")
    assert squeeze.attributes.get_ints("axes") == (1,)
    feeds = graphs.feeds(made)
    assert largest_difference(run(made, feeds), run(lowered, feeds)) <= 1e-6


def test_what_an_older_opset_does_not_have_is_an_error_with_its_name() -> None:
    made = normalise(
        ir.from_proto(graphs.parse("(float[N,4] x) => (float[N,4] y) { y = Gelu (x) }", opset=20))
    )
    with pytest.raises((ValueError, RuntimeError, onnx.version_converter.ConvertError), match="Gelu"):
        convert_down(made, 13)
