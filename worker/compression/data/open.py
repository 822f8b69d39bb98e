"""Bring a source and a model's inputs together, and say exactly what does not fit."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import ArrayInput, Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.declared import completed, input_reader, target_faults, target_labels
from worker.compression.data.formats.opening import open_table
from worker.compression.data.inputs.array import array_reader
from worker.compression.data.inputs.reader import InputReader
from worker.compression.data.model_inputs import Column, Constant
from worker.compression.data.readable.files import known_bad
from worker.compression.data.readable.skipping import readable_rows
from worker.compression.data.samples import Samples
from worker.compression.data.scratch import Scratch, scratch_of
from worker.compression.data.source import Source
from worker.compression.data.table import Numbers, Table
from worker.compression.data.windows import faults_of_windows, labels_of_windows, sequences_of
from worker.compression.ir.arrays import Array

MAX_UNPACKED_BYTES = 32 * 2**30
NO_TABLES: Final[Mapping[str, int]] = MappingProxyType({})
NO_STATES: Final[Mapping[str, Array]] = MappingProxyType({})


def open_samples(
    source: Source,
    inputs: list[TensorSpec],
    scratch: Path,
    *,
    max_unpacked_bytes: int = MAX_UNPACKED_BYTES,
    entries: Mapping[str, int] = NO_TABLES,
    states: Mapping[str, Array] = NO_STATES,
) -> Samples:
    """Open the source's rows as feeds for a model with these inputs; `entries` are those of the tables that inputs are
    looked up in, `states` the arrays of those inputs that the declaration carries from row to row.

    Refuses with `inputs_do_not_fit`, `unknown_input`, `labels_do_not_fit`, `empty_slice`,
    `slice_beyond_data`, `invalid_declaration`, and what `open_table` refuses.
    """
    table = open_table(source.path, scratch, max_unpacked_bytes=max_unpacked_bytes)
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
        elif name in states:
            columns.append(_fitting(spec, name, array_reader(name, states[name], ArrayInput(array=name))))
        else:
            columns.append(_column(spec, name, declaration, table, kept, entries.get(spec.name)))
    rows = _rows(columns)
    targets = (
        target_labels(declaration.targets, table, [c.reader for c in columns])
        if declaration.targets
        else None
    )
    readers = [column.reader for column in columns]
    sequences = sequences_of(readers, declaration.group, table)
    targets = labels_of_windows(targets, readers)
    fixed = 1 if any(column.whole for column in columns) else fitting.fixed_batch(c.spec for c in columns)
    fixed = _fixed_samples(columns, fixed)
    check_labels(targets, rows)
    bad = known_bad(table, declaration.skip_bad, kept)
    sources = faults_of_windows([*readers, *target_faults(declaration.targets, table), bad], readers)
    readable = readable_rows(table, rows, sources, declaration.skip_bad)
    chosen = source.rows(readable.rows, fixed or 1)
    return Samples(tuple(columns), tuple(constants), targets, chosen, fixed, sequences)


def _fixed_samples(columns: list[Column], fixed: int | None) -> int | None:
    """Count the samples of a batch that the model fixes. Raises `Refusal` `inputs_do_not_fit`."""
    per_sample = {column.reader.rows_per_sample for column in columns}
    if len(per_sample) > 1:
        raise Refusal(
            "inputs_do_not_fit",
            "Pairs of texts that are apart are two rows a sample, and other inputs are one: declare all of them as "
            "texts of the same columns.",
        )
    rows = per_sample.pop()
    if fixed is not None and fixed % rows:
        raise Refusal(
            "inputs_do_not_fit",
            f"The model takes {fixed} rows at a time, and a pair of texts that are apart is two. Export it with an "
            "open batch dimension.",
        )
    return fixed and fixed // rows


def _column(
    spec: TensorSpec,
    name: str,
    declaration: Declaration,
    table: Table,
    scratch: Scratch,
    entries: int | None,
) -> Column:
    if name not in declaration.inputs:
        offered = {*declaration.inputs, *declaration.constants}
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} ({fitting.spec_text(spec)}) needs {name!r}, but the dataset has "
            f"{fitting.listed(offered)}. Name one of them in the data's map, or declare it.",
        )
    reader = input_reader(name, declaration.inputs[name], table, spec, scratch)
    return _fitting(spec, name, reader, entries)


def _fitting(spec: TensorSpec, name: str, reader: InputReader, entries: int | None = None) -> Column:
    """Put input and reader together. Raises `Refusal` `inputs_do_not_fit`."""
    batched = fitting.fits(spec.shape, fitting.with_batch(spec, reader.shape, None))
    whole = fitting.fits(spec.shape, reader.shape)
    fitting.check_kind(spec, reader.dtype.name)
    if not (batched or whole):
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {fitting.spec_text(spec)}, but {name!r} of the dataset gives "
            f"{reader.dtype} {['rows', *reader.shape]}. Change the declaration (layout, add_axis, scale) or the data.",
        )
    return Column(spec, reader, whole=not batched, entries=entries)


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
