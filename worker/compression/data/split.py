"""Split one dataset by a seed: half calibrates and trains, a quarter is to choose by, a quarter judges.

Rows are shuffled, ordered by class, and dealt out in turns (training, selection, training, final). So every class,
being a run of rows, is split in the same shares up to one row. Groups are dealt whole, each to the part that lacks
most.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from winnow.contract import fitting
from winnow.contract.errors import Refusal
from winnow.contract.split import PARTS, DataSplit, packed
from worker.compression.data.inputs.reader import Grouped, InputReader
from worker.compression.data.labels import class_numbers
from worker.compression.data.open import readable_table
from worker.compression.data.samples import Samples
from worker.compression.data.source import ChosenRows, Data, Source
from worker.compression.data.table import Array, Numbers, Texts

TRAINING, SELECTION, FINAL, UNUSED = range(len(PARTS))
TURNS: Final = np.array([TRAINING, SELECTION, TRAINING, FINAL])
SHARES: Final = np.array([0.5, 0.25, 0.25])
TEXTS_AT_A_TIME: Final = 4096

Whole = npt.NDArray[np.int64]


def split_data(whole: Source, samples: Samples, groups: Whole | None, seed: int) -> Data:
    """Split `whole`, which `samples` are of, opened for the model. `groups` number what stays together.

    Raises `Refusal` `too_few_samples`.
    """
    batch, total = samples.fixed_batch or 1, len(samples.columns[0].reader)
    fitting.check_quarters(total, batch)
    classes = _classes(samples)
    rng = np.random.default_rng(seed)
    codes = _dealt(total, classes, rng) if groups is None else _dealt_groups(groups, classes, rng)
    codes = _whole_batches(codes, batch, None if groups is None else len(np.unique(groups)))
    parts = [replace(whole, chosen=ChosenRows.where(codes == part)) for part in (TRAINING, SELECTION, FINAL)]
    split = DataSplit(
        seed=seed,
        samples=len(codes),
        counts={name: int((codes == code).sum()) for code, name in enumerate(PARTS)},
        stratified=classes is not None,
        groups=None if groups is None else len(np.unique(groups)),
        rows=packed(codes.tolist()),
    )
    return Data(calibration=parts[0], training=parts[0], selection=parts[1], evaluation=parts[2], split=split)


def sentence(split: DataSplit) -> str:
    """Say how the dataset was split."""
    counts = split.counts
    ways = [
        *(["each class in the same shares"] if split.stratified else []),
        *([f"{split.groups} groups kept together"] if split.groups is not None else []),
    ]
    unused = f"; {counts['unused']} would fill no batch" if counts["unused"] else ""
    return (
        f"The dataset of {split.samples} samples was split by seed {split.seed}{''.join(f', {way}' for way in ways)}: "
        f"{counts['training']} calibrate and train, {counts['selection']} are there to choose by, "
        f"{counts['final']} judge{unused}."
    )


def group_numbers(
    source: Source, scratch: Path, readers: Iterable[InputReader], *, max_unpacked_bytes: int
) -> Whole | None:
    """Number what has to stay together: rows with one value in the declared column, else the windows of one file.

    Raises `Refusal` `invalid_declaration`.
    """
    group = source.declaration.group
    if group is None:
        return next((reader.groups for reader in readers if isinstance(reader, Grouped)), None)
    table = readable_table(source, scratch, max_unpacked_bytes=max_unpacked_bytes)
    column = table.columns.get(group)
    if isinstance(column, Texts):
        return _of_texts(column)
    if isinstance(column, Numbers) and column.ndim == 1:
        return np.unique(np.asarray(column[:]), return_inverse=True)[1].reshape(-1).astype(np.int64)
    raise Refusal(
        "invalid_declaration",
        f"group names {group!r}, expected a column of one number or text a row; the dataset has "
        f"{fitting.listed(table.columns)}.",
        field="declaration.group",
    )


def _of_texts(column: Texts) -> Whole:
    known: dict[str, int] = {}
    numbers = np.empty(len(column), np.int64)
    for start in range(0, len(column), TEXTS_AT_A_TIME):
        rows = range(start, min(start + TEXTS_AT_A_TIME, len(column)))
        numbers[start : rows.stop] = [known.setdefault(text, len(known)) for text in column.texts(rows)]
    return numbers


def _classes(samples: Samples) -> Array | None:
    """One class number a sample, where labels are such."""
    targets = samples.targets
    if targets is None or targets.dtype.kind not in "biuf":
        return None
    labels = class_numbers(np.asarray(targets)) if isinstance(targets, np.ndarray) else np.asarray(targets[:])
    labels = labels.reshape(len(labels), -1)
    return labels[:, 0] if labels.shape[1] == 1 and labels.dtype.kind in "biu" else None


def _dealt(samples: int, classes: Array | None, rng: np.random.Generator) -> Whole:
    order = rng.permutation(samples)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    codes = np.empty(samples, np.int64)
    codes[order] = np.resize(TURNS, samples)
    return codes


def _dealt_groups(groups: Whole, classes: Array | None, rng: np.random.Generator) -> Whole:
    """Larger groups of a class first, so that smaller ones even out what these leave."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    numbers = numbers.reshape(-1)
    first = np.zeros(len(sizes), np.int64)
    if classes is not None:
        first[numbers[::-1]] = classes[::-1]  # the class of each group's first row
    shuffled = rng.permutation(len(sizes))
    order = shuffled[np.lexsort((-sizes[shuffled], first[shuffled]))]
    filled, part_of = np.zeros(3), np.empty(len(sizes), np.int64)
    for group in order:
        part = int(np.argmax(SHARES * (filled.sum() + sizes[group]) - filled))
        part_of[group], filled[part] = part, filled[part] + sizes[group]
    return part_of[numbers]


def _whole_batches(codes: Whole, batch: int, groups: int | None) -> Whole:
    for part in (TRAINING, SELECTION, FINAL):
        rows = np.flatnonzero(codes == part)
        if len(rows) < batch:
            what = f"{groups} groups" if groups is not None else f"{len(codes)} samples"
            needed = f"a batch of {batch}" if batch > 1 else "one"
            raise Refusal(
                "too_few_samples",
                f"Of {what} the part {PARTS[part]!r} gets {len(rows)} samples, and it needs {needed}. Upload more, or "
                "give calibration and evaluation data yourself.",
                field="data.dataset",
            )
        codes[rows[len(rows) - len(rows) % batch :]] = UNUSED
    return codes
