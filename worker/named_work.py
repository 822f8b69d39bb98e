"""What a piece of work is called, in logs and traces, while it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.contextvars import bound_contextvars

from app import tracing
from app.storage.records import Inquiry, Item, Job, Study, Trial


@contextmanager
def named_work(item: Item, what: str) -> Iterator[None]:
    """All that is logged inside names the item, its attempt, its owner and the request that made it; all that is
    traced inside goes on with the trace of that request."""
    names = names_of(item)
    if item.attempt == 1 and not isinstance(item, Study):
        tracing.past_span("wait", item.created_at, max(time.time(), item.created_at), item.origin)
    with (
        bound_contextvars(**names),
        tracing.span(f"{what} {_kind(item)}", kind="consumer", origin=item.origin, **names),
    ):
        yield


def names_of(item: Item) -> dict[str, Any]:
    """Of a trial its job and number; what was asked by a request that is known has its name."""
    names: dict[str, Any] = {"owner": item.owner, "attempt": item.attempt}
    match item:
        case Trial():
            names |= {"job": item.job, "trial": item.number}
        case Study():
            names |= {"job": item.job}
        case _:
            names |= {_kind(item): item.id}
    asked_by = (item.origin or {}).get(tracing.REQUEST)
    return names if asked_by is None else names | {tracing.REQUEST: asked_by}


def _kind(item: Item) -> str:
    match item:
        case Job():
            return "job"
        case Trial():
            return item.role
        case Study():
            return "study"
        case Inquiry():
            return "inquiry"
        case _:
            return item.kind
