"""`docker-compose.yml` as compose reads it: with its variables replaced."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).parents[2] / "docker-compose.yml"
VARIABLE: Final = re.compile(r"(?<!\$)\$\{(\w+)(?::([-+])([^}]*))?\}")
"""`${NAME}`, `${NAME:-default}`, `${NAME:+what stands there if it is set}`."""


def rendered(**variables: str) -> dict[str, Any]:
    """The file where these variables are set, and no others."""

    def value(match: re.Match[str]) -> str:
        name, how, other = match.groups()
        chosen = variables.get(name, "")
        return (other if chosen else "") if how == "+" else chosen or other or ""

    def replaced(node: Any) -> Any:
        match node:
            case dict():
                return {key: replaced(inner) for key, inner in node.items()}
            case list():
                return [replaced(inner) for inner in node]
            case str():
                return VARIABLE.sub(value, node).replace("$$", "$")
        return node

    read: dict[str, Any] = replaced(yaml.safe_load(FILE.read_text()))
    return read


def variables() -> dict[str, str | None]:
    """Each variable of the file and its default, None where it has none. `ValueError` where it has two."""
    defaults: dict[str, str | None] = {}
    for name, how, other in VARIABLE.findall(FILE.read_text()):
        default = other if how == "-" and other != "/dev/null" else None
        if how == "+":
            continue
        if defaults.setdefault(name, default) != default:
            raise ValueError(f"{name} has two defaults")
    return defaults
