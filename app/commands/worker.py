"""`winnow worker`: one worker."""

from typing import Annotated, Literal

import typer

from app.commands.settings import DataDir, settings
from winnow.client import ClientError


def worker(
    capabilities: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What it is able to do, with commas between: `inspect` checks uploads, `cpu` runs jobs, `cuda` those "
            "that need a GPU, and names of your own. [default: cpu, and cuda where a GPU can be seen]",
        ),
    ] = None,
    queue: Annotated[
        Literal["work", "inspect"] | None,
        typer.Option(help="The older name of --capabilities cpu and inspect, for this release."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Start one worker, for a service that runs with --no-workers or elsewhere (WINNOW_BROKER_URL, …).

    \b
    winnow worker --capabilities cpu,cuda
    """
    if capabilities is not None and queue is not None:
        raise typer.BadParameter("--queue is the older name of --capabilities; leave it out")
    from app import embedded

    try:
        embedded.work(settings(data_dir=data_dir, capabilities=capabilities or queue))
    except embedded.CannotStart as error:
        raise ClientError(str(error)) from error
