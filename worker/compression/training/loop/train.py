"""Trains a module, top to bottom: it comes out with better weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch

from winnow.contract.declaration import Augmentation
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Training
from worker.compression.data.samples import Samples
from worker.compression.engine import batchnorm
from worker.compression.engine.tensors import Snapshot, restore_snapshot, take_snapshot
from worker.compression.progress import Progress
from worker.compression.training.feeding.batches import Batch, Batches, split
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.descent import optimizer_for, optimizer_step, schedule, set_rate
from worker.compression.training.loop.divergence import Diverged, Divergence
from worker.compression.training.loop.rate import CAREFUL_RATES, RangeTest, search_rate, steps_for_search
from worker.compression.training.loop.training_progress import TrainingProgress
from worker.compression.training.loop.validate import (
    Validation,
    better_beyond_noise,
    validate,
    worse_beyond_noise,
)
from worker.compression.training.loop.zero_masks import ZeroMasks

BATCHNORM_BATCHES = 8
"""Batches that restored normalisations are measured on."""
COMPARED_ROWS = 256
"""Rows of the training data on which end and beginning are compared where none were held out."""


@dataclass(frozen=True)
class Run:
    """What a training needs besides the pair. `curves` is the folder of its event files."""

    settings: Training
    samples: Samples
    augment: tuple[Augmentation, ...]
    restores: bool
    frozen: frozenset[str]
    masks: ZeroMasks
    seed: int
    progress: Progress
    curves: Path


@dataclass(frozen=True)
class Epoch:
    """`epoch` 0 is the student as it came."""

    epoch: int
    step: int
    loss: float | None
    validation: Validation | None


@dataclass
class TrainingResult:
    """`biases` are new, from folding, by node; `diverged` says how, when it did: then the best weights so far stay."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    rate: float = 0.0
    range_test: RangeTest | None = None
    restored: int = 0
    biases: dict[str, torch.Tensor] = field(default_factory=dict)
    diverged: str | None = None
    samples_per_second: float = 0.0


