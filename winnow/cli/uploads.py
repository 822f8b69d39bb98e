"""`upload`, `models`, `datasets`: what a job works on."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import typer

from winnow.cli.facts import dataset_facts, model_facts, upload_list
from winnow.cli.screen import out, print_result
from winnow.cli.shared import Json, Url, errors_in_words, transfer
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract.dataset import Dataset, DatasetFormat
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import Model
from winnow.contract.strict_json import read_model

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="NAME:DTYPE[SHAPE]", help="TorchScript only, e.g. image:float32[N,1,28,28]."
    ),
]
DeclarationFile = Annotated[
    Path | None,
    typer.Option("--declaration", metavar="FILE.json", help="How the arrays become the model's inputs."),
]


def upload(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A model (.onnx, .pt2, tar or zip) or a dataset; a folder is packed."
        ),
    ],
    dataset: Annotated[
        bool | None, typer.Option("--dataset/--model", help="What it is; if not said, its content tells.")
    ] = None,
    declaration: DeclarationFile = None,
    input: Inputs = None,
    name: Annotated[str | None, typer.Option(help="A name for it; the file's if not given.")] = None,
    url: Url = LOCAL,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the id.")] = False,
    as_json: Json = False,
) -> None:
    """Upload a model or dataset, wait until it is inspected, show what was found.

    \b
    winnow upload resnet20.onnx
    winnow upload cifar10.npz --declaration cifar10.json
    winnow upload pictures/
    """
    as_dataset = is_dataset(file, dataset, declaration)
    if declaration is not None and not as_dataset:
        raise typer.BadParameter("--declaration has no effect on a model; it says how a dataset is read")
    if input and as_dataset:
        raise typer.BadParameter("--input has no effect on a dataset; it is for TorchScript models")
    with Client(url) as client:
        if as_dataset:
            shown: Model | Dataset = send_dataset(client, file, declaration, name)
        else:
            shown = send_model(client, file, input or [], name)
    if as_json or quiet:
        print_result(shown.model_dump_json(indent=2) if as_json else shown.id)
    else:
        out().print(model_facts(shown) if isinstance(shown, Model) else dataset_facts(shown))


def models(url: Url = LOCAL, as_json: Json = False) -> None:
    """List the models, newest first; --json gives one object per line.

    \b
    winnow models
    """
    with Client(url) as client:
        _list(client.models(), as_json)


def datasets(url: Url = LOCAL, as_json: Json = False) -> None:
    """List the datasets, newest first; --json gives one object per line.

    \b
    winnow datasets
    """
    with Client(url) as client:
        _list(client.datasets(), as_json)


def _list(uploads: Iterator[Model] | Iterator[Dataset], as_json: bool) -> None:
    if not as_json:
        out().print(upload_list(uploads))
        return
    for upload in uploads:
        print_result(upload.model_dump_json())


def send_model(client: Client, file: Path, inputs: list[str], name: str | None = None) -> Model:
    with transfer(f"sending {file.name}") as on_progress:
        model = client.upload_model(file, name, inputs, on_progress, wait=False)
    return client.wait_model(model.id)


def send_dataset(client: Client, file: Path, declaration: Path | None, name: str | None = None) -> Dataset:
    declared = read_declaration(declaration)
    with transfer(f"sending {file.name}") as on_progress:
        dataset = client.upload_dataset(file, declared, name, on_progress, wait=False)
    return client.wait_dataset(dataset.id)


def is_dataset(file: Path, said: bool | None, declaration: Path | None) -> bool:
    """What was said counts; else a folder and an archive whose members are all arrays are datasets."""
    if said is not None or declaration is not None or file.is_dir():
        return said is not False
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return file.suffix.removeprefix(".") in get_args(DatasetFormat)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_declaration(path: Path | None) -> Declaration | None:
    """Raises typer.BadParameter."""
    if path is None:
        return None
    try:
        return read_model(Declaration, path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be read: {error.strerror}", param_hint="--declaration"
        ) from error
    except Refusal as refusal:
        raise typer.BadParameter(
            f"{path} is no declaration: {errors_in_words(refusal.problem)}", param_hint="--declaration"
        ) from refusal
