"""A router whose GET routes answer HEAD too (RFC 9110, 9.1)."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


class Router(APIRouter):
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().add_api_route(path, endpoint, **options)
        if list(options.get("methods") or []) == ["GET"]:
            hidden = {"methods": ["HEAD"], "include_in_schema": False, "operation_id": None}
            super().add_api_route(path, endpoint, **{**options, **hidden})
