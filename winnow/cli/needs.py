"""The data that a kind of step needs, as it is and with each of its settings, found by asking the contract."""

from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import ValidationError

from winnow.contract.steps.base import Need, Step

NUMBER: Final = 0.5
"""Tried where a setting is no choice."""


def needed(kind: type[Step]) -> frozenset[Need]:
    """What it needs where no setting says otherwise."""
    required = _required(kind, {})
    return kind.needs if required is None else required


def needed_by_settings(kind: type[Step]) -> dict[str, frozenset[Need]]:
    """`method=gptq` → calibration: each choice that needs data beyond `needed`, and settings that do whatever they
    are set to."""
    without, by_setting = needed(kind), {}
    for name, field in kind.model_fields.items():
        words = [*_words(field.annotation)] if name != "kind" else []
        for value in words or [NUMBER]:
            more = (_required(kind, {name: value}) or without) - without
            if more:
                by_setting[f"{name}={str(value).lower()}" if words else name] = more
        if inner := frozenset(need for step in _steps(field.annotation) for need in step.needs) - without:
            by_setting[name] = inner
    return by_setting


def _required(kind: type[Step], settings: dict[str, Any]) -> frozenset[Need] | None:
    """None where the settings do not go together, or more of them are required."""
    try:
        return kind(**{"kind": get_args(kind.model_fields["kind"].annotation)[0]} | settings).required
    except ValidationError:
        return None


def _words(annotation: Any) -> Iterator[Any]:
    """The choices that a setting has."""
    if annotation is bool:
        yield from (True, False)
    for form in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield form
        else:
            yield from _words(form)


def _steps(annotation: Any) -> Iterator[type[Step]]:
    """The steps that a setting may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Step):
        yield annotation
    for form in get_args(annotation):
        yield from _steps(form)
