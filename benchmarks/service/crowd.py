"""Submitting, polling and listing while many jobs are there: the API on one core, the client on another."""

import http.client
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
from sqlalchemy import Engine, insert, text

from app.storage.engine import open_engine
from app.storage.ids import new_id
from app.storage.migrate import migrate
from app.storage.records import Job, Upload
from app.storage.sql import SqlRecords
from app.storage.tables import events, job_uses, jobs
from benchmarks.parts import Row
from benchmarks.shared_data import SHARED
from tests.support.postgres import postgres
from tests.support.service import Service, service
from worker.compression.upload.inspection import inspect_model

SIZES = (10_000, 100_000)
WAITING_SHARE = 0.5
SUBMITS, POLLS, LISTS = 300, 3000, 200
MOST_SUBMIT_MS, MOST_LIST_MS = 25.0, 50.0
LEAST_POLLS, LEAST_POLLS_WITHOUT_TAG = 500.0, 300.0
GROWTH = 1.5
MODEL = SHARED / "models" / "lenet5-mnist.onnx"
BATCH = 1000
NONE: Mapping[str, str] = {}
JSON = {"content-type": "application/json"}


def rows(folder: Path) -> Iterator[Row]:
    for name in ("SQLite", "PostgreSQL"):
        few: dict[str, float] = {}
        for size in SIZES:
            with database(name, folder / f"{name}-{size}") as (url, data_dir):
                measured = among(size, url, data_dir)
            few = few or measured
            yield from _judged(f"{name}, {size:,} jobs", measured, few)


def _judged(where: str, measured: dict[str, float], few: dict[str, float]) -> Iterator[Row]:
    """Of the larger crowd at most 1.5 times what the smaller one may take."""
    slack = 1.0 if measured is few else GROWTH
    for what, most in (("submit p99", MOST_SUBMIT_MS), ("list of 50 waiting p99", MOST_LIST_MS)):
        took, limit = measured[what], most * slack
        yield Row("crowd", f"{where}: {what}", f"≤ {limit:g} ms", f"{took:.1f} ms", took <= limit)
    for what, least in (("polls with ETag", LEAST_POLLS), ("polls without", LEAST_POLLS_WITHOUT_TAG)):
        rate, limit = measured[what], least / slack
        yield Row("crowd", f"{where}: {what}", f"≥ {limit:.0f}/s", f"{rate:.0f}/s", rate >= limit)


