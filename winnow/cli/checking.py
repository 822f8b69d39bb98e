"""`check`: what a target's rules say of a file, without a service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from winnow.cli.exits import NOT_MET
from winnow.cli.screen import clean, out, print_result, table
from winnow.cli.shared import Json
from winnow.contract.nearest import did_you_mean
from winnow.contract.target import CHECKED
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.findings import TargetCheck
from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.onnx_file import graph_of_file

SHOWN: Final = 20
"""Nodes that a table lists; --json has up to a hundred."""


def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The file; its weights are not read.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(CHECKED)}; repeatable, all of them if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell which nodes a target would not take, and why, by what its documentation and source say. Nothing is run.

    The exit code is 3 where a target that was named cannot run the model at all.

    \b
    winnow check model.onnx --target qnn
    """
    names = _known(target or [*CHECKED])
    graph = _read(model)
    checks = [check_graph(graph, rules_of(name)) for name in names]
    if as_json:
        print_result(json.dumps([it.model_dump(mode="json") for it in checks], indent=2))
    for it in [] if as_json else checks:
        _show(it)
    if target and not all(it.runs for it in checks):
        raise typer.Exit(NOT_MET)


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in CHECKED:
            hint = did_you_mean(name, CHECKED)
            raise typer.BadParameter(
                f"there are rules for {', '.join(CHECKED)}, not for {name!r}.{hint} What is measured "
                "(onnxruntime-cpu and the like) is tried by a job",
                param_hint="--target",
            )
    return list(dict.fromkeys(names))


def _read(model: Path) -> CheckedGraph:
    if model.is_dir():
        raise typer.BadParameter(f"{model} is a folder; name the .onnx in it", param_hint="MODEL.onnx")
    try:
        return graph_of_file(model)
    except ValueError as error:
        raise typer.BadParameter(
            f"{model} is no ONNX file ({error}). Archives are unpacked and .pt2 converted by an upload: "
            "`winnow upload` it, and ask for the target in a job",
            param_hint="MODEL.onnx",
        ) from error


def _show(check: TargetCheck) -> None:
    rules = rules_of(check.target)
    print_result(f"{check.target}: {rules.title}, {check.as_of}")
    runs = "It runs" if check.runs else "It cannot run"
    print_result(clean(f"{runs} there by the rules. {check.summary}"))
    rows = [
        (it.node or "-", it.operator or "the graph", it.effect.replace("_", " "), it.why)
        for it in check.findings
    ]
    if rows:
        columns = [("node", "left"), ("operator", "left"), ("effect", "left"), ("why", "left")]
        out().print(table(None, columns, rows[:SHOWN]))  # type: ignore[arg-type]
    hidden = len(rows) - SHOWN + check.more
    if hidden > 0:
        print_result(f"And {hidden} more (--json).")
    for line in _sources(check):
        print_result(clean(line))


def _sources(check: TargetCheck) -> Iterator[str]:
    yield from (f"Source: {source}" for source in dict.fromkeys(it.source for it in check.findings))
    yield from (f"Not checked: {limit}" for limit in check.unchecked)
    yield from (f"Not known: {gap}" for gap in check.unknown)
    yield ""
