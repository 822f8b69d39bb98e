"""The queue under load: submissions, listings and the number of messages, with thousands of jobs that wait."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event

from app.queue import CeleryQueue
from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.migrate import migrate
from app.storage.records import LOCAL_OWNER, Upload, Wake
from app.storage.sql import SqlRecords
from benchmarks.parts import Row
from tests.support.facts import model_facts
from tests.support.postgres import postgres
from tests.support.records import a_job, an_upload
from tests.support.redis import redis_server
from tests.support.service import Service, service

PART = "queue"
WAITING = 10_000
SUBMISSIONS = 1000
"""Of each of the two services that take turns."""
MAX_RATIO = 1.5

TEN_MINUTES = 600.0
LONG_WAITING = 5_000
MAX_MESSAGES = 5_050

LAW = "tests/app/storage/test_queue_law.py"
AWAY = "tests/integration/test_storage_away.py"
HELD: dict[str, str] = {
    "reapers never make a queue longer than what waits": f"{LAW}::TestQueueLaw",
    "500 jobs wait ten minutes (driven clock), four reapers, real brokers and databases": (
        f"{LAW}::test_after_ten_minutes_the_queue_is_as_long_as_what_waits"
    ),
    "only what the broker lacks is published again": "tests/app/storage/test_reaper.py",
    "Redis forgets every message, no job is lost": (
        "tests/integration/test_chaos.py::test_all_jobs_succeed_once_although_redis_forgets_every_message"
    ),
    "positions of a list in one query": (
        "tests/app/storage/test_conformance_jobs.py::test_the_positions_of_many_are_those_of_each"
    ),
    "database deleted": f"{AWAY}::test_a_database_that_was_deleted_takes_nothing",
    "database replaced by a backup": f"{AWAY}::test_a_database_that_was_restored_is_used_without_a_restart",
    "database locked": f"{AWAY}::test_a_database_that_somebody_locks_is_told_and_works_again",
    "blobs folder deleted": f"{AWAY}::test_bytes_that_have_no_folder_any_more_are_refused",
    "disk full, folder read-only": (
        f"{AWAY}::test_a_disk_that_is_full_or_may_not_be_written_is_told_by_every_route"
    ),
    "/readyz asks once at a time and answers in time": "tests/app/api/test_readiness.py",
    "memory_bytes of 2^63 - 1": (
        "tests/app/api/test_job_limits.py::test_no_number_gets_further_than_the_request"
    ),
    "the operator's maximum for limits": "tests/app/api/test_job_limits.py",
    "every whole number has bounds": "tests/winnow/contract/test_bounds.py",
    "settings that no child survives cost one attempt": "tests/worker/test_extreme_settings.py",
    "the lock on measuring": "tests/worker/compression/measure/timing/test_lock.py",
    "records of workers, shown by /readyz": "tests/app/storage/test_conformance_workers.py",
}


def rows(folder: Path) -> Iterator[Row]:
    yield from _ten_minutes(folder / "waiting")
    yield from _submissions(folder / "files", "SQLite, files", {})
    with redis_server() as broker, postgres() as empty, postgres() as full:
        databases = {"empty": empty, "full": full}
        yield from _submissions(folder / "servers", "PostgreSQL, Redis", databases, broker.url)


def _ten_minutes(folder: Path) -> Iterator[Row]:
    """Ten real minutes with nobody to take a job; reapers run in the API and in an inspector beside it."""
    with ExitStack() as stack:
        broker, database = stack.enter_context(redis_server()), stack.enter_context(postgres())
        stores: dict[str, tuple[str | None, str | None]] = {
            "SQLite, files": (None, None),
            "PostgreSQL, Redis": (database, broker.url),
        }
        queues = {}
        for number, (name, (database_url, broker_url)) in enumerate(stores.items()):
            settings = Settings(
                data_dir=folder / str(number), database_url=database_url, broker_url=broker_url
            )
            _fill(settings, LONG_WAITING)
            variables = {"WINNOW_DATABASE_URL": database_url, "WINNOW_BROKER_URL": broker_url}
            served = stack.enter_context(_serving(settings.data_dir, variables))
            inspector = served.command("worker", "--queue", "inspect")
            stack.callback(inspector.terminate)
            queues[name] = CeleryQueue(settings)
        time.sleep(TEN_MINUTES)
        for name, queue in queues.items():
            length = queue.length("cpu") or 0
            item = f"messages after {TEN_MINUTES / 60:.0f} minutes of {LONG_WAITING:,} waiting jobs, {name}"
            met = LONG_WAITING <= length <= MAX_MESSAGES
            yield Row(PART, item, f"{LONG_WAITING:,} to {MAX_MESSAGES:,}", f"{length:,}", met)


def _submissions(
    folder: Path, stores: str, databases: dict[str, str], broker: str | None = None
) -> Iterator[Row]:
    with ExitStack() as stack:
        running = {}
        for name, count in (("empty", 0), ("full", WAITING)):
            number = 0 if name == "empty" else 1
            url = broker and broker[:-1] + str(number)
            variables = {"WINNOW_DATABASE_URL": databases.get(name), "WINNOW_BROKER_URL": url}
            settings = Settings(data_dir=folder / name, database_url=databases.get(name), broker_url=url)
            model = _fill(settings, count)
            served = stack.enter_context(_serving(folder / name, variables))
            running[name] = (stack.enter_context(httpx.Client(base_url=served.url, timeout=60)), model)
        yield _submitting(stores, running)
        yield _listing(stores, running["full"][0])


@contextmanager
def _serving(folder: Path, variables: dict[str, str | None]) -> Iterator[Service]:
    with service(folder, "--no-workers", **variables) as running:
        yield running


def _fill(settings: Settings, count: int) -> Upload:
    """A model that is ready, and so many jobs that wait, each with its message."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    try:
        migrate(engine)
        records, queue = SqlRecords(engine), CeleryQueue(settings)
        facts = model_facts().model_dump(mode="json")
        model, _ = records.add_upload(an_upload(state="ready", facts=facts))
        request = _request(model) | {"seed": 0}
        for n in range(count):
            when = time.time() - 600 + n / count
            job, _ = records.add_job(a_job(model, created_at=when, request=request, owner=LOCAL_OWNER), None)
            queue.publish(Wake(queue="cpu", id=job.id))
        return model
    finally:
        engine.dispose()


