"""Pydantic's errors in words: the place in what was sent, and what is wrong there."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.contract.errors import MAX_COLLECTED, FieldError


def field_errors(errors: Iterable[Mapping[str, Any]], sent: Any, where: str = "") -> list[FieldError]:
    """Pydantic's errors about what was `sent`, which itself lies at the path `where`: one for each place, of
    the first `MAX_COLLECTED` places."""
    sentences: dict[str, list[str]] = {}
    for error in errors:
        place = ".".join(filter(None, (where, path(error, error["loc"], sent))))
        sentences.setdefault(place, []).append(sentence(error))
        if len(sentences) == MAX_COLLECTED:
            break
    return [
        FieldError(path=place, detail=f"{', or '.join(dict.fromkeys(several))}.")
        for place, several in sentences.items()
    ]


def sentence(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "there is no such field, check its spelling"
        case "missing":
            return "this field is required"
        case "union_tag_not_found":
            return "`kind` is required"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def path(error: Mapping[str, Any], loc: Iterable[Any], sent: Any) -> str:
    """`loc` as `recipe.steps.0.kind`.

    Pydantic puts tags and branches of unions between the keys of its path; what was not `sent` is left out, unless
    it is the missing or unwanted key itself at the end.
    """
    keys = [str(key) for key in _found(loc, sent, error["type"] in ("missing", "extra_forbidden"))]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        keys.append("kind")
    return ".".join(keys)


def _found(loc: Iterable[Any], value: Any, ends_with_key: bool) -> list[Any]:
    keys, loc = [], list(loc)
    for position, key in enumerate(loc):
        last = ends_with_key and position == len(loc) - 1
        if isinstance(value, dict) and (key in value or last):
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int) and (key < len(value) or last):
            value = value[key] if key < len(value) else None
        else:
            continue
        keys.append(key)
    return keys
