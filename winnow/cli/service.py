"""`serve` and `worker`: the service itself. Nothing of it is imported before one of them is called."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from app.settings import Settings
from winnow.client import ClientError
from winnow.contract.invalid import sentence

DataDir = Annotated[Path | None, typer.Option(help="Records, blobs and queue live here. [default: var]")]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 for any free one. [default: 8000]")
    ] = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="So many workers for jobs, beside one for uploads. More than one is for several devices or short "
            "jobs: two on the same cores slow each other down, and measure one at a time.",
        ),
    ] = 1,
    no_workers: Annotated[bool, typer.Option("--no-workers", help="The API alone.")] = False,
) -> None:
    """Start the service with its workers: no Redis, no database server. Ctrl-C stops it, with exit code 0.

    The WINNOW_* variables of the environment say the rest; an option wins over its variable.

    \b
    winnow serve
    winnow serve --port 9000 --data-dir /srv/winnow
    """
    if no_workers and workers > 1:
        raise typer.BadParameter("--workers has no effect with --no-workers; leave one of them out")
    from app import embedded

    try:
        embedded.serve(
            settings(host=host, port=port, data_dir=data_dir), workers=0 if no_workers else workers
        )
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
        wrong = "; ".join(
            f"{_name(str(it['loc'][0]), given)}: {sentence(it, it['input'], None)}" for it in error.errors()
        )
        raise typer.BadParameter(wrong) from error


def _name(setting: str, given: dict[str, Any]) -> str:
    """The option where it was given, else the variable."""
    if given.get(setting) is not None:
        return f"--{setting.replace('_', '-')}"
    return f"WINNOW_{setting.upper()}"
