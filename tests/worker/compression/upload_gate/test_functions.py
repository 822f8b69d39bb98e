"""What inspection would have to do is counted, whatever the graph looks like, and refused beyond what it can do."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.support import graphs
from tests.support.hostile_graphs import SHAPES, branches, chain, inputs, outputs, parallel, weights
from tests.support.refusals import refusal
from winnow.contract.errors import Refusal
from worker.compression.upload_gate.check import check_onnx
from worker.compression.upload_gate.functions import MAX_SIZE, Size, check_expansion


def refused(model: onnx.ModelProto) -> str:
    problem = refusal(lambda: check_expansion(model))
    assert problem is not None
    assert problem.code == "model_too_complex"
    return problem.detail


def test_more_nodes_than_can_be_inspected_are_refused_by_counting() -> None:
    assert "30000 nodes" in refused(chain(30_000))


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> Size:
    """A hundredth of what is allowed, so that the graphs are small."""
    less = Size(*(value // 100 for value in vars(MAX_SIZE).values()))
    less = replace(less, ends=MAX_SIZE.ends, graphs=MAX_SIZE.graphs)
    monkeypatch.setattr("worker.compression.upload_gate.functions.MAX_SIZE", less)
    return less


def test_as_many_nodes_as_are_allowed_pass_and_one_more_does_not(most: Size) -> None:
    check_expansion(chain(most.nodes))
    assert "nodes" in refused(chain(most.nodes + 1))
    assert "nodes" in refused(parallel(most.nodes + 1))


def test_wide_nodes_count_by_the_square(most: Size) -> None:
    width = math.isqrt(most.links)
    check_expansion(inputs(width - 1))
    assert "links" in refused(inputs(width))


def test_as_many_ends_as_are_allowed_pass_and_one_more_does_not() -> None:
    check_expansion(inputs(MAX_SIZE.ends - 1))
    assert "ends" in refused(inputs(MAX_SIZE.ends))
    assert "ends" in refused(outputs(MAX_SIZE.ends))


def test_an_input_with_a_default_is_no_end() -> None:
    model = weights(2 * MAX_SIZE.ends)
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in model.graph.initializer
    )
    check_expansion(model)


def test_graphs_inside_nodes_are_counted() -> None:
    check_expansion(branches(MAX_SIZE.graphs // 2 - 1))
    assert "graphs" in refused(branches(MAX_SIZE.graphs // 2))


def test_no_more_parts_are_counted_than_are_allowed(most: Size) -> None:
    assert f"{most.parts + 1} parts" in refused(chain(100 * most.nodes))


@pytest.mark.parametrize("name", SHAPES)
def test_many_of_anything_are_refused(name: str, most: Size) -> None:
    check_expansion(SHAPES[name](80))
    refused(SHAPES[name](3 * most.nodes))


def _attributes(model: onnx.ModelProto) -> None:
    for number in range(MAX_SIZE.parts // 100):
        model.graph.node[0].attribute.add(name=f"a{number}", type=onnx.AttributeProto.INT, i=1)


def _metadata(model: onnx.ModelProto) -> None:
    for number in range(MAX_SIZE.parts // 100):
        model.metadata_props.add(key=f"k{number}")


def _names(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "n" * (MAX_SIZE.names // 100 + 1)


def _dimension(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n" * (MAX_SIZE.names // 100 + 1)


def _attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="n" * (MAX_SIZE.names // 100 + 1))


@pytest.mark.parametrize("more", [_attributes, _metadata, _names, _dimension, _attribute])
def test_what_stands_beside_the_nodes_counts_too(more: Callable[[onnx.ModelProto], None], most: Size) -> None:
    model = chain(3)
    more(model)
    refused(model)


def test_fields_that_are_not_known_are_refused(tmp_path: Path) -> None:
    content = chain(3).SerializeToString()
    for unknown in (
        b"\xc2\x3e\x01x",
        b"\x98\x06\x01",
    ):  # of the model: field 1000 of bytes, field 99 of a number
        (tmp_path / "model.onnx").write_bytes(content + unknown)
        with pytest.raises(Refusal, match="does not know"):
            check_onnx(tmp_path / "model.onnx")
    inside = chain(3)
    inside.graph.node[0].MergeFromString(b"\xc2\x3e\x01x")
    (tmp_path / "model.onnx").write_bytes(inside.SerializeToString())
    with pytest.raises(Refusal, match="does not know"):
        check_onnx(tmp_path / "model.onnx")


def test_a_function_counts_as_often_as_it_is_called(most: Size) -> None:
    calls = "  ".join(f"y{i} = f.F (x)" for i in range(most.nodes // 10))
    body = "  ".join(f"v{i + 1} = Relu (v{i})" for i in range(9))
    model = graphs.parse(
        f"""(float[1] x) => (float[1] y0) {{ {calls} }}
        <domain: "f", opset_import: ["": 17]> F (v0) => (v9) {{ {body} }}""",
        opset=17,
        domains={"f": 1},
    )
    check_expansion(model)
    model.functions[0].node.append(graphs.node("Relu", "v9", "v10"))
    assert "nodes" in refused(model)
