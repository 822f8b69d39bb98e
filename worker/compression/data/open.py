"""Bring a source and a model's inputs together, and say exactly what does not fit."""

from pathlib import Path

import numpy as np

from winnow.contract import fitting
from winnow.contract.dataset import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.npz import open_arrays
from worker.compression.data.preprocess import completed, made
from worker.compression.data.samples import Column, Constant, Samples
from worker.compression.data.source import Source
from worker.compression.ir.values import Array

MAX_UNPACKED_BYTES = 32 * 2**30


def open_samples(
    source: Source, inputs: list[TensorSpec], scratch: Path, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES
) -> Samples:
    """Open the source's rows as feeds for a model with these inputs.

    Refuses with `inputs_do_not_fit`, `unknown_input`, `labels_do_not_fit`, `empty_slice`,
    `slice_beyond_data`, `invalid_declaration`, and what `open_arrays` refuses.
    """
    arrays = open_arrays(source.path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    declaration = completed(source.declaration, arrays)
    check_arrays(declaration, arrays)
    fitting.check_map(source.map, inputs)
    columns, constants = [], []
    for spec in inputs:
        name = source.map.get(spec.name, spec.name)
        if name in declaration.constants:
            value = declaration.constants[name]
            fitting.check_kind(spec, np.asarray(value).dtype.name)
            constants.append(Constant(spec, value))
        else:
            columns.append(_column(spec, name, declaration, arrays))
    _check_rows(columns)
    targets = arrays[declaration.targets.array] if declaration.targets else None
    fixed = 1 if any(column.whole for column in columns) else fitting.fixed_batch(c.spec for c in columns)
    check_labels(targets, len(columns[0].array))
    rows = fitting.chosen_rows(source.slice, len(columns[0].array), fixed or 1)
    return Samples(tuple(columns), tuple(constants), targets, rows, fixed)


def check_arrays(declaration: Declaration, arrays: dict[str, Array]) -> None:
    """Check that every array that a (completed) declaration names exists."""
    wanted = {f"inputs.{name}": made.array for name, made in declaration.inputs.items()}
    if declaration.targets is not None:
        wanted["targets"] = declaration.targets.array
    for where, array in wanted.items():
        if array not in arrays:
            raise Refusal(
                "invalid_declaration",
                f"The declaration names array {array!r}, but the archive has {fitting.listed(arrays)}.",
                field=f"declaration.{where}.array",
            )


def _column(spec: TensorSpec, name: str, declaration: Declaration, arrays: dict[str, Array]) -> Column:
    if name not in declaration.inputs:
        offered = {*declaration.inputs, *declaration.constants}
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} ({fitting.spec_text(spec)}) needs {name!r}, but the dataset has "
            f"{fitting.listed(offered)}. Name one of them in the data's map, or declare it.",
        )
    how = declaration.inputs[name]
    array = arrays[how.array]
    dtype, sample = made(name, array, how)
    batched = fitting.fits(spec.shape, fitting.with_batch(spec, sample, None))
    whole = fitting.fits(spec.shape, sample)
    fitting.check_kind(spec, dtype.name)
    if not (batched or whole):
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {fitting.spec_text(spec)}, but {name!r} of the dataset gives "
            f"{dtype} {['rows', *sample]}. Change the declaration (layout, add_axis, scale) or the data.",
        )
    return Column(spec, array, how, whole=not batched)


def _check_rows(columns: list[Column]) -> None:
    lengths = {column.how.array: len(column.array) for column in columns}
    if not columns:
        raise Refusal("inputs_do_not_fit", "No input of the model is made from an array of the dataset.")
    if len(set(lengths.values())) > 1:
        raise Refusal("inputs_do_not_fit", f"The inputs' arrays differ in their number of rows: {lengths}.")


def check_labels(targets: Array | None, rows: int) -> None:
    """Check that there are as many labels as rows."""
    label_shape = None if targets is None else targets.shape[:1]
    if label_shape is not None and label_shape != (rows,):
        raise Refusal(
            "labels_do_not_fit",
            f"The data has {rows} rows, the labels have {label_shape[0] if label_shape else 'none'}. "
            "There must be one label per row.",
        )
