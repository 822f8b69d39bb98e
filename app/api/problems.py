"""Everything that goes wrong, answered as an RFC 9457 problem: a stable code, a sentence, the field's path."""

import errno
import json
import logging
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.request_id import address, current_request_id
from app.api.router import methods_of
from app.api.strict import located_errors
from winnow.contract.errors import CODES, Problem, Refusal, refusal_of_fields

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
Responses = dict[int | str, dict[str, Any]]
LONGEST: Final = 2000
LENGTHS: Final = {"field": 300, "path": 300}
"""Characters of a text in an answer, and of those that are shorter."""
RETRY_SECONDS: Final = "5"
REALM: Final = 'Bearer realm="winnow"'
OURS: Final = (DataError, IntegrityError, ProgrammingError)
"""Errors of a database that is well: the mistake is in our question."""
POSTGRESQL_FULL: Final = "53100"

_BY_STATUS: Final = {
    400: ("malformed_request", "The request could not be read. Check that its body is well-formed."),
    404: ("not_found", "Nothing is at this address. The addresses of this service are at /docs."),
    413: ("upload_too_large", "The request's body is larger than this address accepts."),
}


class ProblemResponse(Response):
    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        named = problem.model_copy(update={"request_id": problem.request_id or current_request_id()})
        content = _printable(named.model_dump())
        retry = {"retry-after": RETRY_SECONDS} if problem.code == "too_busy" else {}
        super().__init__(
            json.dumps(content), problem.status, {**retry, **_challenge(problem), **(headers or {})}
        )


def _challenge(problem: Problem) -> dict[str, str]:
    """How to say who asks (RFC 6750, 3)."""
    if problem.code == "key_needed":
        return {"www-authenticate": REALM}
    if problem.status == 401:
        return {"www-authenticate": f'{REALM}, error="invalid_token", error_description="{problem.title}"'}
    if problem.code == "scope_missing":
        return {"www-authenticate": f'{REALM}, error="insufficient_scope"'}
    return {}


def _printable(value: Any, longest: int = LONGEST) -> Any:
    """What a client sent may come back in a detail: never so long, nor so broken, that the answer fails."""
    match value:
        case str():
            return value[:longest].encode("utf-8", "replace").decode()
        case dict():
            return {name: _printable(part, LENGTHS.get(name, longest)) for name, part in value.items()}
        case list():
            return [_printable(part, LONGEST // 4) for part in value]
        case _:
            return value


def respond(refusal: Refusal, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    retry = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return ProblemResponse(refusal.problem, {**retry, **(headers or {})})


def documented(*codes: str, also: Responses | None = None) -> Responses:
    """OpenAPI `responses` of a route that refuses with these codes; `also` are its other answers."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    grouped: dict[int, list[str]] = {}
    for code in (*codes, "invalid_request"):
        grouped.setdefault(CODES[code][0], []).append(code)
    listed: Responses = {
        status: {"description": "`" + "`, `".join(sorted(set(names))) + "`", "content": schema}
        for status, names in sorted(grouped.items())
    }
    return (also or {}) | listed | {"default": {"description": "Any other problem", "content": schema}}


def install(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    for refused in (OSError, DatabaseError, InterfaceError, PoolTimeout):
        app.add_exception_handler(refused, _not_stored)
    app.add_exception_handler(Exception, _unexpected)


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return respond(error)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _not_that_method(request)
    code, detail = _BY_STATUS.get(error.status_code, ("malformed_request", str(error.detail)))
    return respond(Refusal(code, detail), error.headers)


def _not_that_method(request: Request) -> Response:
    """Allow names every method of the address (RFC 9110, 15.5.6), also to those who only ask for them."""
    methods = ", ".join(methods_of(request.app.routes, request.scope["path"]))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": methods})
    detail = f"This address does not answer {request.method[:20]}; it answers {methods}."
    return respond(Refusal("method_not_allowed", detail), {"allow": methods})


def _gone(request: Request, error: Exception) -> Response:
    """The client hung up: nobody reads this, and it is no failure of ours."""
    return respond(Refusal("malformed_request", "The connection was closed before the request was complete."))


def _not_stored(request: Request, error: Exception) -> Response:
    """What the system or the database refuses to read or to write, whichever route asked."""
    if isinstance(error, OURS):
        log.error("the database refused a statement of ours", exc_info=error)
        return _unexpected(request, error)
    log.error("%s %s: %s: %s", request.method, address(request.scope), type(error).__name__, error)
    if is_full(error):
        detail = (
            "The service's disk has no room left. Try again later, or tell its operator. Nothing was stored."
        )
        return respond(Refusal("disk_full", detail))
    what = "bytes" if isinstance(error, OSError) else "records"
    detail = (
        f"The {what} cannot be read or stored now. Try again in a moment; /readyz says when it works again."
    )
    return respond(Refusal("storage_unavailable", detail), {"retry-after": RETRY_SECONDS})


def is_full(error: Exception) -> bool:
    """Whether it means that there is no room: on a disk, of SQLite, of PostgreSQL."""
    cause = getattr(error, "orig", error)
    if isinstance(cause, OSError):
        return cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full_sqlite = getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return full_sqlite or getattr(cause, "sqlstate", None) == POSTGRESQL_FULL


def _unexpected(request: Request, error: Exception) -> Response:
    """Starlette raises the error again afterwards, and the server logs its traceback; the client never sees it."""
    log.error("%s %s failed: %s", request.method, address(request.scope), type(error).__name__)
    return respond(
        Refusal("internal_error", "Something failed on our side and was logged. Nothing stored is lost.")
    )


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return respond(refusal_of_fields(located_errors(error.errors())))
