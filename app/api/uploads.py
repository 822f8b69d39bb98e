"""What models and datasets have in common: an upload that is received, recorded, announced, and served."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, BinaryIO, Final, Generic, TypeVar, get_args

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.conditional import etag, not_modified, unchanged
from app.api.content import BINARY, BYTES, content
from app.api.deps import Parts
from app.api.intake import Received, declared_length, receive
from app.api.quotas import check_bytes, check_disk, check_stored
from app.api.strict import parameters
from app.api.times import now
from app.api.views import upload_tag
from app.api.waiting import state_changed
from app.storage import records
from app.storage.ids import new_id
from app.storage.ports import InUse
from app.storage.records import Upload, UploadKind, Wake
from app.tracing import current_origin
from winnow.contract.base import ResponseModel
from winnow.contract.dataset import DatasetFormat
from winnow.contract.errors import Refusal, Refusals

PREFIX: Final[dict[UploadKind, Any]] = {"model": "mdl", "dataset": "dst"}
_SUFFIXES: Final = (
    *(".torchscript.pt", ".onnx", ".pt2", ".pth", ".pt", ".tar", ".zip"),
    *(f".{format}" for format in get_args(DatasetFormat)),
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class UploadOptions:
    """What can go with the bytes, in the address or as fields of a form; a resource adds its own."""

    name: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="What to call it; the file's name when left out.",
            examples=["resnet20"],
        ),
    ] = None


def body(**parts: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's `requestBody` of an upload; `parts` are those of a form that are more than a parameter's text.

    The other parts of the form are the parameters of the route, which `app.api.openapi` adds.
    """
    file = {"type": "string", "format": "binary", "description": "The file.", "examples": [BYTES]}
    encoding = {name: {"contentType": "application/json"} for name in parts}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": file, **parts},
        "additionalProperties": False,
    }
    raw = {"type": "string", "format": "binary", "description": "The file's bytes."}
    content = {
        BINARY: {"schema": raw, "example": BYTES},
        "multipart/form-data": {"schema": form, "encoding": encoding, "example": {"file": BYTES}},
    }
    return {"requestBody": {"required": True, "content": content}}


Options = TypeVar("Options", bound=UploadOptions)


@dataclass(frozen=True)
class Intake(Generic[Options]):
    """How uploads of one kind are taken, in one piece or in parts.

    `check` refuses options by their content, before a byte of the file is read. `describe` tells format and declaration
    of options and bytes, and refuses what is not to be kept.
    """

    kind: UploadKind
    options: type[Options]
    check: Callable[[Options], object]
    describe: Callable[[Parts, Options, BinaryIO], tuple[str, dict[str, Any]]]


def read_options(
    request: Request, form: Iterable[tuple[str, str]], intake: Intake[Options]
) -> tuple[Options, int]:
    """The options in the address and in fields, and for how many seconds to wait. Raises `invalid_request`."""
    refusals = Refusals()
    values = parameters(request, form, refusals)
    wait = values.pop("wait", 0)
    chosen = intake.options(**values)
    with refusals:
        intake.check(chosen)
    refusals.raise_all()
    return chosen, wait


async def take(request: Request, parts: Parts, owner: str, intake: Intake[Options]) -> tuple[Upload, bool]:
    """Receive the body and record it. The record comes first, then the hint to the workers."""
    await run_in_threadpool(check_bytes, parts, owner, declared_length(request))
    received, (chosen, wait) = await receive(
        request,
        parts.blobs,
        parts.settings.max_upload_bytes,
        lambda form: read_options(request, form, intake),
        partial(check_disk, parts.settings, 0),
    )
    upload, new = await run_in_threadpool(record, received, chosen, parts, owner, intake)
    return await settled(parts, upload, wait) or upload, new


async def settled(parts: Parts, upload: Upload, seconds: int) -> Upload | None:
    return await state_changed(
        upload, lambda: parts.records.upload(upload.owner, upload.kind, upload.id), seconds, parts.stopping
    )


