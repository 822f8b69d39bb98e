"""A turn of a study: its rows in, what `worker.search` decides out, and what waits now published."""

import time

from app.storage.ports import Records
from app.storage.records import Decision, Study, Trial, Wake
from worker.search.budget import alive
from worker.search.turn import decide
from worker.search_records import plan_of

SEEN_SECONDS = 60.0
"""A worker that was not seen for longer will not run a trial soon."""


def take_turn(records: Records, study: Study, more_attempts: int) -> list[Wake]:
    """Decide and settle; answer what is to be published. Where something moved meanwhile, that is the study again."""
    now = time.time()
    job, rows = records.job(study.owner, study.job), records.trial_rows(study.job)
    model = None if job is None else records.upload(job.owner, "model", job.model)
    if job is None or model is None:
        raise LookupError(f"{study.id}: its job or model is gone")
    decision = decide(
        plan_of(job, model),
        rows,
        workers=alive(records.workers(now - SEEN_SECONDS)),
        now=now,
        cancelling=job.cancel_requested,
    )
    settled = records.settle(study.id, study.attempt, time.time(), study.news, decision, more_attempts)
    return _waiting(rows, decision) if settled else [Wake(queue="work", id=study.id)]


def _waiting(rows: list[Trial], decision: Decision) -> list[Wake]:
    """The trials that wait because of the decision, in the order of their numbers."""
    again = [row for row in rows if decision.change.get(row.id, {}).get("state") == "waiting"]
    new = [row for row in decision.add if row.state == "waiting"]
    return [Wake(queue="work", id=row.id) for row in [*again, *new]]
