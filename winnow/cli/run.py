"""`run`: upload, submit, watch, report and download in one go, on a service of its own if there is none."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.data import send_data
from winnow.cli.dry_run import print_dry_run
from winnow.cli.exits import OK, PROBLEM
from winnow.cli.following import conclude, follow_run
from winnow.cli.jobs import fetch
from winnow.cli.naming import job_in_options, naming_options
from winnow.cli.options import JobOptions, unpack_options
from winnow.cli.report import report_tables
from winnow.cli.run_files import check_files, files_read, whole_files
from winnow.cli.screen import out, print_result, say
from winnow.cli.service import service_at
from winnow.cli.shared import Json, terminable
from winnow.cli.targets import nothing_half, target_of, write_whole
from winnow.cli.uploads import DeclarationFile, Inputs, read_declaration, send_dataset, send_model
from winnow.client import Client, ServiceProblem, UnusableFile
from winnow.client.files import is_package
from winnow.contract.asked_recipe import AskedRecipe
from winnow.contract.data_uses import DataUse
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.job import Job, JobRequest
from winnow.contract.needed_data import check_needed_data
from winnow.contract.recipe import AnyStep, Recipe


@unpack_options
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL_FILE", help="The model: .onnx, .pt2, tar or zip.")],
    options: JobOptions,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where the result goes, a file or a folder; its report goes beside it. [default: NAME.small.onnx, of "
            "a package of several graphs NAME.small.zip, in the working directory]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what an earlier run has made.")] = False,
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
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Upload, then only tell what the job would come to; exit code 1: refused."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Do it all: upload the model and its data, submit, watch, show the report, download.

    Datasets are files here (or ids of the service at --url); rows as in FILE.npz:0:512. One dataset is enough: --data
    takes a file, a folder, or several files, and without --declaration it is proposed how they are read. Teachers and
    students of a step are files, too, or ids.
    NAME.small.onnx and NAME.small.report.json are not overwritten unless --force says so.
    Exit code 3: done, but a requirement is not met. Ctrl-C stops an own service and its job, and leaves no file.

    \b
    winnow run resnet20.onnx --step int8_static --calibration train.npz:0:512 \\
        --evaluation test.npz --metric top1 --max-metric-drop 0.01
    winnow run resnet20.onnx --step int8_static --data pictures/ --metric top1
    winnow run resnet20.onnx --step 'distillation student=small.onnx epochs=10' --training train.npz
    winnow run resnet20.onnx --step 'channel_pruning amount=0.5' --step 'weight_only bits=4' --dry-run
    """
    request = options.job(model="to be uploaded")
    if url is not None and data_dir is not None:
        raise typer.BadParameter(
            f"--data-dir has no effect on the service at {url}; it is for a service of the run's own"
        )
    force = force or dry_run  # which writes nothing
    whole = whole_files(options, request)
    read = [*files_read(model, request), *whole]
    name = f"{model.stem}.small{'.zip' if is_package(model) else '.onnx'}"
    result = target_of(to or Path(name), name, "--out", read, force)
    report = target_of(result.with_suffix(".report.json"), "", "--out", read, force)
    made = [result, report]
    if curves is not None:
        made.append(target_of(curves, f"{model.stem}-curves.zip", "--curves", read, force))
    check_files(model, request, whole)
    from_file = options.request is not None
    if not dry_run:
        with naming_options(request, from_file=from_file):
            _check_needed_data(request)
    if declaration is not None and not any(path.exists() for path in read[1:]):
        raise typer.BadParameter("--declaration has no effect without a dataset that is a file")
    read_declaration(declaration)
    with terminable(), service_at(url, data_dir) as address, Client(address) as client, nothing_half(made):
        request = _upload_all(client, request, model, input or [], declaration)
        if whole:
            unsure = Path(f"{whole[0].resolve().stem}.declaration.json")
            id = send_data(client, whole, declaration, request.model, unsure, force)
            request = request.model_copy(update={"data": request.data.model_copy(update={"dataset": id})})
        if dry_run:
            raise typer.Exit(print_dry_run(client, request, as_json=as_json, from_file=from_file))
        with naming_options(request, from_file=from_file):
            id = client.submit(request).id
        job = follow_run(client, id, own=url is None)
        job = job if from_file else job_in_options(job)
        code = conclude(job)
        if as_json and job.problem is not None:
            print_result(job.problem.model_dump_json(indent=2))
        if curves is not None and job.curves is None:
            say("there are no curves: nothing was trained")
        elif curves is not None:
            code = _deliver("the curves are", partial(client.download_curves, job.id), made[2], force) or code
        if job.state == "succeeded":
            code = _deliver_all(client, job, result, report, force, as_json) or code
        elif job.artifact is not None:
            what = "the best weights so far, not measured, are"
            code = _deliver(what, partial(fetch, client, job.id), result, force) or code
    raise typer.Exit(code)


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
    recipe = _with_uploaded_models(client, request.recipe, models)
    return request.model_copy(update={"model": models[str(model)], "data": data, "recipe": recipe})


def _with_uploaded_models(client: Client, recipe: AskedRecipe, sent: dict[str, str]) -> AskedRecipe:
    """The recipe with ids in place of files, which only closed ones may name."""
    if not isinstance(recipe, Recipe):
        return recipe
    return recipe.model_copy(update={"steps": [_with_uploads(client, step, sent) for step in recipe.steps]})


def _with_uploads(client: Client, step: AnyStep, sent: dict[str, str]) -> AnyStep:
    """The step with ids in place of files; `sent` are the ids of files that are there already."""
    ids = {}
    for field, path in step.models.items():
        if Path(path).exists():
            if path not in sent:
                sent[path] = send_model(client, Path(path), []).id
            ids[field] = sent[path]
    return step.model_copy(update=ids)


def _deliver_all(client: Client, job: Job, result: Path, report: Path, force: bool, as_json: bool) -> int:
    """The report on the screen and both files where they were to go; PROBLEM where one of them is elsewhere."""
    told = client.report(job.id)
    if as_json:
        print_result(told.model_dump_json(indent=2))
    else:
        out().print(report_tables(told))

    def write(path: Path) -> Path:
        return write_whole(path, told.model_dump_json(indent=2))

    code = _deliver("the result is", partial(fetch, client, job.id), result, force)
    return _deliver("the report is", write, report, force) or code


def _deliver(what: str, bring: Callable[[Path], Path], target: Path, force: bool) -> int:
    """Bring a file to its target, or, where that cannot be written any more, to a folder for temporary files."""
    try:
        if target.exists() and not force:
            raise UnusableFile(f"{target} has come to be meanwhile, and is not overwritten")
        say(f"{what} in {bring(target)}")
        return OK
    except (UnusableFile, OSError) as error:
        say(f"winnow: {error}")
        say(f"{what} in {bring(Path(tempfile.mkdtemp(prefix='winnow-result-')) / target.name)} instead")
        return PROBLEM


def _check_needed_data(request: JobRequest) -> None:
    """What the service would refuse after it was started. Raises ServiceProblem."""
    refusals = Refusals()
    if isinstance(request.recipe, Recipe):
        check_needed_data(refusals, request.closed(request.recipe))
    try:
        refusals.raise_all()
    except Refusal as refusal:
        raise ServiceProblem(refusal.problem) from refusal
