"""`/v1/uploads`: models and datasets in parts, each taken up where the last one broke off (tus 1.0, https://tus.io).

    POST   /v1/uploads/models?name=…   Upload-Length: 1073741824        201, Location: /v1/uploads/models/upl_…
    PATCH  /v1/uploads/models/upl_…    Upload-Offset: 0, and bytes      204, Upload-Offset: how many have come
    HEAD   /v1/uploads/models/upl_…                                     200, the same

With the last byte the upload becomes what a plain POST of all of them makes, and `Content-Location` says where that is.
Whatever breaks off leaves what has come; HEAD tells how much that is, and that it is on the disk.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api import datasets, examples, models, uploads
from app.api.content import BYTES
from app.api.deps import Owner, Parts, Service
from app.api.intake import Received, too_large
from app.api.problems import documented
from app.api.quotas import check_bytes
from app.api.router import Router
from app.api.times import now
from app.api.tus_protocol import (
    PART,
    Checksum,
    ChecksumOfPart,
    Length,
    Metadata,
    Offset,
    TusVersion,
    http_date,
    read_metadata,
)
from app.storage.ids import new_id
from app.storage.local_partials import Busy, Partial
from app.storage.ports import TooMany
from app.storage.records import MAX_TRANSFERS, Transfer, UploadKind
from winnow.contract.errors import Problem, Refusal

router = Router(prefix="/v1/uploads", tags=["uploads"])

INTAKES: Final[Mapping[UploadKind, uploads.Intake[Any]]] = {
    "model": models.MODELS,
    "dataset": datasets.DATASETS,
}
FILENAME: Final = "filename"
IGNORED: Final = "filetype"
"""Sent by clients in browsers: what bytes are is told from the bytes."""
TRANSIENT: Final = frozenset({503, 507})
"""Refused for now: the same bytes may be taken later."""

Collection = Annotated[Literal["models", "datasets"], Path(description="What is sent.", examples=["models"])]
UploadId = Annotated[str, Path(description="Id of the upload.", examples=[examples.UPLOAD])]


def _find(kind: Collection, id: UploadId, service: Service, owner: Owner) -> Transfer:
    transfer = service.records.transfer(owner, id, now())
    if transfer is None or f"{transfer.kind}s" != kind:
        raise _no_upload(id)
    return transfer


Found = Annotated[Transfer, Depends(_find)]
"""The upload of the address. Raises `not_found`."""

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {PART: {"schema": {"type": "string", "format": "binary"}, "example": BYTES}},
    }
}
_CREATING: Final = documented(
    *("malformed_request", "tus_version", "upload_too_large", "empty_upload", "too_many_uploads"),
    *("quota_exceeded", "disk_full"),
)
_COMPLETING: Final = (
    *("not_found", "tus_version", "upload_busy", "unknown_format", "invalid_model", "unsafe_archive"),
    *("pickle_refused", "torchscript_disabled", "inputs_undeclared", "disk_full"),
)


@router.post(
    "/models",
    status_code=201,
    operation_id="begin_model",
    response_class=Response,
    responses=_CREATING,
)
async def begin_model(
    request: Request,
    service: Service,
    owner: Owner,
    options: Annotated[models.ModelOptions, Depends()],
    upload_length: Length,
    tus_resumable: TusVersion,
    upload_metadata: Metadata = None,
) -> Response:
    """Begin to send a model in parts, which may break off. What goes with it, an address or Upload-Metadata has."""
    return await _begin(request, service, owner, models.MODELS, upload_length, upload_metadata)


@router.post(
    "/datasets",
    status_code=201,
    operation_id="begin_dataset",
    response_class=Response,
    responses=_CREATING,
)
async def begin_dataset(
    request: Request,
    service: Service,
    owner: Owner,
    options: Annotated[datasets.DatasetOptions, Depends()],
    upload_length: Length,
    tus_resumable: TusVersion,
    upload_metadata: Metadata = None,
) -> Response:
    """Begin to send a dataset in parts, which may break off. What goes with it, an address or Upload-Metadata has."""
    return await _begin(request, service, owner, datasets.DATASETS, upload_length, upload_metadata)


@router.head(
    "/{kind}/{id}",
    operation_id="get_upload_offset",
    response_class=Response,
    responses=documented(*_COMPLETING),
)
def get_upload_offset(transfer: Found, service: Service, tus_resumable: TusVersion) -> Response:
    """How much has come, in Upload-Offset. An upload that is complete says in Content-Location what it became."""
    transfer, offset = _as_it_stands(service, transfer)
    headers = {"upload-length": str(transfer.length), "cache-control": "no-store"}
    if transfer.metadata is not None:
        headers["upload-metadata"] = transfer.metadata
    return _respond(200, transfer, offset, _completed(service, transfer, offset), headers)


@router.patch(
    "/{kind}/{id}",
    status_code=204,
    operation_id="append_to_upload",
    response_class=Response,
    openapi_extra=_BODY,
    responses=documented(
        *_COMPLETING, "malformed_request", "offset_conflict", "upload_too_large", "unsupported_media_type",
        "checksum_mismatch",
    ),
)  # fmt: skip
async def append_to_upload(
    request: Request,
    transfer: Found,
    service: Service,
    upload_offset: Offset,
    tus_resumable: TusVersion,
    upload_checksum: ChecksumOfPart = None,
) -> Response:
    """Send bytes from Upload-Offset on: all that are left, or some of them."""
    if request.headers.get("content-type") != PART:
        detail = f"A part is sent with `Content-Type: {PART}`."
        raise Refusal("unsupported_media_type", detail, field="content-type")
    checksum = None if upload_checksum is None else Checksum(upload_checksum)
    transfer, offset = await run_in_threadpool(_as_it_stands, service, transfer)
    _check_place(request, transfer, offset, upload_offset)
    if offset < transfer.length:
        offset = await _append(request, service, transfer, upload_offset, checksum)
        transfer = await run_in_threadpool(_extended, service, transfer)
    location = await run_in_threadpool(_completed, service, transfer, offset)
    return _respond(204, transfer, offset, location)


@router.delete(
    "/{kind}/{id}",
    status_code=204,
    operation_id="delete_upload",
    responses=documented("not_found", "tus_version"),
)
def delete_upload(transfer: Found, service: Service, tus_resumable: TusVersion) -> None:
    """Forget what has come. What a complete upload became stays."""
    service.records.delete_transfer(transfer.owner, transfer.id)
    service.partials.remove(transfer.id)


async def _begin(
    request: Request,
    parts: Parts,
    owner: str,
    intake: uploads.Intake[Any],
    length: int,
    metadata: str | None,
) -> Response:
    pairs = read_metadata(metadata)
    fields = [(key, value) for key, value in pairs if key not in (FILENAME, IGNORED)]
    chosen, _ = await run_in_threadpool(uploads.read_options, request, fields, intake)
    if length == 0:
        raise Refusal("empty_upload", "Upload-Length is 0: there is nothing to send.", field="upload-length")
    if length > parts.settings.max_upload_bytes:
        raise too_large(parts.settings.max_upload_bytes)
    await run_in_threadpool(check_bytes, parts, owner, length)
    begun = now()
    transfer = Transfer(
        id=new_id("upl"),
        owner=owner,
        kind=intake.kind,
        length=length,
        options=asdict(chosen),
        filename=dict(pairs).get(FILENAME),
        metadata=metadata,
        created_at=begun,
        expires_at=begun + parts.settings.upload_ttl_seconds,
    )
    try:
        await run_in_threadpool(parts.records.add_transfer, transfer)
    except TooMany as error:
        detail = f"One owner may have {MAX_TRANSFERS} uploads open. Complete or DELETE one of them first."
        raise Refusal("too_many_uploads", detail) from error
    return _respond(201, transfer, 0, None, {"location": f"/v1/uploads/{transfer.kind}s/{transfer.id}"})


def _no_upload(id: str) -> Refusal:
    return Refusal("not_found", f"There is no upload {id!r}; it may have expired. Begin a new one.")


def _again(parts: Parts, transfer: Transfer) -> Transfer:
    """As it stands now. Raises `not_found`: it may have been deleted meanwhile."""
    found = parts.records.transfer(transfer.owner, transfer.id, now())
    if found is None:
        raise _no_upload(transfer.id)
    return found


def _refused(problem: Problem) -> Refusal:
    return Refusal(problem.code, problem.detail, field=problem.field, layer=problem.layer)


def _as_it_stands(parts: Parts, transfer: Transfer) -> tuple[Transfer, int]:
    """And how much of it has come. Raises what a complete upload was refused with, and `not_found`.

    Where nothing is there, another request may have completed it since the record was read.
    """
    size = 0 if transfer.is_settled else parts.partials.size(transfer.id)
    if size == 0 and not transfer.is_settled:
        transfer = _again(parts, transfer)
    if transfer.problem is not None:
        raise _refused(Problem.model_validate(transfer.problem))
    return transfer, size if transfer.upload is None else transfer.length


def _check_place(request: Request, transfer: Transfer, offset: int, upload_offset: int) -> None:
    """Raises `offset_conflict`, and `upload_too_large` for what is announced to be more than is left."""
    if offset != upload_offset:
        detail = f"{offset} bytes have come, so the next part begins there; one from {upload_offset} on came."
        raise Refusal("offset_conflict", detail, field="upload-offset")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or offset + int(announced) > transfer.length):
        raise _too_much(transfer)


async def _append(
    request: Request, parts: Parts, transfer: Transfer, upload_offset: int, checksum: Checksum | None
) -> int:
    """How much has come then. What comes stays, also when the connection breaks off; with a checksum, all or none."""
    partial = await run_in_threadpool(_opened, parts, transfer)
    try:
        _check_place(
            request, transfer, partial.size, upload_offset
        )  # another part may have come before it was opened
        await _receive(request, partial, transfer, checksum)
    finally:
        offset = await run_in_threadpool(partial.close)
    return offset


def _opened(parts: Parts, transfer: Transfer) -> Partial:
    """Raises `upload_busy`."""
    try:
        return parts.partials.open(transfer.id)
    except Busy as error:
        detail = "Another request is sending to this upload. Ask for Upload-Offset again in a moment."
        raise Refusal("upload_busy", detail) from error


async def _receive(request: Request, partial: Partial, transfer: Transfer, checksum: Checksum | None) -> None:
    begun = partial.size
    if checksum is not None:
        await run_in_threadpool(partial.doubt)
    async for chunk in request.stream():
        if partial.size + len(chunk) > transfer.length:
            partial.cut(begun)
            raise _too_much(transfer)
        partial.write(chunk)
        if checksum is not None:
            checksum.update(chunk)
    if checksum is not None:
        checksum.check()
        await run_in_threadpool(partial.trust)


def _too_much(transfer: Transfer) -> Refusal:
    detail = f"Upload-Length was {transfer.length}: this part goes beyond that, and was dropped."
    return Refusal("upload_too_large", detail)


def _extended(parts: Parts, transfer: Transfer) -> Transfer:
    """Raises as `_again`."""
    parts.records.extend_transfer(transfer.id, now() + parts.settings.upload_ttl_seconds)
    extended = _again(parts, transfer)
    if extended.is_settled:  # by another request: what was sent to this one is of no use
        parts.partials.remove(transfer.id)
    return extended


def _completed(parts: Parts, transfer: Transfer, offset: int) -> str | None:
    """Where it is, once all has come: whoever sees that first makes it the upload that a plain POST would have made.

    Raises what that would be refused with, `upload_busy`, and `not_found` where it was deleted.
    """
    if transfer.upload is None:
        if offset < transfer.length:
            return None
        transfer = _complete(parts, transfer)
    return f"/v1/{transfer.kind}s/{transfer.upload}"


def _complete(parts: Parts, transfer: Transfer) -> Transfer:
    intake = INTAKES[transfer.kind]
    try:
        sha256, size = parts.partials.finish(transfer.id)
        received = Received(sha256, size, transfer.filename)
        upload, _ = uploads.record(
            received, intake.options(**transfer.options), parts, transfer.owner, intake
        )
    except Busy as error:
        raise Refusal(
            "upload_busy", "All bytes have come; another request is completing the upload."
        ) from error
    except FileNotFoundError as error:
        return _completed_by_another(parts, transfer, error)
    except Refusal as refusal:
        if refusal.problem.status not in TRANSIENT:
            _settle(parts, transfer, None, refusal.problem)
        raise
    _settle(parts, transfer, upload.id, None)
    return _again(parts, transfer)


def _completed_by_another(parts: Parts, transfer: Transfer, error: Exception) -> Transfer:
    """Raises `not_found` where it was deleted, and `storage_unavailable` where the bytes were lost: none have come."""
    found = _again(parts, transfer)
    if found.upload is None:
        parts.partials.remove(transfer.id)
        detail = "The bytes that came are gone. Ask for Upload-Offset and send them again from there."
        raise Refusal("storage_unavailable", detail) from error
    return found


def _settle(parts: Parts, transfer: Transfer, upload: str | None, problem: Problem | None) -> None:
    kept = None if problem is None else problem.model_dump(mode="json")
    parts.records.settle_transfer(transfer.id, upload, kept)
    parts.partials.remove(transfer.id)


def _respond(
    status: int,
    transfer: Transfer,
    offset: int,
    location: str | None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    where = {"content-location": location} if location else {}
    always = {"upload-offset": str(offset), "upload-expires": http_date(transfer.expires_at)}
    return Response(status_code=status, headers={**always, **where, **(headers or {})})
