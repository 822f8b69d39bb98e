"""The port `Tallies` in memory."""

from collections import Counter
from collections.abc import Iterable

from app.storage import rules
from app.storage.kinds import USUAL, queue_of
from app.storage.memory_base import MemoryStore
from app.storage.records import (
    FAMILIES,
    STEP_BOUNDS,
    Duration,
    Family,
    Group,
    Inquiry,
    Item,
    Job,
    Queue,
    QueueTally,
    ReaperTally,
    StepTally,
    Study,
    Tally,
    Trial,
    Upload,
)


class MemoryTallies(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._durations: list[Duration] = []

    def tally(self) -> Tally:
        with self._lock:
            return Tally(
                groups=_groups(self._items.values()),
                queues=self._queues(),
                reaped={family: self._reaped(family) for family in FAMILIES},
                steps=_steps(self._durations),
            )

    def _queues(self) -> dict[Queue, QueueTally]:
        tallies = dict.fromkeys(USUAL.values(), QueueTally())
        for item in filter(rules.waiting, self._items.values()):
            tally = QueueTally(waiting=1, oldest=self._published[item.id])
            tallies[queue_of(item)] = tallies.get(queue_of(item), QueueTally()) | tally
        return tallies

    def _reaped(self, family: Family) -> ReaperTally:
        return ReaperTally(released=self._released[family], republished=self._republished[family])


def _groups(items: Iterable[Item]) -> list[Group]:
    counts, sizes = Counter[tuple[str, str, str | None]](), Counter[tuple[str, str, str | None]]()
    for item in items:
        if not isinstance(item, Study):
            outcome = item.outcome if isinstance(item, Job) else None
            key = (_kind(item), item.state, outcome)
            counts[key] += 1
            sizes[key] += _size(item)
    return [
        Group(kind=key[0], state=key[1], outcome=key[2], count=counts[key], size_bytes=sizes[key])
        for key in sorted(counts, key=lambda key: (key[0], key[1], key[2] or ""))
    ]


def _kind(item: Upload | Inquiry | Job | Trial) -> str:
    match item:
        case Job():
            return "search" if item.searches else "job"
        case Trial():
            return item.role
        case _:
            return item.kind


def _size(item: Upload | Inquiry | Job | Trial) -> int:
    match item:
        case Upload():
            return item.size_bytes
        case Job():
            return (item.artifact_bytes or 0) + (item.curves_bytes or 0)
        case Trial():
            return item.artifact_bytes or 0
        case Inquiry():
            return 0


def _steps(durations: list[Duration]) -> list[StepTally]:
    by_kind: dict[str, list[float]] = {}
    for duration in durations:
        by_kind.setdefault(duration.kind, []).append(duration.seconds)
    return [
        StepTally(
            kind=kind,
            within=tuple(sum(took <= bound for took in seconds) for bound in STEP_BOUNDS),
            count=len(seconds),
            seconds=sum(seconds),
        )
        for kind, seconds in sorted(by_kind.items())
    ]
