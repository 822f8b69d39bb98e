"""What goes with an artifact where it is published: `/v1/jobs/{id}/card`, `/bom` and `/bundle`.

Card, bill of materials and recipe are made of the report and the job's record when they are asked for, so that every
job has them, however old. They are small; the rest of a bundle is passed on from the store.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.api.artifacts import ZIP, made, name_of
from app.api.chunks import chunks_of, size_of
from app.api.conditional import etag, not_modified, unchanged
from app.api.content import attachment, content_of
from app.api.deps import Parts, Service
from app.api.jobs import Found
from app.api.problems import documented
from app.api.router import Router
from app.api.stored_reports import stored_report
from app.api.times import at
from app.api.zip_stream import ZipMember, zip_length, zipped
from app.storage.records import Job, Upload
from winnow.contract.bundle.bom import bill_of_materials
from winnow.contract.bundle.card import model_card
from winnow.contract.bundle.files import BOM, CARD, PAGE, RECIPE, REPORT, artifact_of
from winnow.contract.bundle.recipe_file import recipe_file
from winnow.contract.bundle.result import FinishedJob
from winnow.contract.errors import Refusal
from winnow.contract.exported import ExportedUpload
from winnow.contract.job import JobRequest
from winnow.contract.model import ModelFacts, TensorSpec
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models

router = Router(prefix="/v1/jobs", tags=["results"])

MARKDOWN: Final = "text/markdown"
CYCLONEDX: Final = "application/vnd.cyclonedx+json"
_BOM: Final[dict[str, Any]] = {
    "description": "The bill of materials",
    "content": {
        CYCLONEDX: {
            "schema": {"type": "object"},
            "example": {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1},
        }
    },
}
_CODES: Final = ("not_found", "job_not_finished", "no_artifact")


@router.get(
    "/{id}/card",
    operation_id="get_card",
    response_class=Response,
    responses=documented(*_CODES, also={200: content_of(MARKDOWN)[200], 304: content_of(MARKDOWN)[304]}),
)
def get_card(request: Request, service: Service, job: Found) -> Response:
    """The model card, in Markdown with Hugging Face's metadata."""
    text = model_card(_finished(service, job))
    return _text(request, text, f"{MARKDOWN}; charset=utf-8; variant=GFM", f"{name_of(service, job)}-card.md")


@router.get(
    "/{id}/bom",
    operation_id="get_bom",
    response_class=Response,
    responses=documented(*_CODES, also={200: _BOM, 304: content_of(CYCLONEDX)[304]}),
)
def get_bom(request: Request, service: Service, job: Found) -> Response:
    """The bill of materials: CycloneDX 1.6 with a model card, and all that the artifact was made of by its hash."""
    text = bill_of_materials(_finished(service, job))
    return _text(request, text, f"{CYCLONEDX}; version=1.6", f"{name_of(service, job)}.cdx.json")


@router.get(
    "/{id}/bundle",
    operation_id="download_bundle",
    response_class=Response,
    responses=documented(*_CODES, also={200: content_of(ZIP)[200], 304: content_of(ZIP)[304]}),
)
def download_bundle(request: Request, service: Service, job: Found) -> Response:
    """Artifact (of a package the zip of its graphs), report, page (where there is one), card, bill of materials and
    recipe, as a zip. `winnow replay` makes the artifact again from it."""
    members = [*_members(service, job)]
    tag = etag(hashlib.sha256(repr([(it.name, it.sha256) for it in members]).encode()).hexdigest())
    filename = attachment(f"{name_of(service, job)}-winnow-bundle.zip")
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-disposition": filename}
    if unchanged(request, tag):
        return not_modified(tag, headers)
    headers["accept-ranges"] = "none"
    if (length := zip_length(members)) is not None:
        headers["content-length"] = str(length)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=ZIP)
    return StreamingResponse(zipped(members), headers=headers, media_type=ZIP)


def _text(request: Request, text: str, media_type: str, filename: str) -> Response:
    content = text.encode()
    tag = etag(hashlib.sha256(content).hexdigest())
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-disposition": attachment(filename)}
    if unchanged(request, tag):
        return not_modified(tag, headers)
    return Response(content, headers=headers, media_type=media_type)


def _members(service: Parts, job: Job) -> Iterator[ZipMember]:
    done = _finished(service, job)
    yield _stored(service, artifact_of(done.report), made(job, job.artifact_sha256))
    yield _stored(service, REPORT, made(job, job.report_sha256))
    if (page := job.page_sha256) is not None:
        yield _stored(service, PAGE, page)
    yield _written(CARD, model_card(done))
    yield _written(BOM, bill_of_materials(done))
    yield _written(RECIPE, recipe_file(done).model_dump_json(indent=1) + "\n")


def _stored(service: Parts, name: str, sha256: str) -> ZipMember:
    """A blob. Raises `storage_unavailable`."""
    try:
        source = service.blobs.source(sha256)
    except FileNotFoundError:
        raise Refusal(
            "storage_unavailable", f"The bytes of {name} are missing in the store. Tell its operator."
        ) from None
    return ZipMember(name, size_of(source), sha256, partial(chunks_of, source))


def _written(name: str, text: str) -> ZipMember:
    content = text.encode()
    return ZipMember(name, len(content), hashlib.sha256(content).hexdigest(), lambda: [content])


def _finished(service: Parts, job: Job) -> FinishedJob:
    """Raises `job_not_finished`, `no_artifact`, `storage_unavailable`."""
    report = stored_report(service, job)
    request = JobRequest.model_validate(job.request)
    model = service.records.upload(job.owner, "model", job.model)
    facts = None if model is None or model.facts is None else ModelFacts.model_validate(model.facts)
    return FinishedJob(
        id=job.id,
        finished_at=at(job.finished_at or 0.0),
        request=request,
        report=report,
        uploads=tuple(_uploads(service, job, request)),
        inputs=() if facts is None else tuple(facts.inputs),
        outputs=() if facts is None else tuple(facts.outputs),
    )


def _uploads(service: Parts, job: Job, request: JobRequest) -> Iterator[ExportedUpload]:
    """Those that are still there, the model first."""
    for id in dict.fromkeys([job.model, *named_models(request.recipe)]):
        if (model := service.records.upload(job.owner, "model", id)) is not None:
            inputs = [_declared(TensorSpec.model_validate(it)) for it in model.declaration.get("inputs", [])]
            yield _exported(model, inputs=inputs)
    for id in dict.fromkeys(use.dataset for use in uses(request.data).values()):
        if (dataset := service.records.upload(job.owner, "dataset", id)) is not None:
            yield _exported(dataset, declaration=dataset.declaration)


def _exported(upload: Upload, **declared: object) -> ExportedUpload:
    named = {"id": upload.id, "kind": upload.kind, "name": upload.name, "sha256": upload.content}
    return ExportedUpload.model_validate({**named, **declared})


def _declared(spec: TensorSpec) -> str:
    """As it is declared for TorchScript: `image:float32[N,1,28,28]`."""
    return f"{spec.name}:{spec.dtype}[{','.join(map(str, spec.shape))}]"
