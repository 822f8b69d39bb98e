"""All commands, and what becomes of errors: a sentence on stderr, never a traceback."""

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from app.cli import jobs, run, service, uploads
from app.cli.exits import PROBLEM
from app.cli.screen import say
from app.client import ClientError


class Sentences(TyperGroup):
    """Commands whose expected failures are one sentence and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            say(f"winnow: {error}")
            raise typer.Exit(PROBLEM) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            say(f"winnow: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
            raise typer.Exit(PROBLEM) from error


commands = typer.Typer(
    cls=Sentences,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Upload a model, get back a smaller and faster ONNX file, measured.",
    epilog="Exit codes: 0 fine, 1 a problem, 2 wrong usage, 3 requirements not met, 130 Ctrl-C.",
)
for command in (
    run.run,
    service.serve,
    service.worker,
    uploads.upload,
    uploads.models,
    uploads.datasets,
    jobs.submit,
    jobs.watch,
    jobs.jobs,
    jobs.cancel,
    jobs.retry,
    jobs.logs,
    jobs.report,
    jobs.download,
    jobs.curves,
):
    commands.command()(command)


def main() -> None:
    """The entry point `winnow`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    commands()
