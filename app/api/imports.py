"""`POST /v1/jobs/import`: a job that another service has finished, with what it made.

It is checked that its files are those it names, that each artifact is ONNX by its outermost bytes, each report a
report, and that the uploads which it names are here. Whether its numbers are true is for whoever imports it to know.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api import uploads
from app.api.deps import Owner, Parts, Service
from app.api.imported_files import ImportedFiles, Kept, small
from app.api.imported_trials import check_trials, imported_trials
from app.api.intake import receive
from app.api.jobs import shown
from app.api.problems import documented
from app.api.router import Router
from app.api.times import now, seconds
from app.storage import records
from app.storage.ids import new_id
from app.storage.ports import Gone
from app.tracing import current_origin
from winnow.contract.errors import Refusal
from winnow.contract.exported import ARTIFACT, CURVES, JOB, MAX_FILES, REPORT, ExportedJob
from winnow.contract.job import Job
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.recipe import Recipe
from winnow.contract.strict_json import read_model
from winnow.contract.strict_tar.archive import TarArchive, open_tar
from winnow.contract.strict_tar.header import BrokenTar

router = Router(prefix="/v1/jobs", tags=["jobs"])

MAX_JOB_BYTES: Final = 2**20


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
    return await run_in_threadpool(shown, service, job)


def _take_no_fields(fields: Any) -> None:
    if name := next((name for name, _ in fields), None):
        raise Refusal("invalid_request", "There is no such field: the form has a file alone.", field=name)


def _import(parts: Parts, owner: str, sha256: str) -> records.Job:
    file = parts.blobs.open(sha256)
    if file is None:
        raise Refusal("storage_unavailable", "The bytes that just came are gone again. Send them once more.")
    with file:
        try:
            archive = open_tar(file, max_members=MAX_FILES + 1)
            exported = read_model(ExportedJob, small(archive, JOB, MAX_JOB_BYTES), JOB)
            _check(exported, archive)
            _check_uploads(parts, owner, exported)
            files = ImportedFiles(parts.blobs, archive, exported.files)
            job = _job(parts, owner, exported, _made(files))
            return _store(parts, job, [*imported_trials(files, exported, job)])
        except BrokenTar as error:
            raise Refusal(
                "malformed_request", f"The body is no tar as `winnow import` sends it: {error}."
            ) from error


def _check(exported: ExportedJob, archive: TarArchive) -> None:
    """Raises `malformed_request`, `invalid_request`."""
    named, there = {JOB, *exported.files}, set(archive.members)
    if named != there:
        detail = f"job.json names {sorted(named)[:10]}, the archive has {sorted(there)[:10]}: both have to be the same."
        raise Refusal("malformed_request", detail)
    if exported.state == "succeeded" and not {ARTIFACT, REPORT} <= exported.files.keys():
        raise Refusal("invalid_request", "A job that succeeded has an artifact and a report.", field="files")
    if exported.state != "succeeded" and not isinstance(exported.request.recipe, Recipe):
        detail = "Of searches, presets and auto only those that succeeded can be imported."
        raise Refusal("invalid_request", detail, field="state")
    check_trials(exported)


def _check_uploads(parts: Parts, owner: str, exported: ExportedJob) -> None:
    """Raises `not_found`."""
    request = exported.request
    for id, field in {request.model: "model", **named_models(request.recipe)}.items():
        uploads.find(parts, owner, "model", id, f"request.{field}")
    for role, use in uses(request.data).items():
        uploads.find(parts, owner, "dataset", use.dataset, f"request.data.{role}")


def _made(files: ImportedFiles) -> dict[str, Kept]:
    """What the job itself made, as blobs. Raises `digest_mismatch`, `unknown_format`, `invalid_request`."""
    if REPORT in files.sha256:
        files.report(REPORT)
    return {name: files.keep(name) for name in (ARTIFACT, REPORT, CURVES) if name in files.sha256}


def _job(parts: Parts, owner: str, exported: ExportedJob, made: Mapping[str, Kept]) -> records.Job:
    request, dumped = exported.request, exported.model_dump(mode="json")
    named = [
        request.model,
        *named_models(request.recipe),
        *(use.dataset for use in uses(request.data).values()),
    ]
    sha256 = {name: digest for name, (digest, _) in made.items()}
    sizes = {name: size for name, (_, size) in made.items()}
    return records.Job(
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
        searches=bool(exported.trials),
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


def _store(parts: Parts, job: records.Job, trials: Sequence[records.Trial]) -> records.Job:
    """Raises `not_found`."""
    try:
        return parts.records.add_job(job, None, trials)[0]
    except Gone as error:
        raise Refusal("not_found", f"{error.id} was deleted a moment ago.", field="request") from error
