"""What a search may still spend: seconds from the job's start to its last trial, and trials."""

from collections.abc import Collection, Iterable
from typing import Final

from app.storage.records import Trial, Worker
from worker.search.plan import Plan
from worker.search.rows import in_the_air, is_skipped, of_this_run, trials

SHARE_OF_TRIALS: Final = 0.95
"""Of a job's progress; the rest is the final."""
TOO_SHORT: Final = 0.5
"""No trial is begun where less is left than this share of the shortest trial so far."""
MOST_FAILURES: Final = 6
"""So many failures, and nothing else, and it is not worth going on."""


def deadline(plan: Plan) -> float | None:
    """When trials are stopped, in seconds since the epoch."""
    return None if plan.budget.seconds is None else plan.started_at + plan.budget.seconds


def spent(plan: Plan, rows: Iterable[Trial]) -> int:
    """Count the trials that the budget counts: those that were run, or will be, since the job began for the last time
    or to their end."""
    return sum(not is_skipped(row) for row in of_this_run(trials(rows), plan.started_at))


def time_is_up(plan: Plan, rows: Iterable[Trial], now: float) -> bool:
    end = deadline(plan)
    if end is None:
        return False
    shortest = min((row.seconds for row in trials(rows) if row.state == "finished"), default=0.0)
    return end - now <= TOO_SHORT * shortest


def room(plan: Plan, rows: Iterable[Trial], workers: int) -> int:
    """How many trials may be added: no more in the air than workers, nor than the budget leaves."""
    rows = list(rows)
    free = max(1, workers) - len(in_the_air(trials(rows)))
    return max(0, free if plan.budget.trials is None else min(free, plan.budget.trials - spent(plan, rows)))


def is_spent(plan: Plan, rows: Iterable[Trial], now: float) -> bool:
    """Whether no further trial is begun."""
    rows = trials(rows)
    all_tried = plan.budget.trials is not None and spent(plan, rows) >= plan.budget.trials
    return all_tried or time_is_up(plan, rows, now) or only_failures(plan, rows)


def only_failures(plan: Plan, rows: list[Trial]) -> bool:
    ended = [row for row in rows if not is_skipped(row) and not in_the_air([row])]
    return len(ended) >= max(MOST_FAILURES, len(plan.spaces)) and all(row.state == "failed" for row in ended)


def alive(able: Collection[Worker]) -> int:
    """Count workers that could run a trial. Where a later one of the same host began and an earlier was not seen since,
    that is taken for its successor: a worker that was killed and started again is one, not two, or the trials in the
    air, and with them all that follows, would depend on the kill."""
    return sum(
        not any(other.host == worker.host and other.started_at > worker.last_seen for other in able)
        for worker in able
    )


def progress(plan: Plan, rows: Iterable[Trial], now: float) -> float:
    """From 0 to 1; the final is the last twentieth."""
    rows = trials(rows)
    ended = spent(plan, rows) - len(in_the_air(rows))
    shares = [
        *([] if plan.budget.trials is None else [ended / plan.budget.trials]),
        *([] if plan.budget.seconds is None else [(now - plan.started_at) / plan.budget.seconds]),
    ]
    return SHARE_OF_TRIALS * min(1.0, max(0.0, *shares))


def seconds_left(plan: Plan, rows: Iterable[Trial], workers: int, now: float) -> int | None:
    """Estimate when the trials are done: by the clock, or by what one took; None without either."""
    rows = trials(rows)
    times = [row.seconds for row in rows if row.seconds > 0 and not in_the_air([row])]
    left = (
        None if plan.budget.trials is None else plan.budget.trials - spent(plan, rows) + len(in_the_air(rows))
    )
    end = deadline(plan)
    estimates = [
        *([] if end is None else [end - now]),
        *([] if left is None or not times else [left * sum(times) / len(times) / max(1, workers)]),
    ]
    return round(max(0.0, min(estimates))) if estimates else None
