"""Split one dataset by a seed: half calibrates and trains, a quarter is to choose by, a quarter judges.

Rows are shuffled, ordered by class, and dealt out in turns (training, selection, training, final). So every class,
being a run of rows, is split in the same shares up to one row. Groups are dealt whole, each to the part that lacks
most.
"""

from dataclasses import dataclass, replace
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
MAX_LABEL_AXES: Final = 2
"""Of one-hot ones; masks and boxes are not read for it."""

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Deal:
    """How rows are dealt: `turns` one after the other; `shares` of training, selection and final for groups. `field` is
    where the data is named that is split."""

    turns: tuple[int, ...]
    shares: tuple[float, float, float]
    field: str
    advice: str

    @property
    def parts(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.turns)))


QUARTERS: Final = Deal(
    (TRAINING, SELECTION, TRAINING, FINAL),
    (0.5, 0.25, 0.25),
    "data.dataset",
    "Upload more, or give calibration and evaluation data yourself",
)
HALVES: Final = Deal((SELECTION, FINAL), (0.0, 0.5, 0.5), "data.evaluation", "Give more evaluation data")


def split_data(whole: Source, samples: Samples, seed: int) -> Data:
    """Split `whole`, which `samples` are of, opened for the model; windows of one sound and rows of one group stay
    together.

    Raises `Refusal` `too_few_samples`.
    """
    fitting.check_quarters(len(samples.rows), samples.fixed_batch or 1)
    codes, split = _split(samples, seed, QUARTERS)
    parts = [_part(whole, codes, part) for part in (TRAINING, SELECTION, FINAL)]
    return Data(calibration=parts[0], training=parts[0], selection=parts[1], evaluation=parts[2], split=split)


def halve_evaluation(data: Data, evaluation: Source, samples: Samples, seed: int) -> Data:
    """Split the evaluation data, which `samples` are of, into a half to choose by and a half that judges.

    Raises `Refusal` `too_few_samples`.
    """
    codes, split = _split(samples, seed, HALVES)
    selection, final = (_part(evaluation, codes, part) for part in (SELECTION, FINAL))
    return replace(data, selection=selection, evaluation=final, split=split)


def _part(source: Source, codes: Whole, part: int) -> Source:
    return replace(source, slice=None, chosen=ChosenRows.where(codes == part))


def _split(samples: Samples, seed: int, deal: Deal) -> tuple[Whole, DataSplit]:
    """The part of each row of the table."""
    batch, rows = samples.fixed_batch or 1, np.asarray(samples.rows)
    groups = None if samples.sequences is None else np.asarray(samples.sequences)[rows]
    classes = _classes(samples)
    rng = np.random.default_rng(seed)
    dealt = (
        _dealt(len(rows), classes, rng, deal) if groups is None else _dealt_groups(groups, classes, rng, deal)
    )
    codes = np.full(len(samples.columns[0].reader), UNUSED, np.int64)
    codes[rows] = _whole_batches(dealt, batch, None if groups is None else len(np.unique(groups)), deal)
    return codes, DataSplit(
        seed=seed,
        samples=len(codes),
        counts={name: int((codes == code).sum()) for code, name in enumerate(PARTS)},
        stratified=classes is not None,
        groups=None if groups is None else len(np.unique(groups)),
        rows=packed(codes.tolist()),
    )


def sentence(split: DataSplit) -> str:
    """Say how the dataset was split, or the evaluation data of a search, of which a slice may be used."""
    counts = split.counts
    ways = [
        *(["each class in the same shares"] if split.stratified else []),
        *([f"{split.groups} groups kept together"] if split.groups is not None else []),
    ]
    by_seed = f"split by seed {split.seed}{''.join(f', {way}' for way in ways)}"
    judging = f"{counts['selection']} are there to choose by, {counts['final']} judge"
    if not counts["training"]:
        return f"The evaluation data was {by_seed}: {judging}."
    unused = f"; {counts['unused']} would fill no batch" if counts["unused"] else ""
    works = f"{counts['training']} calibrate and train"
    return f"The dataset of {split.samples} samples was {by_seed}: {works}, {judging}{unused}."


def _classes(samples: Samples) -> Array | None:
    """One class number a sample, where labels are such."""
    targets = samples.targets
    if targets is None or targets.dtype.kind not in "biuf" or targets.ndim > MAX_LABEL_AXES:
        return None
    labels = class_numbers(select(targets, samples.rows))
    labels = labels.reshape(len(labels), -1)
    return labels[:, 0] if labels.shape[1] == 1 and labels.dtype.kind in "biu" else None


def _dealt(samples: int, classes: Array | None, rng: np.random.Generator, deal: Deal) -> Whole:
    order = rng.permutation(samples)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    codes = np.empty(samples, np.int64)
    codes[order] = np.resize(deal.turns, samples)
    return codes


def _dealt_groups(groups: Whole, classes: Array | None, rng: np.random.Generator, deal: Deal) -> Whole:
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
        part = int(np.argmax(np.array(deal.shares) * (filled.sum() + sizes[group]) - filled))
        part_of[group], filled[part] = part, filled[part] + sizes[group]
    return part_of[numbers]


def _whole_batches(codes: Whole, batch: int, groups: int | None, deal: Deal) -> Whole:
    for part in deal.parts:
        rows = np.flatnonzero(codes == part)
        if len(rows) < batch:
            what = f"{groups} groups" if groups is not None else f"{len(codes)} samples"
            needed = f"a batch of {batch}" if batch > 1 else "one"
            raise Refusal(
                "too_few_samples",
                f"Of {what} the part {PARTS[part]!r} gets {len(rows)} samples, and it needs {needed}. "
                f"{deal.advice}.",
                field=deal.field,
            )
        codes[rows[len(rows) - len(rows) % batch :]] = UNUSED
    return codes
