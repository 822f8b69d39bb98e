"""The lease law of `rules` as conditions on rows, and the tables that a family of queues is made of."""

from typing import Final

from sqlalchemy import ColumnElement, Table, case, func, select

from app.storage import rules
from app.storage.records import Family
from app.storage.tables import inquiries, jobs, studies, trials, uploads
from winnow.contract.target import CHECKED, DEFAULT_TARGET

BY_FAMILY: Final[dict[Family, tuple[Table, ...]]] = {
    "inspect": (uploads, inquiries),
    "work": (jobs, studies, trials),
}


def leased(t: Table) -> ColumnElement[bool]:
    """That somebody holds it; by a bound, for which SQLite takes the index, as it does not for IS NOT NULL."""
    return t.c.lease_until > 0


def takeable(t: Table, now: float) -> ColumnElement[bool]:
    """`rules.takeable`."""
    free = t.c.lease_until.is_(None) | (t.c.lease_until <= now)
    wanted: ColumnElement[bool] = t.c.state.not_in(rules.NEVER_TAKEN)
    if t is jobs:
        wanted &= ~jobs.c.searches
    return wanted & free & (t.c.attempt < t.c.max_attempts) & ~t.c.cancel_requested


def waiting(t: Table) -> ColumnElement[bool]:
    """`rules.waiting`, such that an index has it all: a queued job, a waiting trial is never held."""
    if t is jobs:
        return (t.c.state == rules.QUEUED) & ~jobs.c.searches
    if t is trials:
        return t.c.state == rules.WAITING
    return (t.c.state == (rules.DUE if t is studies else rules.INSPECTING)) & t.c.lease_until.is_(None)


def target(t: Table) -> ColumnElement[str]:
    """The runtime that times a job, or the job that a trial is of."""
    asked = func.coalesce(jobs.c.request["target"].as_string(), DEFAULT_TARGET)
    timing = case((asked.in_(CHECKED), DEFAULT_TARGET), else_=asked)
    return timing if t is jobs else select(timing).where(jobs.c.id == t.c.job).scalar_subquery()
