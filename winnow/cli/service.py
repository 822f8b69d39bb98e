"""What the service adds to the command line where it is installed: the entry points of the group `winnow.commands`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from winnow.client import ClientError

GROUP: Final = "winnow.commands"
INSTALL: Final = "pip install ./winnow '.[worker]'"
ANY_OPTIONS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""`winnow serve --port 9000` has to get as far as the sentence."""


class ServiceNotInstalled(ClientError):
    """The client stands alone here. The message says what to install."""

    def __init__(self, name: str) -> None:
        hint = " or name a service with --url" if name == "run" else ""
        super().__init__(
            f"`winnow {name}` needs the service, and the client alone is installed here. Install it from Winnow's "
            f"source with `{INSTALL}`{hint}."
        )


def service_part(name: str) -> Any:
    """Load what the service has registered under a name. Raises `ServiceNotInstalled`."""
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise ServiceNotInstalled(name)


@contextmanager
def service_at(url: str | None, data_dir: Path | None = None) -> Iterator[str]:
    """The address of the service; one that had to be started is stopped at the end."""
    if url is not None:
        yield url
        return
    with service_part("run")(data_dir) as address:
        yield address


def add_service_command(commands: typer.Typer, name: str) -> None:
    """Add a command of the service; where it is not installed, one that says what to install."""
    try:
        commands.command(name)(service_part(name))
    except ServiceNotInstalled as error:
        commands.command(name, help=f"Not installed here: {INSTALL}", context_settings=ANY_OPTIONS)(
            _raising(error)
        )


def add_service_group(commands: typer.Typer, name: str) -> None:
    """Add a group of commands of the service; where it is not installed, one command that says what to install."""
    try:
        commands.add_typer(service_part(name), name=name)
    except ServiceNotInstalled:
        add_service_command(commands, name)


def _raising(error: ServiceNotInstalled) -> Callable[[], NoReturn]:
    def command() -> NoReturn:
        raise error

    return command
