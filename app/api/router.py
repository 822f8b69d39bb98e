"""A router of strict routes, whose GET routes answer HEAD too (RFC 9110, 9.1), and the methods of an address."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from app.api.strict import StrictRoute


class Router(APIRouter):
    """`streams`: GET only, because a HEAD of a stream would have no end."""

    def __init__(self, *, streams: bool = False, **options: Any) -> None:
        super().__init__(route_class=StrictRoute, **options)
        self._streams = streams

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().add_api_route(path, endpoint, **options)
        if list(options.get("methods") or []) == ["GET"] and not self._streams:
            hidden = {"methods": ["HEAD"], "include_in_schema": False, "operation_id": None}
            super().add_api_route(path, endpoint, **{**options, **hidden})


def methods_of(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """What the address answers, OPTIONS among it; nothing where there is no such address."""
    methods: set[str] = set()
    for context in iter_route_contexts(routes):
        if context.methods and context.path_regex.match(path):
            methods |= context.methods
    return sorted(methods | {"OPTIONS"}) if methods else []
