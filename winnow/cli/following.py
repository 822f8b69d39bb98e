"""A job followed to its end: a bar on a terminal, a line now and then where there is none.

Below the bar, or behind the line, stands what the step at work said last: of a training its epoch, loss and speed.
"""

from collections.abc import Iterable
from contextlib import suppress

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from winnow.cli.exits import INTERRUPTED, NOT_MET, OK, PROBLEM
from winnow.cli.screen import clean, err, say
from winnow.client import Client, ClientError
from winnow.contract import units
from winnow.contract.job import FINISHED, Job


def follow(client: Client, id: str) -> Job:
    """The finished job. Ctrl-C passes through and leaves the job alone."""
    console = err()
    return _with_bar(console, client, id) if console.is_terminal else _with_lines(client, id)


def follow_run(client: Client, id: str, *, own: bool) -> Job:
    """The same for a job of this command: Ctrl-C cancels it where the service is its own, and ends the command."""
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


def conclude(job: Job) -> int:
    """Say how it ended; the exit code that goes with it."""
    if job.state == "failed" and job.problem is not None:
        say(f"{job.id} failed: {job.problem.detail} [{job.problem.code}]")
        return PROBLEM
    if job.state != "succeeded":
        say(f"{job.id} was {job.state}")
        return PROBLEM
    unmet = [result for result in job.requirements or [] if not result.met]
    for result in unmet:
        say(f"{job.id} does not meet {result.name}: {result.why}")
    return NOT_MET if job.outcome == "requirements_not_met" else OK


def phase(job: Job) -> str:
    """What goes on: the step at work, or the state."""
    if job.state == "queued" and job.queue_position is not None:
        return f"queued, number {job.queue_position} in line"
    return job.step.kind if job.state == "running" and job.step is not None else job.state


def said(job: Job) -> str:
    """The last words of the step at work, in one line."""
    message = job.step.message if job.state == "running" and job.step is not None else None
    return clean(" ".join(message.split())) if message else ""


class _Bar(Progress):
    """With one line of text below, cut where the terminal ends."""

    text = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.text, no_wrap=True, overflow="ellipsis")


def _with_bar(console: Console, client: Client, id: str) -> Job:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with _Bar(*columns, console=console) as bar:
        task = bar.add_task(id, total=1.0, left="")
        for job in client.watch(id):
            bar.text = said(job)
            bar.update(task, completed=_done(job), description=phase(job), left=_time_left(job))
    return job


def _with_lines(client: Client, id: str) -> Job:
    told = None
    for job in client.watch(id):
        stage = (phase(job), int(job.progress * 10))
        if stage != told:
            say(
                f"{id}: "
                + " ".join(filter(None, (phase(job), f"{_done(job):.0%}", _time_left(job), said(job))))
            )
        told = stage
    return job


def _done(job: Job) -> float:
    return 1.0 if job.state == "succeeded" else job.progress


def _time_left(job: Job) -> str:
    if job.seconds_left is None or job.state in FINISHED:
        return ""
    return f"{units.duration(job.seconds_left)} left"
