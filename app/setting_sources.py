"""Where settings stand besides the environment. What comes first wins:

an option  >  WINNOW_…  >  the content of the file WINNOW_…_FILE  >  a line of the file WINNOW_CONFIG  >  default
"""

import os
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsError,
    TomlConfigSettingsSource,
)

from winnow.contract.nearest import did_you_mean

PREFIX: Final = "WINNOW_"
CONFIG: Final = "WINNOW_CONFIG"
FILE: Final = "_FILE"


def variable(name: str) -> str | None:
    """Its value, however its name is spelled; None where it is not set or empty."""
    return next((value for key, value in os.environ.items() if key.upper() == name and value), None)


def place(setting: str) -> str:
    """What to call the place where a setting stands."""
    name = PREFIX + setting.upper()
    for spelling in (name, name + FILE):
        if variable(spelling):
            return spelling
    file = variable(CONFIG)
    return f"{setting} in {file}" if file else name


class ValueFiles(PydanticBaseSettingsSource):
    """`WINNOW_…_FILE` names a file that holds the value alone, and may end in a line break: so a secret stands in no
    environment. Raises `SettingsError` with a sentence."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        name = PREFIX + field_name.upper() + FILE
        file = variable(name)
        return _content(name, Path(file)) if file else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, is_complex = self.get_field_value(field, name)
            if value is not None:
                values[key] = self.prepare_field_value(name, field, value, is_complex)
        return values


class ConfigFile(TomlConfigSettingsSource):
    """`WINNOW_CONFIG` names a TOML file: `port = 9000`. Raises `SettingsError` with a sentence, where pydantic-settings
    leaves out a file that is not there and names that it does not know."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        file = variable(CONFIG)
        try:
            super().__init__(settings_cls, file)
        except OSError as error:
            raise SettingsError(f"{CONFIG}: {file} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise SettingsError(f"{CONFIG}: {file} is no TOML ({error}).") from error
        if file and not Path(file).is_file():
            raise SettingsError(f"{CONFIG}: there is no file {file}.")
        if unknown := [name for name in self.toml_data if name not in settings_cls.model_fields]:
            guess = did_you_mean(unknown[0], settings_cls.model_fields)
            raise SettingsError(f"{CONFIG}: {file} has {unknown[0]}, which is no setting.{guess}")


def _content(name: str, file: Path) -> str:
    try:
        content = file.read_text().strip("\r\n")
    except FileNotFoundError:
        raise SettingsError(f"{name}: there is no file {file}.") from None
    except OSError as error:
        raise SettingsError(f"{name}: {file} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}: {file} holds no text.") from error
    if not content:
        raise SettingsError(f"{name}: {file} is empty.")
    return content
