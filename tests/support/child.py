"""A child in the real guard and sandbox whose work is what it is told: by the first of a dataset's declared
constants, or by the first name that a job's recipe excludes."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from winnow.contract.errors import Refusal
from worker.child import __main__ as entry
from worker.child.spec import Compress, InspectDataset, InspectModel, JudgeFinal, Task
from worker.compression.measure.timing.lock import measuring
from worker.compression.progress import Progress
from worker.curves import MAX_BYTES

FACTS: dict[str, Any] = {"samples": 3, "arrays": {}, "inputs": {}, "target": None}
PAIR = {"before": 2, "after": 1, "ratio": 0.5}
KEEP = {"recommend": "keep_original", "because": "It is slow."}
REPORT: dict[str, Any] = {
    "winnow": "0.1.0",
    "outcome": "requirements_not_met",
    "verdict": {"faster": None, "smaller": True, "worse_by": None, "summary": [], **KEEP},
    "requirements": [
        {"name": "min_speedup", "asked": 9, "measured": 1, "interval": None, "met": False, "why": "slow"}
    ],
    "source_sha256": "a" * 64,
    "artifact_sha256": "b" * 64,
    "graph_sha256": "c" * 64,
    "seed": 0,
    **dict.fromkeys(["opset", "size_bytes", "parameters", "sparsity", "load_ms", "peak_rss_bytes"], PAIR),
    "macs": None,
    "compressed_bytes": {"before": 200, "after": 50, "ratio": 0.25},
    "tidied_bytes": 0,
    **{name: [] for name in ("latency", "quality", "parity", "steps", "layers", "notes")},
    "environment": {
        **{"cpu": "none", "cpu_flags": [], "cores": 1, "memory_bytes": 1, "gpus": []},
        **{"platform": "none", "versions": {}, "intra_op_threads": 1},
    },
}


LIES: dict[str, dict[str, Any]] = {
    "converted 5": {"converted": 5},
    "converted NUL": {"converted": "\0"},
    "size []": {"unpacked_bytes": []},
    "size -1": {"unpacked_bytes": -1},
    "size 1e30": {"unpacked_bytes": 10**30},
    "facts []": {"facts": []},
}
"""Order → what is wrong in the result of an inspection."""


def perform(task: Task, progress: Progress) -> dict[str, Any]:
    order = _order(task)
    match order:
        case "refuse":
            raise Refusal("invalid_dataset", "this one is refused")
        case "full":
            raise OSError(errno.ENOSPC, "no space left on device")
        case "raise":
            raise RuntimeError("secret: /home/somebody")
        case "exhaust":
            bytearray(1 << 44)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "grow":
            kept = []
            while True:
                kept.append(os.urandom(1 << 24))
                time.sleep(0.02)
        case "hang":
            with suppress(PermissionError):  # under the filter
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # measuring"])
            progress.log("hanging", pid=os.getpid())
            time.sleep(600)
        case "slow":
            progress.log("begun")
            time.sleep(1.0)  # its worker is told to leave meanwhile
        case "count":
            progress.log("counting", pid=os.getpid())
            _count(task)
        case "time alone":
            _time_alone(task, progress)
        case "babble":
            os.write(int(sys.argv[1]), b"this is no message\n")
            print("x" * 100_000, file=sys.stderr)
        case "numpy":
            progress.log("a number of numpy", number=np.float32(0.5), count=np.int64(3))
        case "environment":
            progress.log("environment", **os.environ, tempfile=tempfile.tempdir)
        case "read" | "read another's":
            path = Path("/other" if order == "read another's" else getattr(task, "path", "/other"))
            progress.log("reading")
            progress.fetch(path, 5, 7)  # type: ignore[attr-defined]
            progress.log("read")
        case "once":
            _crash_the_first_time(task)
        case "keep":
            _keep_and_crash(task, progress)
        case "models":
            assert isinstance(task, Compress)
            progress.log("models", **{id: path.read_text() for id, path in task.models.items()})
        case "train" | "train once" | "train badly":
            assert isinstance(task, Compress)
            _train(task, order, progress)
        case "diverge" | "diverge outside" | "diverge at once":
            assert isinstance(task, Compress)
            _diverge(task, order, progress)
    progress.step(0, "int8_static")
    progress.advance(0.5)
    return _result(task, order)


def _order(task: Task) -> str:
    match task:
        case InspectDataset():
            return next(iter(task.declaration.constants), "succeed")
        case InspectModel():
            return task.declared[0].name if task.declared else "succeed"
        case Compress():
            return next(iter(task.recipe.steps[0].exclude), "succeed")
        case JudgeFinal():
            return "time alone"


def _count(task: Task) -> None:
    """Write ever larger numbers into a file, until there is another one beside it."""
    assert isinstance(task, InspectDataset)
    number = 0
    while not (task.scratch / "enough").exists():
        (task.scratch / "next").write_text(str(number := number + 1))
        (task.scratch / "next").replace(task.scratch / "count")
        time.sleep(0.005)


def _time_alone(task: Task, progress: Progress) -> None:
    """Tell how far the other one counts while this one holds the lock."""
    assert isinstance(task, JudgeFinal)
    count = task.tried[0].artifact
    with measuring(progress):
        time.sleep(2.0)  # its supervisor looks every quarter of a second
        seen = [int((count / "count").read_text())]
        time.sleep(1.0)
        seen.append(int((count / "count").read_text()))
    deadline = time.monotonic() + 30
    while (after := int((count / "count").read_text())) == seen[1] and time.monotonic() < deadline:
        time.sleep(0.01)
    progress.log("counted", before=seen[0], meanwhile=seen[1], after=after)


def _crash_the_first_time(task: Task) -> None:
    """And leave a checkpoint, by which the second time is known."""
    assert isinstance(task, Compress)
    checkpoint = task.out_dir / "checkpoints" / "seen"
    if not checkpoint.exists():
        checkpoint.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _keep_and_crash(task: Task, progress: Any) -> None:
    """Keep a checkpoint, unless there is one, and tell of it."""
    assert isinstance(task, Compress)
    place = task.out_dir / "checkpoints" / "a-key"
    if place.exists():
        progress.log("goes on", content=(place / "model.onnx").read_text())
        return
    place.mkdir()
    (place / "model.onnx").write_text("after the first step")
    (place / "used").touch()
    progress.tell_kept("finished", place.name)
    os.kill(os.getpid(), signal.SIGKILL)


def _train(task: Compress, order: str, progress: Progress) -> None:
    """Curves of one step; badly: with links, and one more file than fits. Once: crashes afterwards, the first time."""
    progress.log("epoch 1 of 3, step 40 of 234: loss 0.412", epoch=1, loss=float("nan"))
    curves = task.out_dir / "curves" / "0-finetune"
    if order == "train once" and curves.exists():
        return
    curves.mkdir(parents=True)
    (curves / "events.out.tfevents.1").write_bytes(b"a curve")
    if order == "train badly":
        (curves / "link").symlink_to("/etc/passwd")
        (task.out_dir / "curves" / "folder").symlink_to("/etc")
        os.mkfifo(curves / "pipe")
        with (curves / "zzz").open("wb") as file:
            file.truncate(MAX_BYTES)
    if order == "train once":
        os.kill(os.getpid(), signal.SIGKILL)


def _diverge(task: Compress, order: str, progress: Progress) -> None:
    if order == "diverge outside":
        (task.out_dir / "artifact.onnx").symlink_to("/etc/passwd")
    elif order == "diverge":
        (task.out_dir / "artifact.onnx").write_bytes(b"best so far")
    _train(task, order, progress)
    raise Refusal("training_diverged", "the loss is NaN", field="recipe.steps.0")


def _result(task: Task, order: str) -> dict[str, Any]:
    match task:
        case InspectDataset():
            return {"facts": FACTS}
        case InspectModel():
            facts = {"opset": 18, "inputs": [], "outputs": [], "parameters": 1, "macs": None}
            facts |= {"quantized": False, "operators": {}, "layers": []}
            return {"facts": facts, "converted": _converted(task, order)} | LIES.get(order, {})
        case JudgeFinal():
            return {}
        case Compress():
            (task.out_dir / "artifact.onnx").write_bytes(b"artifact")
            if order == "report without end":
                with (task.out_dir / "report.json").open("wb") as file:
                    file.truncate(1 << 33)
            elif order == "report that is a pipe":
                os.mkfifo(task.out_dir / "report.json")
            else:
                (task.out_dir / "report.json").write_text(json.dumps(REPORT))
            return {}


def _converted(task: InspectModel, order: str) -> str | None:
    match order:
        case "outside":
            return "/etc/passwd"
        case "link":
            (task.scratch / "model.onnx").symlink_to("/etc/passwd")
            return str(task.scratch / "model.onnx")
        case "hard link":
            (secret := task.scratch.parent / "secret").write_bytes(b"the database")
            (task.scratch / "model.onnx").hardlink_to(secret)
            return str(task.scratch / "model.onnx")
        case "convert":
            (task.scratch / "model.onnx").write_bytes(b"converted")
            return str(task.scratch / "model.onnx")
        case _:
            return None


if __name__ == "__main__":
    entry.main(perform)