def record(
    received: Received, chosen: Options, parts: Parts, owner: str, intake: Intake[Options]
) -> tuple[Upload, bool]:
    """Bytes that are stored become an upload, inspected soon. Raises what `intake.describe` refuses."""
    check_stored(parts, owner, received.size_bytes)
    kind = intake.kind
    file = parts.blobs.open(received.sha256)
    if file is None:
        raise Refusal("storage_unavailable", "The bytes that just came are gone again. Send them once more.")
    with file:
        format, declaration = intake.describe(parts, chosen, file)
    given = clean(chosen.name or "") or stem(clean(received.filename or ""))
    upload = Upload(
        id=new_id(PREFIX[kind]),
        owner=owner,
        state="inspecting",
        created_at=now(),
        max_attempts=parts.settings.max_attempts,
        origin=current_origin(),
        kind=kind,
        name=given or f"{kind}-{received.sha256[:8]}",
        format=format,
        sha256=received.sha256,
        size_bytes=received.size_bytes,
        declaration=declaration,
    )
    return add(parts, upload)


def add(parts: Parts, upload: Upload) -> tuple[Upload, bool]:
    """Record what is to be inspected, unless it is there already, then hint to the workers; whether it is new."""
    stored, new = parts.records.add_upload(upload)
    if new:
        parts.queue.publish(Wake(queue="inspect", id=stored.id))
    return stored, new


def created(response: Response, upload: Upload, new: bool) -> None:
    """201 for what is new, 200 for the same bytes again; the ETag is that of the content."""
    response.status_code = 201 if new else 200
    response.headers["location"] = f"/v1/{upload.kind}s/{upload.id}"
    response.headers["etag"] = etag(upload.sha256)


def find(parts: Parts, owner: str, kind: UploadKind, id: str, field: str | None = None) -> Upload:
    """Raises `not_found`."""
    upload = parts.records.upload(owner, kind, id)
    if upload is None:
        raise Refusal("not_found", f"There is no {kind} {id!r}; it may have been deleted.", field=field)
    return upload


async def find_upload(parts: Parts, owner: str, kind: UploadKind, id: str, wait: int) -> Upload:
    """The upload once its state has changed, or as it stands after `wait` seconds. Raises `not_found`."""
    upload = await run_in_threadpool(find, parts, owner, kind, id)
    if (last := await settled(parts, upload, wait)) is None:
        return find(parts, owner, kind, id)  # refuses it
    return last


def shown(request: Request, upload: Upload, view: Callable[[Upload], ResponseModel]) -> Response:
    tag = upload_tag(upload)
    if unchanged(request, tag):
        return not_modified(tag)
    body = view(upload).model_dump_json()
    return Response(body, media_type="application/json", headers={"etag": tag, "cache-control": "no-cache"})


def download(request: Request, parts: Parts, upload: Upload) -> Response:
    return content(request, parts.blobs, upload.content, stem(upload.name) + _suffix(parts, upload))


def delete(parts: Parts, owner: str, kind: UploadKind, id: str) -> None:
    """Raises `not_found`, `in_use`."""
    find(parts, owner, kind, id)
    try:
        parts.records.delete_upload(owner, kind, id)
    except InUse as error:
        detail = f"The {kind} is used by {', '.join(error.jobs)}. Wait for the jobs, or cancel them first."
        raise Refusal("in_use", detail) from error


def pin(parts: Parts, owner: str, kind: UploadKind, id: str, pinned: bool) -> Upload:
    """Raises `not_found`."""
    find(parts, owner, kind, id)
    parts.records.pin(owner, id, pinned)
    return find(parts, owner, kind, id)


def _suffix(parts: Parts, upload: Upload) -> str:
    file = parts.blobs.open(upload.content)
    head = b""
    if file is not None:
        with file:
            head = file.read(2)
    match upload.format:
        case "onnx" | "onnx_package" | records.STUDENT:
            return ".zip" if head == b"PK" else ".onnx" if head[:1] < b" " else ".tar"
        case "torch_export":
            return ".pt2"
        case "torchscript":
            return ".torchscript.pt"
        case dataset:
            return f".{dataset}"


def clean(name: str) -> str:
    """The last part of a path, printable, at most 200 characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return _CONTROL.sub("", last).strip()[:200]


def stem(name: str) -> str:
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]
