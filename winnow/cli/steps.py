"""`steps`: the kinds of steps with their settings, read off the contract's models."""

import json
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Group, RenderableType

from winnow.cli.needs import needed, needed_by_settings
from winnow.cli.screen import Column, out, print_result, table
from winnow.cli.settings import KINDS, no_kind
from winnow.cli.shared import Json
from winnow.contract.steps.base import Step

Kind = Annotated[str | None, typer.Argument(metavar="[KIND]", help="One kind; all of them if not given.")]


def steps(kind: Kind = None, as_json: Json = False) -> None:
    """Show what a step can be: its kinds; of one kind its settings, their defaults, and the data that it needs.

    \b
    winnow steps
    winnow steps int8
    """
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(no_kind(kind))
    if as_json:
        chosen = KINDS if kind is None else {kind: KINDS[kind]}
        print_result(json.dumps({name: _described(step) for name, step in chosen.items()}, indent=2))
    elif kind is None:
        rows = [(name, needed_data(step), first_sentence(step)) for name, step in KINDS.items()]
        out().print(table(None, [("kind", "left"), ("needs data", "left"), ("what it does", "left")], rows))
    else:
        out().print(_settings_table(kind, KINDS[kind]))


def _settings_table(kind: str, step: type[Step]) -> RenderableType:
    rows = [
        (name, kind_of_value(field.annotation), default(field), field.description or "")
        for name, field in settings(step)
    ]
    columns: list[Column] = [
        ("setting", "left"),
        ("value", "left"),
        ("default", "left"),
        ("what it says", "left"),
    ]
    return Group(
        f"{kind}: {first_sentence(step)}", f"Needs data: {needed_in_words(step)}", table(None, columns, rows)
    )


def _described(step: type[Step]) -> dict[str, Any]:
    return {
        "description": first_sentence(step),
        "needs": sorted(needed(step)),
        "needs_by_setting": {name: sorted(needs) for name, needs in needed_by_settings(step).items()},
        "settings": {
            name: {
                "value": kind_of_value(field.annotation),
                "default": default(field),
                "description": field.description,
            }
            for name, field in settings(step)
        },
    }


def settings(step: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in step.model_fields.items() if name != "kind")


def first_sentence(step: type[BaseModel]) -> str:
    """Of the class's docstring."""
    paragraph = " ".join((step.__doc__ or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


def needed_data(step: type[Step]) -> str:
    """`none`, `calibration`, `none, or calibration` where a setting needs it."""
    more = {need for needs in needed_by_settings(step).values() for need in needs}
    return ", or ".join([_needed_in_any_case(step), *sorted(more)])


def needed_in_words(step: type[Step]) -> str:
    """With the settings that need more, and what does without."""
    settings: dict[str, list[str]] = {}
    for setting, needs in needed_by_settings(step).items():
        settings.setdefault(_listed(needs), []).append(setting)
    more = [f"{needs} for {', '.join(those)}" for needs, those in settings.items()]
    instead = step.without_data if needed(step) and not step.needs else ""
    return f"{'; '.join([_needed_in_any_case(step), *more])}.{instead}"


def _needed_in_any_case(step: type[Step]) -> str:
    return "calibration or training" if step.or_training else _listed(needed(step))


def _listed(needs: Iterable[str]) -> str:
    return ", ".join(sorted(needs)) or "none"


def default(field: FieldInfo) -> str:
    """As it is written on the command line."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)  # no factory here takes validated data
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return value if isinstance(value, str) else json.dumps(value)


def kind_of_value(annotation: Any) -> str:
    """`"absmax"`, `whole number`, `list of text`, …"""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of_value(inner[0])
    if origin is Literal:
        return ", ".join(str(word) for word in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(kind_of_value(form) for form in inner))
    if origin in (list, tuple):
        return f"list of {kind_of_value(inner[0])}"
    if origin is dict:
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object of " + ", ".join(annotation.model_fields)
    names = {int: "whole number", float: "number", bool: "true, false", str: "text", NoneType: "null"}
    return names.get(annotation, str(annotation))
