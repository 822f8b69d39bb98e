"""Options that several commands share, and the client they lead to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from winnow.cli.screen import err
from winnow.client.files import OnProgress
from winnow.contract.errors import Problem

Url = Annotated[str, typer.Option(envvar="WINNOW_URL", help="Where the service is.")]
Json = Annotated[bool, typer.Option("--json", help="The whole answer as JSON on stdout.")]


@contextmanager
def transfer(what: str) -> Iterator[OnProgress | None]:
    """A bar for bytes on their way; nothing where there is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM inside, and a terminal that closes, is like Ctrl-C, so that what was started is also stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = [
        number for number, handler in before.items() if handler is not signal.SIG_IGN
    ]  # nohup ignores SIGHUP
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def errors_in_words(problem: Problem) -> str:
    """Every fault, each with its path."""
    return (
        " ".join(f"{it.path}: {it.detail}" if it.path else it.detail for it in problem.errors)
        or problem.detail
    )
