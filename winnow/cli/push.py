"""`push`: a result where models are kept, a folder as Hugging Face has them, or an MLflow server."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.screen import print_result, say
from winnow.cli.shared import Json, Url, transfer
from winnow.client import Client
from winnow.client.bundle import Bundle, open_bundle
from winnow.client.client import LOCAL
from winnow.client.mlflow_server import MlflowServer
from winnow.client.repository_folder import write_repository


def push(
    what: Annotated[
        str,
        typer.Argument(metavar="JOB|BUNDLE.zip", help="A job of the service, or what `winnow bundle` wrote."),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|http://…", help="A folder, or the address of an MLflow tracking server."
        ),
    ],
    experiment: Annotated[str, typer.Option(help="Of MLflow; made where there is none.")] = "winnow",
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is in the folder.")] = False,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Put a result where models are kept: artifact, report, its page, model card, bill of materials and recipe.

    A folder becomes what a Hugging Face repository is, a clone of one perhaps; `hf upload OWNER/NAME FOLDER` or git
    sends it. An MLflow server gets a run with metrics, parameters and the files.

    \b
    winnow push job_1 digits-int8/
    winnow push digits-bundle.zip http://127.0.0.1:5000 --experiment digits
    """
    with _bundle(what, url) as bundle:
        if not target.startswith(("http://", "https://")):
            written = [str(path) for path in write_repository(bundle, Path(target), force=force)]
            print_result(json.dumps({"files": written}) if as_json else "\n".join(written))
            return
        with MlflowServer(target) as server:
            run = server.push(bundle, experiment, _name(what))
    print_result(json.dumps({"run": run, "experiment": experiment}) if as_json else run)
    say(f"it is the run {run} of {experiment} at {target}")


@contextmanager
def _bundle(what: str, url: str) -> Iterator[Bundle]:
    if Path(what).is_file():
        with open_bundle(Path(what)) as bundle:
            yield bundle
        return
    with tempfile.TemporaryDirectory(prefix="winnow-push-") as folder:
        with Client(url) as client, transfer(f"fetching the bundle of {what}") as on_progress:
            path = client.download_bundle(what, Path(folder), on_progress)
        with open_bundle(path) as bundle:
            yield bundle


def _name(what: str) -> str:
    return Path(what).stem if Path(what).is_file() else what
