"""Traces: off by default; on, one from the request to the record."""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import bound_contextvars

from app import tracing
from tests.support.http import answering, send
from tests.support.logged import entries, logged
from tests.support.served import served
from tests.support.traced import traced

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with traced() as exporter:
        yield exporter


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_nothing_is_traced_unless_it_is_said_whereto() -> None:
    """Nor imported: `test_main.py`."""
    with tracing.span("nothing") as span:
        assert span is None
        assert tracing.current_trace() is None


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with logged() as lines, tracing.exporting("winnow-api"), tracing.span("x") as span:
        assert span is None
    assert tracing.INSTALL in entries(lines())[0]["message"]


def test_a_request_is_a_span_of_its_client_s_trace_and_its_record_goes_on_with_it(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "the-one"}
    with served(tmp_path) as api:
        content = bytes([0x08, 10, 0x3A, 4]) + b"grap"
        id = api.http.post("/v1/models", content=content, headers=headers).json()["id"]
        api.http.get("/livez")
        upload = api.parts.records.upload("local", "model", id)
    [span] = spans.get_finished_spans()
    assert span.name == "POST /v1/models"
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    attributes = dict(span.attributes or {})
    assert attributes["http.response.status_code"] == 201
    assert attributes["winnow.request_id"] == "the-one"
    assert upload is not None
    assert upload.origin == {
        "request_id": "the-one",
        "traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01",
    }


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{'0' * 32}-{'0' * 16}-01", "ff-" + "a" * 5000])
def test_a_trace_that_is_none_is_not_gone_on_with(
    tmp_path: Path, spans: InMemorySpanExporter, sent: str
) -> None:
    with served(tmp_path) as api:
        assert api.http.get("/v1/jobs", headers={"traceparent": sent}).status_code == 200
    assert named(spans)["GET /v1/jobs"].parent is None


def test_log_lines_name_their_trace(spans: InMemorySpanExporter) -> None:
    with logged() as lines, tracing.span("work"):
        logging.getLogger("app").info("at work")
    [span] = spans.get_finished_spans()
    assert span.context is not None
    assert entries(lines())[0]["trace_id"] == f"{span.context.trace_id:032x}"


def test_an_origin_has_what_there_is() -> None:
    assert tracing.current_origin() is None
    with bound_contextvars(request_id="r1"):
        assert tracing.current_origin() == {"request_id": "r1"}


def test_traces_are_sent_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    came, bodies = Event(), list[bytes]()

    def take(handler: object) -> None:
        bodies.append(handler.body)  # type: ignore[attr-defined]
        send(handler, 200, content_type="application/x-protobuf")  # type: ignore[arg-type]
        came.set()

    with answering(take) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with tracing.exporting("winnow-api"), tracing.span("sent away"):
            pass
    assert came.is_set()
    assert b"sent away" in bodies[0]
    assert b"winnow-api" in bodies[0]


def test_a_collector_that_is_away_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(tracing, "LAST_SECONDS", 0.1)
    with tracing.exporting("winnow-api"):
        with tracing.span("lost"):
            pass
        begun = time.monotonic()
    assert time.monotonic() - begun < 1.0
