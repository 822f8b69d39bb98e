"""Uploads in other floats, as the steps see them: every layer float32, and the same answers."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from tests.support import graphs, half_graphs
from tests.support.containers import BODIES, through
from tests.support.float_types import Form, written_in
from tests.support.ort import run
from winnow.contract.errors import Refusal
from worker.compression.graph.nodes.weights import layers
from worker.compression.graph.normal_form.in_float32 import ALL_FLOAT32, OTHER_FLOATS, in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files

FLOAT = ir.DataType.FLOAT


def widened(model: object, folder: Path) -> ir.Model:
    return in_float32(normalise(ir.from_proto(model)), folder / "wide")[0]  # type: ignore[arg-type]


def saved(model: ir.Model, folder: Path) -> Path:
    model_files.save(model, folder / "wide.onnx")
    return folder / "wide.onnx"


@pytest.mark.parametrize(("name", "double"), half_graphs.CASES)
def test_every_layer_is_float32_and_the_answers_are_the_same(name: str, double: bool, tmp_path: Path) -> None:
    model = half_graphs.graph(name, double=double)
    given = half_graphs.feeds(model)
    wide = widened(model, tmp_path)
    assert all(weight.value.dtype == FLOAT for _, found in layers(wide) for weight in found)
    types = {v.name: v.dtype.numpy() for v in wide.graph.inputs if v.dtype is not None}
    found = run(saved(wide, tmp_path), {n: np.asarray(a).astype(types[n]) for n, a in given.items()})
    for answer, expected in zip(found, run(model, given), strict=True):
        np.testing.assert_allclose(answer.astype(float), expected.astype(float), atol=1e-2)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("form", ["float16", "bfloat16"])
def test_no_other_float_is_left_beside_subgraphs_sequences_and_optionals(
    kind: str, form: Form, tmp_path: Path
) -> None:
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    wide = widened(written_in(through(kind), form), tmp_path)
    assert not [v for v in wide.graph.initializers.values() if v.dtype in OTHER_FLOATS]
    for answer, expected in zip(run(wide, {"x": x}), run(through(kind), {"x": x}), strict=True):
        np.testing.assert_allclose(answer, expected, atol=2e-2)


def test_a_float32_model_is_left_as_it_is(tmp_path: Path) -> None:
    model = normalise(ir.from_proto(graphs.cnn()))
    wide, types = in_float32(model, tmp_path / "wide")
    assert wide is model
    assert types == ALL_FLOAT32
    assert not (tmp_path / "wide").exists()


def test_large_weights_lie_in_a_file(tmp_path: Path) -> None:
    wide = widened(written_in(graphs.mlp(), "float16"), tmp_path)
    assert isinstance(wide.graph.initializers["w1"].const_value, ir.ExternalTensor)
    assert not isinstance(wide.graph.initializers["b1"].const_value, ir.ExternalTensor)


@pytest.mark.parametrize("number", [1e300, 1e-300])
def test_a_float64_constant_that_float32_cannot_hold_is_refused(number: float, tmp_path: Path) -> None:
    model = written_in(graphs.mlp(), "float64")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b1")
    bias.CopyFrom(numpy_helper.from_array(np.full(32, number), "b1"))
    with pytest.raises(Refusal, match="'b1' is infinity or zero in float32") as refused:
        widened(model, tmp_path)
    assert refused.value.problem.code == "step_failed"
