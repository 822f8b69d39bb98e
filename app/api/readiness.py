"""What `/readyz` asks: each question in a thread of its own, never twice at once, and never for long.

A store that hangs holds up neither whoever polls nor any other request: what has not answered in time counts as
unreachable, and is not asked again before it has answered.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar

from app.api.deps import Parts
from app.storage.records import FORGET_WORKER_SECONDS, Worker

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

ANSWER_SECONDS: Final = 1.5
"""After that a question counts as unanswered."""
FRESH_SECONDS: Final = 1.0
"""For so long an answer is told again, however many ask."""


class Probe(Generic[Answer]):
    """One question, whose answer is told again for `fresh_seconds`. Use `ask` from any thread."""

    def __init__(self, question: Callable[[], Answer], fresh_seconds: float = FRESH_SECONDS) -> None:
        self._question, self._fresh_seconds = question, fresh_seconds
        self._lock = Lock()
        self._future: Future[Answer] | None = None
        self._asked_at = 0.0

    def ask(self) -> tuple[Future[Answer], float]:
        """The answer that is under way or still fresh, else a new one; and for how many seconds to wait for it."""
        with self._lock:
            now = time.monotonic()
            if self._future is None or (self._future.done() and now - self._asked_at > self._fresh_seconds):
                self._future, self._asked_at = Future(), now
                Thread(target=self._probe, args=[self._future], name="probe", daemon=True).start()
            return self._future, max(0.0, self._asked_at + ANSWER_SECONDS - now)

    def _probe(self, future: Future[Answer]) -> None:
        try:
            future.set_result(self._question())
        except BaseException as error:  # whatever a store raises, it means the same here
            log.warning("no answer: %s: %s", type(error).__name__, error)
            future.set_exception(error)


@dataclass(frozen=True)
class Found:
    """Whether each could be reached, and the workers that were seen lately."""

    database: bool
    disk: bool
    broker: bool
    workers: list[Worker]


class Readiness:
    def __init__(self, parts: Parts) -> None:
        self._database = Probe(lambda: _database(parts))
        self._disk = Probe(parts.blobs.ping)
        self._broker = Probe(parts.queue.ping)

    async def current(self) -> Found:
        """In `ANSWER_SECONDS` at most."""
        workers, disk, broker = await asyncio.gather(
            answered(self._database, None), answered(self._disk, False), answered(self._broker, False)
        )
        return Found(
            database=workers is not None, disk=disk is not False, broker=broker is True, workers=workers or []
        )


def _database(parts: Parts) -> list[Worker]:
    parts.records.ping()
    return parts.records.workers(time.time() - FORGET_WORKER_SECONDS)


async def answered(probe: Probe[Any], otherwise: Any) -> Any:
    """The answer, or `otherwise` where there is none in time or the question failed."""
    future, seconds = probe.ask()
    waiting = asyncio.wrap_future(future)
    await asyncio.wait([waiting], timeout=seconds)
    if not waiting.done() or waiting.exception() is not None:
        return otherwise
    return waiting.result()
