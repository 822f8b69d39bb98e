"""What every request and answer below `/v1/uploads` has in common, as tus 1.0 has it (https://tus.io).

    Tus-Resumable           in every request but OPTIONS, and in every answer; another version is refused with 412
    X-HTTP-Method-Override  counts in place of POST, for clients that cannot send PATCH
    OPTIONS                 is answered with what this server can do, too

And how the headers are written that only some of them have.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Annotated, Any, Final, Literal

from fastapi import Header, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.api.text import WRITTEN_WHOLE
from winnow.contract.errors import Refusal

PREFIX: Final = "/v1/uploads/"
VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,checksum,expiration,termination"
PART: Final = "application/offset+octet-stream"
_ALGORITHMS: Final[dict[str, Callable[[], Any]]] = {
    "sha1": lambda: hashlib.new("sha1", usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
}
_METHODS: Final = ("HEAD", "PATCH", "DELETE", "POST")
_METADATA_KEY: Final = re.compile(r"[!-+\--~]+")
"""ASCII without spaces and commas."""

TusVersion = Annotated[Literal["1.0.0"], Header(description="Version of the protocol.", examples=[VERSION])]
Length = Annotated[
    int,
    Header(ge=0, lt=2**63, description="Bytes of the whole upload.", examples=[1073741824]),
    WRITTEN_WHOLE,
]
Offset = Annotated[
    int,
    Header(ge=0, lt=2**63, description="Where this part begins: as many bytes as have come.", examples=[0]),
    WRITTEN_WHOLE,
]
Metadata = Annotated[
    str | None,
    Header(
        description="`key base64,key base64`: `filename`, and whatever the address takes as a parameter.",
        examples=["filename cmVzbmV0MjAub25ueA=="],
    ),
]
ChecksumOfPart = Annotated[
    str | None,
    Header(
        description=f"Of this part: one of {', '.join(_ALGORITHMS)}, a space, the hash in base64. What does not fit is "
        "dropped.",
        examples=["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="],
    ),
]


class Tus:
    """ASGI. `most` is how many bytes an upload may have."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._capabilities = {
            "tus-version": VERSION,
            "tus-extension": EXTENSIONS,
            "tus-max-size": str(most),
            "tus-checksum-algorithm": ",".join(_ALGORITHMS),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self._app(scope, receive, send)

        headers = Headers(scope=scope)
        sent = scope["method"]
        method = headers.get("x-http-method-override", sent) if sent == "POST" else sent
        told = {"tus-resumable": VERSION} | (self._capabilities if method == "OPTIONS" else {})

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        if method in _METHODS and headers.getlist("tus-resumable") != [VERSION]:
            return await _other_version(headers)(scope, receive, telling)
        known = method if method in (*_METHODS, "OPTIONS") else sent  # the others are refused
        return await self._app({**scope, "method": known}, receive, telling)


def _other_version(headers: Headers) -> Response:
    came = ", ".join(headers.getlist("tus-resumable"))
    detail = f"Send `Tus-Resumable: {VERSION}`; {came[:100] if came else 'nothing'} came."
    return respond(Refusal("tus_version", detail, field="tus-resumable"), {"tus-version": VERSION})


class Checksum:
    """The hash that a part is said to have. Raises `malformed_request`."""

    def __init__(self, text: str) -> None:
        self._name, _, encoded = text.partition(" ")
        if self._name not in _ALGORITHMS:
            raise _malformed("upload-checksum", f"names none of {', '.join(_ALGORITHMS)}")
        self._hash, self._expected = _ALGORITHMS[self._name](), _decoded("upload-checksum", encoded)

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def check(self) -> None:
        """Raises `checksum_mismatch`."""
        if self._hash.digest() != self._expected:
            raise Refusal(
                "checksum_mismatch",
                f"Upload-Checksum says {self._name} {self._expected.hex()}, the bytes that came have "
                f"{self._hash.hexdigest()}. They were dropped: send them again.",
                field="upload-checksum",
            )


def read_metadata(text: str | None) -> list[tuple[str, str]]:
    """The pairs, in order. Raises `malformed_request`."""
    return [_pair(part.strip(" ")) for part in text.split(",")] if text else []


def _pair(part: str) -> tuple[str, str]:
    key, _, encoded = part.partition(" ")
    if not _METADATA_KEY.fullmatch(key):
        raise _malformed("upload-metadata", "has to look like `key base64,key base64`")
    try:
        return key, _decoded("upload-metadata", encoded).decode()
    except UnicodeDecodeError:
        raise _malformed("upload-metadata", f"has a value of {key} that is not UTF-8") from None


def _decoded(header: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise _malformed(header, "has a value that is not base64") from None


def _malformed(header: str, why: str) -> Refusal:
    return Refusal("malformed_request", f"{header} {why}.", field=header)


def http_date(seconds: float) -> str:
    """As in `Upload-Expires`, in whole seconds."""
    return formatdate(int(seconds), usegmt=True)
