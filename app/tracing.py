"""Traces by OpenTelemetry: one from the request through the queue, the worker and its child to the steps.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT says where to send them, by OTLP over HTTP; the extra `otel` brings what that
takes. Without it nothing of OpenTelemetry is imported, and everything here does nothing.

    request ──▶ record.origin ──▶ worker: wait, attempt ──▶ prepare, child ──▶ one span a step ──▶ store
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Literal

from structlog.contextvars import get_contextvars

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

ENDPOINT: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
INSTALL: Final = "pip install '.[otel]'"
TRACE: Final = "traceparent"
REQUEST: Final = "request_id"

LAST_SECONDS: Final = 2.0
"""For which a process that ends waits for a collector to take its last traces."""

Kind = Literal["internal", "server", "consumer"]

_tracer: "Tracer | None" = None


@contextmanager
def exporting(service: str) -> Iterator[None]:
    """Traces of this process are sent for as long as the context lasts, where the environment says whereto."""
    provider = start(service)
    try:
        yield
    finally:
        if provider is not None:
            use(None)
            last = Thread(target=provider.shutdown, name="last traces", daemon=True)
            last.start()
            last.join(LAST_SECONDS)


def start(service: str) -> "TracerProvider | None":
    """Send what is traced in this process from now on, where the environment says whereto. Not before a fork."""
    if not any(os.environ.get(name) for name in ENDPOINT):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("%s is set, and no traces are sent: %s (%s)", ENDPOINT[0], error, INSTALL)
        return None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    resource = Resource.create({"service.version": version("winnow-service"), **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)
    return provider


def use(provider: "TracerProvider | None") -> None:
    """Trace with this provider in this process; None for not at all."""
    global _tracer
    _tracer = provider.get_tracer("winnow", version("winnow-service")) if provider is not None else None


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    origin: Mapping[str, str] | None = None,
    **attributes: str | int | float | None,
) -> "Iterator[Span | None]":
    """A span around what is done inside, below the current one or else below `origin`; None where nothing is traced.

    An attribute `job_id` is called `winnow.job_id`; one that is None is left out.
    """
    if _tracer is None:
        yield None
        return
    with _tracer.start_as_current_span(
        name, context=_context(origin), kind=_kind(kind), attributes=_named(attributes)
    ) as current:
        yield current


def begin_span(name: str, **attributes: str | int | float | None) -> Callable[[], None]:
    """A span below the current one, to the call of what is answered."""
    if _tracer is None:
        return lambda: None
    return _tracer.start_span(name, attributes=_named(attributes)).end


def past_span(name: str, begun: float, ended: float, origin: Mapping[str, str] | None) -> None:
    """A span of what is over; times are in seconds since the epoch."""
    if _tracer is not None:
        made = _tracer.start_span(name, context=_context(origin), start_time=round(begun * 1e9))
        made.end(round(ended * 1e9))


def current_trace() -> str | None:
    """The id of the trace that this is part of, in hexadecimal."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def current_origin() -> dict[str, str] | None:
    """What a record keeps of the request that makes it: its name, and where its trace goes on."""
    named = get_contextvars().get(REQUEST)
    carried: dict[str, str] = {} if named is None else {REQUEST: str(named)}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carried)
    return {name: carried[name] for name in (REQUEST, TRACE) if name in carried} or None


def _context(origin: Mapping[str, str] | None) -> Any:
    """None for the current one."""
    if origin is None or TRACE not in origin:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACE: origin[TRACE]})


def _kind(kind: Kind) -> Any:
    from opentelemetry.trace import SpanKind

    return {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}[kind]


def _named(attributes: Mapping[str, str | int | float | None]) -> dict[str, str | int | float]:
    return {f"winnow.{name}": value for name, value in attributes.items() if value is not None}
