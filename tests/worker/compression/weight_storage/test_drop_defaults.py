"""What a file need not say goes, and the model computes what it did."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from tests.support.ort import run
from tests.support.small_nets import samples
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from worker.compression.apply import apply
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.progress import Silent
from worker.compression.steps.context import Context
from worker.compression.weight_storage.drop_defaults import NO_UPLOAD_NAMES, make_compact, names_in


def wordy() -> onnx.ModelProto:
    """A Conv and a Gemm with every attribute that exporters write, an attribute whose value is no default each."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "halves": (5, 64), "two": ()}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    text = """(float[2,3,4,4] x) => (float[2,5] y) {
        [conv] c = Conv <auto_pad="NOTSET", group=1, pads=[1, 1, 1, 1]> (x, w)
        [flatten] f = Flatten <axis=1> (c)
        [scaling] v = Mul (halves, two)
        [gemm] y = Gemm <alpha=1.0, beta=1.0, transA=0, transB=1> (f, v)
    }"""
    return graphs.parse(text, weights, opset=17, ir_version=8)


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def test_defaults_go_and_what_says_something_stays() -> None:
    model = wordy()
    make_compact(model, NO_UPLOAD_NAMES)
    onnx.checker.check_model(model, full_check=True)
    left = {node.op_type: {entry.name for entry in node.attribute} for node in model.graph.node}
    assert left == {"Conv": {"pads"}, "Flatten": set(), "Mul": set(), "Gemm": {"transB"}}


def test_names_of_the_upload_stay_and_ours_are_a_letter() -> None:
    model = wordy()
    upload = names_in(model)
    model.graph.node[1].name, model.graph.node[1].output[0] = "made_by_a_step", "made_by_a_step_quantized"
    model.graph.node[3].input[0] = "made_by_a_step_quantized"
    renamed = make_compact(model, upload)
    assert renamed == {"made_by_a_step_quantized": "a"}
    assert [node.name for node in model.graph.node] == ["conv", "", "scaling", "gemm"]
    assert {tensor.name for tensor in model.graph.initializer} == {"w", "halves", "two"}
    onnx.checker.check_model(model, full_check=True)


def test_shapes_that_the_upload_did_not_say_go() -> None:
    said, not_said = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("c", [2, 4, 4, 4]), ("f", [2, 64]))
    )
    model = wordy()
    model.graph.value_info.append(said)
    upload = names_in(model)
    model.graph.value_info.append(not_said)
    make_compact(model, upload)
    assert [value.name for value in model.graph.value_info] == ["c"]


def test_equal_constants_of_ours_are_one_and_those_of_the_upload_stay() -> None:
    model = wordy()
    upload = names_in(model)
    two = model.graph.initializer[2]
    for name in ("again", "and_again"):
        copy = TensorProto()
        copy.CopyFrom(two)
        copy.name = name
        model.graph.initializer.append(copy)
        model.graph.node.insert(3, helper.make_node("Mul", ["v", name], [f"v_{name}"]))
    before = answer(model)
    make_compact(model, upload)
    assert [tensor.name for tensor in model.graph.initializer] == ["w", "halves", "two"]
    np.testing.assert_array_equal(answer(model), before)


QUANTIZED = [
    "int8_static",
    "int8_dynamic",
    "weight_only",
    "float16",
    "palette",
    "low_rank",
    "channel_pruning",
]


@pytest.mark.parametrize("kind", QUANTIZED)
@pytest.mark.parametrize("build", [graphs.cnn, graphs.mlp], ids=["cnn", "mlp"])
def test_what_a_step_made_computes_the_same_to_the_bit_with_the_same_kernels(
    kind: str, build: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    """Every name of the upload that is left is there, and none of ours is longer than three letters."""
    upload = build()
    made = _after(kind, build, tmp_path)
    if made is None:
        pytest.skip("nothing to do for this step")
    model_files.save(made, tmp_path / "wordy.onnx")
    model_files.save(made, tmp_path / "compact.onnx", names_in(upload))
    assert bytes_of(tmp_path / "compact.onnx") < bytes_of(tmp_path / "wordy.onnx")
    wordy, compact = (onnx.load(tmp_path / name) for name in ("wordy.onnx", "compact.onnx"))
    onnx.checker.check_model(compact, full_check=True)
    known, left = names_in(upload), names_in(compact)
    read = {name for node in wordy.graph.node for name in (*node.input, *node.output)}
    assert read & known.values == left.values & known.values
    assert all(len(name) <= 3 for name in left.values - known.values)
    assert _kernels(tmp_path / "wordy.onnx") == _kernels(tmp_path / "compact.onnx")
    feeds = graphs.feeds(upload)
    for expected, found in zip(run(wordy, feeds), run(compact, feeds), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_bias_scales_are_products_and_every_level_of_optimization_computes_the_same(tmp_path: Path) -> None:
    """Integer kernels all the same; a scale that the upload had stays."""
    made = _after("int8_static", graphs.cnn, tmp_path)
    assert made is not None
    model_files.save(made, tmp_path / "wordy.onnx")
    wordy = onnx.load(tmp_path / "wordy.onnx")
    compact = onnx.load(tmp_path / "wordy.onnx")
    make_compact(compact, names_in(graphs.cnn()))
    biases = sum(tensor.data_type == TensorProto.INT32 for tensor in compact.graph.initializer)
    assert sum(node.op_type == "Mul" for node in compact.graph.node) >= 1
    assert biases >= 1
    feeds = graphs.feeds(graphs.cnn())
    for level in ort.GraphOptimizationLevel.__members__.values():
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        expected, found = (
            ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(
                None, feeds
            )
            for model in (wordy, compact)
        )
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
    make_compact(wordy, names_in(wordy))
    assert not any(node.op_type == "Mul" for node in wordy.graph.node)


def _after(kind: str, build: Callable[[], onnx.ModelProto], folder: Path) -> ir.Model | None:
    step = Recipe.model_validate({"steps": [{"kind": kind}]}).steps[0]
    net = normalise(ir.from_proto(build()))
    given = samples(
        folder, net, **{name: np.concatenate([x] * 4) for name, x in graphs.feeds(build()).items()}
    )
    (folder / "step").mkdir()
    try:
        return apply(net, step, Context(folder / "step", 0, Silent(), given)).model
    except Refusal:
        return None


def _kernels(path: Path) -> Counter[str]:
    """What ONNX Runtime makes of it."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def test_it_computes_what_it_did() -> None:
    model = wordy()
    before = answer(model)
    make_compact(model, NO_UPLOAD_NAMES)
    np.testing.assert_array_equal(answer(model), before)


def test_operators_that_onnx_does_not_know_stay_as_they_are() -> None:
    model = wordy()
    model.graph.node[0].op_type = "OfMyOwn"
    model.graph.node[1].domain = "com.example"
    before = [node.SerializeToString() for node in model.graph.node[:2]]
    make_compact(model, names_in(model))
    assert [node.SerializeToString() for node in model.graph.node[:2]] == before


def test_an_input_keeps_its_default_though_nothing_reads_it() -> None:
    """Old exporters list weights as inputs, `num_batches_tracked` too: without its value it would have to be given."""
    model = wordy()
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "tracked"))
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    expected = answer(model)
    make_compact(model, names_in(model))
    assert np.array_equal(answer(model), expected)
