"""One job through real processes, as Prometheus, a log store and a collector of traces see it."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Condition

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from tests.support.digits import digits
from tests.support.http import answering, send
from tests.support.service import service
from winnow.client import Client

pytestmark = pytest.mark.integration

STEP = "int8_dynamic"


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


def test_a_job_can_be_watched_from_the_request_to_its_steps(tmp_path: Path) -> None:
    collector = Collector()
    with answering(collector.take) as endpoint:
        variables = {
            "WINNOW_LOG_FORMAT": "json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with service(tmp_path / "var", **variables) as winnow, Client(winnow.url) as client:
            model = client.upload_model(digits(tmp_path).model).id
            asked = {"model": model, "recipe": {"steps": [{"kind": STEP}]}, "benchmark": {"rounds": 9}}
            answer = httpx.post(f"{winnow.url}/v1/jobs", json=asked, headers={"X-Request-Id": "the-one"})
            job = answer.json()["id"]
            client.wait(job)
            spans = collector.trace_with("POST /v1/jobs", "wait", "attempt at job", "child", STEP, "measure")
            told = httpx.get(f"{winnow.url}/metrics").text
            log = winnow.log()
    _check_trace(spans)
    _check_metrics(told)
    _check_log(log, job)


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


def _check_metrics(text: str) -> None:
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["winnow_up",] == 1
    assert samples["winnow_jobs", "job", "succeeded", "unchecked"] == 1
    assert samples["winnow_workers", "cpu"] == samples["winnow_workers", "inspect"] == 1
    assert samples["winnow_step_seconds_bucket", "+Inf", STEP] == 1
    assert samples["winnow_queue_waiting", "cpu"] == 0


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
