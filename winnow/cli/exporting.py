"""`export` and `import`: a finished job with all that it needs, from one service to another."""

from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.jobs import JobId
from winnow.cli.screen import print_result, say
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL


def export(
    job: JobId,
    file: Annotated[Path, typer.Argument(metavar="FILE.tar", help="What to write.")],
    url: Url = LOCAL,
) -> None:
    """Write a finished job to a file: request, models, datasets, artifact, report, curves, trials.

    \b
    winnow export job_1 job.tar
    """
    with Client(url) as client:
        print_result(str(client.export(job, file)))


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar", help="What `winnow export` has written.")],
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Send a job that was exported, with its models and datasets; its new id goes to stdout.

    \b
    winnow import job.tar
    """
    with Client(url) as client:
        job = client.import_job(file)
    print_result(job.model_dump_json(indent=2) if as_json else job.id)
    say(f"{job.id} is as it was exported; see `winnow report {job.id}`")
