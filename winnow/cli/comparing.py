"""`compare`: finished jobs beside each other."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from winnow.cli.screen import Column, clean, out, print_result, table
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract import units
from winnow.contract.comparison import MAX_JOBS, MIN_JOBS, ComparedJob, Comparison

JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of finished jobs, job_…")]

COLUMNS: tuple[Column, ...] = (
    *(("job", "left"), ("recipe", "left"), ("outcome", "left"), ("size", "right"), ("as fast", "right")),
    *(("median run", "right"), ("worse by", "right"), ("memory", "right"), ("Pareto", "left")),
)


def compare(jobs: JobIds, url: Url = LOCAL, as_json: Json = False) -> None:
    """Finished jobs beside each other: size, speed, quality, and which of them no other one beats.

    \b
    winnow compare job_1 job_2 job_3
    """
    if not MIN_JOBS <= len(jobs) <= MAX_JOBS:
        raise typer.BadParameter(f"name {MIN_JOBS} to {MAX_JOBS} jobs")
    with Client(url) as client:
        compared = client.compare(jobs)
    if as_json:
        print_result(compared.model_dump_json(indent=2))
    else:
        out().print(comparison_table(compared))


def comparison_table(comparison: Comparison) -> RenderableType:
    return Group(table(None, COLUMNS, map(_row, comparison.items)), *map(clean, comparison.notes))


def _row(job: ComparedJob) -> tuple[str, ...]:
    memory = job.peak_rss_bytes
    speed = None if job.speed is None or job.speed.speedup is None else job.speed
    return (
        *(job.name or job.id, " → ".join(job.recipe) or "the upload", job.outcome.replace("_", " ")),
        f"{units.size(job.size_bytes.after)} ({units.times(job.size_bytes.ratio)})",
        units.times(speed.speedup, speed.interval) if speed else "-",
        units.milliseconds(speed.after_ms) if speed else "-",
        ", ".join(_losses(job)) or "-",
        units.size(memory.after) if memory else "-",
        "yes" if job.pareto else "",
    )


def _losses(job: ComparedJob) -> Iterator[str]:
    for name, metric in job.metrics.items():
        yield f"{name} {units.metric(name, metric.drop, metric.interval)}"
