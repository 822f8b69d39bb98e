"""The real work in the real child, with every layer that this kernel has: nothing that it needs is refused."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.support.graphs import cnn
from tests.support.tasks import compress_task
from winnow.contract.declaration import Declaration
from winnow.contract.model import ModelFormat, TensorSpec
from winnow.contract.report import Report
from worker.child.endings import Crashed, Finished, Reason
from worker.child.messages import UNANSWERED_EXIT
from worker.child.protocol import Logged, Note
from worker.child.spec import Compress, InspectModel, Limits, Rows
from worker.child.supervise import supervise

pytestmark = pytest.mark.usefixtures("fork_servers")

LIMITS = Limits(seconds=250, memory_bytes=4 << 30, mapped_bytes=40 << 30)
INPUT = TensorSpec(name="x", dtype="float32", shape=["N", 3, 8, 8])


class Watcher:
    def __init__(self) -> None:
        self.logged: dict[str, dict[str, Any]] = {}
        self.advanced: list[float] = []

    def note(self, note: Note) -> None:
        match note:
            case Logged(message=message, values=values):
                self.logged[message] = values
            case _:
                self.advanced.append(getattr(note, "fraction", 0.0))

    def tick(self) -> Reason | None:
        return None


def attempt(folder: Path) -> Path:
    made = folder / "scratch" / "mdl_1" / "attempt-1"
    made.mkdir(parents=True)
    return made


def uploaded(format: ModelFormat, path: Path) -> Path:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()).eval()
    example = torch.zeros(2, 3, 8, 8)
    match format:
        case "onnx":
            onnx.save(cnn(), path)
        case "torch_export":
            batch = ({0: torch.export.Dim("N")},)
            torch.export.save(torch.export.export(network, (example,), dynamic_shapes=batch), path)
        case "torchscript":
            torch.jit.save(torch.jit.trace(network, example), str(path))
    return path


@pytest.mark.parametrize("format", ["onnx", "torch_export", "torchscript"])
def test_every_format_is_inspected(tmp_path: Path, format: ModelFormat) -> None:
    folder = attempt(tmp_path)
    task = InspectModel(
        kind="inspect_model",
        path=uploaded(format, tmp_path / "upload.pt2"),
        format=format,
        declared=[INPUT] if format == "torchscript" else [],
        scratch=folder,
        allow_torchscript=True,
        max_unpacked_bytes=1 << 34,
    )
    ending = supervise(task, LIMITS, folder, Watcher())
    assert isinstance(ending, Finished), ending
    assert ending.result["facts"]["inputs"][0]["shape"][1:] == [3, 8, 8]
    assert (ending.result["converted"] is None) == (format == "onnx")


def data(folder: Path) -> Rows:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "data.npz", image=images, labels=rng.integers(0, 10, 64))
    declaration = Declaration.model_validate({"targets": {"array": "labels"}})
    return Rows(path=folder / "data.npz", declaration=declaration, slice=None, map={})


def test_a_job_prunes_trains_quantizes_and_is_measured(tmp_path: Path) -> None:
    """Two measuring processes among it; checkpoints and curves where the attempts share them."""
    folder, rows = attempt(tmp_path), data(tmp_path)
    shared = [folder.parent / name for name in ("checkpoints", "curves")]
    for place in shared:
        place.mkdir()
        (folder / place.name).symlink_to(f"../{place.name}")
    steps = [
        {"kind": "channel_pruning", "amount": 0.3},
        {"kind": "finetune", "epochs": 1},
        {"kind": "int8_static"},
    ]
    task = compress_task(uploaded("onnx", tmp_path / "model.onnx"), steps, rows, folder, training=rows)
    assert isinstance(supervise(task, LIMITS, folder, Watcher(), shared=shared), Finished)
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    untold = any("take to load could not be told" in note for note in report.notes)
    assert untold if report.load_ms is None else report.load_ms.before > 0
    assert report.peak_rss_bytes.before > 0
    assert report.energy is not None
    assert (report.energy.joules is None) == (report.energy.why is not None)
    assert (folder / "page.html").read_text().lstrip().startswith("<!doctype html>")
    kept = [json.loads(file.read_text()) for file in shared[0].glob("*/reports.json")]
    assert sorted(len(reports) for reports in kept) == [1, 2, 3]
    assert [place.name for place in shared[1].iterdir()] == ["01-finetune"]
    beside = {place.name for place in folder.parent.iterdir()} - {"checkpoints", "curves"}
    assert all(re.fullmatch("attempt-1(-.*)?", name) for name in beside), "`Scratch.leave` removes these"


def comparing(folder: Path, scratch: Path) -> Compress:
    """What `tests.support.comparing` is told; the recipe does not matter."""
    rows = data(folder)
    return compress_task(uploaded("onnx", folder / "model.onnx"), [{"kind": "float16"}], rows, scratch)


def test_large_models_are_compared_in_a_child_more(tmp_path: Path) -> None:
    """Which asks in its turn for each model to be loaded."""
    folder, watcher = attempt(tmp_path), Watcher()
    ending = supervise(comparing(tmp_path, folder), LIMITS, folder, watcher, "tests.support.comparing")
    assert isinstance(ending, Finished), ending
    load_ms, notes = ending.result["load_ms"], ending.result["notes"]
    untold = any("take to load could not be told" in note for note in notes)
    assert untold if load_ms is None else load_ms["before"] > 0
    assert ending.result["quality"][0]["samples"] == 64
    assert watcher.advanced == sorted(watcher.advanced)
    assert watcher.advanced[-1] == 1.0
    assert all(re.fullmatch("attempt-1(-.*)?", place.name) for place in folder.parent.iterdir())


class Frozen(Watcher):
    def tick(self) -> Reason | None:
        time.sleep(1.5)
        return None


def test_a_child_does_not_wait_for_a_worker_that_is_frozen(tmp_path: Path) -> None:
    """It may hold the lock of measurements, which whoever works in the frozen one's place needs."""
    folder, task = attempt(tmp_path), comparing(tmp_path, attempt(tmp_path / "other"))
    module = "tests.support.comparing"
    ending = supervise(task, LIMITS, folder, Frozen(), module, patience_seconds=0.5)
    assert ending == Crashed(f"its process exited with {UNANSWERED_EXIT}")
