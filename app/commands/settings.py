"""Settings from the environment and from options, whose faults are told in the words of the options."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.settings import Settings
from winnow.contract.invalid import sentence

DataDir = Annotated[Path | None, typer.Option(help="Records, blobs and queue live here. [default: var]")]


def settings(**options: Any) -> Settings:
    """Read the environment; an option that has a value wins over its variable. Raises typer.BadParameter."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(
            f"{_name(str(it['loc'][0]), options)}: {sentence(it, it['input'], None)}" for it in error.errors()
        )
        raise typer.BadParameter(wrong) from error


def _name(setting: str, options: dict[str, Any]) -> str:
    """Name the option where it has a value, else the variable."""
    if options.get(setting) is not None:
        return f"--{setting.replace('_', '-')}"
    return f"WINNOW_{setting.upper()}"
