"""How far a job is, from what its child tells: parts of equal weight, never going back.

progress = (part + fraction) / parts         parts: every step of the recipe, measure
seconds left = elapsed · (1 − progress) / progress
"""

import json
import time
from collections import deque
from typing import Any

from app.storage.records import Event, Job
from worker.child.spec import Advanced, Logged, Note, StepBegun

MOST_PENDING = 1000
"""Events that wait for the store; when it is away for long, the oldest are forgotten."""
MOST_EVENTS = 10_000
"""Of one attempt: a library that talks without end must not fill the database."""
MOST_CHARACTERS = 2000
FINEST = 0.01
"""A change of progress smaller than this is no event."""
ESTIMATE_AFTER_SECONDS = 2.0


class Course:
    def __init__(self, job: Job) -> None:
        self._job, self._parts = job, len(job.request["recipe"]["steps"]) + 1
        self._started = time.monotonic()
        self._part, self._told, self._count = 0, 0.0, 0
        self._events: deque[Event] = deque(maxlen=MOST_PENDING)
        self._step: dict[str, Any] | None = None
        self._changed = False
        self.progress = 0.0

    def note(self, note: Note) -> None:
        self._changed = True
        match note:
            case StepBegun(index=index, kind=kind):
                self._part = min(max(index, 0), self._parts - 1)
                self._step = {"index": index, "kind": kind, "progress": 0.0}
                self._advance(0.0)
                self._event("progress", f"{kind} begins", self._numbers())
            case Advanced(fraction=fraction):
                self._advance(min(max(fraction, 0.0), 1.0))
            case Logged(message=message, level=level, values=values):
                self._event("log", message, values, level)

    def crashed(self, how: str) -> None:
        self._changed = True
        self._event("log", f"attempt {self._job.attempt} ended early: {how}", {}, "warning")

    def take(self) -> dict[str, Any] | None:
        """What `Records.report` is to be told, None when nothing is new. `put_back` when that failed."""
        if not self._changed:
            return None
        self._changed = False
        if self.progress - self._told >= FINEST:
            self._event("progress", f"{self.progress:.0%} done", self._numbers())
        events = list(self._events)
        self._events.clear()
        return {
            "step": dict(self._step) if self._step else None,
            "progress": self.progress,
            "seconds_left": self._seconds_left(),
            "events": events,
        }

    def put_back(self, report: dict[str, Any]) -> None:
        self._changed = True
        self._events.extendleft(reversed(report["events"]))

    def _advance(self, fraction: float) -> None:
        if self._step is not None:
            self._step["progress"] = fraction
        self.progress = max(self.progress, (self._part + fraction) / self._parts)

    def _numbers(self) -> dict[str, Any]:
        self._told = self.progress
        return {"progress": round(self.progress, 4), "step": dict(self._step) if self._step else None}

    def _event(self, type: str, message: str, values: dict[str, Any], level: str = "info") -> None:
        self._count += 1
        if self._count > MOST_EVENTS:
            return
        self._events.append(
            Event(
                job=self._job.id,
                attempt=self._job.attempt,
                time=time.time(),
                type=type,
                level=level,
                step=self._step["kind"] if self._step else None,
                message=message[:MOST_CHARACTERS],
                values=values if len(json.dumps(values)) < MOST_CHARACTERS else {},
            )
        )

    def _seconds_left(self) -> int | None:
        elapsed = time.monotonic() - self._started
        if elapsed < ESTIMATE_AFTER_SECONDS or self.progress <= 0.0:
            return None
        return round(elapsed * (1 - self.progress) / self.progress)
