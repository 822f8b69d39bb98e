"""`gate`: an artifact against a report, for CI."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from winnow.cli.exits import NOT_MET, OK
from winnow.cli.options import data_use
from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.settings import decode as decode_of
from winnow.cli.settings import pairs
from winnow.cli.shared import Json
from winnow.cli.uploads import DeclarationFile, read_declaration
from winnow.client import UnusableFile
from winnow.client.bundle import open_bundle
from winnow.client.files import check_readable
from winnow.client.gating import Check, Limits, check_all, number, summary
from winnow.client.measuring import measure_here
from winnow.client.packing import PackedBody
from winnow.contract.bundle.recipe_file import RecipeFile
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.measured import MeasuredData, MeasureRequest
from winnow.contract.needed_data import uses
from winnow.contract.report import Report
from winnow.contract.target import DEFAULT_TARGET

CHUNK = 1 << 20


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
    with _one_file(given.get("dataset") if given else None) as file:
        request = MeasureRequest(
            original=baseline or artifact,
            candidate=artifact,
            data=_data(file, given or {}, read_declaration(declaration), report, recipe),
            evaluation=_evaluation(report, recipe, decode) if max_metric_drop is not None else None,
            benchmark=Benchmark(threads=threads),
            seed=report.seed,
            target=DEFAULT_TARGET if recipe is None or recipe.job is None else recipe.job.target,
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


def read_against(path: Path) -> tuple[Report, RecipeFile | None]:
    """Read a report, or that of a bundle with its recipe. Raises `UnusableFile`."""
    check_readable(path)
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        with open_bundle(path) as bundle:
            return bundle.report, bundle.recipe
    try:
        return Report.model_validate_json(path.read_bytes(), extra="ignore"), None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableFile(f"{path} is no report of a job ({where}: {first['msg']})") from error


def _check_has_metric(report: Report, against: Path, data: str | None) -> None:
    if not report.quality:
        raise typer.BadParameter(f"{against} has no metric to compare with; leave --max-metric-drop out")
    if data is None:
        raise typer.BadParameter(
            f"--max-metric-drop needs --data: {report.quality[0].metric} is measured again"
        )


@contextmanager
def _one_file(named: str | None) -> Iterator[Path | None]:
    """The data as one file: a folder is packed, as for an upload."""
    if named is None:
        yield None
    elif not Path(named).is_dir():
        check_readable(Path(named))
        yield Path(named)
    else:
        with tempfile.NamedTemporaryFile(prefix="winnow-gate-", suffix=".tar") as packed:
            body = PackedBody([Path(named)])
            while chunk := body.read(CHUNK):
                packed.write(chunk)
            packed.flush()
            yield Path(packed.name)


def _data(
    file: Path | None,
    given: dict[str, Any],
    declaration: Declaration | None,
    report: Report,
    recipe: RecipeFile | None,
) -> MeasuredData | None:
    """What was given wins; else what the bundle says of its evaluation data."""
    if file is None:
        return None
    known = None if recipe is None or recipe.job is None else uses(recipe.job.data).get("evaluation")
    declared = next(
        (
            each.declaration
            for each in (recipe.uploads if recipe else [])
            if known and each.id == known.dataset
        ),
        None,
    )
    rows = given["slice"] or (known.slice if known is not None else None)
    judging = "all"
    if report.split is not None and given["slice"] is None:
        judging = "split" if report.split.counts.get("training") else "halves"
    return MeasuredData.model_validate(
        {
            "path": file,
            "declaration": declaration or declared or Declaration(),
            "slice": rows,
            "map": given["map"] or (known.map if known is not None else {}),
            "judging": judging,
        }
    )


def _evaluation(report: Report, recipe: RecipeFile | None, decode: str | None) -> Evaluation:
    if decode is None and recipe is not None and recipe.job is not None and recipe.job.evaluation is not None:
        asked = recipe.job.evaluation
        return asked if asked.task != "auto" else asked.model_copy(update={"task": report.quality[0].task})
    first, *rest = report.quality
    return Evaluation.model_validate(
        {
            "task": first.task,
            "metric": first.metric,
            "also": [entry.metric for entry in rest],
            "output": first.output if "," not in first.output else None,
            "decode": None if decode is None else decode_of(decode),
        }
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
