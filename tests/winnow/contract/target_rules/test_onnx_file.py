"""A graph is read from the bytes of a file as onnx reads it."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support import qdq_nets as nets
from winnow.contract.target_rules.graph import CheckedGraph, NodeInput
from winnow.contract.target_rules.onnx_file import graph_of_bytes, graph_of_file

ATTRIBUTES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=16),
    ),
)
NAMES = st.text(max_size=12).filter(lambda text: "\0" not in text)


@given(
    nodes=st.lists(st.tuples(NAMES, st.sampled_from(["Relu", "Sigmoid"]), ATTRIBUTES), max_size=6),
    opset=st.integers(1, 30),
)
def test_names_operators_and_attributes_are_those_that_onnx_writes(
    nodes: list[tuple[str, str, dict[str, object]]], opset: int
) -> None:
    made = [
        helper.make_node(op, ["x"], [f"y{n}"], name=name, **more) for n, (name, op, more) in enumerate(nodes)
    ]
    graph = graph_of_bytes(nets.model(made, outputs=["x"], opset=opset).SerializeToString())
    assert graph.opset == opset
    assert graph.names == [name for name, _, _ in nodes]
    read = [(kind.operator, kind.attributes) for _, kind in graph.nodes]
    assert read == [(op, more) for _, op, more in nodes]


@given(
    value=st.sampled_from([np.uint8, np.int8, np.int32, np.float32]),
    shape=st.lists(st.integers(0, 3), max_size=3),
    zero=st.booleans(),
)
def test_constants_have_their_type_size_and_whether_they_are_zero(
    value: type, shape: list[int], zero: bool
) -> None:
    array = np.full(shape, 0 if zero else 3, value)
    graph = graph_of_bytes(
        nets.model([helper.make_node("Add", ["x", "c"], ["y"])], {"c": array}).SerializeToString()
    )
    constant = graph.kinds[0].inputs[1]
    assert constant == NodeInput(
        dtype=np.dtype(value).name,
        rank=len(shape),
        open=False,
        constant="stored",
        size=array.size,
        zero=not array.any(),
    )


def test_numbers_that_are_no_raw_bytes_are_looked_at_too() -> None:
    for numbers, zero in ([0, 0], True), ([0, 1], False):
        tensor = helper.make_tensor("c", TensorProto.INT8, [2], numbers)
        assert not tensor.raw_data
        model = nets.model([helper.make_node("Add", ["x", "c"], ["y"])])
        model.graph.initializer.append(tensor)
        read = graph_of_bytes(model.SerializeToString()).kinds[0].inputs[1]
        assert read is not None
        assert read.zero is zero


def test_inputs_whose_shape_varies_are_named_and_initializers_among_the_inputs_are_none() -> None:
    model = nets.float_conv(["batch", 4, 8, "width"])
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, ["out", 4, 1, 1]))
    (varying,) = graph_of_bytes(model.SerializeToString()).open_inputs
    assert (varying.name, varying.dimensions) == ("x", ["batch", "width"])


def test_constant_nodes_are_constants_and_no_nodes() -> None:
    weight = numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], name="made", value=weight),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
    ]
    graph = graph_of_bytes(nets.model(nodes).SerializeToString())
    assert graph.names == ["conv"]
    assert graph.kinds[0].inputs[1] == NodeInput(
        dtype="float32", rank=4, open=False, constant="stored", size=16, zero=False
    )


def test_branches_are_read_and_know_what_stands_around_them() -> None:
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"], name="inner")], "b", [], [out])
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], name="cast", to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["z"], name="if", then_branch=branch, else_branch=branch),
    ]
    graph = graph_of_bytes(nets.model(nodes, {"w": np.ones((4, 4, 1, 1), np.float32)}).SerializeToString())
    assert graph.names == ["cast", "if", "inner", "inner"]
    inner = dict(graph.nodes)["inner"]
    assert inner.nested
    assert inner.inputs[1] is not None
    assert inner.inputs[1].constant == "stored"


def test_who_reads_a_value_and_what_lies_behind_a_dequantization_is_known() -> None:
    graph = graph_of_bytes(nets.quantized_conv().SerializeToString())
    nodes = dict(graph.nodes)
    assert nodes["weight"].readers == ["Conv"]
    weight = nodes["conv"].inputs[1]
    assert weight is not None
    assert (weight.constant, weight.rank) == ("dequantized", 4)


@given(content=st.binary(max_size=80))
def test_bytes_of_any_kind_raise_nothing_but_an_error_of_their_value(content: bytes) -> None:
    with suppress(ValueError):
        graph_of_bytes(content)


@given(cut=st.integers(0, 10_000))
def test_a_file_that_is_cut_short_is_an_error(cut: int) -> None:
    whole = nets.quantized_conv().SerializeToString()
    with pytest.raises(ValueError, match=r"cut short|ends within|no graph|no end"):
        graph_of_bytes(whole[: cut % whole.rindex(b"out")])


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        graph_of_file(tmp_path / "empty.onnx")


def test_the_file_is_read_without_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    onnx.save(nets.float_conv(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    assert graph_of_file(path).names == ["conv", "relu"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_attribute_that_is_no_finite_number_is_left_out_since_json_has_none(value: float) -> None:
    node = helper.make_node("Imputer", ["x"], ["y"], domain="ai.onnx.ml", replaced_value_float=value)
    graph = graph_of_bytes(nets.model([node]).SerializeToString())
    assert graph.kinds[0].attributes == {}
    assert CheckedGraph.model_validate_json(graph.model_dump_json()) == graph


def test_a_size_below_0_is_one_that_varies() -> None:
    model = nets.float_conv([4, 4, 8, 8])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    (varying,) = graph_of_bytes(model.SerializeToString()).open_inputs
    assert (varying.name, varying.dimensions) == ("x", ["?"])


def test_constant_nodes_are_no_nodes_under_the_domain_s_own_name_either() -> None:
    weight = numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], name="made", domain="ai.onnx", value=weight),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
    ]
    assert graph_of_bytes(nets.model(nodes).SerializeToString()).names == ["conv"]


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def node_of(*fields: bytes) -> bytes:
    """A file of one node."""
    return field(7, field(1, b"".join(fields)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (node_of(field(5, field(1, b"a") + bytes([2 << 3, 3]))), "number of 4 bytes"),
        (node_of(field(3, b"\xff\xfe")), "no UTF-8"),
        (field(7, field(5, bytes([1 << 3, *[255] * 8, 127]) * 2)), "numbers"),
        (field(7, field(5, field(1, bytes([1]) * 70))), "dimensions"),
    ],
    ids=["float as varint", "name", "size", "rank"],
)
def test_what_no_onnx_writes_is_an_error_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        graph_of_bytes(content)
    assert type(error.value) is ValueError


def test_a_file_of_zeros_is_an_error_at_its_first_byte() -> None:
    with pytest.raises(ValueError, match="byte 0 begins no field: there is no field 0"):
        graph_of_bytes(bytes(1 << 20))
