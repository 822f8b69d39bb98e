"""Brings a source and a model's inputs together, and says exactly what does not fit."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from app.contract.dataset import Declaration
from app.contract.errors import Refusal
from app.contract.model import TensorSpec
from worker.compression.data.npz import Array, open_arrays
from worker.compression.data.preprocess import completed, made
from worker.compression.data.samples import Column, Constant, Samples
from worker.compression.data.source import Source

MAX_UNPACKED_BYTES = 32 * 2**30
KIND_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}
"""An input takes data whose kind of dtype ranks no higher than its own."""


def open_samples(
    source: Source, inputs: list[TensorSpec], scratch: Path, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES
) -> Samples:
    """The source's rows as feeds for a model with these inputs.

    Refuses with `inputs_do_not_fit`, `unknown_input`, `labels_do_not_fit`, `empty_slice`,
    `invalid_declaration`, and what `open_arrays` refuses.
    """
    arrays = open_arrays(source.path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    declaration = completed(source.declaration, arrays)
    check_arrays(declaration, arrays)
    _check_map(source.map, inputs)
    columns, constants = [], []
    for spec in inputs:
        name = source.map.get(spec.name, spec.name)
        if name in declaration.constants:
            constants.append(Constant(spec, declaration.constants[name]))
        else:
            columns.append(_column(spec, name, declaration, arrays))
    _check_rows(columns)
    targets = arrays[declaration.targets.array] if declaration.targets else None
    fixed = _fixed_batch(columns)
    rows = _rows(source.slice, columns, targets, fixed)
    return Samples(tuple(columns), tuple(constants), targets, rows, fixed)


def check_arrays(declaration: Declaration, arrays: dict[str, Array]) -> None:
    """Every array that a (completed) declaration names is there."""
    wanted = {f"inputs.{name}": made.array for name, made in declaration.inputs.items()}
    if declaration.targets is not None:
        wanted["targets"] = declaration.targets.array
    for where, array in wanted.items():
        if array not in arrays:
            raise Refusal(
                "invalid_declaration",
                f"The declaration names array {array!r}, but the archive has {_listed(arrays)}.",
                field=f"declaration.{where}.array",
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "nothing"


def _check_map(mapped: dict[str, str], inputs: list[TensorSpec]) -> None:
    known = {spec.name for spec in inputs}
    for name in mapped:
        if name not in known:
            raise Refusal("unknown_input", f"The model has no input {name!r}; it has {_listed(known)}.")


def _column(spec: TensorSpec, name: str, declaration: Declaration, arrays: dict[str, Array]) -> Column:
    if name not in declaration.inputs:
        offered = {*declaration.inputs, *declaration.constants}
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} ({_told(spec)}) needs {name!r}, but the dataset has "
            f"{_listed(offered)}. Name one of them in the data's map, or declare it.",
        )
    how = declaration.inputs[name]
    array = arrays[how.array]
    dtype, sample = made(name, array, how)
    batched, whole = _fits(spec.shape, (None, *sample)), _fits(spec.shape, sample)
    if not _takes(spec.dtype, dtype) or not (batched or whole):
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {_told(spec)}, but {name!r} of the dataset gives {dtype} "
            f"{['rows', *sample]}. Change the declaration (layout, add_axis, scale) or the data.",
        )
    return Column(spec, array, how, whole=not batched)


def _takes(wanted: str, given: np.dtype[Any]) -> bool:
    try:
        return KIND_RANK[given.kind] <= KIND_RANK[np.dtype(wanted).kind]
    except (TypeError, KeyError):  # a string or bfloat16 input
        return False


def _told(spec: TensorSpec) -> str:
    return f"{spec.dtype} {['?' if d is None else d for d in spec.shape]}"


def _fits(wanted: list[int | str | None], given: tuple[int | None, ...]) -> bool:
    """Same rank, and equal wherever the model gives a number (a None given is the free batch axis)."""
    pairs = zip(wanted, given, strict=False)
    return len(wanted) == len(given) and all(not isinstance(w, int) or g in (w, None) for w, g in pairs)


def _check_rows(columns: list[Column]) -> None:
    lengths = {column.how.array: len(column.array) for column in columns}
    if not columns:
        raise Refusal("inputs_do_not_fit", "No input of the model is made from an array of the dataset.")
    if len(set(lengths.values())) > 1:
        raise Refusal("inputs_do_not_fit", f"The inputs' arrays differ in their number of rows: {lengths}.")


def _fixed_batch(columns: list[Column]) -> int | None:
    if any(column.whole for column in columns):
        return 1
    fixed = {first for column in columns if isinstance(first := column.spec.shape[0], int)}
    if len(fixed) > 1:
        raise Refusal("inputs_do_not_fit", f"The model's inputs fix different batch sizes: {sorted(fixed)}.")
    return fixed.pop() if fixed else None


def _rows(
    chosen: tuple[int, int] | None, columns: list[Column], targets: Array | None, fixed: int | None
) -> range:
    total = len(columns[0].array)
    check_labels(targets, total)
    start, stop = chosen or (0, total)
    stop = min(stop, total)
    stop -= (stop - start) % (fixed or 1)
    if stop <= start:
        raise Refusal(
            "empty_slice",
            f"Rows {start} to {chosen[1] if chosen else total} of {total} select no sample"
            + (f" (the model takes {fixed} at a time)" if fixed and fixed > 1 else "")
            + ". Choose a slice inside the data.",
        )
    return range(start, stop)


def check_labels(targets: Array | None, rows: int) -> None:
    """As many labels as rows."""
    given = None if targets is None else targets.shape[:1]
    if given is not None and given != (rows,):
        raise Refusal(
            "labels_do_not_fit",
            f"The data has {rows} rows, the labels have {given[0] if given else 'none'}. "
            "There must be one label per row.",
        )
