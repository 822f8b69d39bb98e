"""`winnow serve`: the whole service."""

from typing import Annotated

import typer

from app.commands.settings import DataDir, settings
from winnow.client import ClientError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 for any free one. [default: 8000]")
    ] = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="So many workers for jobs, which share the cores, beside one for uploads. They measure one at a time. "
            "[default: as many as cores, memory and GPUs are for]",
        ),
    ] = None,
    no_workers: Annotated[bool, typer.Option("--no-workers", help="The API alone.")] = False,
) -> None:
    """Start the service with its workers: no Redis, no database server. Ctrl-C stops it, with exit code 0.

    The WINNOW_* variables of the environment say the rest; an option wins over its variable.

    \b
    winnow serve
    winnow serve --port 9000 --data-dir /srv/winnow
    """
    if no_workers and workers is not None:
        raise typer.BadParameter("--workers has no effect with --no-workers; leave one of them out")
    from app import embedded

    try:
        chosen = settings(host=host, port=port, data_dir=data_dir, workers=workers)
        embedded.serve(chosen, workers=0 if no_workers else None)
    except embedded.CannotStart as error:
        raise ClientError(str(error)) from error
