"""Stored bytes on their way out: ETag, If-None-Match, HEAD, Range, and a file name that is safe everywhere."""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.api.chunks import chunks_of
from app.api.conditional import etag, not_modified, one_range, satisfiable, unchanged
from app.api.encoded import CODING, in_container, wants_container
from app.api.problems import respond
from app.storage.ports import Blobs, RemoteObject
from winnow.contract.errors import Refusal

BINARY: Final = "application/octet-stream"
BYTES: Final = "(the bytes)"
"""Where the document shows an example."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def content_of(media_type: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` of routes that answer bytes."""
    return {
        200: {
            "description": "The bytes",
            "content": {media_type: {"schema": {"type": "string", "format": "binary"}, "example": BYTES}},
        },
        206: {"description": "The range of bytes that was asked for"},
        307: {"description": "The bytes are to be had from the store itself, by the address in `Location`"},
        304: {"description": "Unchanged: If-None-Match named the ETag"},
    }


CONTENT: Final = content_of(BINARY)


def content(
    request: Request,
    blobs: Blobs,
    sha256: str,
    filename: str,
    media_type: str = BINARY,
    *,
    container: bool = False,
) -> Response:
    """The blob as a download; `container`: as zstd where the client takes that. Raises `storage_unavailable` when its
    bytes are not there."""
    contained = container and wants_container(request)
    tag = etag(f"{sha256}-{CODING}" if contained else sha256)
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-disposition": attachment(filename)}
    if container:
        headers["vary"] = "accept-encoding"
    if unchanged(request, tag):
        return not_modified(tag, headers)
    try:
        source = blobs.source(sha256)
    except FileNotFoundError:
        raise Refusal(
            "storage_unavailable", "The bytes are missing in the store. Tell its operator."
        ) from None
    if not isinstance(source, Path) and request.method == "GET" and (url := source.url()) is not None:
        return RedirectResponse(url, 307, {"cache-control": "no-store"})
    if contained:
        return in_container(request, source, headers, media_type)
    if isinstance(source, Path):
        return Download(source, headers=headers, media_type=media_type)
    return _passed_on(request, source, headers, media_type)


def _passed_on(request: Request, source: RemoteObject, headers: dict[str, str], media_type: str) -> Response:
    """What lies on a server, on its way through us; with one range, of several with all."""
    possible = _satisfiable(Headers(scope=request.scope), request.method, headers["etag"], source.size)
    if possible is False:
        return _not_satisfiable(request.headers["range"], source.size)
    part = one_range(request.headers["range"], source.size) if possible else None
    start, end = part or (0, source.size)
    headers = headers | {"accept-ranges": "bytes", "content-length": str(end - start)}
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{source.size}"
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    return StreamingResponse(chunks_of(source, start, end), 206 if part else 200, headers, media_type)


class Download(FileResponse):
    """FileResponse serves good ranges right. All others are ignored here, or answered as a problem.

    Ignored (RFC 9110, 13.1.5 and 14.2): of a HEAD, malformed, or with an If-Range that is not the ETag.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, size = Headers(scope=scope), Path(self.path).stat().st_size
        possible = _satisfiable(headers, scope["method"], self.headers["etag"], size)
        if possible is False:
            return await _not_satisfiable(headers["range"], size)(scope, receive, send)
        if possible is None:
            scope = {**scope, "headers": [(k, v) for k, v in scope["headers"] if k != b"range"]}
        return await super().__call__(scope, receive, send)


def _satisfiable(headers: Headers, method: str, tag: str, size: int) -> bool | None:
    """Whether a Range is to be served; None where it is to be ignored."""
    if method != "GET" or headers.get("if-range") not in (None, tag):
        return None
    return satisfiable(headers.get("range", ""), size)


def _not_satisfiable(asked_range: str, size: int) -> Response:
    detail = f"The content has {size} bytes; {asked_range!r} asks for none of them."
    return respond(Refusal("range_not_satisfiable", detail), {"content-range": f"bytes */{size}"})


def attachment(filename: str) -> str:
    """RFC 6266: a plain name for everyone, and the true one (RFC 8187) where it differs."""
    plain = _UNSAFE.sub("_", filename).lstrip(".") or "download"
    if plain == filename:
        return f'attachment; filename="{plain}"'
    true = quote(filename.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{true}"
