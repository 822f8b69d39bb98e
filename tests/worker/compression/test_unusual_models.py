"""Valid models that are declared in unusual ways: inspected, compressed and compared, or refused with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs, unusual
from tests.support.in_process import InProcess
from tests.support.ort import run
from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Fed
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts.batch_axis import batch_axes
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.measure.network import Network
from worker.compression.measure.quality.parity import OutputDifference, compare_outputs
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.runtime.observe import Observer
from worker.compression.upload.inspection import inspect_model

QUICK = Options(benchmark=Benchmark(rounds=9), processes=InProcess())
RNG = np.random.default_rng(0)


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def inspected(model: onnx.ModelProto, folder: Path) -> ModelFacts:
    found = inspect_model(
        written(model, folder), "onnx", [], folder, allow_torchscript=False, max_unpacked_bytes=2**30
    )
    return found.facts


def compressed(
    model: onnx.ModelProto, folder: Path, arrays: dict[str, np.ndarray], *steps: dict[str, Any]
) -> tuple[Report, onnx.ModelProto]:
    data = folder / "data.npz"
    np.savez(data, **arrays)
    recipe = Recipe.model_validate({"steps": steps or [{"kind": "int8_static"}]})
    source = Source(data)
    report = compress(written(model, folder), recipe, Data(source, source, source), folder, options=QUICK)
    return report, onnx.load(folder / "artifact.onnx")


def rows(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


@pytest.mark.parametrize("batch", [-1, 0, -7])
def test_a_batch_that_is_no_size_is_open(batch: int, tmp_path: Path) -> None:
    facts = inspected(unusual.linear(batch, batch), tmp_path)
    assert facts.inputs[0].shape == [None, 8]


@pytest.mark.parametrize("batch", [-1, 0])
def test_a_model_whose_batch_is_no_size_is_compressed(batch: int, tmp_path: Path) -> None:
    model = unusual.linear(batch, batch)
    report, _ = compressed(model, tmp_path, {"x": rows(6, 8)})
    assert report.steps[0].changed == 1
    assert report.parity[0].samples == 6


def test_one_number_a_row_is_an_input_of_rank_0(tmp_path: Path) -> None:
    """Calibrated, measured and compared with numbers that are arrays, and no numpy scalars."""
    arrays = {"x": rows(4, 2, 8), "factor": np.array([1, 2, 3, 4], "float32")}
    report, _ = compressed(unusual.scaled(), tmp_path, arrays)
    assert report.steps[0].changed == 1
    assert report.parity[0].samples == 4


def test_names_that_occur_twice_are_refused_before_any_work(tmp_path: Path) -> None:
    for work in (inspected, lambda model, folder: compressed(model, folder, {"x": rows(4, 8)})):
        with pytest.raises(Refusal, match="2 nodes are called 'twin'") as refused:
            work(unusual.same_names(), tmp_path)
        assert refused.value.problem.code == "model_does_not_run"
        assert refused.value.problem.layer == "twin"
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (unusual.zipmap(), "'p' is a sequence of maps"),
        (unusual.map_input(), "'x' is a map"),
        (unusual.container("SequenceConstruct"), "'z' (a sequence)"),
        (unusual.container("Optional"), "'z' (an optional)"),
        (unusual.sequence_input(), "'x' is a sequence"),
        (unusual.strings("in"), "'x' is a tensor of strings"),
        (unusual.strings("out"), "'y' (a tensor of strings)"),
    ],
)
def test_what_is_no_tensor_of_numbers_is_refused(model: onnx.ModelProto, what: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        inspected(model, tmp_path)
    assert refused.value.problem.code == "unsupported_type"
    assert what in refused.value.problem.detail


def test_a_container_beside_a_tensor_is_kept_and_told(tmp_path: Path) -> None:
    report, artifact = compressed(
        unusual.container("SequenceConstruct", beside=True), tmp_path, {"x": rows(6, 8)}
    )
    assert [value.name for value in artifact.graph.output] == ["y", "z"]
    assert "Output 'z' is no tensor and was not compared." in report.notes


def signature(model: onnx.ModelProto) -> list[bytes]:
    return [bytes(value.SerializeToString()) for value in (*model.graph.input, *model.graph.output)]


RECIPES: list[list[dict[str, Any]]] = [
    [
        {"kind": "channel_pruning"},
        {"kind": "low_rank"},
        {"kind": "sparsity", "sparsity": 0.5},
        {"kind": "float16"},
    ],
    [{"kind": "int8_static"}],
    [{"kind": "weight_only", "bits": 3}],
]
"""One of each way to write an artifact; `make bench-faults` (part graphs) goes through every technique."""


@pytest.mark.parametrize("steps", RECIPES, ids=lambda steps: "-".join(step["kind"] for step in steps))
def test_inputs_and_outputs_keep_their_signature_and_the_model_its_text(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    model = unusual.named_sizes()
    _, artifact = compressed(model, tmp_path, {"x": rows(16, 64)}, *steps)
    assert signature(artifact) == signature(model)
    assert (artifact.doc_string, artifact.graph.doc_string) == (model.doc_string, model.graph.doc_string)
    assert b"alice" not in artifact.SerializeToString()


@pytest.mark.parametrize(
    ("model", "axes"),
    [
        (graphs.cnn(), {"image": 0, "logits": 0}),
        (graphs.lstm(), {"signal": 1, "scores": 1}),
        (unusual.time_major(), {"signal": 1, "scores": 1}),
        (unusual.time_major(7, 1), {"signal": 1, "scores": 1}),
        (unusual.anchors(), {"x": 0, "y": 0, "anchors": None}),
        (unusual.scaled(), {"x": 0, "factor": None, "y": 0}),
    ],
    ids=["cnn", "N second", "named by the layer alone", "one at a time", "anchors", "scalar"],
)
def test_the_batch_is_found_in_the_graph(model: onnx.ModelProto, axes: dict[str, int | None]) -> None:
    assert batch_axes(normalise(ir.from_proto(model))) == axes


@pytest.mark.parametrize("batch", ["lanes", 1])
def test_time_major_networks_never_mix_samples(batch: int | str, tmp_path: Path) -> None:
    """Eight samples of seven steps: calibration sees what eight runs of one sample see, and eight are compared."""
    model, signal = unusual.time_major(7, batch), rows(8, 7, 6)
    report, _ = compressed(model, tmp_path, {"signal": signal}, {"kind": "int8_dynamic"})
    assert report.parity[0].samples == 8
    source = Source(tmp_path / "data.npz")
    samples = open_samples(source, inspected(model, tmp_path).inputs, tmp_path)
    assert len(samples) == 8
    feeds = [feed["signal"] for feed in samples.batches(4)]
    together = np.concatenate(feeds, axis=1)
    np.testing.assert_array_equal(together, np.moveaxis(signal, 0, 1))
    path = model_files.load(tmp_path / "model.onnx")
    seen = list(Observer(normalise(path), ["scores"]).run(samples, 4))
    assert sum(batch.rows for batch in seen) == 8
    apart = [run(model, {"signal": signal[i][:, None]})[0] for i in range(8)]
    np.testing.assert_allclose(
        np.concatenate([batch.values[0] for batch in seen], axis=1), np.concatenate(apart, axis=1), atol=1e-6
    )


def test_a_table_that_is_no_batch_is_one_sample_each(tmp_path: Path) -> None:
    """Eight rows a batch and eight anchors: the anchors' rows are not taken for samples."""
    network = Network(written(unusual.anchors(), tmp_path), 1, "the model")
    fed = Fed({"x": rows(8, 8)}, 8)
    parity, _, _ = compare_outputs(network, network, [fed], "evaluation", lambda done: None)
    assert {entry.output for entry in parity} == {"y", "anchors"}
    moved = OutputDifference("anchors")
    anchors = network.run(fed.feeds, ["anchors"])[0]
    moved.add(anchors, anchors, 8, batched=network.batch_axes["anchors"] is not None)
    assert len(moved.cosines) == 1
