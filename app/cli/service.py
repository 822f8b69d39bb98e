"""`serve` and `worker`: the service itself. Nothing of it is imported before one of them is called."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from app.client import ClientError
from app.settings import Settings

DataDir = Annotated[Path | None, typer.Option(help="Records, blobs and queue live here. [default: var]")]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="[default: 8000]")] = None,
    data_dir: DataDir = None,
    workers: Annotated[bool, typer.Option("--workers/--no-workers", help="Start workers too.")] = True,
) -> None:
    """Start the service with its workers: no Redis, no database server. Ctrl-C stops it.

    The WINNOW_* variables of the environment say the rest; an option wins over its variable.

    \b
    winnow serve
    winnow serve --port 9000 --data-dir /srv/winnow
    """
    from app import embedded

    try:
        embedded.serve(settings(host=host, port=port, data_dir=data_dir), workers=workers)
    except embedded.CannotStart as error:
        raise ClientError(str(error)) from error


def worker(
    queue: Annotated[
        Literal["work", "inspect"], typer.Option(help="`work` runs jobs, `inspect` checks uploads.")
    ],
    data_dir: DataDir = None,
) -> None:
    """Start one worker, for a service that runs with --no-workers or elsewhere (WINNOW_BROKER_URL, …).

    \b
    winnow worker --queue work
    """
    from app import embedded

    try:
        embedded.work(settings(data_dir=data_dir), queue)
    except embedded.CannotStart as error:
        raise ClientError(str(error)) from error


def settings(**given: Any) -> Settings:
    """From the environment, and before it what was given. Raises typer.BadParameter."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"WINNOW_{str(it['loc'][0]).upper()}: {it['msg']}" for it in error.errors())
        raise typer.BadParameter(wrong) from error
