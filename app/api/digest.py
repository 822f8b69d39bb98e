"""Content-Digest and Repr-Digest (RFC 9530): did the bytes arrive as they were sent?"""

import base64
import binascii
import hashlib
import re
from typing import Any, Final

from starlette.datastructures import Headers

from winnow.contract.errors import Refusal

ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MEMBER: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*")


class SentDigests:
    """What the client says the body's hashes are. Algorithms that we do not know are passed over, as RFC 9530 says.

    Raises `malformed_request` for a header that is not as the RFC writes it.
    """

    def __init__(self, headers: Headers) -> None:
        self._expected: list[tuple[str, str, bytes]] = []
        for header in ("content-digest", "repr-digest"):
            for line in headers.getlist(header):
                self._expected += _members(header, line)
        self._hashes: dict[str, Any] = {name: ALGORITHMS[name]() for _, name, _ in self._expected}

    def update(self, chunk: bytes) -> None:
        for running in self._hashes.values():
            running.update(chunk)

    def check(self) -> None:
        """Raises `digest_mismatch`."""
        for header, name, expected in self._expected:
            found = self._hashes[name].digest()
            if found != expected:
                raise Refusal(
                    "digest_mismatch",
                    f"{header} says {name} {expected.hex()}, the bytes that arrived have {found.hex()}. "
                    "Send them again.",
                    field=header,
                )


def _members(header: str, line: str) -> list[tuple[str, str, bytes]]:
    members = []
    for part in line.split(","):
        found = _MEMBER.fullmatch(part)
        if found is None:
            raise _malformed(header)
        name, value = found.groups()
        if name in ALGORITHMS:
            members.append((header, name, _decoded(header, name, value)))
    return members


def _decoded(header: str, name: str, value: str) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise _malformed(header) from None
    if len(digest) != ALGORITHMS[name]().digest_size:
        raise _malformed(header)
    return digest


def _malformed(header: str) -> Refusal:
    return Refusal(
        "malformed_request",
        f"{header} has to look like `sha-256=:<base64 of the hash>:` (RFC 9530).",
        field=header,
    )
