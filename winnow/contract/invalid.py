"""Pydantic's errors in words: the place in what was sent, and what is wrong there."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel

from winnow.contract.errors import MAX_COLLECTED, FieldError
from winnow.contract.nearest import did_you_mean

MAX_SHOWN: Final = 50
"""Characters of a wrong value that are repeated."""

EXPECTED: Final[Mapping[str, str]] = {
    "int": "a whole number was expected",
    "float": "a number was expected",
    "bool": "true or false was expected",
    "string": "a text was expected",
    "list": "a list was expected",
    "tuple": "a list was expected",
    "dict": "an object was expected",
    "model": "an object was expected",
    "datetime": "a date and time as in 2026-01-31T12:00:00Z were expected",
}
"""Beginning of the type of pydantic's error → what was expected."""

BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "has to be at least {ge}",
    "greater_than": "has to be more than {gt}",
    "less_than_equal": "has to be at most {le}",
    "less_than": "has to be less than {lt}",
    "string_too_short": "has to have at least {min_length} characters",
    "string_too_long": "has to have at most {max_length} characters",
    "too_short": "has to have at least {min_length} entries",
    "too_long": "has to have at most {max_length} entries",
    "string_pattern_mismatch": "has to match the pattern {pattern}",
}
LENGTHS: Final = ("string_too_short", "string_too_long", "too_short", "too_long")
"""Bounds of what would be long to repeat."""


def field_errors(
    errors: Iterable[Mapping[str, Any]], sent: Any, where: str = "", kind: type[BaseModel] | None = None
) -> list[FieldError]:
    """Pydantic's errors about what was `sent`, which itself lies at the path `where` and should be a `kind`: one for
    each place, of the first `MAX_COLLECTED` places."""
    sentences: dict[str, list[str]] = {}
    for error in errors:
        keys, value = _located(error["loc"], sent, error["type"] in ("missing", "extra_forbidden"))
        if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
            keys.append("kind")
        place = ".".join(filter(None, (where, ".".join(map(str, keys)))))
        sentences.setdefault(place, []).append(sentence(error, value, kind))
        if len(sentences) == MAX_COLLECTED:
            break
    return [
        FieldError(path=place, detail=_joined(dict.fromkeys(several))) for place, several in sentences.items()
    ]


def _joined(sentences: Iterable[str]) -> str:
    text = ", or ".join(sentences)
    return text if text.endswith(("?", ".")) else f"{text}."


def sentence(error: Mapping[str, Any], value: Any, kind: type[BaseModel] | None) -> str:
    """What is wrong with `value`, as a sentence that may lack its full stop."""
    name, context = error["type"], error.get("ctx", {})
    came = "" if name == "missing" else f", not {_shown(error.get('input', value))}"
    match name:
        case "extra_forbidden":
            return _unknown_field(str(error["loc"][-1]), error["loc"][:-1], kind)
        case "missing":
            return "this field is required"
        case "union_tag_not_found":
            return "`kind` is required"
        case "union_tag_invalid":
            return _not_one_of(context["tag"], _words(context["expected_tags"]))
        case "literal_error":
            return _not_one_of(error.get("input", value), _words(context["expected"]))
        case "finite_number":
            return "a finite number was expected"
        case "none_required":
            return f"null was expected{came}"
        case "int_from_float":
            return f"a whole number was expected{came}"
    if name in BOUNDS:
        return BOUNDS[name].format(**context) + ("" if name in LENGTHS else came)
    expected = EXPECTED.get(name.partition("_")[0])
    if expected and name.endswith(("_type", "_parsing", "_from_date_parsing", "_attributes_type")):
        return expected + came
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should", "it should")


def _unknown_field(name: str, loc: Iterable[Any], kind: type[BaseModel] | None) -> str:
    known = [*dict.fromkeys(field for model in _models_at(loc, kind) for field in model.model_fields)]
    more = did_you_mean(name, known) or (f" There are {', '.join(known)}" if known else "")
    return "there is no such field, check its spelling" + (more and f".{more}")


def _models_at(loc: Iterable[Any], kind: type[BaseModel] | None) -> list[type[BaseModel]]:
    """The models that a value at pydantic's path `loc` of a `kind` may be."""
    models = [kind] if kind else []
    for key in loc:
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        tagged = [model for model in models if key in _tags(model)]
        models = [*_models_in([field.annotation for field in fields])] if fields else tagged or models
    return models


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def _models_in(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _models_in(get_args(annotation))


def _not_one_of(value: Any, known: list[str]) -> str:
    guess = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"one of {', '.join(known)} was expected, not {_shown(value)}{guess and '.'}{guess}"


def _words(expected: str) -> list[str]:
    """`'a', 'b' or 'c'` → a, b, c."""
    return [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            text = repr(value)
            return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _located(loc: Iterable[Any], value: Any, ends_with_key: bool) -> tuple[list[Any], Any]:
    """`loc` without the tags and branches of unions that pydantic puts between the keys of its path, and the value
    there. What was not `sent` is left out, unless it is the missing or unwanted key itself at the end."""
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
    return keys, value
