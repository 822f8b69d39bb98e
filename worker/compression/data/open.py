"""Bring a source and a model's inputs together, and say exactly what does not fit."""

from pathlib import Path

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.checked.readable import readable_rows
from worker.compression.data.declared import completed, input_reader, target_labels
from worker.compression.data.formats.opening import open_table
from worker.compression.data.samples import Column, Constant, Samples
from worker.compression.data.scratch import Scratch, scratch_of
from worker.compression.data.source import Source
from worker.compression.data.table import Numbers, Table

MAX_UNPACKED_BYTES = 32 * 2**30


def open_samples(
    source: Source, inputs: list[TensorSpec], scratch: Path, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES
) -> Samples:
    """Open the source's rows as feeds for a model with these inputs.

    Refuses with `inputs_do_not_fit`, `unknown_input`, `labels_do_not_fit`, `empty_slice`,
    `slice_beyond_data`, `invalid_declaration`, and what `open_table` refuses.
    """
    table = readable_table(source, scratch, max_unpacked_bytes=max_unpacked_bytes)
    kept = scratch_of(source.path, scratch, max_unpacked_bytes)
    declaration = completed(source.declaration, table)
    fitting.check_map(source.map, inputs)
    columns, constants = [], []
    for spec in inputs:
        name = source.map.get(spec.name, spec.name)
        if name in declaration.constants:
            value = declaration.constants[name]
            fitting.check_kind(spec, np.asarray(value).dtype.name)
            constants.append(Constant(spec, value))
        else:
            columns.append(_column(spec, name, declaration, table, kept))
    rows = _rows(columns)
    targets = (
        target_labels(declaration.targets, table, [c.reader for c in columns])
        if declaration.targets
        else None
    )
    fixed = 1 if any(column.whole for column in columns) else fitting.fixed_batch(c.spec for c in columns)
    check_labels(targets, rows)
    return Samples(tuple(columns), tuple(constants), targets, source.rows(rows, fixed or 1), fixed)


def readable_table(source: Source, scratch: Path, *, max_unpacked_bytes: int) -> Table:
    """Open the source's columns without the rows that inspection left out."""
    table = open_table(source.path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    kept = scratch_of(source.path, scratch, max_unpacked_bytes)
    return readable_rows(table, source.declaration.skip_bad, kept)


def _column(spec: TensorSpec, name: str, declaration: Declaration, table: Table, scratch: Scratch) -> Column:
    if name not in declaration.inputs:
        offered = {*declaration.inputs, *declaration.constants}
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} ({fitting.spec_text(spec)}) needs {name!r}, but the dataset has "
            f"{fitting.listed(offered)}. Name one of them in the data's map, or declare it.",
        )
    reader = input_reader(name, declaration.inputs[name], table, spec, scratch)
    batched = fitting.fits(spec.shape, fitting.with_batch(spec, reader.shape, None))
    whole = fitting.fits(spec.shape, reader.shape)
    fitting.check_kind(spec, reader.dtype.name)
    if not (batched or whole):
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {fitting.spec_text(spec)}, but {name!r} of the dataset gives "
            f"{reader.dtype} {['rows', *reader.shape]}. Change the declaration (layout, add_axis, scale) or the data.",
        )
    return Column(spec, reader, whole=not batched)


def _rows(columns: list[Column]) -> int:
    lengths = {column.reader.column: len(column.reader) for column in columns}
    if not columns:
        raise Refusal("inputs_do_not_fit", "No input of the model is made from an array of the dataset.")
    if len(set(lengths.values())) > 1:
        raise Refusal("inputs_do_not_fit", f"The inputs' arrays differ in their number of rows: {lengths}.")
    return next(iter(lengths.values()))


def check_labels(targets: Numbers | None, rows: int) -> None:
    """Check that there are as many labels as rows."""
    label_shape = None if targets is None else targets.shape[:1]
    if label_shape is not None and label_shape != (rows,):
        raise Refusal(
            "labels_do_not_fit",
            f"The data has {rows} rows, the labels have {label_shape[0] if label_shape else 'none'}. "
            "There must be one label per row.",
        )
