"""Which rows of a search are what."""

from collections.abc import Iterable

from app.storage.records import Trial

UNENDED = ("waiting", "running")
PREDICTED, REFUSED = "predicted_size_bytes", "refused"
"""What the result of a trial has that never ran: its predicted size, or that it would be refused at `POST`."""


def trials(rows: Iterable[Trial]) -> list[Trial]:
    """List the trials by number, whatever order the rows came in."""
    return sorted((row for row in rows if row.role == "trial"), key=lambda row: row.number)


def in_the_air(rows: Iterable[Trial]) -> list[Trial]:
    return [row for row in rows if row.state in UNENDED]


def is_skipped(row: Trial) -> bool:
    """Whether it was ruled out before it ran."""
    return row.result is not None and not row.result.keys().isdisjoint((PREDICTED, REFUSED))


def is_refused(row: Trial) -> bool:
    """Whether it was ruled out because it would be refused as a job."""
    return row.result is not None and REFUSED in row.result


def is_cut_off(row: Trial) -> bool:
    """Whether it was stopped without having been judged: by the end of the time, or with its job."""
    judged = any(rung == row.rung for rung, _ in row.intermediate)
    return row.state == "stopped_early" and not is_skipped(row) and not judged


def of_this_run(rows: Iterable[Trial], started_at: float) -> list[Trial]:
    """Leave out what was cut off before the job began anew: nothing is known of it, and it may be tried again."""
    return [row for row in rows if not (is_cut_off(row) and row.created_at < started_at)]


def undecided(rows: Iterable[Trial]) -> list[Trial]:
    """List the trials that have done a part of their epochs and may go on."""
    return [row for row in rows if row.state == "finished" and row.share < 1]


def complete(rows: Iterable[Trial]) -> list[Trial]:
    """List the trials that have done all of their epochs: only they can win."""
    return [row for row in rows if row.state == "finished" and row.share == 1 and row.result is not None]
