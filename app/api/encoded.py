"""A download in its container: zstd as Content-Encoding, for those who ask for it.

The container is another representation with an ETag of its own. It is made while it is sent, so it has no length and
no ranges: a request with a Range gets the bytes as they are, and what broke off in the middle is continued with those.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import zstandard
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.api.chunks import chunks_of, size_of
from app.storage.ports import RemoteObject
from winnow.contract.container import level

CODING: Final = "zstd"


def wants_container(request: Request) -> bool:
    """Accept-Encoding names zstd, and no range is asked for. `*` is not taken for a wish."""
    if "range" in request.headers:
        return False
    asked = ",".join(request.headers.getlist("accept-encoding")).lower().split(",")
    return any(_accepted(entry) for entry in asked)


def in_container(
    request: Request, source: Path | RemoteObject, headers: dict[str, str], media_type: str
) -> Response:
    headers = headers | {"content-encoding": CODING, "accept-ranges": "none"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    compressed = _compressed(size_of(source), chunks_of(source))
    return StreamingResponse(compressed, headers=headers, media_type=media_type)


def _accepted(entry: str) -> bool:
    coding, *parameters = (part.strip() for part in entry.split(";"))
    quality = next((p.partition("=")[2] for p in parameters if p.startswith("q=")), "1")
    return coding == CODING and quality.rstrip("0") not in ("", "0.", ".")


def _compressed(size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=level(size)).compressobj(size=size)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
