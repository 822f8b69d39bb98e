"""Settings from the environment, its files and from options, whose faults are told in the words of who set them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from app.setting_sources import FILE, place
from app.settings import Settings
from winnow.contract.invalid import sentence

DataDir = Annotated[Path | None, typer.Option(help="Records, blobs and queue live here. [default: var]")]


def settings(**options: Any) -> Settings:
    """Read the environment and its files; an option that has a value wins over them. Raises typer.BadParameter."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
    except ValidationError as error:
        raise typer.BadParameter("; ".join(_fault(it, options) for it in error.errors())) from error


def _fault(error: ErrorDetails, options: dict[str, Any]) -> str:
    """Name the option where it has a value, else where the setting stands. What a file holds may be a secret."""
    setting = str(error["loc"][0])
    option = f"--{setting.replace('_', '-')}"
    where = place(setting) if options.get(setting) is None else option
    shown = "…" if where.endswith(FILE) else error["input"]
    return f"{where}: {sentence({**error, 'input': shown}, shown, None)}"