def _request(model: Upload) -> dict[str, Any]:
    return {"model": model.id, "recipe": {"steps": [{"kind": "float16"}]}}


def _submitting(stores: str, running: dict[str, tuple[httpx.Client, Upload]]) -> Row:
    """Turn by turn; what the empty service was sent is cancelled, so that it stays empty."""
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(SUBMISSIONS + 20):
        for name in sorted(running, reverse=bool(turn % 2)):
            http, model = running[name]
            begun = time.perf_counter()
            answer = http.post("/v1/jobs", json=_request(model))
            taken = time.perf_counter() - begun
            assert answer.status_code == 202, answer.text
            if turn >= 20:
                seconds[name].append(taken)
            if name == "empty":
                http.post(f"/v1/jobs/{answer.json()['id']}/cancel")
    p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in seconds.items()}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = p99["full"] / p99["empty"]
    told = (
        f"p99 {ratio:.2f}x ({p99['full'] * 1e3:.1f} against {p99['empty'] * 1e3:.1f} ms), "
        f"median {median['full'] / median['empty']:.2f}x ({median['full'] * 1e3:.1f} against "
        f"{median['empty'] * 1e3:.1f} ms)"
    )
    item = f"submit with {WAITING:,} waiting against none, {stores}"
    return Row(PART, item, f"p99 at most {MAX_RATIO}x", told, ratio <= MAX_RATIO)


def _listing(stores: str, http: httpx.Client) -> Row:
    seconds = []
    for _ in range(20):
        begun = time.perf_counter()
        answer = http.get("/v1/jobs", params={"state": "queued", "limit": 200})
        seconds.append(time.perf_counter() - begun)
        assert len(answer.json()["items"]) == 200
    median = statistics.median(seconds)
    return Row(
        PART,
        f"list 200 of {WAITING:,} waiting jobs, {stores}",
        "below 1 s",
        f"{median * 1e3:.0f} ms (median of 20)",
        median < 1,
    )
