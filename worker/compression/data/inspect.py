"""Inspect what an archive holds, in constant memory."""

import math
from pathlib import Path

import numpy as np

from winnow.contract.dataset import ArrayFacts, DatasetFacts, DatasetInput, Declaration
from winnow.contract.errors import Refusal
from worker.compression.data.labels import is_one_hot, is_whole
from worker.compression.data.npz import open_arrays
from worker.compression.data.open import check_arrays, check_labels
from worker.compression.data.preprocess import NUMERIC, completed, made
from worker.compression.data.suspicious import dataset_notes
from worker.compression.ir.values import Array

CHUNK = 1 << 20
"""Elements read at a time."""


def inspect_dataset(
    path: Path, declaration: Declaration, scratch: Path, *, max_unpacked_bytes: int
) -> DatasetFacts:
    """Describe dtype, shape and range of every array, and what the declaration makes of them.

    Refuses with `invalid_declaration` (arrays that are not there, rows or channels that do not match),
    `labels_do_not_fit`, `invalid_dataset`, `unsafe_archive`, `pickle_refused`.
    """
    arrays = open_arrays(path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    full = completed(declaration, arrays)
    check_arrays(full, arrays)
    inputs = {name: _input(name, full, arrays) for name in full.inputs}
    samples = _samples(full, arrays)
    target = full.targets.array if full.targets else None
    check_labels(arrays[target] if target else None, samples)
    constants = {name: _constant(value) for name, value in full.constants.items()}
    facts = {name: _facts(array) for name, array in arrays.items()}
    notes = dataset_notes(full, facts)
    return DatasetFacts(samples=samples, arrays=facts, inputs=inputs | constants, target=target, notes=notes)


def array_facts(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> dict[str, ArrayFacts]:
    """Describe the arrays of the archive, whatever was declared of it. Refuses what `open_arrays` refuses."""
    arrays = open_arrays(path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    return {name: _facts(array) for name, array in arrays.items()}


def _input(name: str, declaration: Declaration, arrays: dict[str, Array]) -> DatasetInput:
    how = declaration.inputs[name]
    dtype, shape = made(name, arrays[how.array], how)
    return DatasetInput(dtype=dtype.name, shape=list(shape), array=how.array)


def _constant(value: int | float | bool) -> DatasetInput:
    return DatasetInput(dtype=np.asarray(value).dtype.name, shape=[], array=None)


def _samples(declaration: Declaration, arrays: dict[str, Array]) -> int:
    lengths = {how.array: len(arrays[how.array]) for how in declaration.inputs.values()}
    if not lengths:
        raise Refusal("invalid_dataset", "The archive has no array of numbers that could be an input.")
    if len(set(lengths.values())) > 1:
        raise Refusal(
            "invalid_declaration",
            f"The arrays differ in their number of rows: {lengths}. Declare which ones are the inputs.",
            field="declaration.inputs",
        )
    samples = next(iter(lengths.values()))
    if samples == 0:
        raise Refusal("invalid_dataset", f"The inputs have no rows: {', '.join(lengths)}.")
    return samples


def _facts(array: Array) -> ArrayFacts:
    low, high, first = _range(array) if array.dtype.kind in NUMERIC else (math.inf, -math.inf, None)
    return ArrayFacts(
        dtype=array.dtype.name,
        shape=list(array.shape),
        min=low if low <= high else None,
        max=high if low <= high else None,
        finite=first is None,
        first_not_finite=first,
        whole=low <= high and first is None and is_whole(array),
        one_hot=(low, high) == (0, 1) and is_one_hot(array),
    )


def _range(array: Array) -> tuple[float, float, list[int] | None]:
    """Find the smallest and largest finite value, and the index (in storage order) of the first not finite."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    flat = array.reshape(-1, order=order)  # type: ignore[call-overload]
    low, high, first = math.inf, -math.inf, None
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK]
        finite = np.isfinite(chunk)
        if first is None and not finite.all():
            at = start + int(np.argmin(finite))
            first = [int(i) for i in np.unravel_index(at, array.shape, order=order)]  # type: ignore[call-overload]
        good = chunk if finite.all() else chunk[finite]
        if good.size:
            low, high = min(low, float(good.min())), max(high, float(good.max()))
    return low, high, first
