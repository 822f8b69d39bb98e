"""Settings written as words on the command line: `KIND KEY=VALUE …` of a step or a decoder, `METRIC KEY=VALUE …` of
what is required of a metric."""

import json
import re
import shlex
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel

from winnow.contract.decoding import Decode
from winnow.contract.evaluation import Metric
from winnow.contract.nearest import did_you_mean
from winnow.contract.open_steps import ANY_OF, BETWEEN
from winnow.contract.recipe import AnyStep
from winnow.contract.steps.base import Step

KINDS: Final[dict[str, type[Step]]] = {
    get_args(step.model_fields["kind"].annotation)[0]: step for step in get_args(get_args(AnyStep)[0])
}
DECODES: Final[dict[str, type[BaseModel]]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(Decode)
}


RANGE: Final = re.compile(r"(?P<low>-?\d+(?:\.\d+)?)\.\.(?P<high>-?\d+(?:\.\d+)?)")


def step(text: str) -> dict[str, Any]:
    """`int8_static samples=256 exclude=*/head/*` → the step as JSON. A list is written by naming it repeatedly, a
    pair of features as `features=TEACHER=STUDENT`, what goes by names as `fix_shapes=batch=1`. What is left open:
    `amount=0.1..0.8`, `bits=8|4`, `optional=true`.
    """
    kind, settings = _words("--step", text)
    if kind not in KINDS:
        raise typer.BadParameter(f"--step: {no_kind(kind)}")
    return {"kind": kind} | _settings(KINDS[kind], kind, settings)


def step_in_words(step: dict[str, Any]) -> str:
    """The text that `step` reads: `{"kind": "int8_static", "samples": 256}` → `int8_static samples=256`."""
    words = [str(step["kind"])]
    for key, value in step.items():
        if key != "kind":
            texts = value if isinstance(value, list) else [value]
            words += [f"{key}={text if isinstance(text, str) else json.dumps(text)}" for text in texts]
    return shlex.join(words)


def decode(text: str) -> dict[str, Any]:
    """`yolox nms=0.5 strides=[8,16]` → the decoder as JSON."""
    kind, settings = _words("--decode", text)
    if kind not in DECODES:
        raise typer.BadParameter(
            f"--decode: {kind!r} is no way to decode; there are {', '.join(DECODES)}.{did_you_mean(kind, DECODES)}"
        )
    return {"kind": kind} | _plain_settings("--decode", kind, settings)


def bounds(texts: Iterable[str] | None) -> dict[str, dict[str, Any]]:
    """`f1 min=0.8 max_drop=0.01`, several times → bounds by metric."""
    made: dict[str, dict[str, Any]] = {}
    for metric, settings in (_words("--bound", text) for text in texts or []):
        if metric not in get_args(Metric):
            guess = did_you_mean(metric, get_args(Metric))
            raise typer.BadParameter(
                f"--bound: {metric!r} is no metric; there are {', '.join(get_args(Metric))}.{guess}"
            )
        made.setdefault(metric, {}).update(_plain_settings("--bound", metric, settings))
    return made


def _words(option: str, text: str) -> tuple[str, list[str]]:
    try:
        first, *settings = shlex.split(text) or [""]
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r}: {error}, a quote is missing") from error
    return first, settings


def _settings(model: type[BaseModel], name: str, settings: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for setting in settings:
        key, value = pair("--step", setting)
        if _is_list(model, key, value):
            made.setdefault(key, []).append(_item(key, value))
        elif _is_map(model, key) and not value.startswith("{") and value != "null":
            entry, number = pair(f"--step {name} {key}", value)
            if made.setdefault(key, {}).setdefault(entry, number := _json_or_text(number)) != number:
                raise typer.BadParameter(f"--step {name}: {key}={entry} is given twice; keep one")
        elif key in made:
            raise typer.BadParameter(f"--step {name}: {key} is given twice; keep one")
        else:
            made[key] = _maybe_open(value)
    return made


def _maybe_open(value: str) -> Any:
    """`0.1..0.8` is a range, `8|4` a choice, unless it is JSON: an object may have names with `|`."""
    if value.startswith("{"):
        return _json_or_text(value)
    if span := RANGE.fullmatch(value):
        return {BETWEEN: [_json_or_text(span["low"]), _json_or_text(span["high"])]}
    if "|" in value:
        return {ANY_OF: [_json_or_text(word) for word in value.split("|")]}
    return _json_or_text(value)


def _plain_settings(option: str, name: str, settings: list[str]) -> dict[str, Any]:
    """Lists are written as JSON."""
    made: dict[str, Any] = {}
    for key, value in (pair(option, setting) for setting in settings):
        if key in made:
            raise typer.BadParameter(f"{option} {name}: {key} is given twice; keep one")
        made[key] = _json_or_text(value)
    return made


def no_kind(kind: str) -> str:
    """What to say of a kind of step that there is not."""
    return f"{kind!r} is no kind of step; there are {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"


def pairs(option: str, texts: Iterable[str] | None) -> dict[str, str]:
    made: dict[str, str] = {}
    for key, value in (pair(option, text) for text in texts or []):
        if made.setdefault(key, value) != value:
            raise typer.BadParameter(f"{option}: {key} is given twice; keep one")
    return made


def pair(option: str, text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise typer.BadParameter(f"{option} {text!r}: expected KEY=VALUE")
    return key, value


def whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{option}: {text!r} is not a whole number") from None


def _is_list(kind: type[BaseModel], key: str, value: str) -> bool:
    """Whether the setting is a list; a word that may stand in place of one (`exclude=auto`) is none."""
    field = kind.model_fields.get(key)
    plain = _forms(None if field is None else field.annotation)
    words = [word for form in plain if get_origin(form) is Literal for word in get_args(form)]
    words += ["null"] * (NoneType in plain)
    return value not in words and any(get_origin(form) is list for form in plain)


def _is_map(kind: type[BaseModel], key: str) -> bool:
    field = kind.model_fields.get(key)
    return field is not None and any(get_origin(form) is dict for form in _forms(field.annotation))


def _forms(annotation: Any) -> list[Any]:
    """The types that a setting may have."""
    is_union = isinstance(annotation, UnionType) or get_origin(annotation) is Union
    forms = get_args(annotation) if is_union else [annotation]
    return [get_args(form)[0] if get_origin(form) is Annotated else form for form in forms]


def _item(key: str, value: str) -> Any:
    if key in ("keep", "schedule"):  # ids and ranges of them, or shares
        return _json_or_text(value)
    if key != "features":
        return value
    if value.startswith("{"):
        return _json_or_text(value)
    teacher, student = pair("--step features", value)
    return {"teacher": teacher, "student": student}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
