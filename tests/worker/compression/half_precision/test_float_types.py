"""Floats given back: what an artifact takes, answers and weighs is what the upload did."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs, half_graphs
from tests.support.float_types import Form, written_in
from tests.support.ort import run
from tests.support.small_nets import samples
from winnow.contract.errors import Refusal
from winnow.contract.recipe import AnyStep, Recipe
from worker.compression.apply import apply
from worker.compression.graph.normal_form.in_float32 import in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.half_precision.float_types import check_types, restore_float_types
from worker.compression.progress import Silent
from worker.compression.result.storage import write
from worker.compression.steps.context import Context
from worker.compression.weight_storage.drop_defaults import names_in

CONSTANT_OUTPUTS = {"an output that is computed from constants", "a weight behind two Casts, one an output"}
"""They are written as the numbers they are."""
ROOM = 250
"""Bytes that Casts in a tiny graph may add."""


def signature(model: onnx.ModelProto) -> list[tuple[str, int]]:
    return [(v.name, v.type.tensor_type.elem_type) for v in (*model.graph.input, *model.graph.output)]


def step_of(**fields: Any) -> AnyStep:
    return Recipe.model_validate({"steps": [fields]}).steps[0]


def artifact(model: onnx.ModelProto, folder: Path, *steps: AnyStep, data: Any = None) -> onnx.ModelProto:
    """As `compress` makes it."""
    graph, types = in_float32(normalise(ir.from_proto(model)), folder / "wide")
    check_types(graph, types, steps)
    for index, step in enumerate(steps):
        place = folder / f"step-{index}"
        place.mkdir()
        given = None if data is None else samples(place, graph, **data)
        changed = apply(graph, step, Context(place, 0, Silent(), given))
        assert changed.changed
        graph = normalise(changed.model)
    restore_float_types(graph, types)
    write(graph, folder / "artifact.onnx", steps, names_in(model))
    made = onnx.load(folder / "artifact.onnx")
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.mark.parametrize(("name", "double"), half_graphs.CASES)
def test_signature_answers_and_size_are_the_uploads(name: str, double: bool, tmp_path: Path) -> None:
    model = half_graphs.graph(name, double=double)
    made = artifact(model, tmp_path)
    assert signature(made) == signature(model)
    given = half_graphs.feeds(model)
    for answer, expected in zip(run(made, given), run(model, given), strict=True):
        assert answer.dtype == expected.dtype
        np.testing.assert_allclose(answer.astype(float), expected.astype(float), atol=1e-2)
    if name not in CONSTANT_OUTPUTS:
        assert made.ByteSize() <= model.ByteSize() + ROOM


STEPS: list[dict[str, Any]] = [
    {"kind": "channel_pruning"},
    {"kind": "int8_static"},
    {"kind": "int8_dynamic"},
    {"kind": "weight_only"},
    {"kind": "palette"},
    {"kind": "sparsity"},
    {"kind": "low_rank", "amount": 0.5},
    {"kind": "binary"},
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["kind"])
@pytest.mark.parametrize("form", ["float16", "float64", "float16 behind Cast", "bfloat16 behind Cast"])
def test_a_step_does_what_it_does_to_float32(form: Form, step: dict[str, Any], tmp_path: Path) -> None:
    model = written_in(graphs.mlp(hidden=64), form)
    x = np.random.default_rng(1).standard_normal((16, 64)).astype(np.float32)
    made = artifact(model, tmp_path, step_of(**step), data={"features": x})
    assert signature(made) == signature(model)
    assert made.ByteSize() < model.ByteSize()
    dtype = onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    (answer,) = run(made, {"features": x.astype(dtype)})
    assert answer.dtype == dtype
    assert np.isfinite(answer).all()


@pytest.mark.parametrize("form", ["float64", "float16 behind Cast", "bfloat16 behind Cast"])
def test_float16_computes_in_it_where_the_upload_does_not(form: Form, tmp_path: Path) -> None:
    """At the size of the weights in float16: a Cast for each is gone."""
    model = written_in(graphs.mlp(), form)
    made = artifact(model, tmp_path, step_of(kind="float16"))
    assert made.ByteSize() < model.ByteSize()
    product = next(node for node in made.graph.node if node.op_type == "MatMul")
    weights = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert weights[product.input[1]] == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("float16", "float16"),
        ("float16", "bfloat16"),
        ("float16 behind Cast", "bfloat16"),
        ("bfloat16 behind Cast", "bfloat16"),
    ],
)
def test_a_step_that_could_not_make_it_smaller_is_refused(form: Form, kind: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=f"already: {kind} would not make it smaller") as refused:
        artifact(written_in(graphs.mlp(), form), tmp_path, step_of(kind=kind))
    assert refused.value.problem.code == "nothing_to_quantize"


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_what_is_float32_in_a_mixed_upload_can_be_stored_in_16_bits(kind: str, tmp_path: Path) -> None:
    model = half_graphs.graph("one layer in float32")
    made = artifact(model, tmp_path, step_of(kind=kind))
    assert made.ByteSize() < 0.8 * model.ByteSize()
    given = half_graphs.feeds(model)
    np.testing.assert_allclose(run(made, given)[0], run(model, given)[0], atol=5e-2)
