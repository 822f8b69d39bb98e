"""Around every route: who asks, whether they may and whether it is their turn, before anything of the request is read;
afterwards, for what changes something, an entry in the log of who did what.

    access         read by            needs
    by method      most routes        the scope `read` for GET and HEAD, `write` for the rest
    known          /v1/session        any key or token
    admin          /v1/keys, …        the scope `admin`
    open           /livez, /docs, …   nothing: nobody is asked
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.access.caller import ANYBODY, Caller
from app.access.door import Door
from app.api.deps import Parts
from app.api.request_id import current_request_id
from app.api.times import now
from app.storage.ids import new_id
from app.storage.records import Audited
from winnow.contract.access import Scope
from winnow.contract.errors import Refusal
from winnow.contract.strict_json import why_unstorable

log = logging.getLogger(__name__)

Access = Literal["by method", "known", "admin", "open"]
COOKIE: Final = "winnow_session"
READING: Final = ("GET", "HEAD")
_BEARER: Final = re.compile(r"bearer +(\S.*)", re.IGNORECASE)
MAX_OBJECT: Final = 200

Handler = Callable[[Request], Awaitable[Response]]


async def guarded(request: Request, access: Access, route: str, handle: Handler) -> Response:
    """The answer, for who may have it. `route` is the address's template.

    Raises what `Door.caller` does, `scope_missing`, `too_many_requests`, and what `handle` raises.
    """
    if access == "open":
        return await handle(request)
    door: Door = request.app.state.door
    caller = await _caller(door, request)
    door.count(caller)
    request.state.caller = caller
    if not door.asks or request.method in READING:
        _check_may(caller, access, request)
        return await handle(request)
    try:
        _check_may(caller, access, request)
        response = await handle(request)
    except Exception as error:
        await _keep(request, caller, route, _status_of(error), None)
        raise
    await _keep(request, caller, route, response.status_code, response.headers.get("location"))
    return response


async def _caller(door: Door, request: Request) -> Caller:
    if not door.asks:
        return ANYBODY
    return await run_in_threadpool(
        door.caller, _bearer(request), request.cookies.get(COOKIE) or None, time.time()
    )


def _bearer(request: Request) -> str | None:
    """Raises `malformed_request` for a header that means two things or nothing."""
    given = request.headers.getlist("authorization")
    if not given:
        return None
    said = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
    if said is None:
        detail = "A request has one Authorization header, `Authorization: Bearer KEY`; another one came, or several."
        raise Refusal("malformed_request", detail, field="authorization")
    return said[1]


def _check_may(caller: Caller, access: Access, request: Request) -> None:
    """Raises `scope_missing` and `cross_origin`."""
    if access != "known":
        by_method: Scope = "read" if request.method in READING else "write"
        caller.check_may("admin" if access == "admin" else by_method)
    if caller.session is not None and request.method not in READING:
        _check_from_a_page(request)


def _check_from_a_page(request: Request) -> None:
    """A browser sends a cookie by itself, so what it changes has to say which page it came from. `app.api.browsers` has
    looked at what it says."""
    if not any(name in request.headers for name in ("origin", "sec-fetch-site")):
        detail = (
            "A request with a session's cookie that changes something needs the header Origin, which browsers send. "
            "Programs send a key: `Authorization: Bearer KEY`."
        )
        raise Refusal("cross_origin", detail, field="origin")


async def _keep(request: Request, caller: Caller, route: str, status: int, location: str | None) -> None:
    """It is about what it made, else about what its address names. It is done and cannot be undone: where this cannot
    be kept, the operator's log has it."""
    about = (location or "").rpartition("/")[2] or request.path_params.get("id")
    entry = Audited(
        id=new_id("aud"),
        created_at=now(),
        owner=caller.owner,
        key=caller.key,
        method=request.method,
        route=route,
        object=None if not about or why_unstorable(about) else about[:MAX_OBJECT],
        status=status,
        request_id=current_request_id() or "",
    )
    parts: Parts = request.app.state.parts
    try:
        await run_in_threadpool(parts.records.add_audited, entry)
    except Exception:  # whatever a store raises
        log.exception("could not be kept: %s", entry)


def _status_of(error: Exception) -> int:
    match error:
        case Refusal():
            return error.problem.status
        case HTTPException():
            return error.status_code
        case RequestValidationError():
            return 422
        case _:
            return 500
