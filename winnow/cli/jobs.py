"""`submit`, `watch`, `jobs`, `cancel`, `retry`, `logs`, `report`, `download`, `curves`: a job and what comes of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.exits import INTERRUPTED
from winnow.cli.facts import job_list, standing
from winnow.cli.following import conclude, follow
from winnow.cli.naming import in_options, job_in_options, naming_options
from winnow.cli.options import JobOptions, unpack_options
from winnow.cli.report import report_tables
from winnow.cli.screen import clean, out, print_result, say
from winnow.cli.settings import pairs
from winnow.cli.shared import Json, Url, transfer
from winnow.client import Client, JobFailed, UnusableFile
from winnow.client.client import LOCAL
from winnow.contract.job import Job, JobRequest, JobState, LogRecord
from winnow.contract.needed_data import uses

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, job_…")]


@unpack_options
def submit(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, mdl_…")],
    options: JobOptions,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Submit a job; its id goes to stdout. With --watch, exit code 3 says that a requirement is not met.

    \b
    winnow submit mdl_1 --step int8_dynamic
    winnow submit mdl_1 --step 'int8_static calibration=percentile exclude=*/head/*' \\
        --calibration dst_1:0:512 --evaluation dst_2 --metric top1 --max-metric-drop 0.01 --watch
    winnow submit mdl_1 --step 'distillation student=mdl_2 epochs=10' --training dst_1
    """
    request = options.job(model)
    _check_ids(options, request)
    with Client(url) as client:
        with naming_options(request, from_file=options.request is not None):
            job = client.submit(request)
        if not (as_json and watch):
            print_result(job.model_dump_json(indent=2) if as_json else job.id)
        if watch:
            watch_to_end(client, job.id, as_json, from_file=options.request is not None)
        elif not as_json:
            say(f"{standing(job)}; see `winnow watch {job.id}`")


def _check_ids(options: JobOptions, request: JobRequest) -> None:
    """A file given here is what `run` is for."""
    if options.data is not None and len(options.data) > 1:
        raise typer.BadParameter("--data takes one dataset here; `winnow run` takes several files")
    named = [("mdl_", request.model), *(("dst_", use.dataset) for use in uses(request.data).values())]
    for prefix, id in named:
        if not id.startswith(prefix) and Path(id).exists():
            raise typer.BadParameter(
                f"{id} is a file: `winnow upload {id}` gives its id ({prefix}…), `winnow run` takes files"
            )


def watch(job: JobId, url: Url = LOCAL, as_json: Json = False) -> None:
    """Follow a job to its end. Exit code 3: it ended, but a requirement is not met. Ctrl-C leaves the job alone.

    \b
    winnow watch job_1
    """
    with Client(url) as client:
        watch_to_end(client, job, as_json)


