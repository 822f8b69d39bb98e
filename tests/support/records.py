"""Records to put into a store, and what several processes do to one at the same time."""

import time
from typing import Any

from app.storage.engine import open_engine
from app.storage.ids import new_id
from app.storage.migrate import migrate
from app.storage.records import Inquiry, Job, Trial, Upload, Worker
from app.storage.sql import SqlRecords

_PREFIX = {"model": "mdl", "dataset": "dst"}


def an_upload(sha256: str = "a" * 64, **fields: Any) -> Upload:
    """A model that is being inspected, unless `fields` say otherwise."""
    made: dict[str, Any] = {
        "kind": "model",
        "name": "lenet",
        "format": "onnx",
        "size_bytes": 7,
        "state": "inspecting",
        "created_at": 1000.0,
        **fields,
    }
    return Upload(**{"id": new_id(_PREFIX[made["kind"]]), "sha256": sha256, **made})


def an_inquiry(model: Upload | None, dataset: Upload | None, **fields: Any) -> Inquiry:
    """A question that waits for its answer."""
    made: dict[str, Any] = {
        "id": new_id("inq"),
        "state": "inspecting",
        "created_at": 1000.0,
        "kind": "propose",
        "question": {"service": "1"},
    }
    about = {"model": model and model.id, "dataset": dataset and dataset.id}
    return Inquiry(**made | about | fields)


def a_job(*uses: Upload, **fields: Any) -> Job:
    """A queued job that uses these; the first is its model."""
    made: dict[str, Any] = {
        "id": new_id("job"),
        "state": "queued",
        "created_at": 1000.0,
        "model": uses[0].id if uses else "mdl_none",
        "uses": tuple(used.id for used in uses),
        "request": {"seed": 0},
    }
    return Job(**made | fields)


def a_trial(job: Job, number: int = 0, **fields: Any) -> Trial:
    """A trial of this search that waits for a worker."""
    made: dict[str, Any] = {
        "id": f"trl_{job.id.removeprefix('job_')}_{number}",
        "state": "waiting",
        "created_at": 1000.0,
        "params": {"steps.0.amount": 0.5},
        "recipe": {"steps": [{"kind": "int8_dynamic"}]},
    }
    return Trial(job=job.id, number=number, **made | fields)


def a_worker(**fields: Any) -> Worker:
    """A worker that runs jobs and was seen now."""
    now = time.time()
    made: dict[str, Any] = {
        "id": new_id("wrk"),
        "host": "here",
        "queues": ("cpu", "work"),
        "version": "0.1.0",
        "started_at": now,
        "last_seen": now,
    }
    return Worker(**made | fields)


def claim_in_process(url: str, ids: list[str], now: float) -> list[tuple[str, int]]:
    """Claim what can be had, in whatever process this runs: (id, attempt) of each."""
    engine = open_engine(url)
    try:
        claimed = [SqlRecords(engine).claim(id, now, 30.0) for id in ids]
        return [(item.id, item.attempt) for item in claimed if item is not None]
    finally:
        engine.dispose()


def migrate_in_process(url: str) -> None:
    engine = open_engine(url)
    try:
        migrate(engine)
    finally:
        engine.dispose()
