"""`gate`: an artifact against a report, for CI."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.exits import NOT_MET, OK
from winnow.cli.gate_inputs import evaluation_of, measured_data, one_file, read_against
from winnow.cli.options import data_use
from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.settings import pairs
from winnow.cli.shared import Json
from winnow.cli.uploads import DeclarationFile, read_declaration
from winnow.client.files import check_readable
from winnow.client.gating import Check, Limits, check_all, number, summary
from winnow.client.measuring import measure_here
from winnow.contract.job import Benchmark
from winnow.contract.measured import MeasureRequest
from winnow.contract.report import Report
from winnow.contract.target import DEFAULT_TARGET, measured_on


def gate(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT.onnx", help="What is to be let through.")],
    against: Annotated[
        Path,
        typer.Option(
            metavar="REPORT.json|BUNDLE.zip", help="What it has to be as good as; a bundle says more."
        ),
    ],
    max_metric_drop: Annotated[
        float | None,
        typer.Option(
            help="Loss of the report's first metric, absolute: 0.01 is a point of top-1. Within noise passes."
        ),
    ] = None,
    max_size_growth: Annotated[
        float | None, typer.Option(help="0.02 is a file that is 2 % larger than the report's.")
    ] = None,
    min_speedup: Annotated[
        float | None, typer.Option(help="Times as fast as --baseline, measured here, side by side.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="ORIGINAL.onnx", help="The original: for speed, and so that losses are compared in pairs."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:A:B]",
            help="Data to judge on, or rows A to B-1 of it; what the job split is split again in the same way.",
        ),
    ] = None,
    declaration: DeclarationFile = None,
    map: Annotated[list[str] | None, typer.Option(metavar="INPUT=NAME", help="As for `run`.")] = None,
    decode: Annotated[str | None, typer.Option(help="As for `run`, where the job had one.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the runtime, for --min-speedup.")] = 1,
    to: Annotated[
        Path | None,
        typer.Option(
            "--summary",
            metavar="FILE.md",
            help="Append a summary in GitHub's Markdown. [default: $GITHUB_STEP_SUMMARY, where that is set]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let an artifact through, or not: it may be no worse than a report by more than is stated. For CI.

    Metrics and speed are measured here, without a service. Exit code 0: passed; 3: worse than allowed; 1: a problem.
    Speed is only measured beside --baseline, since times of another machine say nothing.

    \b
    winnow gate new.onnx --against digits-bundle.zip --data digits.npz --max-metric-drop 0.01
    winnow gate new.onnx --against report.json --data test.npz --declaration test.json \\
        --max-metric-drop 0.01 --max-size-growth 0.02 --baseline original.onnx --min-speedup 1.5
    """
    limits = Limits(max_metric_drop, max_size_growth, min_speedup)
    if limits == Limits():
        raise typer.BadParameter(
            "give at least one of --max-metric-drop, --max-size-growth and --min-speedup"
        )
    if min_speedup is not None and baseline is None:
        raise typer.BadParameter("--min-speedup needs --baseline: times of another machine say nothing")
    for path in filter(None, (artifact, baseline)):
        check_readable(path)
    report, recipe = read_against(against)
    if max_metric_drop is not None:
        _check_has_metric(report, against, data)
    given = {} if data is None else data_use(data, pairs("--map", map))
    with one_file(given.get("dataset") if given else None) as file:
        request = MeasureRequest(
            original=baseline or artifact,
            candidate=artifact,
            data=measured_data(file, given or {}, read_declaration(declaration), report, recipe),
            evaluation=evaluation_of(report, recipe, decode) if max_metric_drop is not None else None,
            benchmark=Benchmark(threads=threads),
            seed=report.seed,
            target=DEFAULT_TARGET
            if recipe is None or recipe.job is None
            else measured_on(recipe.job.target, recipe.job.precision),
            times=min_speedup is not None,
        )
        measured = measure_here(request)
    checks = check_all(report, measured, limits, beside_original=baseline is not None)
    _tell(checks, as_json)
    written = to or (Path(name) if (name := os.environ.get("GITHUB_STEP_SUMMARY")) else None)
    if written is not None:
        with written.open("a", encoding="utf-8") as opened:
            opened.write(summary(checks, artifact.name, against.name))
    raise typer.Exit(OK if all(check.passed for check in checks) else NOT_MET)


def _check_has_metric(report: Report, against: Path, data: str | None) -> None:
    if not report.quality:
        raise typer.BadParameter(f"{against} has no metric to compare with; leave --max-metric-drop out")
    if data is None:
        raise typer.BadParameter(
            f"--max-metric-drop needs --data: {report.quality[0].metric} is measured again"
        )


def _tell(checks: list[Check], as_json: bool) -> None:
    if as_json:
        passed = all(check.passed for check in checks)
        print_result(json.dumps({"passed": passed, "checks": [vars(check) for check in checks]}, indent=2))
        return
    columns: list[Column] = [
        ("check", "left"),
        ("report", "right"),
        ("now", "right"),
        ("allowed", "right"),
        ("", "left"),
    ]
    rows = [
        (
            check.name,
            number(check.then),
            number(check.now),
            number(check.limit),
            "ok" if check.passed else "FAILED",
        )
        for check in checks
    ]
    out().print(table(None, columns, rows))
    for check in checks:
        say(check.why)
