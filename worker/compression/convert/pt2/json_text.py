"""JSON that is read once and in one way: no key twice, no NaN, not too deep."""

import json
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 100
STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
BRACKETS: Final = re.compile(rb"[^\[\]{}]+")


def parse_json(content: bytes) -> Any:
    """The document. Raises `ValueError` with the reason."""
    text = content.decode("utf-8")
    if _depth(content) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _depth(content: bytes) -> int:
    depth = deepest = 0
    for bracket in BRACKETS.sub(b"", STRING.sub(b"", content)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return document


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
