"""A refusal as the bytes of an answer, for a connection on which no application can answer any more."""

import http
from collections.abc import Iterable

from app.api.problems import ProblemResponse
from app.api.request_id import HEADER
from app.api.security_headers import NOT_KEPT, SECURITY_HEADERS
from winnow.contract.errors import Refusal


def rendered(refusal: Refusal, request_id: str, defaults: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Status line, `defaults` and our own headers, and the problem; the connection is said to close."""
    problem = refusal.problem.model_copy(update={"request_id": request_id})
    headers = {
        **SECURITY_HEADERS,
        "cache-control": NOT_KEPT,
        HEADER: request_id,
        "connection": "close",
    }
    response = ProblemResponse(problem, headers)
    status = http.HTTPStatus(problem.status)
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
    lines += [b"%s: %s" % field for field in (*defaults, *response.raw_headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