@contextmanager
def database(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of an empty database, and a data folder."""
    folder.mkdir()
    if name == "SQLite":
        yield f"sqlite:///{folder / 'winnow.db'}", folder
    else:
        with postgres() as url:
            yield url, folder


def among(size: int, url: str, data_dir: Path) -> dict[str, float]:
    settings = {"WINNOW_DATABASE_URL": url, "WINNOW_LOG_LEVEL": "ERROR"}
    on_one_core = ("taskset", "--cpu-list", "0")
    with (
        service(data_dir, "--no-workers", under=on_one_core, **settings) as api,
        connected(api) as client,
    ):
        model = _model(client, url)
        waiting = filled(url, model, size)
        submit, listing = _submitted(client, model), _listed(client)
        tagged, untagged = _polled(client, waiting[0], True), _polled(client, waiting[0], False)
    return {
        "submit p99": submit,
        "list of 50 waiting p99": listing,
        "polls with ETag": tagged,
        "polls without": untagged,
    }


def filled(url: str, model: str, size: int) -> list[str]:
    """Put so many jobs there, half of them waiting; the ids of those, the first to run first."""
    engine = open_engine(url)
    try:
        request = {"model": model, "recipe": {"steps": [{"kind": "int8_dynamic"}]}, "seed": 0}
        now, waiting = time.time() - size, []
        for first in range(0, size, BATCH):
            made = [_job(model, request, now + n, n) for n in range(first, min(first + BATCH, size))]
            waiting += [job.id for job in made if job.state == "queued"]
            _insert(engine, made)
        _as_a_minute_later(engine)
        return waiting
    finally:
        engine.dispose()


def _as_a_minute_later(engine: Engine) -> None:
    """PostgreSQL's autovacuum has then counted the rows, and told which pages everybody may see."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _job(model: str, request: dict[str, object], created_at: float, number: int) -> Job:
    is_waiting = number % 2 == 0
    return Job(
        id=new_id("job"),
        state="queued" if is_waiting else "succeeded",
        created_at=created_at,
        model=model,
        uses=(model,),
        request=request,
        outcome=None if is_waiting else "unchecked",
        finished_at=None if is_waiting else created_at + 1,
    )


def _insert(engine: Engine, made: list[Job]) -> None:
    with engine.begin() as connection:
        values = [{**vars(job), "published_at": time.time()} for job in made]
        connection.execute(insert(jobs), values)
        connection.execute(insert(job_uses), [{"job": job.id, "upload": job.model} for job in made])
        connection.execute(
            insert(events),
            [
                {
                    "job": job.id,
                    "attempt": 0,
                    "time": job.created_at,
                    "type": "state",
                    "level": "info",
                    "message": job.state,
                    "values": {},
                }
                for job in made
            ],
        )


@contextmanager
def connected(api: Service) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _asked(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = NONE,
) -> tuple[int, http.client.HTTPResponse, bytes]:
    client.request(method, path, body, dict(headers))
    answer = client.getresponse()
    return answer.status, answer, answer.read()


def _model(client: http.client.HTTPConnection, url: str) -> str:
    """Uploaded, and inspected by hand: no worker is here to slow the API down."""
    _, _, text = _asked(client, "POST", "/v1/models?name=lenet", MODEL.read_bytes())
    id = str(json.loads(text)["id"])
    engine = open_engine(url)
    try:
        migrate(engine)
        records = SqlRecords(engine)
        claimed = records.claim(id, time.time(), 60)
        assert isinstance(claimed, Upload)
        records.finish(id, claimed.attempt, time.time(), {"state": "ready", "facts": _facts()})
    finally:
        engine.dispose()
    return id


def _facts() -> dict[str, object]:
    """As the worker finds them."""
    with TemporaryDirectory() as scratch:
        inspected = inspect_model(
            MODEL, "onnx", [], Path(scratch), allow_torchscript=False, max_unpacked_bytes=2**30
        )
    return inspected.facts.model_dump(mode="json")


def _submitted(client: http.client.HTTPConnection, model: str) -> float:
    body = {"model": model, "recipe": {"steps": [{"kind": "int8_dynamic"}]}}
    taken = []
    for number in range(SUBMITS):
        text = json.dumps(body | {"seed": number}).encode()
        begun = time.perf_counter()
        status, _, answer = _asked(client, "POST", "/v1/jobs", text, JSON)
        taken.append(time.perf_counter() - begun)
        assert status == 202, answer
    return _p99_ms(taken)


def _listed(client: http.client.HTTPConnection) -> float:
    taken = []
    for _ in range(LISTS):
        begun = time.perf_counter()
        status, _, answer = _asked(client, "GET", "/v1/jobs?state=queued&limit=50")
        taken.append(time.perf_counter() - begun)
        assert status == 200, answer
    return _p99_ms(taken)


def _polled(client: http.client.HTTPConnection, id: str, tagged: bool) -> float:
    """Polls a second, the median of ten runs."""
    _, answer, _ = _asked(client, "GET", f"/v1/jobs/{id}")
    tag = {"if-none-match": answer.headers["etag"]} if tagged else NONE
    expected, rates = (304 if tagged else 200), []
    for _ in range(10):
        begun = time.perf_counter()
        for _ in range(POLLS // 10):
            status, _, text = _asked(client, "GET", f"/v1/jobs/{id}", headers=tag)
            assert status == expected, text
        rates.append(POLLS / 10 / (time.perf_counter() - begun))
    return statistics.median(rates)


def _p99_ms(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99)) * 1000
