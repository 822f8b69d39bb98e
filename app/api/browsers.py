"""What a page of another site could make a browser do here: refused by `Host` and `Origin`, before a body is read.

    DNS rebinding           another site's name leads to this address: its pages may read what they get, but Host tells
    forms and scripts       they can send and not read: Origin and Sec-Fetch-Site tell where they come from

Programs send neither Origin nor Sec-Fetch-Site, and are not concerned.
"""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import respond
from app.hosts import Authority, is_address, is_allowed, parse_authority
from winnow.contract.errors import Refusal

PROBES: Final = ("/livez", "/readyz", "/metrics")
"""Orchestrators and Prometheus ask these by the address of a container, which nobody knows beforehand."""

MAX_NAMES_TOLD: Final = 10
_READING: Final = ("GET", "HEAD")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OWN_SITES: Final = ("same-origin", "none")


class KnownHostsAndOrigins:
    """ASGI: answers 400, 421 or 403 in place of the application. `hosts` are the patterns that Host may match."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http":
            try:
                check_request(scope["method"], scope["path"], Headers(scope=scope), self._hosts)
            except Refusal as refusal:
                return await respond(refusal)(scope, receive, send)
        return await self._app(scope, receive, send)


def check_request(method: str, path: str, headers: Headers, hosts: Collection[str]) -> None:
    """Raises `malformed_request`, `host_not_allowed`, `cross_origin`."""
    named = parse_host_header(headers)
    if not is_allowed(named.host, hosts) and not (path in PROBES and is_address(named.host)):
        raise Refusal(
            "host_not_allowed",
            f"This service is not called {named.host!r} but {', '.join(sorted(hosts)[:MAX_NAMES_TOLD])}. Use one of "
            "these names, or have its operator name this one in WINNOW_ALLOWED_HOSTS, beside those to be kept.",
            field="host",
        )
    if method not in _READING:
        _check_origin(headers, named)


def parse_host_header(headers: Headers) -> Authority:
    """The request's Host. Raises `malformed_request`."""
    given = headers.getlist("host")
    try:
        [one] = given
        return parse_authority(one)
    except ValueError:
        came = "it is missing" if not given else f"{', '.join(map(repr, given))} came"
        detail = f"A request has one Host header, `Host: name` or `Host: name:port`; {came}."
        raise Refusal("malformed_request", detail, field="host") from None


def _check_origin(headers: Headers, own: Authority) -> None:
    for origin in headers.getlist("origin"):
        if not is_own_origin(origin, own):
            detail = (
                f"This request came from a page of {origin!r}; only pages of this service and programs may change "
                "things here. A proxy in front of it has to pass the Host header on as it came."
            )
            raise Refusal("cross_origin", detail, field="origin")
    for site in headers.getlist("sec-fetch-site"):
        if site not in _OWN_SITES:
            detail = f"A browser says that this request is {site!r}: only pages of this service may change things here."
            raise Refusal("cross_origin", detail, field="sec-fetch-site")


def is_own_origin(origin: str, own: Authority) -> bool:
    """Whether `scheme://host[:port]` is the service's own, as its Host header has it. `null` never is."""
    scheme, _, rest = origin.partition("://")
    try:
        named = parse_authority(rest)
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(scheme)
    ports = {port if port is not None else default for port in (named.port, own.port)}
    return default is not None and named.host == own.host and len(ports) == 1
