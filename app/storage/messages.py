"""What the store itself has to say: the event of a job's new state, and the problem of work that was given up."""

from typing import Any, Final, assert_never

from app.storage.records import Event, Inquiry, Item, Job, Study, Trial, Upload
from winnow.contract.errors import Refusal

_MESSAGES: Final = {
    "queued": "waiting for a worker",
    "cancelling": "cancelling: the worker was asked to stop",
    "cancelled": "cancelled",
    "succeeded": "finished",
}


def state_event(job: Job, now: float) -> Event:
    """The event of the state that `job` has just come to."""
    level = {"failed": "error"}.get(job.state, "info")
    values = {"state": job.state}
    return Event(
        job=job.id,
        attempt=job.attempt,
        time=now,
        type="state",
        level=level,
        message=_message(job),
        values=values,
    )


def _message(job: Job) -> str:
    if job.state == "failed" and job.problem is not None:
        return str(job.problem["detail"])
    if job.state == "running":
        return f"attempt {job.attempt} of {job.max_attempts} started"
    if job.state == "queued" and job.attempt:
        return f"queued again after attempt {job.attempt}"
    return _MESSAGES.get(job.state, job.state)


def worker_lost(item: Item) -> dict[str, Any]:
    """The problem of work whose attempts are spent. Studies and trials have had attempts that went well before."""
    attempts = f"in each of {item.attempt} attempts, the last one included"
    match item:
        case Job():
            what, where = "job", "its events say in which step, and how if that is known"
            again = "change that step's settings or leave it out, or retry the job"
        case Study():
            what, where = "search", "the operator's log says more"
            again = "retry the job: the trials that it has are kept"
            attempts = "in each of its last attempts"
        case Trial():
            what, where = "trial", "the job's events say in which step, and how if that is known"
            again = "leave what it tried out of the search"
            attempts = "in each of its last attempts"
        case Inquiry():
            what, where, again = "question", "the operator's log says more", "ask it again"
        case Upload():
            what, where, again = "inspection", "the operator's log says more", "upload it again"
        case _:
            assert_never(item)
    detail = (
        f"The {what}'s worker ended or went silent {attempts}; "
        f"{where}. If it needs more memory than the worker has, make it smaller; else {again}."
    )
    return Refusal("worker_lost", detail).problem.model_dump(mode="json")
