"""Inspect what an archive holds, in constant memory."""

from pathlib import Path

import numpy as np

from winnow.contract.dataset import ArrayFacts, DatasetFacts, DatasetInput
from winnow.contract.declaration import ColumnTarget, Declaration
from winnow.contract.errors import Refusal
from winnow.contract.fitting import STATE
from worker.compression.data.declared import (
    class_names,
    completed,
    input_reader,
    target_faults,
    target_labels,
    target_name,
)
from worker.compression.data.formats.opening import open_table
from worker.compression.data.inputs.reader import InputReader
from worker.compression.data.inspection.column_facts import column_facts, numbers_facts
from worker.compression.data.inspection.suspicious import dataset_notes
from worker.compression.data.open import check_labels
from worker.compression.data.readable.files import check_files
from worker.compression.data.readable.skipping import readable_rows
from worker.compression.data.windows import faults_of_windows, labels_of_windows, sequences_of


def inspect_dataset(
    path: Path, declaration: Declaration, scratch: Path, *, max_unpacked_bytes: int
) -> DatasetFacts:
    """Describe dtype, shape and range of every array, and what the declaration makes of them.

    Refuses with `invalid_declaration` (arrays that are not there, rows or channels that do not match),
    `labels_do_not_fit`, `invalid_dataset`, `unsafe_archive`, `pickle_refused`.
    """
    table = open_table(path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    checked = check_files(table, all_decoded=declaration.skip_bad > 0)
    full = completed(declaration, table)
    readers = {name: input_reader(name, how, table) for name, how in full.inputs.items()}
    targets = target_labels(full.targets, table, readers.values()) if full.targets else None
    rows = _samples(readers)
    made = list(readers.values())
    targets = labels_of_windows(targets, made)
    sequences_of(made, full.group, table)
    check_labels(targets, rows)
    sources = faults_of_windows([*made, *target_faults(full.targets, table), checked], made)
    readable = readable_rows(table, rows, sources, full.skip_bad)
    inputs = {name: _input(reader) for name, reader in readers.items()}
    constants = {name: _constant(value) for name, value in full.constants.items()}
    states = {name: DatasetInput(dtype=STATE, shape=[], array=None) for name in full.state.values()}
    facts = column_facts(table, checked)
    if isinstance(full.targets, ColumnTarget):
        facts[full.targets.column] = numbers_facts(np.asarray(targets))
    return DatasetFacts(
        samples=len(readable.rows),
        arrays=facts,
        inputs=inputs | constants | states,
        target=target_name(full.targets) if full.targets else None,
        classes=class_names(full.targets, table),
        skipped=readable.skipped,
        notes=[*table.notes, *checked.notes, *dataset_notes(full, facts)],
    )


def array_facts(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> dict[str, ArrayFacts]:
    """Describe the columns of the dataset, whatever was declared of it. Refuses what `open_table` refuses."""
    return column_facts(open_table(path, scratch, max_unpacked_bytes=max_unpacked_bytes))


def _input(reader: InputReader) -> DatasetInput:
    return DatasetInput(dtype=reader.dtype.name, shape=list(reader.shape), array=reader.column)


def _constant(value: int | float | bool) -> DatasetInput:
    return DatasetInput(dtype=np.asarray(value).dtype.name, shape=[], array=None)


def _samples(readers: dict[str, InputReader]) -> int:
    lengths = {reader.column: len(reader) for reader in readers.values()}
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
