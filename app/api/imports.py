"""`POST /v1/jobs/import`: a job that another service has finished, with what it made.

It is checked that its files are those it names, that the artifact is ONNX by its outermost bytes, the report a report,
and that the uploads which it names are here. Whether its numbers are true is for whoever imports it to know.
"""

import hashlib
from typing import Any, BinaryIO, Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from app.api import uploads, views
from app.api.deps import Owner, Parts, Service
from app.api.intake import receive
from app.api.problems import documented
from app.api.router import Router
from app.api.sniff import model_format
from app.api.times import now, seconds
from app.storage import records
from app.storage.ids import new_id
from app.storage.ports import Blobs, Gone
from app.tracing import current_origin
from winnow.contract.errors import Refusal
from winnow.contract.exported import ARTIFACT, CURVES, JOB, OF_JOB, REPORT, ExportedJob
from winnow.contract.job import Job
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.strict_json import read_model
from winnow.contract.strict_tar.archive import TarArchive, open_tar
from winnow.contract.strict_tar.header import BrokenTar

router = Router(prefix="/v1/jobs", tags=["jobs"])

MAX_JOB_BYTES: Final = 2**20
MAX_REPORT_BYTES: Final = 64 * 2**20


@router.post(
    "/import",
    status_code=201,
    operation_id="import_job",
    openapi_extra=uploads.body(),
    responses=documented(
        *(
            "malformed_request",
            "digest_mismatch",
            "upload_too_large",
            "unknown_format",
            "unsupported_media_type",
        ),
        *("empty_upload", "unsafe_archive", "not_found", "disk_full"),
    ),
)
async def import_job(request: Request, response: Response, service: Service, owner: Owner) -> Job:
    """Take in a finished job: a tar of `job.json` and the files that it names. `winnow import` sends it, after the
    models and datasets."""
    received, _ = await receive(request, service.blobs, service.settings.max_upload_bytes, _take_no_fields)
    job = await run_in_threadpool(_import, service, owner, received.sha256)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return views.job(job, views.Waiting(), {})


def _take_no_fields(fields: Any) -> None:
    if name := next((name for name, _ in fields), None):
        raise Refusal("invalid_request", "There is no such field: the form has a file alone.", field=name)


def _import(parts: Parts, owner: str, sha256: str) -> records.Job:
    file = parts.blobs.open(sha256)
    if file is None:
        raise Refusal("storage_unavailable", "The bytes that just came are gone again. Send them once more.")
    with file:
        try:
            archive = open_tar(file, max_members=len(OF_JOB) + 1)
            exported = read_model(ExportedJob, _small(archive, JOB, MAX_JOB_BYTES), JOB)
            _check(exported, archive)
            _check_uploads(parts, owner, exported)
            return _store(parts, owner, exported, _keep_files(parts.blobs, archive, exported))
        except BrokenTar as error:
            raise Refusal(
                "malformed_request", f"The body is no tar as `winnow import` sends it: {error}."
            ) from error


def _small(archive: TarArchive, name: str, most: int) -> bytes:
    member = archive.members.get(name)
    if member is None:
        raise Refusal(
            "malformed_request", f"The archive has no {name!r}; `winnow import` sends one that has."
        )
    if member.size_bytes > most:
        raise Refusal("malformed_request", f"{name!r} has more than {most} bytes.")
    return b"".join(archive.chunks(name))


def _check(exported: ExportedJob, archive: TarArchive) -> None:
    """Raises `malformed_request`, `invalid_request`."""
    named, there = {JOB, *exported.files}, set(archive.members)
    if named != there:
        detail = f"job.json names {sorted(named)}, and the archive has {sorted(there)[:10]}: they have to be the same."
        raise Refusal("malformed_request", detail)
    if exported.state == "succeeded" and not {ARTIFACT, REPORT} <= exported.files.keys():
        raise Refusal("invalid_request", "A job that succeeded has an artifact and a report.", field="files")
    if exported.state != "succeeded" and not isinstance(exported.request.recipe, Recipe):
        detail = "Of searches, presets and auto only those that succeeded can be imported."
        raise Refusal("invalid_request", detail, field="state")


