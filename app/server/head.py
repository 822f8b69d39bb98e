"""The head of a request: how large it may be, and what the parser lets pass that could smuggle a second request.

The parser (llhttp, strict) itself refuses spaces before a colon, folded lines, lines that end in LF alone, a body with
both lengths, and lengths that are no numbers.
"""

from collections.abc import Iterable
from typing import Final

from app.hosts import parse_authority
from app.server.limits import ConnectionLimits
from winnow.contract.errors import Refusal

Fields = Iterable[tuple[bytes, bytes]]
_SCHEMES: Final = (b"http://", b"https://")


class HeadSize:
    """How much of a head has come, and how much without end: each method raises `headers_too_large`."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits, self._unframed = limits, 0
        self.restart()

    def restart(self) -> None:
        self._bytes = self._fields = 0

    def add(self, count: int) -> None:
        self._bytes += count
        self._check(self._bytes, self._fields)

    def add_field(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self.add(len(name) + len(value) + len(b": \r\n"))

    def add_unframed(self, count: int) -> None:
        """Bytes since a head was completed or something of a body came; 0 when that happened: a header without end,
        or chunk extensions."""
        self._unframed = self._unframed + count if count else 0
        self._check(self._unframed, 0)

    def _check(self, count: int, fields: int) -> None:
        if count > self._limits.head_bytes or fields > self._limits.head_fields:
            raise Refusal(
                "headers_too_large",
                f"Request line and headers together have at most {self._limits.head_bytes} bytes and "
                f"{self._limits.head_fields} fields, those after a body included; more came.",
            )


def check_framing(fields: Fields, http_version: str) -> None:
    """Names are in lower case. Raises `malformed_request` when it is not clear where the request ends."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise _malformed("a request has one Content-Length or one Transfer-Encoding, and not both")
    if codings and (codings[0].strip().lower() != b"chunked" or http_version != "1.1"):
        raise _malformed(f"the only Transfer-Encoding is chunked, in HTTP/1.1; {codings[0][:50]!r} came")
    if lengths and not lengths[0].strip().isdigit():
        raise _malformed(f"Content-Length is a number of bytes; {lengths[0][:50]!r} came")


def path_of_target(method: bytes, target: bytes, fields: Fields) -> bytes:
    """The path and query of a request target: `/…`, `*` for OPTIONS, or an absolute one that names the same host.

    Raises `malformed_request`.
    """
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    scheme = next((scheme for scheme in _SCHEMES if target.lower().startswith(scheme)), None)
    if scheme is None:
        raise _malformed(f"a request is for a path that begins with /; {target[:50]!r} came")
    authority, slash, rest = target[len(scheme) :].partition(b"/")
    if _parsed(authority) not in [_parsed(value) for name, value in fields if name == b"host"]:
        raise _malformed(
            "the host in the request's target is not the one in its Host header; this is no proxy"
        )
    return slash + rest or b"/"


def _parsed(authority: bytes) -> object:
    try:
        return parse_authority(authority.decode("latin-1"))
    except ValueError as error:
        raise _malformed(str(error)) from error


def _malformed(why: str) -> Refusal:
    return Refusal("malformed_request", f"The request could not be read: {why}.")
