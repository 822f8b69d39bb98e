"""JSON as RFC 8259 writes it and no parser reads differently, and models made of it without a guess.

Refused, each with its path: a key twice in one object, NaN and Infinity, numbers that are longer than any double, text
that is not UTF-8 or that no database keeps, a byte order mark, and more values, levels or characters of a path than a
request can need.
The time it takes is linear in the length of the text.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from winnow.contract.errors import MAX_COLLECTED, FieldError, Refusal, refusal_of_fields
from winnow.contract.invalid import field_errors

MAX_LEVELS: Final = 32
MAX_COMMAS: Final = 50_000
MAX_PATH_CHARACTERS: Final = 500
"""Of the keys and positions that lead to a value: every fault below a long key would repeat it."""
MAX_NUMBER_CHARACTERS: Final = 400
"""The largest double has 309 digits before its point."""

INT64: Final = 2**63
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL keeps no NUL, and halves of surrogate pairs have no UTF-8."""

M = TypeVar("M", bound=BaseModel)


def read_model(kind: type[M], content: bytes | str, where: str = "") -> M:
    """The JSON as a model: a number is no text, a text no number, 3.0 and true no whole number.

    `where` is the path of the JSON in what was sent. Raises `malformed_request` and `invalid_request`,
    with every fault.
    """
    sent = read_json(content, where)
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        raise refusal_of_fields(field_errors(errors, sent, where, kind)) from None


def read_json(content: bytes | str, where: str = "") -> Any:
    """The JSON as Python's values. Raises as `read_model`."""
    text = _text(content, where)
    if text.count(",") > MAX_COMMAS:
        raise _malformed(where, f"has more than {MAX_COMMAS} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_number(int),
            parse_float=_number(float),
            parse_constant=lambda name: _Unusable(f"{name} is no number in JSON"),
        )
    except RecursionError:
        raise _malformed(where, f"has more than {MAX_LEVELS} levels") from None
    except json.JSONDecodeError as error:
        raise _malformed(
            where, f"is no valid JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    _check(value, where)
    return value


class _Unusable:
    """Stands for what JSON can write and nobody can use, until its path is known."""

    def __init__(self, why: str) -> None:
        self.why = why


class _Repeated(dict[str, Any]):
    """An object in which keys stand twice: `repeated`."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.repeated: dict[str, None] = {}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen: set[str] = set()
    faulty = _Repeated(made)
    for key, _ in pairs:
        faulty.repeated |= {key: None} if key in seen else {}
        seen.add(key)
    return faulty


def _number(convert: Callable[[str], int | float]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        if len(text) > MAX_NUMBER_CHARACTERS:
            return _Unusable(f"a number has at most {MAX_NUMBER_CHARACTERS} characters, this one {len(text)}")
        made = convert(text)
        if made in (float("inf"), float("-inf")):
            return _Unusable(f"{text[:40]} is larger than any double")
        return made

    return number


def _text(content: bytes | str, where: str) -> str:
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _malformed(where, f"is not UTF-8: byte {error.start} cannot be read") from None
    if content.startswith("\ufeff"):
        raise _malformed(where, "begins with a byte order mark; leave it out")
    return content


def _check(value: Any, where: str) -> None:
    """Raises `malformed_request` for what has no one meaning, then `invalid_request` for what cannot be kept."""
    if ambiguous := [*islice(_ambiguous(value, where), MAX_COLLECTED)]:
        raise refusal_of_fields(ambiguous, "malformed_request")
    if unstorable := [*islice(_unstorable(value, where), MAX_COLLECTED)]:
        raise refusal_of_fields(unstorable)


def _ambiguous(value: Any, where: str) -> Iterator[FieldError]:
    for path, level, part in _parts(value, where):
        if len(path) > MAX_PATH_CHARACTERS:
            why = f"lies at a path of more than {MAX_PATH_CHARACTERS} characters: use shorter keys"
            raise _malformed(f"{path[:MAX_PATH_CHARACTERS]}…", why)
        if level > MAX_LEVELS:
            raise _malformed(path, f"lies deeper than {MAX_LEVELS} levels")
        if isinstance(part, _Unusable):
            yield FieldError(path=path, detail=f"{part.why}.")
        elif isinstance(part, _Repeated):
            for key in part.repeated:
                yield FieldError(
                    path=_below(path, key), detail="This key stands twice in its object; keep one."
                )


def _unstorable(value: Any, where: str) -> Iterator[FieldError]:
    for path, _, part in _parts(value, where):
        if (why := why_unstorable(part)) is not None:
            yield FieldError(path=path, detail=why)


def why_unstorable(part: Any) -> str | None:
    """What no database keeps about a text or a number, None for the others."""
    if isinstance(part, str) and UNSTORABLE.search(part):
        return "The text contains NUL or half of a surrogate pair; remove that character."
    if isinstance(part, int) and not -INT64 <= part < INT64:
        return "The number does not fit into 64 bits."
    return None


def _parts(value: Any, path: str, level: int = 1) -> Iterator[tuple[str, int, Any]]:
    """Every value in it, and every key at the path of its object: path, level, value. One path lives at a time."""
    yield path, level, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield path, level, key
            yield from _parts(item, _below(path, key), level + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parts(item, _below(path, str(index)), level + 1)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _malformed(where: str, why: str) -> Refusal:
    return Refusal("malformed_request", f"{where or 'The body'} {why}.", field=where or None)
