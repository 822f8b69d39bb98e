"""A service as its operator has it: metrics, logs and traces of a job; a worker that drains, and one that ends."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from threading import Condition

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import READ_SECONDS
from app.queue import CeleryQueue
from app.storage.open import open_records
from tests.support.digits import digits
from tests.support.http import answering, send
from tests.support.service import Service, service
from winnow.client import Client
from winnow.contract.worker import Worker

pytestmark = pytest.mark.integration

STEP = "int8_dynamic"
SUCCEEDED = ("winnow_jobs", "job", "succeeded", "unchecked")
RECIPE = {"steps": [{"kind": STEP}]}


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._came = Condition()

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        sent = ExportTraceServiceRequest.FromString(handler.body)  # type: ignore[attr-defined]
        with self._came:
            self._spans += [span for of in sent.resource_spans for s in of.scope_spans for span in s.spans]
            self._came.notify_all()
        send(handler, 200, content_type="application/x-protobuf")

    def trace_with(self, *names: str) -> list[Span]:
        """The spans of the trace that has spans of these names, once they have all come."""
        with self._came:
            assert self._came.wait_for(lambda: any(self._complete(*names)), timeout=30), [
                span.name for span in self._spans
            ]
            return next(self._complete(*names))

    def _complete(self, *names: str) -> Iterator[list[Span]]:
        for trace in {span.trace_id for span in self._spans}:
            spans = [span for span in self._spans if span.trace_id == trace]
            if {span.name for span in spans} >= {*names}:
                yield spans


@pytest.fixture(scope="module")
def collector() -> Collector:
    return Collector()


@pytest.fixture(scope="module")
def watched(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with answering(collector.take) as endpoint:
        variables = {
            "WINNOW_LOG_FORMAT": "json",
            "WINNOW_GRACE_SECONDS": 60,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with service(tmp_path_factory.mktemp("watched") / "var", **variables) as running:
            yield running


@pytest.fixture(scope="module")
def client(watched: Service) -> Iterator[Client]:
    with Client(watched.url) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    return client.upload_model(digits(tmp_path_factory.mktemp("digits")).model).id


def test_a_job_can_be_watched_from_the_request_to_its_steps(
    watched: Service, collector: Collector, client: Client, model: str
) -> None:
    before = samples(watched)
    asked = {"model": model, "recipe": RECIPE, "benchmark": {"rounds": 9}}
    answer = httpx.post(f"{watched.url}/v1/jobs", json=asked, headers={"X-Request-Id": "the-one"})
    job = answer.json()["id"]
    client.wait(job)
    _check_trace(collector.trace_with("POST /v1/jobs", "wait", "attempt at job", "child", STEP, "measure"))
    _check_metrics(before, _once_counted(before, watched))
    _check_log(watched.log(), job)


def _check_trace(spans: list[Span]) -> None:
    by_id, by_name = {span.span_id: span.name for span in spans}, {span.name: span for span in spans}
    parents = {name: by_id.get(by_name[name].parent_span_id) for name in by_name}
    expected = {
        "POST /v1/jobs": None,
        "wait": "POST /v1/jobs",
        "attempt at job": "POST /v1/jobs",
        "child": "attempt at job",
        STEP: "child",
        "measure": "child",
    }
    assert expected.items() <= parents.items()
    step, child = by_name[STEP], by_name["child"]
    assert child.start_time_unix_nano <= step.start_time_unix_nano < step.end_time_unix_nano
    assert step.end_time_unix_nano <= child.end_time_unix_nano


def samples(winnow: Service) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{winnow.url}/metrics").text)
        for sample in family.samples
    }


def _once_counted(before: dict[tuple[str, ...], float], winnow: Service) -> dict[tuple[str, ...], float]:
    """Stores are read once in `READ_SECONDS`."""
    deadline = time.monotonic() + 2 * READ_SECONDS
    while (after := samples(winnow)).get(SUCCEEDED, 0) == before.get(SUCCEEDED, 0):
        assert time.monotonic() < deadline, "it is not counted"
        time.sleep(0.2)
    return after


def _check_metrics(before: dict[tuple[str, ...], float], after: dict[tuple[str, ...], float]) -> None:
    assert after["winnow_up",] == 1
    assert after["winnow_workers", "cpu"] == after["winnow_workers", "inspect"] == 1
    assert after["winnow_queue_waiting", "cpu"] == 0
    for one_more in (SUCCEEDED, ("winnow_step_seconds_bucket", "+Inf", STEP)):
        assert after[one_more] == before.get(one_more, 0) + 1


def _check_log(log: str, job: str) -> None:
    """Lines that something else than the log has written to stderr are no concern of ours."""
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert not [line for line in log.splitlines() if job in line and not line.startswith("{")]
    loggers = {entry["logger"].split(".")[0] for entry in entries}
    assert {"app", "worker", "celery", "uvicorn"} <= loggers
    both = ("worker.runner", "worker.outcome")
    of_work = [entry for entry in entries if entry["logger"] in both and job in entry["message"]]
    assert len(of_work) >= 2
    named = {"job": job, "attempt": 1, "owner": "local", "request_id": "the-one"}
    for entry in of_work:
        assert named.items() <= entry.items()


def worker_for_jobs(client: Client) -> Worker:
    """As soon as it has put its record."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for worker in client.workers():
            if "cpu" in worker.capabilities:
                return worker
        time.sleep(0.2)
    raise TimeoutError


def until_a_child_works(winnow: Service) -> None:
    deadline = time.monotonic() + 60
    while not winnow.children("job_"):
        assert time.monotonic() < deadline, winnow.log()
        time.sleep(0.05)


def test_a_drained_worker_takes_nothing_until_it_is_taken_back(
    watched: Service, client: Client, model: str
) -> None:
    worker = worker_for_jobs(client)
    assert client.drain(worker.id).draining
    job = client.submit(model=model, recipe=RECIPE)
    time.sleep(4.0)  # its parent has heard of it, and asks for no hints
    queue, waiting = CeleryQueue(watched.settings), client.job(job.id)
    assert (waiting.state, queue.length("cpu")) == ("queued", 1)
    assert waiting.waiting_for is not None
    assert waiting.waiting_for.capability == "cpu"
    client.undrain(worker.id)
    assert client.wait(job.id, timeout=45).state == "succeeded", "not only when it is published again"
    (seen,) = (each for each in client.workers() if each.id == worker.id)
    assert (seen.doing, seen.cores >= 1, seen.threads) == (None, True, seen.cores)


def test_who_is_told_to_end_finishes_what_it_does_in_its_grace(
    watched: Service, client: Client, model: str
) -> None:
    """The last that is asked of this service."""
    steps = [{"kind": "no_op", "seconds": 1.5}, {"kind": STEP}]
    job = client.submit(model=model, recipe={"steps": steps})
    until_a_child_works(watched)
    watched.main.terminate()
    assert watched.main.wait(60) == 0
    assert watched.gone(5) == []
    assert "Traceback" not in watched.log()
    ended = open_records(watched.settings).job("local", job.id)
    assert ended is not None
    assert (ended.state, ended.attempt) == ("succeeded", 1)