def train(pair: StudentTeacher, run: Run) -> TrainingResult:
    """Train the pair's module: it ends with the weights of the best epoch, normalisations folded."""
    settings, result = run.settings, TrainingResult()
    torch.manual_seed(run.seed)
    training, held_out = split(run.samples, settings.validation, settings.batch_size, run.augment, run.seed)
    total = settings.steps or settings.epochs * len(training)
    test_steps = steps_for_search(total) if settings.learning_rate is None else 0
    epochs = -(-total // len(training))
    with TrainingProgress(run.progress, run.curves, epochs, total, test_steps) as progress:
        if run.restores:
            with progress.doing("measuring for batch normalisation"):
                batches = islice(training.shuffled(run.seed), BATCHNORM_BATCHES)
                result.restored = batchnorm.restore(pair.module, map(pair.feeds, batches), run.frozen)
        result.rate, result.range_test = _rate(pair, run, training, test_steps, progress)
        _descend(pair, run, training, held_out, total, result, progress)
        result.samples_per_second = progress.samples_per_second
    result.biases = batchnorm.fold(pair.module)
    if result.diverged is None:
        run.masks.apply()
    return result


def _rate(
    pair: StudentTeacher, run: Run, training: Batches, test_steps: int, progress: TrainingProgress
) -> tuple[float, RangeTest | None]:
    if run.settings.learning_rate is not None:
        return run.settings.learning_rate, None
    if not test_steps:
        return CAREFUL_RATES[run.settings.optimizer], None
    pair.learning.train()
    endless = (batch for _, batch in _endless(training, run.seed + 1))
    with progress.testing(endless) as batches:
        range_test = search_rate(
            pair.learning, pair.loss, batches, run.settings, pair.module.relative, test_steps
        )
    return range_test.proposed, range_test


def _descend(
    pair: StudentTeacher,
    run: Run,
    training: Batches,
    held_out: Batches | None,
    total: int,
    result: TrainingResult,
    progress: TrainingProgress,
) -> None:
    """Make steps, epoch by epoch; at the end the module has the weights of the best one."""
    settings = run.settings
    parameters = [p for p in pair.learning.parameters() if p.requires_grad]
    optimizer = optimizer_for(parameters, settings, result.rate, pair.module.relative)
    factor = schedule(settings, total)
    best = _Best(pair, result, training, held_out, progress, run.masks)
    best.validate(0, 0, None)
    pair.learning.train()
    divergence: Divergence | None = None
    try:
        for step, (epoch, batch) in enumerate(islice(_endless(training, run.seed), total), 1):
            divergence = divergence or Divergence(pair.zero_student_loss(batch))
            rate = result.rate * factor(step - 1)
            set_rate(optimizer, rate)
            loss = pair.loss(batch)
            smoothed = divergence.check(float(loss.detach()))
            optimizer_step(optimizer, loss, parameters, settings.clip_norm)
            pair.module.constrain()
            run.masks.after_step(step, total)
            progress.stepped(epoch, step, len(batch), smoothed, rate)
            if step % len(training) == 0 or step == total:
                best.validate(epoch, step, smoothed)
                if settings.patience is not None and best.epochs_without_gain(epoch) >= settings.patience:
                    break
    except Diverged as error:
        result.diverged = f"{error} at step {progress.step + 1} of {total}"
    best.restore()


class _Best:
    """The epoch with the lowest validation loss, of those that the rows tell to be better than the beginning; without
    validation rows the last one, unless rows that it was trained on tell that it is worse than the beginning.

    What has fewer zeros than it will have is no choice, but the fallback of a training that diverges.
    """

    def __init__(
        self,
        pair: StudentTeacher,
        result: TrainingResult,
        training: Batches,
        held_out: Batches | None,
        progress: TrainingProgress,
        masks: ZeroMasks,
    ) -> None:
        self._pair, self._result, self._held_out, self._progress = pair, result, held_out, progress
        self._masks, self._best_has_all_zeros = masks, False
        self._compared = replace(
            training, rows=training.rows[: _whole_batches(training, COMPARED_ROWS)], augment=()
        )
        self._snapshot: Snapshot = []
        self._beginning: tuple[Validation, Snapshot] | None = None

    def epochs_without_gain(self, epoch: int) -> int:
        """Count the epochs since the best one; none while zeros still grow."""
        best = self._result.best
        return 0 if best is None or not self._best_has_all_zeros else epoch - best.epoch

    def validate(self, epoch: int, step: int, loss: float | None) -> None:
        """Validate, and keep the weights where they are the best so far.

        Raises `Diverged` when the validation loss is no number, `Refusal` `not_finite` where it never was one.
        """
        validation = None
        if self._held_out is not None:
            with self._progress.doing("validating"):
                validation = validate(self._pair, self._held_out)
            self._progress.validated(step, validation.loss, validation.metric)
            if validation.loss != validation.loss:
                raise Diverged("the validation loss became NaN") if epoch else _never_finite()
        if epoch == 0 and self._masks.complete:
            snapshot = [] if self._held_out is not None else take_snapshot(self._pair.learning)
            self._beginning = validation or validate(self._pair, self._compared), snapshot
        entry = Epoch(epoch, step, loss, validation)
        self._result.epochs.append(entry)
        if self._better(entry):
            self._best_has_all_zeros = self._masks.complete
            self._result.best, self._snapshot = entry, take_snapshot(self._pair.learning)

    def restore(self) -> None:
        """Put the best weights back."""
        restore_snapshot(self._pair.learning, self._snapshot)
        if self._held_out is None and self._beginning is not None:
            before, snapshot = self._beginning
            if worse_beyond_noise(before, validate(self._pair, self._compared)):
                restore_snapshot(self._pair.learning, snapshot)
                self._result.best = self._result.epochs[0]

    def _better(self, entry: Epoch) -> bool:
        best = self._result.best
        if best is None or self._best_has_all_zeros != self._masks.complete:
            return True
        if not self._masks.complete:
            return False
        if best.validation is None or entry.validation is None:
            return True
        if self._beginning is not None and not better_beyond_noise(self._beginning[0], entry.validation):
            return False
        return entry.validation.loss < best.validation.loss


def _whole_batches(training: Batches, rows: int) -> int:
    """Round a number of rows to batches that the model takes."""
    fixed = training.samples.fixed_batch or 1
    return max(fixed, rows // fixed * fixed)


def _never_finite() -> Refusal:
    return Refusal(
        "not_finite",
        "Before anything was trained the validation loss is NaN: student or teacher answer some rows with NaN or "
        "infinity. Check the data's scale, mean and std, or choose a slice without them.",
    )


def _endless(training: Batches, seed: int) -> Iterator[tuple[int, Batch]]:
    """Go through epoch after epoch, counted from 1, each in an order of its own."""
    epoch = 0
    while True:
        epoch += 1
        for batch in training.shuffled(seed * 1_000_003 + epoch):
            yield epoch, batch
