"""All commands, and what becomes of errors: a sentence on stderr, never a traceback."""

import errno
import json
import os
import re
import sys
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from winnow.cli import (
    bundles,
    checking,
    comparing,
    data,
    exporting,
    gate,
    jobs,
    mcp,
    push,
    replay,
    run,
    steps,
    student,
    things,
    trials,
    uploads,
    values,
    webhooks,
    workers,
)
from winnow.cli.exits import PROBLEM
from winnow.cli.screen import print_result, say
from winnow.cli.service import add_service_command, add_service_group
from winnow.cli.variables import unknown_variables
from winnow.client import ClientError, ServiceProblem

UsageError: Any = typer.BadParameter.__mro__[1]
"""Typer's own, whichever click it brings along."""


class Sentences(TyperGroup):
    """Commands whose expected failures are one sentence and exit code 1; with --json the problem goes to stdout."""

    def invoke(self, ctx: Any) -> Any:
        as_json = "--json" in sys.argv[1:] or "--json" in [*getattr(ctx, "_protected_args", ()), *ctx.args]
        for sentence in unknown_variables(os.environ):
            say(f"winnow: {sentence}")
        try:
            return super().invoke(ctx)
        except ServiceProblem as error:
            _fail(str(error), PROBLEM, error.problem.model_dump(mode="json"), as_json)
        except ClientError as error:
            _fail(str(error), PROBLEM, {"code": _code(error), "detail": str(error)}, as_json)
        except UsageError as error:
            if not as_json:
                raise
            print_result(json.dumps({"code": "usage", "detail": error.format_message()}))
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            detail = _os_sentence(error)
            _fail(detail, PROBLEM, {"code": "unusable_file", "detail": detail}, as_json)


def _fail(sentence: str, code: int, problem: dict[str, Any], as_json: bool) -> NoReturn:
    say(f"winnow: {sentence}")
    if as_json:
        print_result(json.dumps(problem))
    raise typer.Exit(code)


def _code(error: ClientError) -> str:
    """`ServiceUnreachable` → `service_unreachable`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _os_sentence(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {error.filename}"
    return f"{error.strerror or error}{where}"


def _version(wanted: bool) -> None:
    if wanted:
        print_result(f"winnow {version('winnow-client')}")
        raise typer.Exit


commands = typer.Typer(
    cls=Sentences,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Upload a model, get back a smaller and faster ONNX file, measured.",
    epilog="Exit codes: 0 fine, 1 a problem, 2 wrong usage, 3 requirements not met, 130 Ctrl-C.",
)


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_version, is_eager=True)
    ] = False,
) -> None: ...


commands.command()(run.run)
commands.command()(replay.replay)
commands.command()(gate.gate)
commands.command()(mcp.mcp)
commands.command()(steps.steps)
commands.command()(checking.check)
add_service_command(commands, "serve")
add_service_command(commands, "worker")
add_service_group(commands, "keys")
add_service_command(commands, "gc")
add_service_command(commands, "backup")
add_service_command(commands, "restore")
for command in (
    uploads.upload,
    uploads.models,
    uploads.datasets,
    data.propose,
    data.preview,
    things.show,
    values.values,
    student.student,
    things.pin,
    things.delete,
    jobs.submit,
    jobs.watch,
    jobs.jobs,
    jobs.cancel,
    jobs.retry,
    jobs.logs,
    jobs.report,
    jobs.download,
    jobs.curves,
    bundles.card,
    bundles.bundle,
    push.push,
    trials.trials,
    comparing.compare,
    workers.workers,
    workers.drain,
    workers.undrain,
):
    commands.command()(command)
commands.add_typer(webhooks.webhooks, name="webhooks")
commands.command()(exporting.export)
commands.command("import")(exporting.import_)


def main() -> None:
    """The entry point `winnow`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    commands()
