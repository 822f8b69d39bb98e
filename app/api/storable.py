"""JSON allows text and numbers that no database keeps: found before they are stored, and named."""

from collections.abc import Iterator
from typing import Any, Final

from app.contract.errors import Refusal

INT64: Final = 2**63


def check_storable(value: Any, path: str = "") -> None:
    """Raises `invalid_request` for NUL characters (PostgreSQL refuses them) and integers beyond 64 bits."""
    for where, part in _parts(value, path):
        if isinstance(part, str) and "\0" in part:
            raise Refusal("invalid_request", "The text contains a NUL character; remove it.", field=where)
        if isinstance(part, int) and not -INT64 <= part < INT64:
            raise Refusal("invalid_request", "The number does not fit into 64 bits.", field=where)


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield path, key
            yield from _parts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _parts(item, f"{path}.{index}")
