"""A router of strict routes, whose GET routes answer HEAD too (RFC 9110, 9.1), and the methods of an address."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from app.api.guard import Access
from app.api.strict import AdminRoute, KnownRoute, OpenRoute, StrictRoute

ROUTES: Final[dict[Access, type[StrictRoute]]] = {
    kind.access: kind for kind in (StrictRoute, KnownRoute, AdminRoute, OpenRoute)
}


class Router(APIRouter):
    """`streams`: GET only, because a HEAD of a stream would have no end. `access`: see `app.api.guard`."""

    def __init__(self, *, streams: bool = False, access: Access = "by method", **options: Any) -> None:
        super().__init__(route_class=ROUTES[access], **options)
        self._streams, self._open = streams, access == "open"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As FastAPI's, which looks at route after route also where the prefix is another."""
        if not get_route_path(scope).startswith(self.prefix):
            return Match.NONE, {}
        return super().matches(scope)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if self._open:
            options["openapi_extra"] = {**(options.get("openapi_extra") or {}), "security": []}
        super().add_api_route(path, endpoint, **options)
        if list(options.get("methods") or []) == ["GET"] and not self._streams:
            hidden = {"methods": ["HEAD"], "include_in_schema": False, "operation_id": None}
            super().add_api_route(path, endpoint, **{**options, **hidden})


def methods_of(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """What the address answers, OPTIONS among it; nothing where there is no such address.

    `/v1/jobs/import` is an address of its own, not that of a job called `import`: what fewest parameters match counts.
    """
    matching = [it for it in iter_route_contexts(routes) if it.methods and it.path_regex.match(path)]
    fewest = min((str(it.path).count("{") for it in matching), default=0)
    methods = {name for it in matching if str(it.path).count("{") == fewest for name in it.methods or ()}
    return sorted(methods | {"OPTIONS"}) if methods else []
