"""`trials`: what a search has tried, and what each trial made."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from winnow.cli.jobs import JobId
from winnow.cli.recipe_text import recipe_text
from winnow.cli.screen import Column, out, print_result, table
from winnow.cli.shared import Json, Url, transfer
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract import units
from winnow.contract.trial import Trial, TrialState

COLUMNS: tuple[Column, ...] = (
    *(("trial", "right"), ("state", "left"), ("recipe", "left"), ("size", "right"), ("as fast", "right")),
    *(("worse by", "right"), ("meets", "left"), ("Pareto", "left"), ("took", "right"), ("worker", "left")),
)
MEETS = {True: "yes", False: "NO", None: "-"}


def trials(
    job: JobId,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Those that no other beats in size, latency and quality.")
    ] = False,
    state: Annotated[TrialState | None, typer.Option(help="Trials in this state.")] = None,
    number: Annotated[
        int | None, typer.Option("--download", metavar="N", min=0, help="Fetch the model of trial N instead.")
    ] = None,
    to: Annotated[
        Path, typer.Option("--out", "-o", help="With --download: a file, or a folder to put JOB-N.onnx in.")
    ] = Path(),
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """List what a search has tried, by number; --json gives one object per line.

    \b
    winnow trials job_1 --pareto
    winnow trials job_1 --download 7 --out seventh.onnx
    """
    with Client(url) as client:
        if number is not None:
            _download(client, job, number, to, as_json)
            return
        tried = list(client.trials(job, state=state, pareto=True if pareto else None))
    if as_json:
        for trial in tried:
            print_result(trial.model_dump_json())
    else:
        out().print(trial_list(tried))


def _download(client: Client, job: str, number: int, to: Path, as_json: bool) -> None:
    with transfer(f"fetching trial {number} of {job}") as on_progress:
        path = client.download_trial(job, number, to, on_progress)
    told = json.dumps({"job": job, "trial": number, "file": str(path)})
    print_result(told if as_json else str(path))


def trial_list(tried: list[Trial]) -> Table:
    return table(None, COLUMNS, map(_row, tried))


def _row(trial: Trial) -> tuple[str, ...]:
    size = "-" if trial.size_bytes is None else units.size(trial.size_bytes)
    speedup = trial.speedup and units.times(trial.speedup.value, trial.speedup.interval)
    drops = [f"{name} {units.metric(name, m.drop, m.interval)}" for name, m in trial.metrics.items()]
    state = trial.state.replace("_", " ") + (f": {trial.problem.code}" if trial.problem else "")
    return (
        *(str(trial.number), state, recipe_text(trial.recipe), size, speedup or "-"),
        *(", ".join(drops) or "-", MEETS[trial.meets], "yes" if trial.pareto else ""),
        *(units.duration(trial.seconds), trial.worker or "-"),
    )
