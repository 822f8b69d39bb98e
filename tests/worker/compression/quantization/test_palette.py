"""palette and binary on graphs built here and through a whole job: what is stored, what runs, what learns."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import zstandard

from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.in_process import InProcess
from tests.support.small_nets import digits_net, model, named, proto, run
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Binary, Float16, Palette, Recipe
from winnow.contract.report import Report
from worker.compression.apply import apply
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts import cost
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult
from worker.compression.weight_storage.codebook_weights import CodebookWeight, codebook_weight_of
from worker.compression.weight_storage.drop_defaults import names_in

LAYERS = ("conv1", "conv2", "head/gemm")
RNG = np.random.default_rng(0)


def done(net: ir.Model, kind: str = "palette", **step: Any) -> StepResult:
    asked = (Palette if kind == "palette" else Binary).model_validate({"kind": kind, **step})
    return apply(net, asked, Context(Path(), 0, Silent()))


def shared(net: ir.Model, name: str) -> CodebookWeight:
    found = codebook_weight_of(named(net, name).inputs[1])
    assert found is not None
    return found


def before(name: str) -> Any:
    value = named(digits_net(), name).inputs[1]
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def images(count: int = 8) -> Any:
    return RNG.random((count, 1, 8, 8), np.float32)


def three_ways() -> ir.Model:
    """A grouped Conv, a Gemm with either layout and a MatMul, each large enough."""
    weights = {
        "w1": RNG.normal(size=(16, 4, 3, 3)),
        "w2": RNG.normal(size=(16, 64)),
        "w3": RNG.normal(size=(40, 64)),
        "w4": RNG.normal(size=(40, 32)),
    }
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return model(
        """(float[N,8,3,3] x) => (float[N,32] y) {
            [conv] c = Conv <group=2> (x, w1)
            [flatten] f = Flatten (c)
            [matmul] g = MatMul (f, w2)
            [gemm_transposed] h = Gemm <transB=1> (g, w3)
            [gemm] y = Gemm (h, w4)
        }""",
        arrays,
    )


@pytest.mark.parametrize("colors", [2, 3, 16, 256])
def test_each_tensor_has_so_many_values_and_runs_as_numpy_expands_it(colors: int) -> None:
    net = normalise(done(digits_net(), colors=colors).model)
    plain = digits_net()
    for name in LAYERS:
        if (few := codebook_weight_of(named(net, name).inputs[1])) is None:
            continue  # too small for so many colors
        assert len(np.unique(few.expanded())) <= colors
        plain_weight = named(plain, name).inputs[1]
        assert plain_weight is not None
        plain_weight.const_value = ir.tensor(few.expanded(), name=plain_weight.name)
    assert codebook_weight_of(named(net, "head/gemm").inputs[1]) is not None
    x = images()
    assert np.allclose(run(net, {"image": x}), run(plain, {"image": x}), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["palette", "binary"])
def test_each_output_channel_has_values_of_its_own_in_every_layout(kind: str) -> None:
    original = three_ways()
    step = {"codebook": "channel", "colors": 4} if kind == "palette" else {}
    answer = done(original.clone(), kind, **step)
    net = normalise(answer.model)
    assert answer.changed == 4
    for name, axis in (("conv", 0), ("matmul", 1), ("gemm_transposed", 0), ("gemm", 1)):
        weight, few = named(original, name).inputs[1], shared(net, name)
        assert weight is not None
        assert weight.const_value is not None
        rows, found = (np.moveaxis(a, axis, 0) for a in (weight.const_value.numpy(), few.expanded()))
        for row, result in zip(rows, found, strict=True):
            assert len(np.unique(result)) <= (4 if kind == "palette" else 2)
            if kind == "binary":
                assert np.allclose(result, np.where(row >= 0, 1, -1) * np.abs(row).mean(), rtol=1e-6)
            else:
                even = np.linspace(row.min(), row.max(), 4)
                even_error = (np.abs(even[:, None] - row.reshape(1, -1)).min(0) ** 2).sum()
                assert ((result - row) ** 2).sum() <= even_error * (1 + 1e-5)
    x = RNG.random((3, 8, 3, 3), np.float32)
    assert run(net, {"x": x}).shape == (3, 32)


def test_zeros_stay_zero_and_no_others_become_zero() -> None:
    net = digits_net()
    weight = named(net, "head/gemm").inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    sparse = np.where(RNG.random(weight.const_value.numpy().shape) < 0.7, 0, weight.const_value.numpy())
    weight.const_value = ir.tensor(sparse.astype(np.float32), name=weight.name)
    for colors, codebook in ((2, "tensor"), (16, "tensor"), (4, "channel")):
        few = shared(done(net.clone(), colors=colors, codebook=codebook).model, "head/gemm")
        assert np.array_equal(few.expanded() == 0, sparse == 0)


@pytest.mark.parametrize("kind", ["palette", "binary"])
def test_onnx_runtime_folds_it_into_the_float_graph(kind: str, tmp_path: Path) -> None:
    net = normalise(done(digits_net(), kind).model)
    model_files.save_packed(net, tmp_path / "packed.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(str(tmp_path / "packed.onnx"), options, providers=["CPUExecutionProvider"])
    left = {n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert not left & {"Cast", "Gather", "Mul", "Sub", "MatMulInteger", "BitShift", "Mod"}


@pytest.mark.parametrize("kind", ["palette", "binary"])
def test_an_artifact_that_comes_back_is_the_same_model(kind: str, tmp_path: Path) -> None:
    net = normalise(done(digits_net(), kind).model)
    model_files.save_packed(net, tmp_path / "packed.onnx", names_in(ir.to_proto(net)))
    back = normalise(model_files.load(tmp_path / "packed.onnx"))
    assert np.array_equal(shared(back, "head/gemm").expanded(), shared(net, "head/gemm").expanded())
    assert cost.parameters(back) == cost.parameters(net)
    assert {layer.name: layer.weight for layer in cost.layer_table(back)} == {
        layer.name: layer.weight for layer in cost.layer_table(digits_net())
    }


def test_parameters_and_types_are_counted_as_they_are() -> None:
    net = normalise(done(digits_net(), colors=8).model)
    assert cost.parameters(net) == cost.parameters(digits_net())
    dtypes = {layer.name: layer.dtype for layer in cost.layer_table(net)}
    assert dtypes["head/gemm"] == "uint3"


def test_half_precision_may_follow() -> None:
    x, net = images(), normalise(done(digits_net()).model)
    reference = run(net, {"image": x})
    half = apply(net, Float16.model_validate({"kind": "float16"}), Context(Path(), 0, Silent())).model
    assert np.abs(run(normalise(half), {"image": x}) - reference).max() < 0.01 * np.abs(reference).max()


def test_layers_that_stay_are_named_with_the_reason() -> None:
    rows = done(digits_net(), layers="products", exclude=["conv1"]).details["layers"]
    reasons = {row["name"]: row["reason"] for row in rows}
    assert reasons == {
        "conv1": "excluded by pattern",
        "conv2": "only products are asked for",
        "head/gemm": None,
    }
    rows = done(digits_net(), colors=256, exclude=["conv2", "head/*"]).details["layers"]
    assert {row["name"]: row["reason"] for row in rows}["conv1"] == "it would not get smaller"


@pytest.mark.parametrize("kind", ["palette", "binary"])
def test_layers_that_would_not_get_smaller_stay(kind: str) -> None:
    weights = {"w": np.ones((4, 4), np.float32)}
    small = model("(float[N,4] x) => (float[N,4] y) { [product] y = MatMul (x, w) }", weights)
    made = done(small, kind)
    assert (made.changed, made.candidates) == (0, 1)
    assert "it would not get smaller" in made.notes[0]


def test_weights_that_are_no_numbers_stay() -> None:
    net = digits_net()
    weight = named(net, "conv2").inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    broken = weight.const_value.numpy().copy()
    broken.flat[0] = np.nan
    weight.const_value = ir.tensor(broken, name=weight.name)
    rows = {row["name"]: row["reason"] for row in done(net).details["layers"]}
    assert rows["conv2"] == "its weight has NaN or infinity"


# --- through a whole job


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def job(files: Digits, out: Path, *steps: dict[str, Any]) -> Report:
    data = Data(
        training=Source(files.data, DECLARATION, (0, 1000)),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    return compress(files.model, Recipe.model_validate({"steps": list(steps)}), data, out, options=options)


def weights_of(path: Path) -> dict[str, CodebookWeight]:
    net = normalise(model_files.load(path))
    found = {str(n.name): codebook_weight_of(n.inputs[1]) for n in net.graph if len(n.inputs) > 1}
    return {name: few for name, few in found.items() if few is not None}


DISTILLATION = {
    "kind": "distillation",
    "epochs": 5,
    "batch_size": 50,
    "validation": 0.1,
    "learning_rate": 3e-3,
}


@pytest.mark.parametrize("few", [{"kind": "palette", "colors": 4}, {"kind": "binary"}])
def test_distillation_recovers_and_the_values_stay_few(
    files: Digits, tmp_path: Path, few: dict[str, Any]
) -> None:
    job(files, tmp_path, few)
    given = weights_of(tmp_path / "artifact.onnx")
    report = job(files, tmp_path, few, DISTILLATION)  # goes on behind the first step
    epochs = report.steps[1].details["epochs"]
    best = min(epoch["validation_loss"] for epoch in epochs)
    assert best < 0.9 * epochs[0]["validation_loss"]
    learnt = weights_of(tmp_path / "artifact.onnx")
    assert learnt.keys() == given.keys() != set()
    for name, weight in learnt.items():
        if not weight.binary:
            assert np.array_equal(weight.codes.const_value.numpy(), given[name].codes.const_value.numpy())  # type: ignore[union-attr]
        assert not np.array_equal(weight.expanded(), given[name].expanded())
        rows = weight.expanded().reshape(len(weight.expanded()), -1)
        assert all(len(np.unique(row)) <= 4 for row in rows)
    assert report.size_bytes.after < 0.5 * report.size_bytes.before


def test_zeros_then_palette_then_training_keep_zeros_and_are_stored_in_little_space(
    files: Digits, tmp_path: Path
) -> None:
    sparse = {"kind": "sparsity", "criterion": "magnitude", "sparsity": 0.8}
    report = job(files, tmp_path / "out", sparse, {"kind": "palette", "colors": 8}, DISTILLATION)
    assert report.sparsity.after == pytest.approx(0.8, abs=0.01)
    zeros = report.steps[2].details["zeros"]
    assert zeros
    assert all(layer["zeros"] == pytest.approx(0.8, abs=0.02) for layer in zeros)
    last = [step for step in report.steps if "storage" in step.details][-1]
    assert last.details["storage"]["stored_bytes"] < last.details["storage"]["dense_bytes"]
    onnx.checker.check_model(onnx.load(tmp_path / "out" / "artifact.onnx"), full_check=True)


def test_the_report_has_what_a_compressed_download_takes(files: Digits, tmp_path: Path) -> None:
    report = job(files, tmp_path / "out", {"kind": "palette"})
    artifact = (tmp_path / "out" / "artifact.onnx").read_bytes()
    assert report.compressed_bytes.after == len(zstandard.ZstdCompressor(level=19).compress(artifact))
    assert report.compressed_bytes.after < report.size_bytes.after
    assert report.compressed_bytes.before < report.size_bytes.before


def test_the_packed_graph_passes_the_checker() -> None:
    proto(normalise(done(digits_net(), "binary").model))
