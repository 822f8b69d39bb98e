"""Read a declaration against the columns that are there: its defaults, a reader for each input, the labels."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import (
    AnnotationTarget,
    ArrayInput,
    ArrayTarget,
    AudioInput,
    ColumnTarget,
    Declaration,
    ImageInput,
    InputDeclaration,
    TableInput,
    TargetDeclaration,
    TextInput,
)
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import NUMERIC, array_reader
from worker.compression.data.inputs.audio import audio_reader
from worker.compression.data.inputs.image import ImageReader, image_reader
from worker.compression.data.inputs.ragged import lengthened, ragged_reader
from worker.compression.data.inputs.reader import InputReader
from worker.compression.data.inputs.table import table_reader
from worker.compression.data.inputs.text import PARTS, text_reader
from worker.compression.data.readable.skipping import Faulty
from worker.compression.data.scratch import Scratch
from worker.compression.data.table import Files, Numbers, Ragged, Table, Texts
from worker.compression.data.targets.annotations import annotation_labels
from worker.compression.data.targets.column import column_labels
from worker.compression.data.targets.texts import TextLabels
from worker.compression.ir.arrays import Array

LABELS = "labels"


def completed(declaration: Declaration, table: Table) -> Declaration:
    """Return the declaration with its defaults spelled out: every column of numbers an input, `labels` the target."""
    targets = declaration.targets or _annotations(declaration, table)
    if targets is None and LABELS in table.arrays and not _uses(declaration, LABELS):
        targets = ArrayTarget(array=LABELS)
    inputs = declaration.inputs
    if not inputs:
        target = targets.array if isinstance(targets, ArrayTarget) else None
        arrays = table.arrays.items()
        names = [name for name, array in arrays if name != target and array.dtype.kind in NUMERIC]
        inputs = {name: ArrayInput(array=name) for name in names}
        lists = [
            name for name, column in table.columns.items() if isinstance(column, Ragged) and name != target
        ]
        inputs |= {name: ArrayInput(array=name) for name in lists}
        if isinstance(table.columns.get("image"), Files):
            inputs = {"image": ImageInput(source="image", column="image")}
    return declaration.model_copy(update={"inputs": _with_parts(inputs), "targets": targets})


def _with_parts(inputs: dict[str, InputDeclaration]) -> dict[str, InputDeclaration]:
    """Offer the other parts of the tokenizer's answer under their own names, where one text is declared."""
    texts = [how for how in inputs.values() if isinstance(how, TextInput)]
    if len(texts) != 1 or texts[0].part not in (None, "input_ids"):
        return inputs
    return {part: texts[0].model_copy(update={"part": part}) for part in PARTS} | inputs


def _annotations(declaration: Declaration, table: Table) -> TargetDeclaration | None:
    """What an archive says of its pictures, where these are what the inputs are made of."""
    pictures = not declaration.inputs or any(
        isinstance(how, ImageInput) for how in declaration.inputs.values()
    )
    if not pictures or table.source is None:
        return None
    if table.source == "column":
        return ColumnTarget(source="column", column="label") if "label" in table.columns else None
    return AnnotationTarget(source=table.source)


def _uses(declaration: Declaration, array: str) -> bool:
    return any(isinstance(how, ArrayInput) and how.array == array for how in declaration.inputs.values())


def input_reader(
    name: str,
    how: InputDeclaration,
    table: Table,
    spec: TensorSpec | None = None,
    scratch: Scratch | None = None,
) -> InputReader:
    """Make the reader of the input that is declared as `name`; `spec` is the model's, where one is known. What is
    decoded is kept in `scratch`, where there is one.

    Raises `Refusal` `invalid_declaration` where the columns do not have what is declared.
    """
    match how:
        case ArrayInput():
            return _array_reader(name, how, table, spec)
        case ImageInput():
            column, files = _files(table, how.column, "image", f"inputs.{name}.column")
            return image_reader(name, files, column, how, spec, scratch)
        case TextInput():
            return text_reader(name, how, table, spec)
        case TableInput():
            return table_reader(name, how, table)
        case AudioInput():
            column, files = _files(table, how.column, "audio", f"inputs.{name}.column")
            return audio_reader(name, files, column, how, scratch)


