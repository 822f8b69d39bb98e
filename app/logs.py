"""How the log is written: lines for people, or one JSON object a line, with the names of what it is about.

Code logs with `logging.getLogger(__name__)`; servers and libraries do the same. A process calls `set_up` once. Which
request, owner, job and attempt a record is about is bound where one begins (`structlog.contextvars`), and stands in all
that is logged meanwhile, by threads too.
"""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Final, Literal

import structlog
from structlog.contextvars import merge_contextvars
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from app import tracing
from app.settings import Settings

LogFormat = Literal["console", "json"]

REQUEST: Final = ("method", "path", "status", "milliseconds")
"""What the line of a request says in words, too."""
EXTRA: Final = (*REQUEST, "job", "request_id")
"""All that a record may bring along: what libraries add for themselves may be anything."""

_SECRETS: Final = (
    (r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)(?:bearer\s+|basic\s+)?[^\s'\",]+", r"\1***"),
    (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", r"\1***"),
    (r"(?i)\b((?:password|secret|token|api[_-]?key)['\"]?\s*[:=]\s*['\"]?)[^\s'\",&]+", r"\1***"),
    (r"\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", r"\1:***@"),
    (r"((?:\b[a-z][a-z0-9+.-]*://|(?<!\S)/)[^\s?#'\"]*)\?[^\s'\"]+", r"\1?***"),
)
"""Keys, passwords in addresses, and whatever stands in the query of one."""


def set_up(settings: Settings) -> None:
    """Log to stderr as the settings say; whoever has set up logging before keeps it."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings.log_format))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def formatter(log_format: LogFormat) -> logging.Formatter:
    """For records of whatever logger."""
    return ProcessorFormatter(
        foreign_pre_chain=[
            merge_contextvars,
            ExtraAdder(EXTRA),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _name_process_and_trace,
            structlog.processors.format_exc_info,
            _hide_secrets,
        ],
        processors=[ProcessorFormatter.remove_processors_meta, *_RENDERED[log_format]()],
    )


def hide_secrets(text: str) -> str:
    """The text with what looks like a key, a password or a query replaced by `***`."""
    for pattern, replacement in _SECRETS:
        text = re.sub(pattern, replacement, text)
    return text


def _name_process_and_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["process"] = event["_record"].process
    if trace := tracing.current_trace():
        event["trace_id"] = trace
    return event


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = hide_secrets(value)
    return event


def _without_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in REQUEST}


def _as_json() -> Sequence[Processor]:
    return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]


def _as_line() -> Sequence[Processor]:
    return [
        _without_request,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            timestamp_key="time",
            pad_event_to=0,
        ),
    ]


_RENDERED: Final = {"console": _as_line, "json": _as_json}
