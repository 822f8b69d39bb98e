"""`propose`, `preview`: how a dataset is read for a model; and data of `run` that comes without a declaration."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from winnow.cli.exits import USAGE
from winnow.cli.screen import Column, err, out, print_result, say, table
from winnow.cli.shared import Json, Url, transfer
from winnow.cli.targets import target_of, write_whole
from winnow.cli.uploads import read_declaration
from winnow.client import Client, ServiceProblem, UploadRejected
from winnow.client.client import LOCAL
from winnow.contract import units
from winnow.contract.declaration import Declaration
from winnow.contract.inquiry import MAX_PREVIEW_ROWS, Preview, Proposal

ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, mdl_…")]
DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's id, dst_…")]
FIXED = "declaration_fixed"


def propose(
    model: ModelId,
    dataset: DatasetId,
    to: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.json", help="Write the declaration there.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """How a dataset could be read for a model, what of it is sure, and what that rests on.

    \b
    winnow propose mdl_1 dst_1 --out declaration.json
    """
    target = None if to is None else target_of(to, "declaration.json", "--out", [], force)
    with Client(url) as client:
        proposal = client.propose(model, dataset)
    if as_json:
        print_result(proposal.model_dump_json(indent=2))
    else:
        _show(proposal)
        print_result(_written(proposal.declaration))
    if target is not None:
        say(f"the declaration is in {write_whole(target, _written(proposal.declaration))}")


def preview(
    model: ModelId,
    dataset: DatasetId,
    rows: Annotated[int, typer.Option(min=1, max=MAX_PREVIEW_ROWS, help="How many rows.")] = 4,
    to: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Write the pictures there.")
    ] = None,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """What a model will be fed with: shapes, ranges, labels, and the pictures as it sees them.

    \b
    winnow preview mdl_1 dst_1 --rows 8 --out pictures
    """
    with Client(url) as client:
        shown = client.preview(dataset, model, rows)
    if as_json:
        print_result(shown.model_dump_json(indent=2))
    else:
        out().print(_inputs(shown))
        for note in shown.notes:
            say(f"note: {note}")
    if to is not None:
        _write_pictures(shown, to)


def send_data(
    client: Client, files: Sequence[Path], declaration: Path | None, model: str, unsure: Path, force: bool
) -> str:
    """The id of the dataset once it is ready to be used. Without a declaration one is proposed, and used if it is
    sure; else it is written to `unsure`, and this ends with exit code 2."""
    declared = read_declaration(declaration)
    source = files[0] if len(files) == 1 else files
    with transfer(f"sending {files[0].name}") as on_progress:
        id = client.upload_dataset(source, declared, None, on_progress, wait=False).id
    if declared is not None:
        return client.wait_dataset(id).id
    proposal = client.propose(model, id)
    _show(proposal)
    if not proposal.sure:
        _stop(proposal, files, unsure, force)
    return _declared(client, id, source, proposal.declaration)


def _declared(client: Client, id: str, source: Path | Sequence[Path], declaration: Declaration) -> str:
    """Of a dataset that a job has used another one is made; the same one twice is the same again."""
    try:
        if client.dataset(id).declaration == declaration:
            return client.wait_dataset(id).id
        return client.declare(id, declaration).id
    except ServiceProblem as error:
        if isinstance(error, UploadRejected) or error.problem.code != FIXED:
            raise
    return client.upload_dataset(source, declaration).id


def _stop(proposal: Proposal, files: Sequence[Path], unsure: Path, force: bool) -> None:
    written = unsure
    if unsure.exists() and not force:
        say(f"{unsure} exists and is not overwritten; the proposed declaration is")
        print_result(_written(proposal.declaration))
    else:
        written = write_whole(unsure, _written(proposal.declaration))
        say(f"the proposed declaration is in {written}")
    say(
        f"It is not sure how {files[0].name} is to be read: look at what is unsure above, mend the declaration "
        f"where it is wrong, and run again with --declaration {written}"
    )
    raise typer.Exit(USAGE)


def _written(declaration: Declaration) -> str:
    """Without what has its default: to be read and mended by people."""
    return json.dumps(declaration.model_dump(mode="json", exclude_defaults=True, exclude_none=True), indent=2)


def _show(proposal: Proposal) -> None:
    rows = [(part.path, "sure" if part.sure else "UNSURE", part.because) for part in proposal.parts]
    columns: list[Column] = [("declaration", "left"), ("", "left"), ("because", "left")]
    err().print(table("proposed declaration", columns, rows))
    for note in proposal.notes:
        say(f"note: {note}")


def _inputs(shown: Preview) -> Table:
    rows = [
        (
            name,
            f"{fed.dtype}{['?' if size is None else size for size in fed.shape]}",
            *(units.number(value) for value in (fed.min, fed.max, fed.mean, fed.std)),
        )
        for name, fed in shown.inputs.items()
    ]
    labels = "" if shown.labels is None else f", labels {', '.join(map(str, shown.labels))}"[:500]
    title = f"rows {', '.join(map(str, shown.rows))} of {units.count(shown.samples)}{labels}"
    columns: list[Column] = [("input", "left"), ("per sample", "left")]
    return table(title, [*columns, *((name, "right") for name in ("min", "max", "mean", "std"))], rows)


def _write_pictures(shown: Preview, folder: Path) -> None:
    """One PNG for each row and input; names of inputs are numbers here, for they may be any text."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, fed in enumerate(shown.inputs.values()):
        for row, picture in zip(shown.rows, fed.pictures, strict=False):
            file = folder / f"input-{place}-row-{row}.png"
            file.write_bytes(base64.b64decode(picture.partition(",")[2]))
            say(f"{file}")