def _array_reader(name: str, how: ArrayInput, table: Table, spec: TensorSpec | None) -> InputReader:
    column = table.columns.get(how.array)
    if how.lengths is not None and isinstance(column, Numbers):
        column = lengthened(name, column, _whole_array(table, how.lengths, f"inputs.{name}.lengths"))
    if isinstance(column, Ragged):
        reader = ragged_reader(name, column, how)
        return reader if spec is None else reader.for_model(spec)
    return array_reader(name, _array(table, how.array, f"inputs.{name}.array"), how)


def target_labels(target: TargetDeclaration, table: Table, readers: Iterable[InputReader]) -> Numbers:
    """Return the labels, one a sample; those of pictures are placed as the `readers` place the pictures.

    Raises `Refusal` `invalid_declaration`.
    """
    match target:
        case ArrayTarget():
            labels = _texts(target, table)
            return _whole_array(table, target.array, "targets.array") if labels is None else labels
        case ColumnTarget():
            return column_labels(target, table).numbers
        case AnnotationTarget():
            pictures = next((reader for reader in readers if isinstance(reader, ImageReader)), None)
            return annotation_labels(target, table, pictures)


def target_faults(target: TargetDeclaration | None, table: Table) -> list[Faulty]:
    """Return what knows which labels cannot be read."""
    match target:
        case ColumnTarget():
            return [column_labels(target, table)]
        case ArrayTarget():
            return [labels] if (labels := _texts(target, table)) is not None else []
        case _:
            return []


def _texts(target: ArrayTarget, table: Table) -> TextLabels | None:
    """The labels where they are texts."""
    column = table.columns.get(target.array)
    return TextLabels(target.array, column) if isinstance(column, Texts) else None


def class_names(target: TargetDeclaration | None, table: Table) -> list[str] | None:
    """Return the names of the classes in the order of their numbers, where the data or the declaration has some."""
    if isinstance(target, ColumnTarget):
        return column_labels(target, table).classes
    if isinstance(target, ArrayTarget) and target.array != table.class_column:
        return None
    return (target.classes if isinstance(target, AnnotationTarget) else None) or table.classes


def target_name(target: TargetDeclaration) -> str:
    """Return what the labels are called among the columns."""
    match target:
        case ArrayTarget():
            return target.array
        case ColumnTarget():
            return target.column
        case AnnotationTarget():
            return {"folder": "label", "masks": "mask"}.get(target.source, "boxes")


def _whole_array(table: Table, name: str, where: str) -> Array:
    """Every row of it, mapped."""
    return np.asanyarray(_array(table, name, where))


def _array(table: Table, name: str, where: str) -> Numbers:
    arrays = table.arrays
    if name not in arrays:
        raise _refused(
            f"The declaration names array {name!r}, but the archive has {fitting.listed(arrays)}.", where
        )
    return arrays[name]


def _files(table: Table, name: str | None, holds: Literal["image", "audio"], where: str) -> tuple[str, Files]:
    """The column of files with this name, or the only one that holds such files."""
    files = {
        key: column
        for key, column in table.columns.items()
        if isinstance(column, Files) and column.holds == holds
    }
    files = {key: column for key, column in files.items() if key == (name or key)}
    if name is None and "image" in files:
        files = {"image": files["image"]}
    if len(files) != 1:
        wanted = (
            f"column {name!r} of {holds}s" if name else f"one column of {holds}s, or its name under column"
        )
        raise _refused(
            f"The declaration needs {wanted}, but the dataset has {fitting.listed(table.columns)}.", where
        )
    ((name, column),) = files.items()
    return name, column


def _refused(detail: str, where: str) -> Refusal:
    return Refusal("invalid_declaration", detail, field=f"declaration.{where}")
