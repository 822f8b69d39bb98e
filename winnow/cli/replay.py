"""`replay`: the closed recipe of a bundle done again, and its result beside the first one."""

import json
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.exits import NOT_MET, OK
from winnow.cli.following import conclude, follow_run
from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.service import service_at
from winnow.cli.shared import Json, terminable
from winnow.client import Client
from winnow.client.bundle import Bundle, open_bundle
from winnow.client.files import check_readable
from winnow.client.gating import number
from winnow.client.replaying import (
    Measure,
    NeededFile,
    Replayed,
    check_same_model,
    needed_datasets,
    needed_models,
    send_again,
)

Given = Annotated[Path | None, typer.Option(metavar="FILE")]
ServiceUrl = Annotated[
    str | None, typer.Option(envvar="WINNOW_URL", help="The service; without one, an own one is started.")
]


def replay(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE.zip", help="What `winnow bundle` has written.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL_FILE", help="The model that it was made of.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The data, whatever it is used for; repeated, several files of it."
        ),
    ] = None,
    calibration: Given = None,
    training: Given = None,
    evaluation: Given = None,
    other: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=FILE", help="A teacher or student, by its id in recipe.json; repeatable."),
    ] = None,
    url: ServiceUrl = None,
    as_json: Json = False,
) -> None:
    """Do a bundle's job again, and compare graph and measures.

    How the data is read stands in the bundle. Exit code 0: the same graph, and metrics within the first one's
    intervals; 3: not so; 1: a problem. The same graph comes out on a CPU with the same features and as many cores.

    \b
    winnow replay digits.zip digits.onnx --data digits.npz
    winnow replay small.zip net.onnx --calibration train.npz --evaluation test.npz
    """
    roles = {"calibration": calibration, "training": training, "evaluation": evaluation}
    check_readable(model)
    with open_bundle(bundle) as opened:
        check_same_model(opened, model)
        files = {it.id: _files_of(it, roles, data or []) for it in needed_datasets(opened)}
        files |= {it.id: [_other_of(it, other or [])] for it in needed_models(opened)}
        _tell_timed(opened)
        with terminable(), service_at(url) as address, Client(address) as client:
            request, notes = send_again(client, opened, model, files)
            for note in notes:
                say(f"note: {note}")
            job = follow_run(client, client.submit(request).id, own=url is None)
            if job.state != "succeeded":
                raise typer.Exit(conclude(job))
            replayed = Replayed(opened.report, client.report(job.id))
    _show(replayed, as_json)
    raise typer.Exit(OK if replayed.agrees else NOT_MET)


def _files_of(needed: NeededFile, roles: dict[str, Path | None], data: list[Path]) -> list[Path]:
    """Raises typer.BadParameter where nothing was given for it."""
    given = next((path for role in needed.used_as if (path := roles[role]) is not None), None)
    files = data if given is None else [given]
    if not files:
        raise typer.BadParameter(
            f"the recipe needs data for {needed}: give --{needed.used_as[0]} FILE, or --data FILE for all roles"
        )
    for file in files:
        if not file.is_dir():
            check_readable(file)
    return files


def _other_of(needed: NeededFile, pairs: list[str]) -> Path:
    named = dict(text.partition("=")[::2] for text in pairs)
    if not named.get(needed.id):
        raise typer.BadParameter(f"the recipe needs {needed}: give --other {needed.id}=FILE")
    check_readable(path := Path(named[needed.id]))
    return path


def _tell_timed(bundle: Bundle) -> None:
    if bundle.recipe.timed:
        kinds = ", ".join(bundle.recipe.timed)
        say(f"note: {kinds} chooses by times that it measures, and may choose otherwise this time")


def _show(replayed: Replayed, as_json: bool) -> None:
    measures = replayed.measures
    if as_json:
        shown = {
            "same_graph": replayed.same_graph,
            "agrees": replayed.agrees,
            "graph_sha256": {"then": replayed.then.graph_sha256, "now": replayed.now.graph_sha256},
            "measures": [vars(measure) for measure in measures],
            "differences": replayed.differences,
        }
        print_result(json.dumps(shown, indent=2))
        return
    columns: list[Column] = [("", "left"), ("then", "right"), ("now", "right"), ("", "left")]
    out().print(table(None, columns, [*map(_row, measures)]))
    if replayed.same_graph:
        say(f"the same graph: {replayed.now.graph_sha256}")
        return
    say(f"another graph: {replayed.now.graph_sha256} in place of {replayed.then.graph_sha256}")
    for difference in replayed.differences:
        say(f"  {difference}")


def _row(measure: Measure) -> tuple[str, str, str, str]:
    verdict = {True: "agrees", False: "DIFFERS", None: ""}[measure.agrees]
    return measure.name, number(measure.then), number(measure.now), verdict
