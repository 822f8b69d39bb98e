"""What the stores hold, as metrics: read by `/metrics` when it is asked, the same from every API process."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from app.api.deps import Parts
from app.storage.kinds import USUAL
from app.storage.reaper import Done
from app.storage.records import STEP_BOUNDS, Group, StepTally, Tally, Worker

LIVE_SECONDS: Final = 60.0
"""A worker that was not seen for longer (it says so every 15 s) does not count as live."""

UPLOADS: Final = frozenset({"model", "dataset"})
INQUIRIES: Final = frozenset({"propose", "preview"})
JOBS: Final = frozenset({"job", "search"})
TRIALS: Final = frozenset({"trial", "final"})


@dataclass(frozen=True)
class Held:
    """What was read from the records at `now`."""

    tally: Tally
    workers: list[Worker]
    now: float


def read_held(parts: Parts) -> Held:
    """Raises whatever the store raises."""
    now = time.time()
    return Held(parts.records.tally(), parts.records.workers(now - LIVE_SECONDS), now)


def held_metrics(held: Held | None) -> Iterator[Metric]:
    """`winnow_up` alone where nothing could be read."""
    yield GaugeMetricFamily("winnow_up", "Whether the records could be read just now.", int(held is not None))
    if held is None:
        return
    groups = held.tally.groups
    yield _counted("winnow_jobs", "Jobs; kind says whether they search.", groups, JOBS, outcome=True)
    yield _counted("winnow_trials", "Trials of searches, and their finals.", groups, TRIALS)
    yield _counted("winnow_uploads", "Models and datasets.", groups, UPLOADS)
    yield _counted("winnow_inquiries", "Questions about datasets.", groups, INQUIRIES)
    yield _stored(groups)
    yield from _queues(held)
    yield from _reaped(held)
    yield _workers(held.workers)
    yield _steps(held.tally.steps)


def _counted(
    name: str, text: str, groups: list[Group], kinds: frozenset[str], *, outcome: bool = False
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["kind", "state", *(["outcome"] if outcome else [])])
    for group in groups:
        if group.kind in kinds:
            labels = [group.kind, group.state, *([group.outcome or "none"] if outcome else [])]
            family.add_metric(labels, group.count)
    return family


def _stored(groups: list[Group]) -> Metric:
    """By what names them: equal bytes count as often as they are named."""
    sizes: dict[str, int] = {}
    for group in groups:
        if group.kind not in INQUIRIES:
            sizes[group.kind] = sizes.get(group.kind, 0) + group.size_bytes
    text = "Bytes of uploads, artifacts and curves, as records name them."
    family = GaugeMetricFamily("winnow_stored_bytes", text, labels=["kind"])
    for kind, size in sorted(sizes.items()):
        family.add_metric([kind], size)
    return family


def _queues(held: Held) -> Iterator[Metric]:
    of_queue = ["queue"]
    waiting = GaugeMetricFamily("winnow_queue_waiting", "What waits for a worker.", labels=of_queue)
    age = GaugeMetricFamily(
        "winnow_queue_oldest_seconds",
        "Since the one that waits for longest was last announced; 0 where nothing waits.",
        labels=of_queue,
    )
    for queue, tally in held.tally.queues.items():
        waiting.add_metric([queue], tally.waiting)
        age.add_metric([queue], 0.0 if tally.oldest is None else max(0.0, held.now - tally.oldest))
    yield from (waiting, age)


def _reaped(held: Held) -> Iterator[Metric]:
    of_family = ["family"]
    released = CounterMetricFamily(
        "winnow_reaper_released", "Given back after a lease ran out, by any process.", labels=of_family
    )
    republished = CounterMetricFamily(
        "winnow_reaper_republished", "Announced again, by any process: messages were lost.", labels=of_family
    )
    for family, tally in held.tally.reaped.items():
        released.add_metric([family], tally.released)
        republished.add_metric([family], tally.republished)
    yield from (released, republished)


def _workers(workers: list[Worker]) -> Metric:
    live: dict[str, int] = dict.fromkeys(USUAL.values(), 0)
    for worker in workers:
        for queue in worker.capabilities:
            live[queue] = live.get(queue, 0) + 1
    text = f"Workers that take work from it and were seen in the last {LIVE_SECONDS:.0f} s."
    family = GaugeMetricFamily("winnow_workers", text, labels=["queue"])
    for queue, count in live.items():
        family.add_metric([queue], count)
    return family


def _steps(steps: list[StepTally]) -> Metric:
    """A gauge of a histogram: of the last jobs, so it may shrink, and is asked without `rate`."""
    text = "What the parts of the last finished jobs took, by the kind of step; `measure` is the end."
    family = GaugeHistogramMetricFamily("winnow_step_seconds", text, labels=["kind"])
    for step in steps:
        buckets = [
            (f"{bound:g}", float(count)) for bound, count in zip(STEP_BOUNDS, step.within, strict=True)
        ]
        family.add_metric([step.kind], [*buckets, ("+Inf", float(step.count))], step.seconds)
    return family


def disk_metrics(parts: Parts) -> Iterator[Metric]:
    """Of the disk that the data directory is on; nothing where it cannot be asked."""
    try:
        usage = shutil.disk_usage(parts.settings.data_dir)
    except OSError:
        return
    yield GaugeMetricFamily("winnow_disk_free_bytes", "Free on the disk of the data directory.", usage.free)
    yield GaugeMetricFamily("winnow_disk_bytes", "Size of the disk of the data directory.", usage.total)


def reaper_metrics(done: Done) -> Iterator[Metric]:
    """Of this process's reaper."""
    yield CounterMetricFamily("winnow_reaper_turns", "Rounds of this process's reaper.", done.turns)
    yield CounterMetricFamily("winnow_reaper_failures", "Rounds that failed.", done.failures)
    yield CounterMetricFamily("winnow_reaper_expired", "Records removed because of their age.", done.expired)
    yield CounterMetricFamily("winnow_reaper_swept", "Blobs removed that no record named.", done.swept)
