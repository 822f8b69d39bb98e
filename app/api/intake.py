"""An upload on its way in: raw or multipart, straight to the blob's writer, hashed while it is written.

Hash and write happen on the event loop: 64 KiB at a time that takes well under a millisecond, and handing every
chunk to a thread made uploads a third slower (measured: 263–388 against 181–249 MiB/s). Only the sync to disk waits,
and whoever writes to a server that is slower than the client.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Final, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from app.api.digest import SentDigests
from app.api.form import MAX_FIELDS_BYTES, Fields, Form
from app.storage.ports import Blobs, BlobWriter
from winnow.contract.errors import Refusal, Refusals

_FORM: Final = "multipart/form-data"
BINARY: Final = "application/octet-stream"

CHECKED_BYTES: Final = 2**24
"""Between two looks at how much room there is."""

Checked = TypeVar("Checked")


@dataclass(frozen=True)
class Received:
    """What came."""

    sha256: str
    size_bytes: int
    filename: str | None = None


async def receive(
    request: Request,
    blobs: Blobs,
    limit: int,
    check: Callable[[Fields], Checked],
    check_room: Callable[[], None] = lambda: None,
) -> tuple[Received, Checked]:
    """Store the body, or the file of a form. `check` reads or refuses a form's fields: those before its file when that
    begins, all of them at the end. Of a raw body it gets none, also before that is read. It runs in a thread.
    `check_room` is asked before every `CHECKED_BYTES` of a file, and has to be quick.

    Raises `upload_too_large`, `empty_upload`, `malformed_request`, `digest_mismatch`,
    `unsupported_media_type`, `disk_full`; and ClientDisconnect. Whatever is raised, nothing is kept.
    """
    is_form = _is_form(request.headers.get("content-type"))
    _check_headers(request, limit, 2 * MAX_FIELDS_BYTES if is_form else 0)
    if not is_form:
        await run_in_threadpool(check, [])
    digests = SentDigests(request.headers)
    writer = await run_in_threadpool(blobs.writer)
    try:
        file = _Bounded(writer, limit, check_room)
        form = Form(request.headers["content-type"], check, file.write) if is_form else None
        async for chunk in request.stream():
            digests.update(chunk)
            if writer.waits() or (form and not form.has_file):
                await run_in_threadpool((form or file).write, chunk)
            else:
                (form or file).write(chunk)
        checked = await run_in_threadpool(_check_complete, form, file, check)
        digests.check()
        sha256, size = await run_in_threadpool(writer.commit)
    finally:
        await run_in_threadpool(writer.abort)
    return Received(sha256, size, form.filename if form else None), checked


def _check_complete(form: Form | None, file: "_Bounded", check: Callable[[Fields], Checked]) -> Checked:
    refusals = Refusals()
    if form:
        form.close()
    with refusals:
        checked = check(form.fields if form else [])
    with refusals:
        if file.size == 0:
            raise _empty(form)
    refusals.raise_all()
    return checked


class _Bounded:
    def __init__(self, writer: BlobWriter, limit: int, check_room: Callable[[], None]) -> None:
        self._writer, self._limit, self.size = writer, limit, 0
        self._check_room, self._roomy = check_room, 0

    def write(self, chunk: bytes) -> None:
        if self.size >= self._roomy:
            self._check_room()
            self._roomy += CHECKED_BYTES
        self.size += len(chunk)
        if self.size > self._limit:
            raise too_large(self._limit)
        self._writer.write(chunk)


def _is_form(content_type: str | None) -> bool:
    """Any other type is taken for the bytes themselves: they say what they are."""
    message = Message()
    message["content-type"] = content_type or BINARY
    if message.get_content_maintype() == "multipart" and message.get_content_type() != _FORM:
        detail = f"Send the bytes themselves or a form ({_FORM}), not {message.get_content_type()[:100]}."
        raise Refusal("unsupported_media_type", detail, field="content-type")
    return message.get_content_type() == _FORM


def declared_length(request: Request) -> int:
    """Of the body, as its headers say; 0 where they do not."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isdecimal() and length.isascii() else 0


def _check_headers(request: Request, limit: int, around: int) -> None:
    """What can be refused before a byte is read; a form has up to `around` bytes around its file."""
    if declared_length(request) > limit + around:
        raise too_large(limit)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refusal(
            "unsupported_media_type",
            f"The body has Content-Encoding {encoding}; send the bytes as they are.",
            field="content-encoding",
        )


def too_large(limit: int) -> Refusal:
    return Refusal(
        "upload_too_large",
        f"This service accepts at most {limit} bytes; its operator sets that with WINNOW_MAX_UPLOAD_BYTES.",
    )


def _empty(form: Form | None) -> Refusal:
    if form is not None and not form.has_file:
        return Refusal("empty_upload", "The form has no file. Send it as `-F file=@FILE`.", field="file")
    return Refusal(
        "empty_upload", "No bytes came. Send the file as the body (`-T FILE`) or as `-F file=@FILE`."
    )