def _check_uploads(parts: Parts, owner: str, exported: ExportedJob) -> None:
    """Raises `not_found`."""
    request = exported.request
    for id, field in {request.model: "model", **named_models(request.recipe)}.items():
        uploads.find(parts, owner, "model", id, f"request.{field}")
    for role, use in uses(request.data).items():
        uploads.find(parts, owner, "dataset", use.dataset, f"request.data.{role}")


def _keep_files(blobs: Blobs, archive: TarArchive, exported: ExportedJob) -> dict[str, tuple[str, int]]:
    """The files as blobs: name → SHA-256 and size. Raises `digest_mismatch`, `unknown_format`, `invalid_request`."""
    if REPORT in exported.files:
        _check_report(_small(archive, REPORT, MAX_REPORT_BYTES))
    return {name: _keep(blobs, archive, name, sha256) for name, sha256 in exported.files.items()}


def _keep(blobs: Blobs, archive: TarArchive, name: str, expected: str) -> tuple[str, int]:
    digest = hashlib.sha256()
    for chunk in archive.chunks(name):
        digest.update(chunk)
    if digest.hexdigest() != expected:
        detail = f"{name!r} has SHA-256 {digest.hexdigest()}, and job.json says {expected}: it was damaged."
        raise Refusal("digest_mismatch", detail, field=name)
    writer = blobs.writer()
    try:
        for chunk in archive.chunks(name):
            writer.write(chunk)
        stored = writer.commit()
    finally:
        writer.abort()
    if name == ARTIFACT:
        _check_artifact(blobs.open(stored[0]))
    return stored


def _check_artifact(file: BinaryIO | None) -> None:
    if file is not None:
        with file:
            model_format(file, "onnx", allow_torchscript=False)


def _check_report(content: bytes) -> None:
    try:
        Report.model_validate_json(content)
    except ValidationError as error:
        detail = f"It is no report of this version of the service ({error.error_count()} faults)."
        raise Refusal("invalid_request", detail, field=REPORT) from error


def _store(parts: Parts, owner: str, exported: ExportedJob, made: dict[str, tuple[str, int]]) -> records.Job:
    """Raises `not_found`."""
    request, dumped = exported.request, exported.model_dump(mode="json")
    named = [
        request.model,
        *named_models(request.recipe),
        *(use.dataset for use in uses(request.data).values()),
    ]
    sha256 = {name: digest for name, (digest, _) in made.items()}
    sizes = {name: size for name, (_, size) in made.items()}
    job = records.Job(
        id=new_id("job"),
        owner=owner,
        state=exported.state,
        created_at=now(),
        attempt=exported.attempt,
        max_attempts=max(exported.attempt, parts.settings.max_attempts),
        problem=dumped["problem"],
        origin=current_origin(),
        model=request.model,
        uses=tuple(dict.fromkeys(named)),
        tags=dict(request.tags),
        request=dumped["request"],
        outcome=exported.outcome,
        progress=1.0 if exported.state == "succeeded" else 0.0,
        requirements=dumped["requirements"],
        artifact_sha256=sha256.get(ARTIFACT),
        artifact_bytes=sizes.get(ARTIFACT),
        graph_sha256=exported.graph_sha256,
        report_sha256=sha256.get(REPORT),
        curves_sha256=sha256.get(CURVES),
        curves_bytes=sizes.get(CURVES),
        started_at=seconds(exported.started_at),
        finished_at=exported.finished_at.timestamp(),
    )
    try:
        return parts.records.add_job(job, None)[0]
    except Gone as error:
        raise Refusal("not_found", f"{error.id} was deleted a moment ago.", field="request") from error