def watch_to_end(client: Client, id: str, as_json: bool = False, *, from_file: bool = False) -> None:
    """Exits with the code that says how it ended; why stands in options, unless the request stands in a file."""
    try:
        job = follow(client, id)
    except KeyboardInterrupt:
        say(f"{id} goes on; `winnow watch {id}` follows it again, `winnow cancel {id}` stops it")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_result(job.model_dump_json(indent=2))
    code = conclude(job if from_file else job_in_options(job))
    if job.state == "failed" and job.artifact is not None:
        say(f"its best weights so far, not measured, can be had with `winnow download {id}`")
    if job.state == "succeeded":
        say(f"{id} {standing(job)}; see `winnow report {id}`, get it with `winnow download {id}`")
    raise typer.Exit(code)


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Jobs of this model.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Jobs with this tag; repeated, with all of them."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """List jobs, newest first; --json gives one object per line.

    \b
    winnow jobs --state failed --tag team=vision
    """
    with Client(url) as client:
        found = client.jobs(state=state, model=model, tags=pairs("--tag", tag))
        first = [job for job, _ in zip(found, range(limit), strict=False)]
    if as_json:
        for job in first:
            print_result(job.model_dump_json())
    else:
        out().print(job_list(first))


def cancel(job: JobId, url: Url = LOCAL, as_json: Json = False) -> None:
    """Cancel a job, waiting or running.

    \b
    winnow cancel job_1
    """
    with Client(url) as client:
        _tell(client.cancel(job), as_json)


def retry(job: JobId, url: Url = LOCAL, as_json: Json = False) -> None:
    """Queue a failed or cancelled job again; it goes on after its last finished step.

    \b
    winnow retry job_1
    """
    with Client(url) as client:
        _tell(client.retry(job), as_json)


def logs(job: JobId, url: Url = LOCAL, as_json: Json = False) -> None:
    """What the job did, one line each; --json gives one object per line.

    \b
    winnow logs job_1
    """
    with Client(url) as client:
        for record in client.logs(job):
            if as_json:
                print_result(record.model_dump_json())
            else:
                out().print(_line(record), soft_wrap=True)


def report(
    job: JobId,
    html: Annotated[
        bool, typer.Option("--html", help="As a page, one file for a browser, without scripts.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Of --html: a file, or a folder to put JOB-report.html in."),
    ] = None,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Before and after: size, latency, memory, quality, requirements, steps. Of a failed job, its problem.

    \b
    winnow report job_1
    winnow report job_1 --json > report.json
    winnow report job_1 --html --out report.html
    """
    if to is not None and not html:
        raise typer.BadParameter("--out says where --html goes: give both")
    with Client(url) as client:
        state = client.job(job)
        if state.state == "failed" and state.problem is not None:
            raise JobFailed(job_in_options(state))
        if html:
            _tell_file(job, _written_page(client, job, to or Path()), as_json)
            return
        found = client.report(job)
    if as_json:
        print_result(found.model_dump_json(indent=2))
    else:
        out().print(report_tables(found))


def _written_page(client: Client, job: str, to: Path) -> Path:
    path = to / f"{job}-report.html" if to.is_dir() else to
    content = client.report_page(job)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UnusableFile(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def download(
    job: JobId,
    to: Annotated[Path, typer.Option("--out", "-o", help="A file, or a folder to put JOB.onnx in.")] = Path(),
    zstd: Annotated[bool, typer.Option("--zstd", help="Compressed on the way, for slow lines.")] = False,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Download the compressed ONNX, checked by its SHA-256; a download that broke off is continued.

    \b
    winnow download job_1 --out small.onnx
    """
    with Client(url) as client:
        _tell_file(job, fetch(client, job, to, zstd), as_json)


def curves(
    job: JobId,
    to: Annotated[
        Path, typer.Option("--out", "-o", help="A file, or a folder to put JOB-curves.zip in.")
    ] = Path(),
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Download how the training went: TensorBoard event files in a zip, a folder for each step that trained.

    \b
    winnow curves job_1 --out curves.zip
    """
    with Client(url) as client:
        _tell_file(job, fetch_curves(client, job, to), as_json)


def fetch_curves(client: Client, job: str, to: Path) -> Path:
    with transfer(f"fetching the curves of {job}") as on_progress:
        return client.download_curves(job, to, on_progress)


def fetch(client: Client, job: str, to: Path, zstd: bool = False) -> Path:
    with transfer(f"fetching {job}") as on_progress:
        return client.download(job, to, on_progress, compressed=zstd)


def _tell(job: Job, as_json: bool) -> None:
    if as_json:
        print_result(job.model_dump_json(indent=2))
    else:
        say(f"{job.id}: {standing(job)}")


def _tell_file(job: str, path: Path, as_json: bool) -> None:
    print_result(json.dumps({"job": job, "file": str(path)}) if as_json else str(path))


def _line(record: LogRecord) -> str:
    step = f" {record.step}" if record.step else ""
    return clean(f"{record.time:%H:%M:%S} {record.level}{step}: {in_options(record.message)}")
