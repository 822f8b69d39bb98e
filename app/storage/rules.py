"""What a change of state sets, as pure functions: the one place of the lease law, used by every store.

    held   ⟺  lease_until is not None       (a job is then running or cancelling, anything else inspecting)
    fenced ⟺  not held, or the attempt is another

Each function answers the fields to set. The attempt only grows, also over retries: that is what fences.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any, Final

from app.storage.ids import is_job
from app.storage.records import Event, Inquiry, Item, Job, Leased, Queue, Upload
from winnow.contract.errors import Refusal
from winnow.contract.job import FINISHED
from winnow.contract.target import DEFAULT_TARGET

INSPECTED: Final = frozenset({"ready", "rejected"})
QUEUED: Final = "queued"
INSPECTING: Final = "inspecting"

UNCANCELLED: Final = frozenset({"succeeded", "ready"})
"""States that may only be reached when nobody asked to cancel."""

JSON_FIELDS: Final = frozenset(
    {"problem", "declaration", "facts", "question", "tags", "request", "step", "requirements"}
)

MADE: Final = ("artifact_sha256", "report_sha256", "curves_sha256")
"""Fields of a job that name blobs."""

Changes = dict[str, Any]

_MESSAGES: Final = {
    "queued": "waiting for a worker",
    "cancelling": "cancelling: the worker was asked to stop",
    "cancelled": "cancelled",
    "succeeded": "finished",
}


def identity(upload: Upload) -> str:
    """SHA-256 over what makes two uploads the same. The order of a model's declared inputs has a meaning."""
    declaration = json.dumps(upload.declaration, sort_keys=upload.kind == "dataset")
    format = upload.format if upload.kind == "model" else ""
    parts = [upload.owner, upload.kind, upload.sha256, format, declaration]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def inquiry_identity(inquiry: Inquiry) -> str:
    """SHA-256 over what makes two questions the same."""
    question = json.dumps(inquiry.question, sort_keys=True)
    parts = [inquiry.owner, inquiry.kind, inquiry.model, inquiry.dataset, question]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_id(item: Item) -> None:
    """Raises `ValueError` when the id's prefix is not that of its kind: ids tell where a record is kept."""
    match item:
        case Job():
            prefix = "job_"
        case Inquiry():
            prefix = "inq_"
        case Upload(kind="model"):
            prefix = "mdl_"
        case _:
            prefix = "dst_"
    if not item.id.startswith(prefix):
        raise ValueError(f"the id {item.id!r} does not start with {prefix!r}")


def queue_of(id: str) -> Queue:
    return "work" if is_job(id) else "inspect"


def unfinished(item: Leased) -> bool:
    return item.state not in FINISHED | INSPECTED


def waiting(item: Leased) -> bool:
    """Whether it waits for a worker. A job is queued if and only if it does; an upload shows no difference."""
    return item.state in (QUEUED, INSPECTING) and item.lease_until is None


def takeable(item: Leased, now: float) -> bool:
    free = item.lease_until is None or item.lease_until <= now
    return unfinished(item) and free and item.attempt < item.max_attempts and not item.cancel_requested


def target_of(item: Leased) -> str | None:
    """The runtime that a job asks for; None for what asks for none. Jobs from before there were targets have no word of
    it."""
    return str(item.request.get("target", DEFAULT_TARGET)) if isinstance(item, Job) else None


def held(item: Leased | None, attempt: int) -> bool:
    return item is not None and item.attempt == attempt and item.lease_until is not None


def claiming(item: Leased, now: float, seconds: float) -> Changes:
    changes: Changes = {"attempt": item.attempt + 1, "lease_until": now + seconds}
    if isinstance(item, Job):
        changes |= {"state": "running", "started_at": now if item.started_at is None else item.started_at}
    return changes


def finishing(id: str, now: float, changes: Changes) -> Changes:
    """Raises `ValueError` unless `changes` names a final state."""
    if changes.get("state") not in (FINISHED if is_job(id) else INSPECTED):
        raise ValueError(f"{changes.get('state')!r} is no final state of {id}")
    if not is_job(id):
        return {"lease_until": None, **changes}
    progress: Changes = {"progress": 1.0} if changes["state"] == "succeeded" else {}
    return {"lease_until": None, "finished_at": now, "seconds_left": None, **progress, **changes}


def releasing(item: Leased, now: float, blame: bool = True) -> Changes:
    """Given back unfinished: cancelled when that was asked, failed when attempts are spent, else waiting again."""
    if isinstance(item, Job) and item.cancel_requested:
        return finishing(item.id, now, {"state": "cancelled"})
    if blame and item.attempt >= item.max_attempts:
        return finishing(item.id, now, {"state": _failed(item), "problem": _lost(item)})
    allowed = item.max_attempts + (0 if blame else 1)
    waits: Changes = {"lease_until": None, "max_attempts": allowed}
    if isinstance(item, Job):
        waits |= {"state": "queued", "step": None, "progress": 0.0, "seconds_left": None}
    return waits


def cancelling(job: Job, now: float) -> Changes:
    if job.lease_until is None:
        return {"state": "cancelled", "cancel_requested": True, "finished_at": now}
    return {"state": "cancelling", "cancel_requested": True}


def retrying(job: Job, more_attempts: int) -> Changes:
    outcome = ("outcome", "problem", "requirements")
    made = (
        "artifact_sha256",
        "artifact_bytes",
        "graph_sha256",
        "report_sha256",
        "curves_sha256",
        "curves_bytes",
    )
    course = ("step", "seconds_left", "started_at", "finished_at")
    return {
        **dict.fromkeys([*outcome, *made, *course]),
        "state": "queued",
        "progress": 0.0,
        "cancel_requested": False,
        "max_attempts": job.attempt + more_attempts,
    }


def inspecting_again(upload: Upload, more_attempts: int) -> Changes:
    """Also takes it from whoever inspects it now."""
    nothing = dict.fromkeys(("problem", "facts", "converted", "lease_until"))
    return {**nothing, "state": "inspecting", "max_attempts": upload.attempt + more_attempts}


def asked_again(inquiry: Inquiry, more_attempts: int) -> Changes:
    nothing = dict.fromkeys(("problem", "answer_sha256", "lease_until"))
    return {**nothing, "state": INSPECTING, "max_attempts": inquiry.attempt + more_attempts}


def declaring(dataset: Upload, declaration: dict[str, Any], more_attempts: int) -> Changes:
    """Like `inspecting_again`, with what identifies it from now on."""
    changed = replace(dataset, declaration=declaration)
    again = inspecting_again(dataset, more_attempts)
    return {**again, "declaration": declaration, "identity": identity(changed)}


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


def _failed(item: Leased) -> str:
    return "failed" if isinstance(item, Job) else "rejected"


def _lost(item: Leased) -> dict[str, Any]:
    if isinstance(item, Job):
        what, where = "job", "its events say in which step, and how if that is known"
        again = "change that step's settings or leave it out, or retry the job"
    elif isinstance(item, Inquiry):
        what, where, again = "question", "the operator's log says more", "ask it again"
    else:
        what, where, again = "inspection", "the operator's log says more", "upload it again"
    detail = (
        f"The {what}'s worker ended or went silent in each of {item.attempt} attempts, the last one included; "
        f"{where}. If it needs more memory than the worker has, make it smaller; else {again}."
    )
    return Refusal("worker_lost", detail).problem.model_dump(mode="json")
