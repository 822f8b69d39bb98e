"""What becomes of other rows, those of a search above all, when one of them changes: the same in every store.

    a page is made           its job has it
    a trial ends             its study has news, and is due
    a study is given up      its job fails, its trials stop
    the job comes to its end the study is closed, the trials stop

The store gives the `Rows`; in SQL it locks the study first, so that of one search one such change happens at a time.
"""

from dataclasses import replace
from typing import Protocol, TypeVar

from app.storage import rules
from app.storage.ids import study_of
from app.storage.kinds import check_id
from app.storage.ports import Conflict
from app.storage.records import Decision, Event, Inquiry, Item, Job, Study, Trial
from winnow.contract.job import FINISHED

Some = TypeVar("Some", bound=Item)


class Rows(Protocol):
    """The rows of one search, in a transaction."""

    def job(self, id: str) -> Job: ...

    def study(self, job: str) -> Study: ...

    def trials(self, job: str) -> list[Trial]: ...

    def add(self, item: Study | Trial) -> None: ...

    def change(self, item: Some, changes: rules.Changes, now: float) -> Some:
        """Set fields, `published_at` too; a job's new state is an event."""

    def log(self, event: Event) -> None: ...


def study_for(job: Job) -> Study:
    """The study of a job that is about to be stored; of one that another service has finished it is closed."""
    return Study(
        id=study_of(job.id),
        owner=job.owner,
        state="closed" if job.state in FINISHED else rules.DUE,
        created_at=job.created_at,
        max_attempts=job.max_attempts,
        needs=job.needs,
        priority=job.priority,
        job=job.id,
        origin=job.origin,
    )


def event_of(event: Event, trial: Trial, job: Job) -> Event:
    """What a trial reported, as it stands in the log of its job."""
    who = f"Trial {trial.number}" if trial.role == "trial" else "Final"
    values = {**event.values, "trial": trial.number}
    return replace(event, job=job.id, attempt=job.attempt, message=f"{who}: {event.message}", values=values)


def begin_turn(rows: Rows, study: Study, now: float) -> None:
    """A study was claimed: the first turn sets the job running."""
    job = rows.job(study.job)
    if job.state == rules.QUEUED:
        rows.change(job, rules.running(job, now), now)


def release(rows: Rows, item: Item, now: float, blame: bool = True) -> list[Item]:
    """Give any item back; answers what waits for a worker now because of it."""
    changed = rows.change(item, {**rules.releasing(item, now, blame), "published_at": now}, now)
    waits: list[Item] = [changed]
    match changed:
        case Trial(state="failed" | "stopped_early"):
            waits = [_tell_study(rows, changed.job, now)]
        case Study(state="closed"):
            _end_job(rows, rows.job(changed.job), {"state": "failed", "problem": changed.problem}, now)
        case Study() | Trial():
            _waits_from(rows, changed.job, now)
    return [item for item in waits if rules.waiting(item)]


def finish(
    rows: Rows, item: Item, now: float, changes: rules.Changes, job_changes: rules.Changes | None
) -> bool:
    """The end of any item that is held; a trial's may be that of its job too. False when it cannot end so."""
    end = rules.finishing(item, now, changes)
    if item.cancel_requested and changes["state"] in rules.UNCANCELLED:
        return False
    if not isinstance(item, Trial):
        rows.change(item, end, now)
        if isinstance(item, Inquiry):
            _hand_over_page(rows, item, changes, now)
        return True
    if job_changes is None:
        rows.change(item, end, now)
        _tell_study(rows, item.job, now)
        return True
    job = rows.job(item.job)
    if not _may_end(job, job_changes):
        return False
    rows.change(item, end, now)
    _end_job(rows, job, job_changes, now)
    return True


def _hand_over_page(rows: Rows, inquiry: Inquiry, changes: rules.Changes, now: float) -> None:
    """A page is its job's, unless that was done again meanwhile and has another report."""
    if inquiry.job is None or changes["state"] != "ready":
        return
    job = rows.job(inquiry.job)
    if job.report_sha256 == inquiry.question["report"]:
        rows.change(job, {"page_sha256": changes["answer_sha256"]}, now)


def cancel(rows: Rows, job: Job, now: float) -> Job:
    if job.state == rules.QUEUED:
        return _end_job(rows, job, rules.cancelling(job, now), now)
    rows.change(job, rules.cancelling(job, now), now)
    _stop_trials(rows, job.id, now)
    _tell_study(rows, job.id, now)
    return rows.job(job.id)


