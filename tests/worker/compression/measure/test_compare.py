import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.graphs import branches, cnn, lstm, mlp
from tests.support.in_process import InProcess
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.measure.apart.processes import Comparison
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.measure.compare import compare
from worker.compression.measure.quality.parity import is_broken
from worker.compression.measure.timing.lock_file import PATH_VARIABLE
from worker.compression.progress import Silent

QUICK = Benchmark(rounds=9)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "lock"))


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def shifted(model: onnx.ModelProto, by: float) -> onnx.ModelProto:
    """The same graph, its first initializer moved by a constant."""
    first = model.graph.initializer[0]
    first.CopyFrom(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(first) + np.float32(by), first.name)
    )
    return model


def samples(folder: Path, n: int = 48, classes: int = 10) -> Samples:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 64)).astype(np.float32)
    np.savez(folder / "data.npz", features=x, labels=rng.integers(0, classes, n))
    spec = TensorSpec(name="features", dtype="float32", shape=["N", 64])
    return open_samples(Source(folder / "data.npz"), [spec], folder / "scratch")


def measured(baseline: Path, candidate: Path, **asked: object) -> Comparison:
    given = {
        "evaluation": None,
        "calibration": None,
        "overlap": False,
        "metric": None,
        "benchmark": QUICK,
        "seed": 0,
        "progress": Silent(),
        "processes": InProcess(),
    }
    return compare(baseline, candidate, **(given | asked))


@pytest.mark.usefixtures("all_told")
def test_a_model_compared_with_itself_has_not_moved(tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "a.onnx")
    given = {"evaluation": samples(tmp_path), "metric": Evaluation(metric="top1")}
    found = measured(path, path, processes=Subprocesses(), **given)
    (quality,), (parity,), (latency,) = found.quality, found.parity, found.latency
    assert (quality.drop, quality.drop_interval, quality.samples, quality.held_out) == (0, (0, 0), 48, True)
    assert (parity.max_error, parity.snr_db, parity.data, parity.samples) == (0, None, "evaluation", 48)
    assert latency.speedup_interval[0] <= latency.speedup <= latency.speedup_interval[1]
    assert latency.rounds == len(latency.speedup_per_round) == len(latency.control_per_round) == 9
    assert len(latency.baseline_samples_ms) == 2 * len(latency.candidate_samples_ms) >= 18
    assert latency.shapes == {"features": [1, 64]}
    times = latency.baseline_ms
    assert 0 < times.p50 <= times.p90 <= times.p95 <= times.p99 <= max(latency.baseline_samples_ms)
    assert found.load_ms is not None
    assert min(found.load_ms.before, found.load_ms.after, found.peak_rss_bytes.before) > 0
    assert found.environment.cores >= 1
    assert {"python", "onnx", "onnxruntime", "numpy", "winnow"} <= set(found.environment.versions)
    assert any("48 evaluation samples" in note for note in found.notes)
    assert found.robustness is not None
    assert found.robustness.neighbours.data == "evaluation"


def test_a_model_that_moved_is_seen_to_have_moved(tmp_path: Path) -> None:
    before, after = saved(mlp(), tmp_path / "a.onnx"), saved(shifted(mlp(), 0.5), tmp_path / "b.onnx")
    found = measured(
        before, after, evaluation=samples(tmp_path), overlap=True, metric=Evaluation(metric="recall")
    )
    (parity,) = found.parity
    assert parity.cosine is not None
    assert parity.cosine < 0.99
    assert parity.max_error > 0.01
    assert not found.quality[0].held_out
    assert any("shares samples" in note for note in found.notes)


def test_outputs_of_nan_give_no_figures_and_a_note_for_each_side(tmp_path: Path) -> None:
    whole, broken = saved(mlp(), tmp_path / "a.onnx"), saved(shifted(mlp(), np.nan), tmp_path / "b.onnx")
    given = {"evaluation": samples(tmp_path), "metric": Evaluation(metric="top1")}
    nothing = measured(broken, broken, **given)
    (parity,) = nothing.parity
    assert (parity.cosine, parity.snr_db, parity.max_error, parity.top1_agreement) == (None, None, None, None)
    assert any("at 480 of 480 values in the original and at 480" in note for note in nothing.notes)
    assert any("NaN for 48 of 48 samples in the original and for 48" in note for note in nothing.notes)
    failed = measured(whole, broken, **given)
    assert is_broken(failed.parity[0])
    assert failed.quality[0].after == 0
    assert any("at 0 of 480 values in the original and at 480" in note for note in failed.notes)


@pytest.mark.parametrize("graph", [cnn, lstm, branches])
def test_without_data_random_numbers_stand_in_and_it_says_so(graph, tmp_path: Path) -> None:
    path = saved(graph(), tmp_path / "a.onnx")
    found = measured(path, path, benchmark=Benchmark(batch_sizes=[2, 3], threads=[1, 2], rounds=9))
    assert [(e.batch_size, e.threads) for e in found.latency] == [(2, 1), (3, 1), (2, 2), (3, 2)]
    assert {entry.data for entry in found.parity} == {"random"}
    assert found.quality == []
    assert any("random numbers" in note for note in found.notes)


@pytest.mark.usefixtures("all_told")
def test_calibration_data_serves_where_there_is_none_to_evaluate(tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "a.onnx")
    found = measured(
        path, path, calibration=samples(tmp_path), benchmark=Benchmark(batch_sizes=[64], rounds=9)
    )
    assert found.parity[0].data == "calibration"
    assert found.latency[0].shapes == {"features": [64, 64]}
    assert found.notes == []


def test_a_candidate_may_take_its_inputs_in_half_precision(tmp_path: Path) -> None:
    """Float16 keeps 11 bits: sums of 64 products stay within 1 % of the largest output."""
    half = mlp()
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in half.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    before, after = saved(mlp(), tmp_path / "a.onnx"), saved(half, tmp_path / "b.onnx")
    (parity,) = measured(before, after, evaluation=samples(tmp_path)).parity
    assert 0 < parity.max_relative_error < 0.01


def test_the_fresh_process_imports_nothing_but_numpy_and_onnx_runtime() -> None:
    told = "import sys, worker.compression.measure.apart.fresh; print(sorted({m.split('.')[0] for m in sys.modules}))"
    modules = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
    for name in ("torch", "pydantic", "onnx'", "sklearn", "scipy"):
        assert name not in modules
    assert "onnxruntime" in modules
