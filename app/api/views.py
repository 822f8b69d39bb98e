"""Records as the API shows them, and the ETag of what is shown."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.api.conditional import etag
from app.api.times import at, maybe_at
from app.storage import records
from winnow.contract.capability import WaitingFor
from winnow.contract.dataset import Dataset, DatasetFacts
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Problem
from winnow.contract.job import Artifact, Job, JobRequest, TrialCounts
from winnow.contract.model import Model, ModelFacts

_MODEL_FACTS = tuple(name for name in ModelFacts.model_fields if name in Model.model_fields)
_DATASET_FACTS = tuple(DatasetFacts.model_fields)


def model(upload: records.Upload) -> Model:
    own = {"format": "onnx" if upload.format == records.STUDENT else upload.format, "parent": upload.parent}
    return Model.model_validate({**_uploaded(upload, _MODEL_FACTS), **own})


def dataset(upload: records.Upload) -> Dataset:
    declaration = Declaration.model_validate(upload.declaration)
    return Dataset.model_validate({**_uploaded(upload, _DATASET_FACTS), "declaration": declaration})


def _uploaded(upload: records.Upload, names: tuple[str, ...]) -> dict[str, Any]:
    """What models and datasets have in common; the facts are null until there are some."""
    facts = upload.facts or dict.fromkeys(names)
    return {
        "id": upload.id,
        "name": upload.name,
        "state": upload.state,
        "problem": upload.problem,
        "sha256": upload.content,
        "size_bytes": upload.size_bytes,
        **{name: facts.get(name) for name in names},
        "pinned": upload.pinned,
        "created_at": at(upload.created_at),
    }


def upload_tag(upload: records.Upload) -> str:
    """Begins with the content's hash; the rest changes with everything that can change."""
    return etag(f"{upload.content}.{_hash(*_changing(upload))}")


def _changing(upload: records.Upload) -> tuple[object, ...]:
    return (upload.name, upload.state, upload.attempt, upload.problem, upload.declaration, upload.pinned)


@dataclass(frozen=True)
class Waiting:
    """Of a job that waits, its place and what it waits for."""

    queue_position: int | None = None
    waiting_for: WaitingFor | None = None


def job(record: records.Job, waiting: Waiting, counts: Mapping[str, int]) -> Job:
    """`counts` are of its trials, by their state."""
    request = JobRequest.model_validate(record.request)
    asked = {name: getattr(request, name) for name in JobRequest.model_fields}
    return Job.model_validate(
        {
            "id": record.id,
            "state": record.state,
            "outcome": record.outcome,
            "attempt": record.attempt,
            "max_attempts": record.max_attempts,
            "queue_position": waiting.queue_position,
            "waiting_for": waiting.waiting_for,
            "step": record.step and {"message": None, **record.step},
            "progress": record.progress,
            "seconds_left": record.seconds_left,
            "problem": record.problem and Problem.model_validate(record.problem),
            "requirements": record.requirements,
            "graph_sha256": record.graph_sha256,
            "artifact": artifact(record.artifact_sha256, record.artifact_bytes),
            "curves": artifact(record.curves_sha256, record.curves_bytes),
            "trials": _counted(counts) if record.searches else None,
            "pinned": record.pinned,
            "created_at": at(record.created_at),
            "started_at": maybe_at(record.started_at),
            "finished_at": maybe_at(record.finished_at),
            **asked,
            "needs": list(record.needs),
        }
    )


def _counted(counts: Mapping[str, int]) -> TrialCounts:
    return TrialCounts.model_validate({state: counts.get(state, 0) for state in TrialCounts.model_fields})


def artifact(sha256: str | None, size_bytes: int | None) -> Artifact | None:
    return None if sha256 is None or size_bytes is None else Artifact(sha256=sha256, size_bytes=size_bytes)


def job_tag(record: records.Job, waiting: Waiting, counts: Mapping[str, int]) -> str:
    """Over everything that is shown and can change: what was asked never does."""
    shown = (
        *(record.id, record.state, record.outcome, record.attempt, record.max_attempts, waiting),
        *(record.step, record.progress, record.seconds_left, record.problem, record.requirements),
        *(record.artifact_sha256, record.curves_sha256, record.started_at, record.finished_at, record.pinned),
        sorted(counts.items()),
    )
    return etag(_hash(*shown))


def _hash(*shown: object) -> str:
    return hashlib.sha256(repr(shown).encode("utf-8", "backslashreplace")).hexdigest()[:24]
