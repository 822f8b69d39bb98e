"""Record how far a job is, from what its child sends: parts weighted by how long they usually take, never going back.
Of a trial only what it logs is of use: how far its search is, the search knows.

progress = (weight of the parts before + fraction · weight of this one) / all     parts: every step, measure
seconds left = elapsed · (1 − progress) / progress     or, where a step estimates its own:
             = own + (seconds in the step + own) · weight of the parts after / weight of this one
"""

import json
import time
from collections import deque
from typing import Any

from app.storage.records import Event, Job, Trial
from winnow.contract.presets import spaces_of
from winnow.contract.steps.taught import TRAINING_KINDS
from worker.child.protocol import Advanced, Kept, Logged, Note, StepBegun

MAX_PENDING_EVENTS = 1000
"""Events that wait for the store; when it is away for long, the oldest are forgotten."""
MAX_EVENTS = 10_000
"""Of one attempt, besides EVENTS_PER_SECOND: a library that talks without end must not fill the database."""
EVENTS_PER_SECOND = 1.0
"""Always taken, however long it lasts: a training of days logs every two seconds."""
MAX_EVENT_CHARACTERS = 2000
MAX_MESSAGE_CHARACTERS = 200
"""Of the message that is shown beside the progress."""
MIN_PROGRESS_STEP = 0.01
"""A change of progress smaller than this is no event."""
ESTIMATE_AFTER_SECONDS = 2.0
MAX_SECONDS_LEFT = 1e9
"""An estimate of a step beyond that is ignored."""
TRAINING_WEIGHT = 10.0
"""A training takes about this many times as long as another step, or measuring."""


class ProgressRecord:
    def __init__(self, item: Job | Trial) -> None:
        self._job = item.job if isinstance(item, Trial) else item.id
        self._attempt, self._logs_only = item.attempt, isinstance(item, Trial)
        self._weights = [*map(_weight, _kinds(item)), 1.0]
        self._started = time.monotonic()
        self._part, self._last_logged, self._count = 0, 0.0, 0
        self._events: deque[Event] = deque(maxlen=MAX_PENDING_EVENTS)
        self._step: dict[str, Any] | None = None
        self._changed = False
        self._begun = self._started
        self._expected_end: float | None = None
        self.progress = 0.0

    def note(self, note: Note) -> None:
        self._changed = True
        match note:
            case StepBegun(index=index, kind=kind):
                self._part = min(max(index, 0), len(self._weights) - 1)
                self._step = {"index": index, "kind": kind, "progress": 0.0, "message": None}
                self._begun, self._expected_end = time.monotonic(), None
                self._advance(0.0)
                self._event("progress", f"{kind} begins", self._numbers())
            case Advanced(fraction=fraction):
                self._advance(min(max(fraction, 0.0), 1.0))
            case Logged(message=message, level=level, values=values):
                if self._step is not None:
                    self._step["message"] = message[:MAX_MESSAGE_CHARACTERS]
                    self._set_end(values.get("seconds_left"))
                self._event("log", message, values, level)
            case Kept():
                pass

    def crashed(self, how: str) -> None:
        self._changed = True
        self._event("log", f"attempt {self._attempt} ended early: {how}", {}, "warning")

    def take(self) -> dict[str, Any] | None:
        """Return the arguments of `Records.report`, None when nothing is new. Call `put_back` when reporting failed."""
        if not self._changed:
            return None
        self._changed = False
        if self.progress - self._last_logged >= MIN_PROGRESS_STEP:
            self._event("progress", f"{self.progress:.0%} done", self._numbers())
        events = list(self._events)
        self._events.clear()
        if self._logs_only and not events:
            return None
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
        self._last_logged = self.progress
        return {"progress": round(self.progress, 4), "step": dict(self._step) if self._step else None}

    def _event(self, type: str, message: str, values: dict[str, Any], level: str = "info") -> None:
        if self._logs_only and type == "progress":
            return
        if self._count >= MAX_EVENTS + EVENTS_PER_SECOND * (time.monotonic() - self._started):
            return
        self._count += 1
        self._events.append(
            Event(
                job=self._job,
                attempt=self._attempt,
                time=time.time(),
                type=type,
                level=level,
                step=self._step["kind"] if self._step else None,
                message=message[:MAX_EVENT_CHARACTERS],
                values=values if len(json.dumps(values)) < MAX_EVENT_CHARACTERS else {},
            )
        )

    def _set_end(self, seconds_left: Any) -> None:
        if isinstance(seconds_left, int | float) and 0 <= seconds_left < MAX_SECONDS_LEFT:
            self._expected_end = time.monotonic() + seconds_left

    def _seconds_left(self) -> int | None:
        now = time.monotonic()
        if self._expected_end is not None:
            end = max(now, self._expected_end)
            after = sum(self._weights[self._part + 1 :]) / self._weights[self._part]
            return round(end - now + (end - self._begun) * after)
        elapsed = now - self._started
        if elapsed < ESTIMATE_AFTER_SECONDS or self.progress <= 0.0:
            return None
        return round(elapsed * (1 - self.progress) / self.progress)


def _kinds(item: Job | Trial) -> list[str]:
    """Of the steps, a preset's too; none of a final without a candidate."""
    recipe = item.recipe or {"steps": []} if isinstance(item, Trial) else item.request["recipe"]
    if "preset" in recipe:
        return [step.kind for step in spaces_of(recipe["preset"])[0].recipe.steps]
    return [step.get("kind", "") for step in recipe["steps"]]


def _weight(kind: str) -> float:
    return TRAINING_WEIGHT if kind in TRAINING_KINDS else 1.0
