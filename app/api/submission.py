"""From a request to a job's record: everything is checked first, then the record is written."""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.admission.check import check
from app.admission.packages import check_no_package
from app.admission.spaces import admitted_spaces, as_closed
from app.api.deps import Parts
from app.api.job_limits import check_limits, lowered
from app.api.job_target import check_target
from app.api.quotas import check_job
from app.api.times import now
from app.api.uploads import find
from app.storage.ids import new_id
from app.storage.kinds import wake_of
from app.storage.ports import Gone, KeyReused
from app.storage.records import FORGET_WORKER_SECONDS, IdempotencyKey, Job, Upload
from app.tracing import current_origin
from winnow.contract.capability import needs_of
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import CODES, Problem, Refusal, Refusals
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import check_needed_data, path_of, uses
from winnow.contract.other_models import named_models
from winnow.contract.search import Space
from winnow.contract.target_rules.refusal import refuse_what_cannot_run, refuse_what_is_not_taken

log = logging.getLogger(__name__)

LONGEST_KEY: Final = 200
KEY: Final = r"^[\x21-\x7e]+$"
"""An idempotency key as every store keeps it."""


def submit(parts: Parts, owner: str, request: JobRequest, key: str | None) -> tuple[Job, bool]:
    """The job, and whether it is new. The record comes first: a hint that is lost is published again.

    Raises `too_many_jobs`, `quota_exceeded`, `disk_full`, `not_found`, `model_not_ready`, `dataset_not_ready`,
    `idempotency_conflict`, and all that admission refuses.
    """
    idempotency = None if key is None else _idempotency(key, request)
    try:
        if idempotency is not None and (known := parts.records.replayed(owner, idempotency)):
            return known, False  # also when it could not be admitted again: its data may be gone
        check_job(parts, owner)
        job, new = parts.records.add_job(_checked(parts, owner, request), idempotency)
    except KeyReused as error:
        detail = "This Idempotency-Key was used with another request. Use a new key for a new request."
        raise Refusal("idempotency_conflict", detail, field="idempotency-key") from error
    except Gone as error:
        gone = f"{error.id} was deleted a moment ago."
        raise Refusal("not_found", gone, field=_fields(request).get(error.id)) from error
    if new:
        log.info("%s waits", job.id, extra={"job": job.id})
        parts.queue.publish(wake_of(job))
    return job, new


def _checked(parts: Parts, owner: str, request: JobRequest) -> Job:
    refusals = Refusals()
    spaces = look_through(refusals, parts, owner, request).spaces
    refusals.raise_all()
    limits, submitted = lowered(parts.settings, request.limits), now()
    return Job(
        id=new_id("job"),
        owner=owner,
        state="queued",
        created_at=submitted,
        queued_at=submitted,
        needs=needs_of(request.needs, request.target),
        priority=request.priority,
        max_attempts=parts.settings.max_attempts,
        origin=current_origin(),
        model=request.model,
        uses=tuple(_fields(request)),
        tags=dict(request.tags),
        request=request.model_copy(update={"limits": limits}).model_dump(mode="json"),
        searches=bool(spaces),
        spaces=[space.model_dump(mode="json", exclude_unset=True) for space in spaces],
    )


@dataclass(frozen=True)
class Named:
    """The facts of the uploads that a request names and that can be used, by id.

    `closed` is the job that leaves nothing open, None where `spaces` are to be searched.
    """

    models: dict[str, ModelFacts]
    datasets: dict[str, DatasetFacts]
    closed: ClosedJob | None
    spaces: list[Space]


def look_through(refusals: Refusals, parts: Parts, owner: str, request: JobRequest) -> Named:
    """Keep every fault: what is not allowed, what is named and cannot be used, what cannot work with the rest."""
    closed: ClosedJob | None = None
    with refusals:
        closed = as_closed(request)
    spaces: list[Space] = []
    with refusals:
        check_limits(parts.settings, request.limits)
    with refusals:
        check_target(request.target, parts.records.workers(time.time() - FORGET_WORKER_SECONDS))
    models: dict[str, ModelFacts] = {}
    datasets: dict[str, Upload] = {}
    for id, field in {request.model: "model", **named_models(request.recipe), request.model: "model"}.items():
        with refusals:
            models[id] = _model(parts, owner, id, field)
    for field, id in _datasets(request).items():
        with refusals:
            datasets[id] = ready(find(parts, owner, "dataset", id, field), field)
    with refusals:
        if request.model in models:
            steps = getattr(request.recipe, "steps", ())
            refuse_what_cannot_run(request.target, models[request.model].graph, steps)
    with refusals:
        refuse_what_is_not_taken(request.target, getattr(request.recipe, "steps", ()))
    facts = {id: DatasetFacts.model_validate(dataset.facts) for id, dataset in datasets.items()}
    with refusals:
        if request.model in models:
            augmenting = {id for id, dataset in datasets.items() if dataset.declaration.get("augment")}
            model = models[request.model]
            if closed is None:
                check_no_package(model, "a search chooses among recipes for one graph", "recipe")
            check_closed = partial(check, model=model, datasets=facts, others=models, augmenting=augmenting)
            if closed is not None:
                check_closed(closed)
            elif not refusals.parts:
                spaces = admitted_spaces(request, model, check_closed)
        elif closed is not None:
            check_needed_data(refusals, closed)
    return Named(models, facts, closed, spaces)


def _fields(request: JobRequest) -> dict[str, str]:
    """All uploads that the request names, the model first: id → the (first) field that does."""
    datasets = {id: field for field, id in reversed(_datasets(request).items())}
    first = {request.model: "model"}
    return {**first, **named_models(request.recipe), **datasets, **first}


def _model(parts: Parts, owner: str, id: str, field: str) -> ModelFacts:
    return ModelFacts.model_validate(ready(find(parts, owner, "model", id, field), field).facts)


def _datasets(request: JobRequest) -> dict[str, str]:
    """The field that names it → the id."""
    data = request.data
    return {f"{path_of(data, role)}.dataset": use.dataset for role, use in uses(data).items()}


def ready(upload: Upload, field: str | None) -> Upload:
    """Raises `model_not_ready` or `dataset_not_ready`, with the reason when it was rejected."""
    if upload.state == "ready":
        return upload
    code = f"{upload.kind}_not_ready"
    assert code in CODES
    if upload.state == "rejected" and upload.problem is not None:
        why = Problem.model_validate(upload.problem).detail
        raise Refusal(code, f"The {upload.kind} {upload.id} was rejected: {why}", field=field)
    where = f"/v1/{upload.kind}s/{upload.id}"
    detail = f"The {upload.kind} {upload.id} is {upload.state}. Wait until GET {where} says ready."
    raise Refusal(code, detail, field=field)


def _idempotency(key: str, request: JobRequest) -> IdempotencyKey:
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return IdempotencyKey(key=key, fingerprint=hashlib.sha256(canonical.encode()).hexdigest())
