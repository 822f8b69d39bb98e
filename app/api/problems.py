"""Everything that goes wrong, answered as an RFC 9457 problem: a stable code, a sentence, the field's path."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.request_id import current_request_id
from app.contract.errors import CODES, Problem, Refusal
from app.contract.invalid import path, sentence

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
Responses = dict[int | str, dict[str, Any]]
LONGEST: Final = 2000
RETRY_SECONDS: Final = "5"

_BY_STATUS: Final = {
    400: ("malformed_request", "The request could not be read. Check that its body is well-formed."),
    404: ("not_found", "Nothing is at this address. The addresses of this service are at /docs."),
    405: ("method_not_allowed", "This address does not answer that method; see the Allow header."),
    413: ("upload_too_large", "The request's body is larger than this address accepts."),
}
_JSON_NEEDED: Final = "The request needs a JSON body, sent with `Content-Type: application/json`."


class ProblemResponse(Response):
    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        named = problem.model_copy(update={"request_id": problem.request_id or current_request_id()})
        content = {name: _printable(value) for name, value in named.model_dump().items()}
        retry = {"retry-after": RETRY_SECONDS} if problem.code == "too_busy" else {}
        super().__init__(json.dumps(content), problem.status, {**retry, **(headers or {})})


def _printable(value: Any) -> Any:
    """What a client sent may come back in a detail: never so long, nor so broken, that the answer fails."""
    if not isinstance(value, str):
        return value
    return value[:LONGEST].encode("utf-8", "replace").decode()


def answer(refusal: Refusal, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    return ProblemResponse(refusal.problem, headers)


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
    for unreachable in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(unreachable, _unreachable)
    app.add_exception_handler(Exception, _unexpected)


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(error)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = _BY_STATUS.get(error.status_code, ("malformed_request", str(error.detail)))
    return answer(Refusal(code, detail), error.headers)


def _gone(request: Request, error: Exception) -> Response:
    """The client hung up: nobody reads this, and it is no failure of ours."""
    return answer(Refusal("malformed_request", "The connection was closed before the request was complete."))


def _unreachable(request: Request, error: Exception) -> Response:
    log.error("%s %s: the database cannot be reached: %s", request.method, request.url.path, error)
    return answer(Refusal("storage_unavailable", "The records cannot be reached. Try again in a moment."))


def _unexpected(request: Request, error: Exception) -> Response:
    """Starlette raises the error again afterwards, and the server logs its traceback; the client never sees it."""
    log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    return answer(
        Refusal("internal_error", "Something failed on our side and was logged. Nothing stored is lost.")
    )


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(refusal_of(error.errors(), error.body))


def refusal_of(errors: Sequence[Mapping[str, Any]], body: Any) -> Refusal:
    """Pydantic's errors as one refusal: the first one's field, the sentences of the first few."""
    first = errors[0]
    if first["type"] == "json_invalid":
        field = None if first["loc"][0] == "body" else field_path(first, body)
        detail = f"{field or 'The body'} is no valid JSON: {first['ctx']['error']}."
        return Refusal("malformed_request", detail, field=field)
    if tuple(first["loc"]) == ("body",):
        if isinstance(body, bytes):
            return Refusal("unsupported_media_type", _JSON_NEEDED)
        return Refusal("invalid_request", f"{_JSON_NEEDED} It has to be an object.")
    told = [(field_path(e, body), sentence(e)) for e in errors]
    sentences = dict.fromkeys(f"{path}: {text}" if path else text for path, text in told)
    return Refusal("invalid_request", "; ".join([*sentences][:5]) + ".", field=told[0][0] or None)


def field_path(error: Mapping[str, Any], body: Any) -> str:
    """The place in the request, as `recipe.steps.0.kind`. Of a form or an address nothing is known but its keys."""
    where, *rest = error["loc"]
    return path(error, rest, body) if where == "body" else ".".join(map(str, rest))