def retry(rows: Rows, job: Job, now: float, more_attempts: int) -> Job:
    """Also takes the study from whoever still has a turn of it."""
    study = rows.study(job.id)
    due: rules.Changes = {
        "state": rules.DUE,
        "news": study.news + 1,
        "problem": None,
        "lease_until": None,
        "max_attempts": study.attempt + more_attempts,
        "published_at": now,
    }
    rows.change(study, due, now)
    return rows.change(job, rules.retrying(job, now, more_attempts), now)


def settle(rows: Rows, study: Study, now: float, news: int, decision: Decision, more_attempts: int) -> bool:
    """The end of a turn of a study that is held. False when it was decided on what is no longer so."""
    given_up: rules.Changes = {"lease_until": None, "max_attempts": study.attempt + more_attempts}
    if study.news != news:
        rows.change(study, {**given_up, "published_at": now}, now)
        return False
    job, trials = rows.job(study.job), rows.trials(study.job)
    inherited: rules.Changes = {
        "owner": job.owner,
        "job": job.id,
        "origin": job.origin,
        "needs": job.needs,
        "priority": job.priority,
    }
    new = [replace(trial, **inherited) for trial in decision.add]
    job_changes = decision.job or {}
    _check(job, trials, new, job_changes)
    rows.change(study, {**given_up, "state": "idle"}, now)
    for trial in new:
        rows.add(trial)
    if new or any(changes.get("state") == rules.WAITING for changes in decision.change.values()):
        job = _waits_from(rows, job.id, now)
    for trial in trials:
        if trial.id in decision.change:
            changes = _decided(trial, decision.change[trial.id], now, more_attempts)
            rows.change(trial, changes, now)
    for event in decision.events:
        rows.log(replace(event, job=job.id, attempt=job.attempt))
    _change_job(rows, job, job_changes, now)
    return True


def _check(job: Job, trials: list[Trial], new: list[Trial], job_changes: rules.Changes) -> None:
    """Raises before anything is changed: not every store can take a change back."""
    for trial in new:
        check_id(trial)
    numbers = [trial.number for trial in [*trials, *new]]
    if len(set(numbers)) < len(numbers):
        raise Conflict(f"{job.id} would have two trials of one number")
    if job_changes.get("state") in FINISHED and not _may_end(job, job_changes):
        raise ValueError(f"{job.id} cannot become {job_changes['state']}: it is {job.state}")


def _decided(trial: Trial, changes: rules.Changes, now: float, more_attempts: int) -> rules.Changes:
    """What a study's decision on a trial sets: one that is held since stops when its worker hears of it."""
    if trial.lease_until is not None and "state" in changes:
        return {**changes, "state": trial.state, "cancel_requested": True}
    if changes.get("state") == rules.WAITING:
        again = {"cancel_requested": False, "problem": None, "max_attempts": trial.attempt + more_attempts}
        return {**again, "published_at": now, **changes}
    return changes


def _change_job(rows: Rows, job: Job, changes: rules.Changes, now: float) -> None:
    if changes.get("state") in FINISHED:
        _end_job(rows, job, changes, now)
    elif changes:
        rows.change(job, {name: value for name, value in changes.items() if name != "state"}, now)


def _may_end(job: Job, changes: rules.Changes) -> bool:
    refused = job.cancel_requested and changes["state"] in rules.UNCANCELLED
    return job.state not in FINISHED and not refused


def _end_job(rows: Rows, job: Job, changes: rules.Changes, now: float) -> Job:
    study = rows.study(job.id)
    if rules.unfinished(study):
        rows.change(study, rules.finishing(study, now, {"state": "closed"}), now)
    _stop_trials(rows, job.id, now)
    return rows.change(job, rules.finishing(job, now, changes), now)


def _stop_trials(rows: Rows, job: str, now: float) -> None:
    for trial in rows.trials(job):
        if trial.lease_until is not None:
            rows.change(trial, {"cancel_requested": True}, now)
        elif rules.unfinished(trial):
            rows.change(trial, rules.finishing(trial, now, {"state": "stopped_early"}), now)


def _tell_study(rows: Rows, job: str, now: float) -> Study:
    """One that is closed stays so: nobody waits for its trials any more."""
    study = rows.study(job)
    if not rules.unfinished(study):
        return study
    _waits_from(rows, job, now)
    return rows.change(study, {"state": rules.DUE, "news": study.news + 1, "published_at": now}, now)


def _waits_from(rows: Rows, job: str, now: float) -> Job:
    """Something of it waits for a worker from now on."""
    return rows.change(rows.job(job), {"queued_at": now}, now)
