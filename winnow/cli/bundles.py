"""`card`, `bundle`: what goes with an artifact where it is published."""

import json
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.jobs import JobId
from winnow.cli.screen import clean, print_result
from winnow.cli.shared import Json, Url, transfer
from winnow.client import Client
from winnow.client.client import LOCAL


def card(job: JobId, url: Url = LOCAL, as_json: Json = False) -> None:
    """The model card of a result in Markdown, with the metadata that Hugging Face reads.

    \b
    winnow card job_1 > README.md
    """
    with Client(url) as client:
        text = client.card(job)
    print_result(json.dumps({"job": job, "card": text}) if as_json else clean(text).rstrip("\n"))


def bundle(
    job: JobId,
    to: Annotated[
        Path, typer.Option("--out", "-o", help="A file, or a folder to put JOB-bundle.zip in.")
    ] = Path(),
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Download artifact, report, its page, model card, bill of materials and closed recipe as one zip; `winnow replay`
    makes the artifact again from it.

    \b
    winnow bundle job_1 --out digits.zip
    """
    with Client(url) as client, transfer(f"fetching the bundle of {job}") as on_progress:
        path = client.download_bundle(job, to, on_progress)
    print_result(json.dumps({"job": job, "file": str(path)}) if as_json else str(path))
