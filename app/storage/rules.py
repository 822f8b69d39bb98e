"""What a change of state sets, as pure functions: the one place of the lease law, used by every store.

    held   ⟺  lease_until is not None       (a job is then running or cancelling, a trial running, a study due,
                                             anything else inspecting; a job that searches is never held)
    fenced ⟺  not held, or the attempt is another

Each function answers the fields to set. The attempt only grows, also over retries: that is what fences.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any, Final

from app.storage.messages import worker_lost
from app.storage.records import Inquiry, Item, Job, Leased, Study, Trial, Upload
from winnow.contract.job import FINISHED
from winnow.contract.target import DEFAULT_TARGET, measured_on

INSPECTED: Final = frozenset({"ready", "rejected"})
TRIED: Final = frozenset({"finished", "failed", "stopped_early"})
CLOSED: Final = frozenset({"closed"})
OVER: Final = FINISHED | INSPECTED | TRIED | CLOSED
NEVER_TAKEN: Final = OVER | {"idle"}

QUEUED: Final = "queued"
INSPECTING: Final = "inspecting"
WAITING: Final = "waiting"
DUE: Final = "due"

UNCANCELLED: Final = frozenset({"succeeded", "ready"})
"""States that may only be reached when nobody asked to cancel."""

JSON_FIELDS: Final = frozenset(
    {
        *("problem", "declaration", "facts", "question", "tags", "request", "step", "requirements"),
        *("params", "recipe", "intermediate", "result", "candidates", "spaces", "origin"),
    }
)

MADE: Final = ("artifact_sha256", "report_sha256", "page_sha256", "curves_sha256")
"""Fields of a job that name blobs."""

TRIAL_MADE: Final = ("artifact_sha256", "report_sha256", "page_sha256")
"""Those of a trial."""

Changes = dict[str, Any]

_CANCELLED: Final[dict[type[Item], str]] = {Job: "cancelled", Trial: "stopped_early"}

_GIVEN_UP: Final[dict[type[Item], str]] = {
    Upload: "rejected",
    Inquiry: "rejected",
    Job: "failed",
    Study: "closed",
    Trial: "failed",
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
    about = [inquiry.model, inquiry.dataset] if inquiry.job is None else [inquiry.job]
    parts = [inquiry.owner, inquiry.kind, *about, question]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def unfinished(item: Leased) -> bool:
    return item.state not in OVER


def waiting(item: Leased) -> bool:
    """Whether it waits for a worker. A job is queued if and only if it does, or its study does."""
    if isinstance(item, Job) and item.searches:
        return False
    return item.state in (QUEUED, INSPECTING, WAITING, DUE) and item.lease_until is None


def takeable(item: Leased, now: float) -> bool:
    if item.state in NEVER_TAKEN or (isinstance(item, Job) and item.searches):
        return False
    free = item.lease_until is None or item.lease_until <= now
    return free and item.attempt < item.max_attempts and not item.cancel_requested


def runs(item: Leased) -> bool:
    """Whether it counts as work that an owner has running: a turn of a study takes no time."""
    return item.lease_until is not None and not isinstance(item, Study)


def order(item: Leased) -> tuple[bool, int, float, str]:
    """Of what one owner has waiting the least goes first: turns of studies, then the highest priority, then the
    oldest."""
    priority = item.priority if isinstance(item, Job | Study | Trial) else 0
    return not isinstance(item, Study), -priority, item.created_at, item.id


def target_of(item: Leased) -> str | None:
    """The runtime that a job is timed on; None for what is timed on none. Jobs from before there were targets have no
    word of it."""
    return measured_on(item.request.get("target", DEFAULT_TARGET)) if isinstance(item, Job) else None


def held(item: Leased | None, attempt: int) -> bool:
    return item is not None and item.attempt == attempt and item.lease_until is not None


def claiming(
    item: Leased, now: float, seconds: float, worker: str | None = None, holder: str | None = None
) -> Changes:
    changes: Changes = {"attempt": item.attempt + 1, "lease_until": now + seconds, "holder": holder}
    if isinstance(item, Job):
        changes |= running(item, now)
    if isinstance(item, Trial):
        changes |= {"state": "running", "started_at": now, "worker": worker}
    return changes


def running(job: Job, now: float) -> Changes:
    started_at = now if job.started_at is None else job.started_at
    return {"state": "running", "attempt": job.attempt + 1, "started_at": started_at}


def finishing(item: Item, now: float, changes: Changes) -> Changes:
    """Raises `ValueError` unless `changes` names a final state."""
    match item:
        case Job():
            final = FINISHED
            progress: Changes = {"progress": 1.0} if changes.get("state") == "succeeded" else {}
            end: Changes = {"finished_at": now, "seconds_left": None, **progress}
        case Trial():
            final = TRIED
            end = {"seconds": item.seconds + _run_seconds(item, now)}
        case Study():
            final, end = CLOSED, {}
        case _:
            final, end = INSPECTED, {}
    if changes.get("state") not in final:
        raise ValueError(f"{changes.get('state')!r} is no final state of {item.id}")
    return {"lease_until": None, **end, **changes}


def _run_seconds(trial: Trial, now: float) -> float:
    """How long the attempt at work took; a clock that was set back takes nothing away."""
    if trial.lease_until is None or trial.started_at is None:
        return 0.0
    return max(0.0, now - trial.started_at)


def releasing(item: Item, now: float, blame: bool = True) -> Changes:
    """Given back unfinished: cancelled when that was asked, failed when attempts are spent, else waiting again."""
    if item.cancel_requested and (cancelled := _CANCELLED.get(type(item))):
        return finishing(item, now, {"state": cancelled})
    if blame and item.attempt >= item.max_attempts:
        return finishing(item, now, {"state": _GIVEN_UP[type(item)], "problem": worker_lost(item)})
    allowed = item.max_attempts + (0 if blame else 1)
    waits: Changes = {"lease_until": None, "max_attempts": allowed}
    if isinstance(item, Job):
        waits |= {
            **{"state": QUEUED, "queued_at": now},
            **{"step": None, "progress": 0.0, "seconds_left": None},
        }
    if isinstance(item, Trial):
        waits |= {"state": WAITING}
    return waits


def cancelling(job: Job, now: float) -> Changes:
    if job.state == QUEUED:
        return {"state": "cancelled", "cancel_requested": True, "finished_at": now}
    return {"state": "cancelling", "cancel_requested": True}


def retrying(job: Job, now: float, more_attempts: int) -> Changes:
    outcome = ("outcome", "problem", "requirements")
    made = (
        "artifact_sha256",
        "artifact_bytes",
        "graph_sha256",
        "report_sha256",
        "page_sha256",
        "curves_sha256",
        "curves_bytes",
    )
    course = ("step", "seconds_left", "started_at", "finished_at")
    return {
        **dict.fromkeys([*outcome, *made, *course]),
        "state": QUEUED,
        "queued_at": now,
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
