"""Split one dataset by a seed: half calibrates and trains, a quarter is to choose by, a quarter judges.

Rows are shuffled, ordered by class, and dealt out in turns (training, selection, training, final). So every class,
being a run of rows, is split in the same shares up to one row. Groups are dealt whole, each to the part that lacks
most.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from winnow.contract import fitting
from winnow.contract.errors import Refusal
from winnow.contract.split import PARTS, DataSplit, packed
from worker.compression.data.labels import class_numbers
from worker.compression.data.samples import Samples
from worker.compression.data.source import ChosenRows, Data, Source
from worker.compression.data.table import select
from worker.compression.ir.arrays import Array

TRAINING, SELECTION, FINAL, UNUSED = range(len(PARTS))
TURNS: Final = np.array([TRAINING, SELECTION, TRAINING, FINAL])
MAX_LABEL_AXES: Final = 2
"""Of one-hot ones; masks and boxes are not read for it."""
SHARES: Final = np.array([0.5, 0.25, 0.25])

Whole = npt.NDArray[np.int64]


def split_data(whole: Source, samples: Samples, seed: int) -> Data:
    """Split `whole`, which `samples` are of, opened for the model; windows of one sound and rows of one group stay
    together.

    Raises `Refusal` `too_few_samples`.
    """
    batch, rows = samples.fixed_batch or 1, np.asarray(samples.rows)
    fitting.check_quarters(len(rows), batch)
    groups = None if samples.sequences is None else np.asarray(samples.sequences)[rows]
    classes = _classes(samples)
    rng = np.random.default_rng(seed)
    dealt = _dealt(len(rows), classes, rng) if groups is None else _dealt_groups(groups, classes, rng)
    codes = np.full(len(samples.columns[0].reader), UNUSED, np.int64)
    codes[rows] = _whole_batches(dealt, batch, None if groups is None else len(np.unique(groups)))
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


def _classes(samples: Samples) -> Array | None:
    """One class number a sample, where labels are such."""
    targets = samples.targets
    if targets is None or targets.dtype.kind not in "biuf" or targets.ndim > MAX_LABEL_AXES:
        return None
    labels = class_numbers(select(targets, samples.rows))
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
