"""A turn of a study: its rows in, what `worker.search` decides out, and what waits now published."""

import time

from app.storage.kinds import queue_of, wake_of
from app.storage.ports import Records
from app.storage.records import ALIVE_SECONDS, Decision, Study, Trial, Wake
from worker.search.budget import alive
from worker.search.turn import decide
from worker.search_admission import refusals
from worker.search_records import plan_of


def take_turn(records: Records, study: Study, more_attempts: int) -> list[Wake]:
    """Decide and settle; answer what is to be published. Where something moved meanwhile, that is the study again."""
    now = time.time()
    job, rows = records.job(study.owner, study.job), records.trial_rows(study.job)
    model = None if job is None else records.upload(job.owner, "model", job.model)
    if job is None or model is None:
        raise LookupError(f"{study.id}: its job or model is gone")
    able = [worker for worker in records.workers(now - ALIVE_SECONDS) if worker.takes(study.needs)]
    decision = decide(
        plan_of(job, model, refusals(records, job)),
        rows,
        workers=alive(able),
        now=now,
        cancelling=job.cancel_requested,
    )
    settled = records.settle(study.id, study.attempt, time.time(), study.news, decision, more_attempts)
    return _waiting(study, rows, decision) if settled else [wake_of(study)]


def _waiting(study: Study, rows: list[Trial], decision: Decision) -> list[Wake]:
    """The trials that wait because of the decision, in the order of their numbers. They need what their study needs."""
    again = [row for row in rows if decision.change.get(row.id, {}).get("state") == "waiting"]
    new = [row for row in decision.add if row.state == "waiting"]
    return [Wake(queue=queue_of(study), id=row.id) for row in [*again, *new]]
