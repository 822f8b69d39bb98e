"""`/v1/session`: a key changed into a cookie, for browsers.

The cookie stands for a row in the database, not for a signed value: it ends when it is told to, when its key is revoked
and when its time is over, and no further secret has to be shared. No script can read it (HttpOnly), and no page of
another site can make a browser send it (SameSite=Strict); what it changes has to say which page it comes from, too.
"""

from fastapi import Request, Response

from app.access.caller import in_order
from app.access.keys import new_session
from app.api.deps import Known, Service
from app.api.guard import COOKIE
from app.api.problems import documented
from app.api.router import Router
from app.api.times import at, now
from winnow.contract.access import Session
from winnow.contract.errors import Refusal

router = Router(prefix="/v1/session", tags=["access"], access="known")


@router.post(
    "", status_code=201, operation_id="begin_session", responses=documented("keys_disabled", "key_needed")
)
def begin_session(request: Request, response: Response, service: Service, caller: Known) -> Session:
    """Change the key or token of this request into a cookie, for as long as the operator lets sessions last."""
    if service.settings.auth == "none":
        raise Refusal(
            "keys_disabled", "This service asks nobody who they are, so there is no session to begin."
        )
    if caller.session is not None:
        raise Refusal(
            "key_needed", "A session begins with a key: `Authorization: Bearer KEY`. A cookie came instead."
        )
    session, text = new_session(caller, now(), service.settings.session_seconds)
    service.records.add_session(session)
    response.set_cookie(
        COOKIE,
        text,
        max_age=int(session.expires_at - session.created_at),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return Session(owner=session.owner, scopes=[*in_order(session.scopes)], expires_at=at(session.expires_at))


@router.delete("", status_code=204, operation_id="end_session", responses=documented())
def end_session(request: Request, response: Response, service: Service, caller: Known) -> None:
    """End the session of this request's cookie, if it came with one."""
    if caller.session is not None:
        service.records.end_session(caller.session)
    response.delete_cookie(COOKIE, path="/", secure=_is_secure(request), httponly=True, samesite="strict")


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy: its page's origin says so where the proxy does not."""
    origins = request.headers.getlist("origin")
    return request.url.scheme == "https" or any(origin.startswith("https://") for origin in origins)
