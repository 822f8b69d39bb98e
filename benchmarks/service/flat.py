"""Minutes of mixed load (`WINNOW_BENCH_MINUTES`, 20): what each process holds in the second quarter and in the last."""

import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import psutil

from benchmarks.parts import Row
from benchmarks.shared_data import SHARED
from tests.support.service import Service, service
from winnow.client import Client, ClientError
from winnow.contract.job import JobRequest

MINUTES = float(os.environ.get("WINNOW_BENCH_MINUTES", "20"))
MOST_GROWTH = 1.05
MODELS = ("lenet5-mnist", "resnet20-cifar10", "dscnn-kws")
RECIPES = ({"kind": "int8_dynamic"}, {"kind": "weight_only"}, {"kind": "float16"})
MOST_WAITING = 8
SAMPLE_SECONDS = 2.0

Samples = dict[str, list[tuple[float, float]]]
"""By what was looked at: (seconds since the beginning, value)."""


def rows(folder: Path) -> Iterator[Row]:
    settings = {"WINNOW_LOG_LEVEL": "WARNING", "WINNOW_QUIET_WAIT_SECONDS": "0"}  # it will not be quiet
    with service(folder / "var", **settings) as running, Client(running.url) as winnow:
        samples, done = _loaded(running, winnow, random.Random(0))
        yield Row("flat", "jobs", "all end", f"{done} in {MINUTES:g} minutes", done > 0)
        for what, taken in sorted(samples.items()):
            early, late = _quarter(taken, 1), _quarter(taken, 3)
            yield Row(
                "flat",
                what,
                f"≤ {MOST_GROWTH} of before",
                f"{early:.1f} → {late:.1f}",
                late <= max(MOST_GROWTH * early, early + 1),
            )
        scratch = [path for path in (running.folder / "scratch").rglob("*") if path.is_file()]
        yield Row("flat", "scratch", "empty", f"{len(scratch)} files", not scratch)
        queued = len([*(running.folder / "queue").rglob("*.msg")])
        yield Row("flat", "queue", f"≤ {MOST_WAITING} messages", f"{queued} messages", queued <= MOST_WAITING)


def _loaded(running: Service, winnow: Client, draw: random.Random) -> tuple[Samples, int]:
    samples: Samples = defaultdict(list)
    models = {name: winnow.upload_model(SHARED / "models" / f"{name}.onnx").id for name in MODELS}
    begun, sampled, done, waiting = time.monotonic(), 0.0, 0, list[str]()
    while (now := time.monotonic() - begun) < 60 * MINUTES or waiting:
        if now - sampled > SAMPLE_SECONDS:
            sampled = now
            for what, value in _looked_at(running):
                samples[what].append((now, value))
        ended = [id for id in waiting if winnow.job(id).state in ("succeeded", "failed", "cancelled")]
        waiting = [id for id in waiting if id not in ended]
        done += len(ended)
        if len(waiting) < MOST_WAITING and now < 60 * MINUTES:
            waiting.append(_something(winnow, models, draw, running.folder))
        else:
            time.sleep(0.05)
    return samples, done


def _something(winnow: Client, models: dict[str, str], draw: random.Random, folder: Path) -> str:
    """A job, and beside it now and then an upload, a refused request, a cancelled job, a download."""
    match draw.randrange(8):
        case 0:
            file = folder.parent / "noise.npy"
            np.save(
                file, np.random.default_rng(draw.randrange(2**32)).integers(0, 256, 2**20, dtype=np.uint8)
            )
            dataset = winnow.upload_dataset(file).id
            winnow.delete_dataset(dataset)
        case 1:
            with suppress(ClientError):
                winnow.job("job_none")
        case 2:
            with suppress(ClientError):  # it was faster
                winnow.cancel(_submitted(winnow, models, draw))
        case 3:
            for job in islice(winnow.jobs(state="succeeded"), 1):
                winnow.download(job.id, folder.parent / "artifact.onnx")
    return _submitted(winnow, models, draw)


def _submitted(winnow: Client, models: dict[str, str], draw: random.Random) -> str:
    request = {
        "model": models[draw.choice(MODELS)],
        "recipe": {"steps": [draw.choice(RECIPES)]},
        "seed": draw.randrange(2**31),
        "benchmark": {"rounds": 9},
    }
    return winnow.submit(JobRequest.model_validate(request)).id


def _looked_at(running: Service) -> Iterator[tuple[str, float]]:
    held = {"API": [running.main], "worker": running.workers("cpu"), "inspector": running.workers("inspect")}
    for name, processes in held.items():
        assert processes, f"there is no {name}"
        with suppress(psutil.Error):
            yield f"{name}, MiB", sum(p.memory_info().rss - p.memory_info().shared for p in processes) / 2**20
            yield f"{name}, descriptors", sum(p.num_fds() for p in processes)


def _quarter(taken: list[tuple[float, float]], number: int) -> float:
    length = taken[-1][0] / 4
    values = [value for at, value in taken if number * length <= at < (number + 1) * length]
    return statistics.median(values or [taken[-1][1]])
