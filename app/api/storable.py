"""JSON allows text and numbers that no database keeps: found before they are stored, and named."""

import re
from collections.abc import Iterator
from typing import Any, Final

from app.contract.errors import Refusal

INT64: Final = 2**63
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def check_storable(value: Any, path: str = "") -> None:
    """Raises `invalid_request` for NUL (PostgreSQL refuses it), halves of surrogate pairs (no UTF-8 has them) and
    integers beyond 64 bits."""
    for where, part in _parts(value, path):
        if isinstance(part, str) and _UNSTORABLE.search(part):
            detail = "The text contains NUL or half of a surrogate pair; remove that character."
            raise Refusal("invalid_request", detail, field=where)
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
