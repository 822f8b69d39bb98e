"""Uploads that are taken up again where they broke off (tus 1.0, https://tus.io)."""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Protocol

import httpx

from winnow.client.errors import ServiceProblem, ServiceUnreachable, UnexpectedAnswer
from winnow.client.transport import Transport
from winnow.client.watching import PASSING, QUICK, patiently

log = logging.getLogger(__name__)

LARGE: Final = 64 * 2**20
"""Bytes beyond which an upload is sent so that it can be taken up again."""
MOST_IN_ADDRESS: Final = 16_000
"""Bytes of what goes with an upload: servers and proxies bound the head of a request."""

VERSION: Final = {"Tus-Resumable": "1.0.0"}
PART: Final = {**VERSION, "Content-Type": "application/offset+octet-stream"}
RESUMABLE: Final = PASSING | {408, 409, 423}
"""Answers after which the rest can be sent: away for a moment, too slow, or another connection was thought to live."""
UNKNOWN: Final = frozenset({404, 405})


class Body(Protocol):
    """What is sent: `since` reads it from a byte on."""

    size: int

    def since(self, offset: int) -> Iterator[bytes]: ...


def send_in_parts(
    transport: Transport,
    kind: Literal["models", "datasets"],
    params: Mapping[str, Any],
    body: Body,
    timeout: httpx.Timeout,
    patience: float,
) -> httpx.Response | None:
    """The model or dataset that the bytes became, as the service shows it. None from one that takes none in parts.

    Goes on after a lost connection or a restart of the service, until no more bytes arrive for `patience` seconds; then
    it raises what the last try raised.
    """
    try:
        begun = transport.request(
            "POST",
            f"/v1/uploads/{kind}",
            params=params,
            headers={**VERSION, "Upload-Length": str(body.size)},
        )
    except (ServiceProblem, UnexpectedAnswer) as error:
        if error.status in UNKNOWN:
            return None
        raise
    upload = begun.headers["location"]
    return transport.get(_send_all(transport, upload, body, timeout, patience))


def _send_all(transport: Transport, upload: str, body: Body, timeout: httpx.Timeout, patience: float) -> str:
    """Where the complete upload is."""
    offset, deadline = 0, time.monotonic() + patience
    while True:
        failure: Exception | None = None
        try:
            answer = _send(transport, upload, body, offset, timeout)
        except (ServiceUnreachable, ServiceProblem, UnexpectedAnswer) as error:
            if not (isinstance(error, ServiceUnreachable) or error.status in RESUMABLE):
                raise
            failure = error
            log.info("%s broke off: %s", upload, error)
            time.sleep(QUICK)
            answer = _look(transport, upload, body, timeout, patience)
        if (location := answer.headers.get("content-location")) is not None:
            return str(location)
        arrived = int(answer.headers["upload-offset"])
        if arrived > offset:
            deadline = time.monotonic() + patience
        elif failure is not None and time.monotonic() > deadline:
            raise failure
        offset = arrived


def _send(
    transport: Transport, upload: str, body: Body, offset: int, timeout: httpx.Timeout
) -> httpx.Response:
    headers = {**PART, "Upload-Offset": str(offset), "Content-Length": str(body.size - offset)}
    content = body.since(offset)
    return transport.request("PATCH", upload, again=False, content=content, headers=headers, timeout=timeout)


def _look(
    transport: Transport, upload: str, body: Body, timeout: httpx.Timeout, patience: float
) -> httpx.Response:
    """How far it is; where it was refused as a whole, a HEAD cannot say why, and an empty part is told."""
    try:
        return patiently(
            lambda: transport.request("HEAD", upload, headers=VERSION, timeout=timeout), patience
        )
    except UnexpectedAnswer:
        headers = {**PART, "Upload-Offset": str(body.size), "Content-Length": "0"}
        return transport.request("PATCH", upload, headers=headers, timeout=timeout)
