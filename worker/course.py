"""How far a job is, from what its child tells: parts that weigh as long as they usually take, never going back.

progress = (weight of the parts before + fraction · weight of this one) / all     parts: every step, measure
seconds left = elapsed · (1 − progress) / progress     or, where a step tells its own:
             = told + (seconds in the step + told) · weight of the parts after / weight of this one
"""

import json
import time
from collections import deque
from typing import Any

from app.storage.records import Event, Job
from winnow.contract.steps.training import TRAINING_KINDS
from worker.child.spec import Advanced, Logged, Note, StepBegun

MOST_PENDING = 1000
"""Events that wait for the store; when it is away for long, the oldest are forgotten."""
MOST_EVENTS = 10_000
"""Of one attempt, besides EVENTS_PER_SECOND: a library that talks without end must not fill the database."""
EVENTS_PER_SECOND = 1.0
"""What is kept however long it takes: a training of days tells every two seconds where it is."""
MOST_CHARACTERS = 2000
MOST_SHOWN = 200
"""Of a message that stands beside the progress."""
FINEST = 0.01
"""A change of progress smaller than this is no event."""
ESTIMATE_AFTER_SECONDS = 2.0
LONGEST_SECONDS = 1e9
"""What a step tells beyond that is no estimate."""
TRAINING_WEIGHS = 10.0
"""As many times as long as another step, or measuring, a training takes."""


class Course:
    def __init__(self, job: Job) -> None:
        self._job, self._weights = job, [*map(_weight, job.request["recipe"]["steps"]), 1.0]
        self._started = time.monotonic()
        self._part, self._told, self._count = 0, 0.0, 0
        self._events: deque[Event] = deque(maxlen=MOST_PENDING)
        self._step: dict[str, Any] | None = None
        self._changed = False
        self._begun = self._started
        self._ends: float | None = None
        self.progress = 0.0

    def note(self, note: Note) -> None:
        self._changed = True
        match note:
            case StepBegun(index=index, kind=kind):
                self._part = min(max(index, 0), len(self._weights) - 1)
                self._step = {"index": index, "kind": kind, "progress": 0.0, "message": None}
                self._begun, self._ends = time.monotonic(), None
                self._advance(0.0)
                self._event("progress", f"{kind} begins", self._numbers())
            case Advanced(fraction=fraction):
                self._advance(min(max(fraction, 0.0), 1.0))
            case Logged(message=message, level=level, values=values):
                if self._step is not None:
                    self._step["message"] = message[:MOST_SHOWN]
                    self._hear(values.get("seconds_left"))
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
        done = sum(self._weights[: self._part]) + fraction * self._weights[self._part]
        self.progress = max(self.progress, done / sum(self._weights))

    def _numbers(self) -> dict[str, Any]:
        self._told = self.progress
        return {"progress": round(self.progress, 4), "step": dict(self._step) if self._step else None}

    def _event(self, type: str, message: str, values: dict[str, Any], level: str = "info") -> None:
        if self._count >= MOST_EVENTS + EVENTS_PER_SECOND * (time.monotonic() - self._started):
            return
        self._count += 1
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

    def _hear(self, seconds_left: Any) -> None:
        if isinstance(seconds_left, int | float) and 0 <= seconds_left < LONGEST_SECONDS:
            self._ends = time.monotonic() + seconds_left

    def _seconds_left(self) -> int | None:
        now = time.monotonic()
        if self._ends is not None:
            end = max(now, self._ends)
            after = sum(self._weights[self._part + 1 :]) / self._weights[self._part]
            return round(end - now + (end - self._begun) * after)
        elapsed = now - self._started
        if elapsed < ESTIMATE_AFTER_SECONDS or self.progress <= 0.0:
            return None
        return round(elapsed * (1 - self.progress) / self.progress)


def _weight(step: dict[str, Any]) -> float:
    return TRAINING_WEIGHS if step.get("kind") in TRAINING_KINDS else 1.0
