"""Our way of asking onnx tells what onnx-ir's tells, asks once where once is enough, and leaves the model as it was."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from tests.support import graphs
from tests.support.hostile_graphs import SHAPES, chain, constants
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.nodes.folding_allowance import Allowance
from worker.compression.graph.normal_form import tracing
from worker.compression.graph.normal_form.folding import fold
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tracing import MAX_NODE_VISITS, affordable_rounds, trace
from worker.compression.graph.shapes import shapes
from worker.compression.graph.shapes.onnx_inference import infer_by_onnx
from worker.compression.upload.inspection import inspect_model

BUILDS = [graphs.cnn, graphs.lstm, graphs.with_constant_nodes, graphs.with_functions, graphs.dirty]


def told(model: ir.Model) -> dict[str, tuple[str, str]]:
    values = [value for node in ir.traversal.RecursiveGraphIterator(model.graph) for value in node.outputs]
    return {str(value.name): (str(value.shape), str(value.dtype)) for value in (*model.graph.inputs, *values)}


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_onnx_ir_tells_the_same(build: Callable[[], onnx.ModelProto]) -> None:
    ours, theirs = ir.from_proto(build()), ir.from_proto(build())
    infer_by_onnx(ours)
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(theirs)
    assert told(ours) == told(theirs)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_inputs_and_weights_are_as_they_were(build: Callable[[], onnx.ModelProto]) -> None:
    model = ir.from_proto(build())
    before = [*model.graph.inputs], list(model.graph.initializers.items())
    tensors = [value.const_value for value in model.graph.initializers.values()]
    infer_by_onnx(model)
    assert ([*model.graph.inputs], list(model.graph.initializers.items())) == before
    assert [value.const_value for value in model.graph.initializers.values()] == tensors


def test_shapes_are_inferred_once_where_the_inputs_say_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for module in (shapes, tracing):
        monkeypatch.setattr(
            module, "infer_by_onnx", lambda model, **how: asked.append(infer_by_onnx(model, **how))
        )
    facts(normalise(ir.from_proto(chain(10))))
    assert len(asked) == 1


def test_rounds_get_fewer_as_graphs_get_larger() -> None:
    assert affordable_rounds(ir.from_proto(chain(10)), 32) == 32
    assert affordable_rounds(ir.from_proto(chain(8_000)), 32) * 8_000 <= MAX_NODE_VISITS


def test_no_more_is_folded_than_allowed_and_the_rest_still_runs() -> None:
    model = ir.from_proto(constants(20))
    traced = trace(model)
    allowance = Allowance(nodes=5)
    assert fold(model, traced, allowance)
    assert allowance.nodes == 0
    assert model.graph.num_nodes() == 21 - 5
    assert not fold(model, traced, allowance)


def test_what_takes_too_many_multiplications_or_bytes_is_not_folded() -> None:
    matmul = ir.Node("", "MatMul", [ir.Value(name=n, shape=ir.Shape([2000, 2000])) for n in "ab"], name="m")
    matmul.outputs[0].shape = ir.Shape([2000, 2000])
    assert not Allowance().covers(matmul, 8_000_000, 32_000_000)
    add = ir.Node("", "Add", [ir.Value(name="a")], name="a")
    allowance = Allowance(bytes=10)
    assert allowance.covers(add, 2, 8)
    assert not allowance.covers(add, 2, 8)
    pool = ir.Node("", "MaxPool", [ir.Value(name="a")], name="p")
    assert Allowance().covers(pool, 100, 400)
    assert not Allowance().covers(pool, 100_000, 400_000)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "outputs"])
def test_small_graphs_of_these_shapes_are_ready(name: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(SHAPES[name](30).SerializeToString())
    found = inspect_model(
        tmp_path / "model", "onnx", [], tmp_path, allow_torchscript=False, max_unpacked_bytes=2**20
    )
    assert found.facts.operators
