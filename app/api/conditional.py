"""Conditional requests: strong ETags, If-None-Match, and what can be said of a Range before a file is opened."""

import re
from typing import Final

from fastapi import Request, Response

_TAG: Final = re.compile(r'(?:W/)?"([^"]*)"')
_RANGE: Final = re.compile(r"bytes\s*=\s*([\d\s,-]+)", re.IGNORECASE)
_ONE: Final = re.compile(r"(\d{0,18})-(\d{0,18})")


def etag(opaque: str) -> str:
    return f'"{opaque}"'


def unchanged(request: Request, tag: str) -> bool:
    """If-None-Match names this tag. Compared weakly, as RFC 9110 (13.1.2) wants; `*` names every tag."""
    asked = ",".join(request.headers.getlist("if-none-match"))
    return asked.strip() == "*" or tag.strip('"') in _TAG.findall(asked)


def not_modified(tag: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status_code=304, headers={**(headers or {}), "etag": tag})


def satisfiable(header: str, size: int) -> bool | None:
    """Can this Range be served? None: it is to be ignored (no bytes, malformed, or only in part possible)."""
    asked = _RANGE.fullmatch(header.strip())
    parts = [_ONE.fullmatch(part.strip()) for part in asked[1].split(",")] if asked else []
    if not parts or len(parts) > 100:
        return None
    possible = [_possible(part, size) for part in parts]
    if None in possible or len(set(possible)) > 1:
        return None
    return possible[0]


def one_range(header: str, size: int) -> tuple[int, int] | None:
    """The (first, behind the last) byte that a satisfiable Range asks for; None for several, which may be ignored."""
    asked = _RANGE.fullmatch(header.strip())
    part = _ONE.fullmatch(asked[1].strip()) if asked else None
    if part is None:
        return None
    first, last = part.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _possible(part: re.Match[str] | None, size: int) -> bool | None:
    if part is None or part[0] == "-":
        return None
    first, last = part.groups()
    if not first:
        return int(last) > 0 and size > 0
    if last and int(last) < int(first):
        return None
    return int(first) < size
