"""`winnow worker`: one worker."""

from typing import Annotated, Literal

import typer

from app.commands.settings import DataDir, settings
from winnow.client import ClientError


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
