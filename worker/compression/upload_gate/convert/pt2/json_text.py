"""Read JSON once and in one way: no key twice, no NaN, not too deep."""

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 3_000_000


def parse_json(content: bytes) -> Any:
    """The document. Raises `ValueError` with the reason."""
    text = content.decode("utf-8")
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    for _ in containers(document):
        pass
    return document


def containers(document: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Its objects and arrays, level by level. Raises `ValueError` for too many levels or values."""
    level, depth, values = [document] if isinstance(document, dict | list) else [], 0, 0
    while level:
        depth, values = depth + 1, values + sum(map(len, level))
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        if values > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_VALUES} values")
        yield from level
        level = [
            value
            for container in level
            for value in (container.values() if isinstance(container, dict) else container)
            if isinstance(value, dict | list)
        ]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return document


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
