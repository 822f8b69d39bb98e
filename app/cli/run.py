"""`run`: upload, submit, watch, report and download in one go, on a service of its own if there is none."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import INTERRUPTED
from app.cli.following import conclude, follow
from app.cli.jobs import fetch, fetch_curves
from app.cli.options import JobOptions, unpack_options
from app.cli.report import report_tables
from app.cli.screen import answer, out, say
from app.cli.service import settings
from app.cli.shared import Json, terminable
from app.cli.uploads import DeclarationFile, Inputs, send_dataset, send_model
from app.client import Client, ClientError
from app.contract.admission import uses
from app.contract.job import DataUse, Job, JobRequest
from app.contract.others import named_models
from app.contract.recipe import AnyStep


@unpack_options
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL_FILE", help="The model: .onnx, .pt2, tar or zip.")],
    options: JobOptions,
    to: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the result goes. [default: MODEL_FILE with .small.onnx]"),
    ] = None,
    declaration: DeclarationFile = None,
    input: Inputs = None,
    url: Annotated[
        str | None, typer.Option(envvar="WINNOW_URL", help="The service; without one, an own one is started.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the own service keeps its data. [default: removed at the end]")
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zip", help="Where the curves of training steps go, if anywhere."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Do it all: upload the model and its data, submit, watch, show the report, download.

    Datasets are .npz files here (or ids of the service at --url); rows as in FILE.npz:0:512. Teachers and students
    of a step are files, too, or ids.
    Exit code 3: done, but a requirement is not met. Ctrl-C stops an own service and its job.

    \b
    winnow run resnet20.onnx --step int8_static --calibration train.npz:0:512 \\
        --evaluation test.npz --metric top1 --max-metric-drop 0.01
    winnow run resnet20.onnx --step 'distillation student=small.onnx epochs=10' --training train.npz
    """
    request = options.job(model="to be uploaded")
    target = to or model.parent / f"{model.stem}.small.onnx"
    _check_target(target, "--out")
    _check_keeps(target, "--out", model, request)
    if curves is not None:
        _check_target(curves, "--curves")
        _check_keeps(curves, "--curves", model, request)
    _check_files(model, request)
    with terminable(), _service(url, data_dir) as address, Client(address) as client:
        request = _upload_all(client, request, model, input or [], declaration)
        job = _follow(client, client.submit(request).id, own=url is None)
        code = conclude(job)
        if curves is not None:
            _deliver_curves(client, job, curves)
        if job.state == "succeeded":
            _deliver(client, job, target, as_json)
        elif job.artifact is not None:
            say(f"the best weights so far, not measured, are in {fetch(client, job.id, target)}")
    raise typer.Exit(code)


USERS_LOCK = Path.home() / ".cache" / "winnow" / "measure.lock"
"""What runs that have no data folder exclude each other by."""


@contextmanager
def _service(url: str | None, data_dir: Path | None) -> Iterator[str]:
    """The address of the service; one that had to be started is stopped at the end."""
    if url is not None:
        yield url
        return
    from app import embedded

    with tempfile.TemporaryDirectory(prefix="winnow-") as scratch:
        chosen = settings(
            host="127.0.0.1",
            port=0,
            data_dir=data_dir or Path(scratch),
            measure_lock=None if data_dir or "WINNOW_MEASURE_LOCK" in os.environ else USERS_LOCK,
            log_level=os.environ.get("WINNOW_LOG_LEVEL", "WARNING"),
        )
        say("starting a service for this run")
        try:
            with embedded.running(chosen) as address:
                yield address
        except embedded.CannotStart as error:
            raise ClientError(str(error)) from error


def _upload_all(
    client: Client, request: JobRequest, model: Path, inputs: list[str], declaration: Path | None
) -> JobRequest:
    """The request with ids instead of files; a file that is used twice is sent once."""
    sent: dict[str, str] = {}

    def uploaded(use: DataUse | None) -> DataUse | None:
        if use is None or not Path(use.dataset).exists():
            return use
        if use.dataset not in sent:
            sent[use.dataset] = send_dataset(client, Path(use.dataset), declaration).id
        return use.model_copy(update={"dataset": sent[use.dataset]})

    data = request.data.model_copy(
        update={
            "calibration": uploaded(request.data.calibration),
            "training": uploaded(request.data.training),
            "evaluation": uploaded(request.data.evaluation),
        }
    )
    models = {str(model): send_model(client, model, inputs).id}
    steps = [_with_uploads(client, step, models) for step in request.recipe.steps]
    recipe = request.recipe.model_copy(update={"steps": steps})
    return request.model_copy(update={"model": models[str(model)], "data": data, "recipe": recipe})


def _with_uploads(client: Client, step: AnyStep, sent: dict[str, str]) -> AnyStep:
    """The step with ids in place of files; `sent` are the ids of files that are there already."""
    ids = {}
    for field, path in step.models.items():
        if Path(path).exists():
            if path not in sent:
                sent[path] = send_model(client, Path(path), []).id
            ids[field] = sent[path]
    return step.model_copy(update=ids)


def _follow(client: Client, id: str, *, own: bool) -> Job:
    try:
        return follow(client, id)
    except KeyboardInterrupt:
        if own:
            with suppress(ClientError):
                client.cancel(id)
            say(f"{id} is cancelled, the service stops")
        else:
            say(f"{id} goes on; `winnow cancel {id}` stops it")
        raise typer.Exit(INTERRUPTED) from None


def _deliver(client: Client, job: Job, target: Path, as_json: bool) -> None:
    report = client.report(job.id)
    path = fetch(client, job.id, target)
    if as_json:
        answer(report.model_dump_json(indent=2))
    else:
        out().print(report_tables(report))
    say(f"the result is in {path}")


def _deliver_curves(client: Client, job: Job, target: Path) -> None:
    if job.curves is None:
        say("there are no curves: nothing was trained")
    else:
        say(f"the curves are in {fetch_curves(client, job.id, target)}")


def _check_files(model: Path, request: JobRequest) -> None:
    """Before a service is started for them."""
    if not model.is_file():
        raise ClientError(f"there is no file {model}")
    for role, use in uses(request.data).items():
        if not use.dataset.startswith("dst_") and not Path(use.dataset).is_file():
            raise ClientError(
                f"--{role}: there is no file {use.dataset}, nor is that the id of a dataset (dst_…)"
            )
    for given, field in named_models(request).items():
        if not given.startswith("mdl_") and not Path(given).is_file():
            name = field.rpartition(".")[2]
            raise ClientError(
                f"--step: there is no file {given} for {name}, nor is that the id of a model (mdl_…)"
            )


def _check_keeps(target: Path, option: str, model: Path, request: JobRequest) -> None:
    """What is read is not overwritten."""
    read = [model, *(Path(use.dataset) for use in uses(request.data).values())]
    read += [Path(given) for given in named_models(request)]
    if any(path.exists() and target.exists() and path.samefile(target) for path in read):
        raise typer.BadParameter(f"{target} is read by this run, and is not overwritten", param_hint=option)


def _check_target(target: Path, option: str) -> None:
    """Before the work, not after it."""
    if not os.access(target.parent, os.W_OK):
        raise typer.BadParameter(f"{target.parent} is no folder that can be written to", param_hint=option)
