"""The settings of a step as fields of a form, read off the step's JSON Schema.

number    a value, or open: from one to another, or any of several
choice    one of the values that there are (true and false among them), or open: any of some
list      texts, one a line; `word` may stand in their place
text      one text
part      a step or an object inside: `parts` are what it can be
json      whatever else, as JSON
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel

from winnow.cli.settings import KINDS

Kind = Literal["number", "choice", "list", "text", "part", "json"]


@dataclass(frozen=True)
class SettingField:
    """`default` and `choices` are JSON; without a `default` the setting is required. `may_be_null` where null is a
    value, and not the default."""

    name: str
    kind: Kind
    says: str
    default: str
    choices: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    whole: bool = False
    word: str = ""
    parts: list[str] = field(default_factory=list)
    may_be_null: bool = False


@dataclass(frozen=True)
class Fields:
    """Those of a step, or of an object inside one, by its `name`."""

    name: str
    fields: list[SettingField]


@cache
def fields_of(kind: str) -> list[Fields]:
    """The step's own, then those of the objects inside it; of steps inside it their own page has them."""
    schema = KINDS[kind].model_json_schema()
    parts = {name: part for name, part in schema.get("$defs", {}).items() if "kind" not in part["properties"]}
    return [_fields(kind, KINDS[kind], schema), *(_fields(name, None, part) for name, part in parts.items())]


def _fields(name: str, model: type[BaseModel] | None, schema: Mapping[str, Any]) -> Fields:
    made = [
        _field(setting, sub, _default(model, setting, sub))
        for setting, sub in schema["properties"].items()
        if setting != "kind"
    ]
    return Fields(name, made)


def _default(model: type[BaseModel] | None, setting: str, schema: Mapping[str, Any]) -> str:
    """The schema says nothing of a default that is made anew each time, such as an empty list."""
    if "default" in schema:
        return json.dumps(schema["default"])
    if model is None or model.model_fields[setting].is_required():
        return ""
    return json.dumps(model.model_fields[setting].get_default(call_default_factory=True))


_NULL: Final = {"type": "null"}


def _field(name: str, schema: Mapping[str, Any], default: str) -> SettingField:
    forms = [form for form in schema.get("anyOf", [schema]) if form != _NULL]
    null_too = "anyOf" in schema and _NULL in schema["anyOf"] and default != "null"
    kind, more = _kind(forms)
    return SettingField(name, kind, schema.get("description", ""), default, may_be_null=null_too, **more)


def _kind(forms: list[Mapping[str, Any]]) -> tuple[Kind, dict[str, Any]]:
    """What kind of field it is, and what goes with it."""
    form, *others = forms
    if words := [other["const"] for other in others if "const" in other]:
        return ("list", {"word": words[0]}) if _is_list(form) else ("json", {})
    if others:
        return "json", {}
    if "enum" in form or form.get("type") == "boolean":
        return "choice", {"choices": [json.dumps(value) for value in form.get("enum", (True, False))]}
    if form.get("type") in ("integer", "number"):
        return "number", _bounds(form)
    if parts := _parts(form):
        return "part", {"parts": parts}
    if _is_list(form):
        return "list", {}
    return ("text", {}) if form.get("type") == "string" else ("json", {})


def _bounds(form: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "low": form.get("minimum", form.get("exclusiveMinimum")),
        "high": form.get("maximum", form.get("exclusiveMaximum")),
        "whole": form["type"] == "integer",
    }


def _is_list(form: Mapping[str, Any]) -> bool:
    return form.get("type") == "array" and form.get("items", {}).get("type") == "string"


def _parts(form: Mapping[str, Any]) -> list[str]:
    """Kinds of steps, or the name of an object."""
    if "discriminator" in form:
        return sorted(form["discriminator"]["mapping"])
    return [form["$ref"].rpartition("/")[2]] if "$ref" in form else []
