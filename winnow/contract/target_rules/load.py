"""Reads what is known of a target: once, when it is first asked for."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

from winnow.contract.target_rules.rules import TargetRules

DATA: Final = files("winnow.contract.target_rules") / "data"
WITHOUT_CONTRIB: Final = "onnxruntime-no-contrib"
"""No target of jobs: an ONNX Runtime that was built without operators of its own."""


@cache
def rules_of(name: str) -> TargetRules:
    """Raises `FileNotFoundError` where nothing is known of a target of this name."""
    return TargetRules.model_validate(tomllib.loads((DATA / f"{name}.toml").read_text()))


def known_names() -> list[str]:
    """Whatever has a file of facts, sorted."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in DATA.iterdir() if entry.name.endswith(".toml")
    )
