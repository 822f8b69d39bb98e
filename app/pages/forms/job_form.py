"""A job as a form sends it, without scripts: fields of `compress.html` as the body of `POST /v1/jobs`."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from app.pages.forms.requirements import REQUIREMENTS
from winnow.contract.asked_recipe import PresetName
from winnow.contract.errors import Refusal
from winnow.contract.job import JobRequest
from winnow.contract.open_steps import is_open
from winnow.contract.presets import is_search
from winnow.contract.strict_json import read_json, read_model
from winnow.contract.target import CPU_FEATURES, settings_of_target

MAX_FIELDS: Final = 100
_NUMBER: Final = re.compile(r"-?(?:[0-9]{1,300}|[0-9]{0,300}\.[0-9]{1,300})(?:[eE][-+]?[0-9]{1,5})?")
"""A valid floating-point number of HTML, which is what a field for numbers sends."""


def job_request(model: str, fields: Mapping[str, str]) -> JobRequest:
    """Raises `invalid_request` and `malformed_request`, as the JSON would."""
    filled = {name: value.strip() for name, value in fields.items() if value.strip()}
    recipe = _recipe(filled)
    body: dict[str, Any] = {"model": model, "recipe": recipe, "require": _required(filled)}
    if "name" in filled:
        body["name"] = filled["name"]
    if "data" in filled:
        body["data"] = read_json(filled["data"], "data")
    if "judges" in filled:
        task, _, metric = filled.get("metric", "auto").partition("/")
        body["evaluation"] = {"task": task} | ({"metric": metric} if metric else {})
    body |= settings_of_target(filled)
    if features := [name for name in CPU_FEATURES if f"target_features.{name}" in filled]:
        body["target_features"] = features
    if timed := _benchmark(filled):
        body["benchmark"] = timed
    if "explain" in filled:
        body["explain"] = True
    if _searches(recipe):
        body["search"] = _search(filled)
    return read_model(JobRequest, json.dumps(body))


def _recipe(filled: Mapping[str, str]) -> Any:
    match filled.get("way", "auto"):
        case "preset":
            return {"preset": filled.get("preset", "")}
        case "recipe":
            return read_json(filled.get("recipe", ""), "recipe")
        case _:
            return {"auto": {}}


def _searches(recipe: Any) -> bool:
    if isinstance(recipe, dict) and "preset" in recipe:
        return recipe["preset"] in get_args(PresetName) and is_search(recipe["preset"])
    return is_open(recipe) or (isinstance(recipe, dict) and "auto" in recipe)


def _search(filled: Mapping[str, str]) -> dict[str, Any]:
    budget = {name: _number(filled, name) for name in ("seconds", "trials") if name in filled}
    return {"objective": filled.get("objective", "latency"), "budget": budget}


def _benchmark(filled: Mapping[str, str]) -> dict[str, Any]:
    """What is not said is as the contract has it."""
    sizes = {"batch_sizes": [_number(filled, "batch_size")]} if "batch_size" in filled else {}
    return sizes | ({"threads": _number(filled, "threads")} if "threads" in filled else {})


def _required(filled: Mapping[str, str]) -> dict[str, Any]:
    return {field.name: _number(filled, field.name) for field in REQUIREMENTS if field.name in filled}


def _number(filled: Mapping[str, str], name: str) -> int | float:
    """As JavaScript reads it: also `.5`, which JSON does not know, and 1e3 is whole. Raises `invalid_request`."""
    text = filled[name]
    if _NUMBER.fullmatch(text) is None:
        raise Refusal("invalid_request", f"{name} is {text[:100]!r}; a number was expected.", field=name)
    value = float(text)
    return int(value) if value.is_integer() else value
