"""A training whose host is killed after a third: the other goes on; beside it the same one undisturbed, elsewhere."""

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from app.storage.records import Event
from benchmarks.parts import Row
from tests.support.cluster import Cluster, cluster
from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.hosts import why_no_hosts
from winnow.client import Client
from winnow.contract.job import JobRequest

STEPS = int(os.environ.get("WINNOW_BENCH_STEPS", "36000"))
MOST_SECONDS = 120.0
KILLED_AFTER = 1 / 3
GOES_ON = re.compile(r"Going on after step (\d+) of \d+")
SECONDS = 1800.0


def rows(folder: Path) -> Iterator[Row]:
    if (why := why_no_hosts()) is not None:
        yield Row("training", "two hosts", "on one machine", f"not measured: {why}", False)
        return
    files = digits(folder)
    for name in ("disturbed", "undisturbed"):
        (folder / name).mkdir()
    with (
        cluster(folder / "disturbed", [0, 0], WINNOW_THREADS=1, WINNOW_LEASE_SECONDS=5) as two,
        cluster(folder / "undisturbed", [1], WINNOW_THREADS=1) as one,
        ThreadPoolExecutor(1) as beside,
    ):
        undisturbed = beside.submit(_trained, one, files)
        id, killed_at = _disturbed(two, files)
        yield from _repeated(two.records.events(id, 0, 100_000), killed_at)
        made = _artifact(two, id), _artifact(one, undisturbed.result())
        yield _compared(onnx.load(files.model), *made)


def _trained(cluster: Cluster, files: Digits) -> str:
    with cluster.client(cluster.hosts[0]) as client:
        id = _submitted(client, files)
        client.wait(id, SECONDS)
        return id


def _disturbed(two: Cluster, files: Digits) -> tuple[str, float]:
    """The job, and when the host that did it was killed."""
    with two.client(two.hosts[0]) as client:
        id = _submitted(client, files)
    _until(two, id, int(STEPS * KILLED_AFTER))
    (first,) = (host for host in two.hosts if host.processes(id))
    two.lose(first)
    killed_at = time.time()
    with two.client(two.hosts[0]) as client:
        client.wait(id, SECONDS)
    return id, killed_at


def _submitted(client: Client, files: Digits) -> str:
    model, dataset = (
        client.upload_model(files.model),
        client.upload_dataset(files.data, declaration=DECLARATION),
    )
    roles = {"training": (0, 1000), "evaluation": EVALUATION}
    step: dict[str, Any] = {"kind": "finetune", "steps": STEPS, "batch_size": 128, "learning_rate": 0.001}
    step |= {
        "label_smoothing": 0.1,
        "validation": 0,
    }  # it never stands still, and its last weights are what it gives
    request: dict[str, Any] = {
        "model": model.id,
        "recipe": {"steps": [step]},
        "data": {role: {"dataset": dataset.id, "slice": rows} for role, rows in roles.items()},
        "evaluation": {"metric": "top1"},
        "benchmark": {"rounds": 9},
    }
    return client.submit(JobRequest.model_validate(request)).id


def _until(cluster: Cluster, id: str, step: int) -> None:
    """That step is made; and, on a machine that is fast, there is something to go on after."""
    deadline = time.monotonic() + SECONDS
    while _steps(cluster.records.events(id, 0, 100_000))[-1][1] < step or not cluster.records.checkpoints(id):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{id} did not come to step {step} in {SECONDS:g} s")
        time.sleep(0.5)


def _steps(events: list[Event]) -> list[tuple[float, int]]:
    """(When it was said, which step was made)."""
    return [(0.0, 0), *((event.time, event.values["step"]) for event in events if _tells_step(event))]


def _tells_step(event: Event) -> bool:
    return isinstance(event.values.get("step"), int)


def _repeated(events: list[Event], killed_at: float) -> Iterator[Row]:
    before = [(at, step) for at, step in _steps(events) if at <= killed_at]
    going_on = (GOES_ON.search(event.message) for event in events if event.time > killed_at)
    resumed = next((int(found[1]) for found in going_on if found), 0)
    at_kill = max(before[-1][1], resumed)  # what was made since it was last told is not known
    made_at = next((at for at, step in before if step >= resumed and at), killed_at)
    again_at = next(event.time for event in events if event.time > killed_at and _tells_step(event))
    seconds = killed_at - made_at
    yield Row(
        "training",
        f"host killed at step {at_kill:,} of {STEPS:,}: goes on after step",
        "not the first",
        f"{resumed:,}, at work {again_at - killed_at:.0f} s after the kill",
        resumed > 0,
    )
    yield Row(
        "training",
        "work repeated",
        f"≤ {MOST_SECONDS:g} s",
        f"{seconds:.0f} s, {at_kill - resumed:,} steps",
        seconds <= MOST_SECONDS,
    )


def _artifact(cluster: Cluster, id: str) -> onnx.ModelProto:
    with cluster.client(cluster.hosts[0]) as client:
        return onnx.load(client.download(id, cluster.folder / "artifact.onnx"))


def _compared(upload: onnx.ModelProto, disturbed: onnx.ModelProto, undisturbed: onnx.ModelProto) -> Row:
    before, ours, theirs = (
        {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
        for model in (upload, disturbed, undisturbed)
    )
    differ = [name for name in ours | theirs if not _same(ours.get(name), theirs.get(name))]
    trained = [name for name in ours if not _same(ours[name], before.get(name))]
    item = "weights beside those of an undisturbed run (CPU, one thread each)"
    measured = (
        f"{len(differ)} of {len(ours)} tensors differ, {sum(w.size for w in ours.values()):,} weights; "
        f"{len(trained)} are others than the upload's"
    )
    return Row("training", item, "bit-equal", measured, not differ and len(trained) == len(ours))


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return (
        one is not None and other is not None and (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    )
