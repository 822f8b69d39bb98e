"""One training, top to bottom: the module given comes out with better weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch

from winnow.contract.dataset import Augmentation
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Training
from worker.compression.data.samples import Samples
from worker.compression.engine import batchnorm
from worker.compression.engine.snapshot import Snapshot, restore_snapshot, take_snapshot
from worker.compression.progress import Progress
from worker.compression.training.feeding.batches import Batch, Batches, split
from worker.compression.training.goal.student_teacher import Pair
from worker.compression.training.loop.descent import descend, optimizer_for, schedule, set_rate
from worker.compression.training.loop.divergence import Diverged, Divergence
from worker.compression.training.loop.rate import CAREFUL, RangeTest, search_rate, steps_for_search
from worker.compression.training.loop.training_progress import Watch
from worker.compression.training.loop.validate import (
    Validation,
    better_beyond_noise,
    validate,
    worse_beyond_noise,
)
from worker.compression.training.loop.zero_masks import Zeros

OBSERVED = 8
"""Batches that restored normalisations are measured on."""
SEEN_ROWS = 256
"""Of the training data, to compare end and beginning where no rows were held out."""


@dataclass(frozen=True)
class Run:
    """What a training needs besides the pair. `curves` is the folder of its event files."""

    settings: Training
    samples: Samples
    augment: tuple[Augmentation, ...]
    restores: bool
    frozen: frozenset[str]
    zeros: Zeros
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
class Trained:
    """`biases` are new, from folding, by node; `diverged` says how, when it did: then the best so far is kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    rate: float = 0.0
    tested: RangeTest | None = None
    restored: int = 0
    biases: dict[str, torch.Tensor] = field(default_factory=dict)
    diverged: str | None = None
    samples_per_second: float = 0.0


def train(pair: Pair, run: Run) -> Trained:
    """The pair's module is left with the weights of the best epoch, normalisations folded."""
    settings, trained = run.settings, Trained()
    torch.manual_seed(run.seed)
    training, held = split(run.samples, settings.validation, settings.batch_size, run.augment, run.seed)
    total = settings.steps or settings.epochs * len(training)
    tests = steps_for_search(total) if settings.learning_rate is None else 0
    with Watch(run.progress, run.curves, -(-total // len(training)), total, tests) as watch:
        if run.restores:
            with watch.doing("measuring for batch normalisation"):
                observed = (pair.here(batch) for batch in islice(training.shuffled(run.seed), OBSERVED))
                trained.restored = batchnorm.restore(pair.module, observed, run.frozen)
        trained.rate, trained.tested = _rate(pair, run, training, tests, watch)
        _descend(pair, run, training, held, total, trained, watch)
        trained.samples_per_second = watch.samples_per_second
    trained.biases = batchnorm.fold(pair.module)
    if trained.diverged is None:
        run.zeros.keep()
    return trained


def _rate(
    pair: Pair, run: Run, training: Batches, tests: int, watch: Watch
) -> tuple[float, RangeTest | None]:
    if run.settings.learning_rate is not None:
        return run.settings.learning_rate, None
    if not tests:
        return CAREFUL[run.settings.optimizer], None
    pair.learning.train()
    endless = (batch for _, batch in _endless(training, run.seed + 1))
    with watch.testing(endless) as batches:
        tested = search_rate(pair.learning, pair.loss, batches, run.settings, pair.module.relative, tests)
    return tested.proposed, tested


def _descend(
    pair: Pair,
    run: Run,
    training: Batches,
    held: Batches | None,
    total: int,
    trained: Trained,
    watch: Watch,
) -> None:
    """Steps, epoch by epoch; at the end the module has the weights of the best one."""
    settings = run.settings
    parameters = [p for p in pair.learning.parameters() if p.requires_grad]
    optimizer = optimizer_for(parameters, settings, trained.rate, pair.module.relative)
    factor = schedule(settings, total)
    best = _Best(pair, trained, training, held, watch, run.zeros)
    best.look(0, 0, None)
    pair.learning.train()
    divergence: Divergence | None = None
    try:
        for step, (epoch, batch) in enumerate(islice(_endless(training, run.seed), total), 1):
            divergence = divergence or Divergence(pair.ignorant(batch))
            rate = trained.rate * factor(step - 1)
            set_rate(optimizer, rate)
            loss = pair.loss(batch)
            smoothed = divergence.look(float(loss.detach()))
            descend(optimizer, loss, parameters, settings.clip_norm)
            pair.module.constrain()
            run.zeros.after(step, total)
            watch.stepped(epoch, step, len(batch), smoothed, rate)
            if step % len(training) == 0 or step == total:
                best.look(epoch, step, smoothed)
                if settings.patience is not None and best.waited(epoch) >= settings.patience:
                    break
    except Diverged as error:
        trained.diverged = f"{error} at step {watch.step + 1} of {total}"
    best.keep()


class _Best:
    """The epoch with the lowest validation loss, of those that the rows tell to be better than the beginning; without
    validation rows the last one, unless rows that it was trained on tell that it is worse than the beginning.

    What has fewer zeros than it will have is no choice, but the fallback of a training that diverges.
    """

    def __init__(
        self,
        pair: Pair,
        trained: Trained,
        training: Batches,
        held: Batches | None,
        watch: Watch,
        zeros: Zeros,
    ) -> None:
        self._pair, self._trained, self._held, self._watch = pair, trained, held, watch
        self._zeros, self._sound = zeros, False
        self._seen = replace(training, rows=training.rows[: _whole(training, SEEN_ROWS)], augment=())
        self._snapshot: Snapshot = []
        self._beginning: tuple[Validation, Snapshot] | None = None

    def waited(self, epoch: int) -> int:
        """Epochs without a better one; none while zeros still grow."""
        return epoch - self._trained.best.epoch if self._trained.best is not None and self._sound else 0

    def look(self, epoch: int, step: int, loss: float | None) -> None:
        """Raises `Diverged` when the validation loss is no number, `Refusal` `not_finite` where it never was one."""
        found = None
        if self._held is not None:
            with self._watch.doing("validating"):
                found = validate(self._pair, self._held)
            self._watch.validated(step, found.loss, found.metric)
            if found.loss != found.loss:
                raise Diverged("the validation loss became NaN") if epoch else _never_finite()
        if epoch == 0 and self._zeros.complete:
            kept = [] if self._held is not None else take_snapshot(self._pair.learning)
            self._beginning = found or validate(self._pair, self._seen), kept
        entry = Epoch(epoch, step, loss, found)
        self._trained.epochs.append(entry)
        if self._better(entry):
            self._sound = self._zeros.complete
            self._trained.best, self._snapshot = entry, take_snapshot(self._pair.learning)

    def keep(self) -> None:
        restore_snapshot(self._pair.learning, self._snapshot)
        if self._held is None and self._beginning is not None:
            begun, snapshot = self._beginning
            if worse_beyond_noise(begun, validate(self._pair, self._seen)):
                restore_snapshot(self._pair.learning, snapshot)
                self._trained.best = self._trained.epochs[0]

    def _better(self, entry: Epoch) -> bool:
        best = self._trained.best
        if best is None or self._sound != self._zeros.complete:
            return True
        if not self._zeros.complete:
            return False
        if best.validation is None or entry.validation is None:
            return True
        if self._beginning is not None and not better_beyond_noise(self._beginning[0], entry.validation):
            return False
        return entry.validation.loss < best.validation.loss


def _whole(training: Batches, rows: int) -> int:
    """So many rows, in batches that the model takes."""
    fixed = training.samples.fixed_batch or 1
    return max(fixed, rows // fixed * fixed)


def _never_finite() -> Refusal:
    return Refusal(
        "not_finite",
        "Before anything was trained the validation loss is NaN: student or teacher answer some rows with NaN or "
        "infinity. Check the data's scale, mean and std, or choose a slice without them.",
    )


def _endless(training: Batches, seed: int) -> Iterator[tuple[int, Batch]]:
    """Epoch after epoch, counted from 1, each in an order of its own."""
    epoch = 0
    while True:
        epoch += 1
        for batch in training.shuffled(seed * 1_000_003 + epoch):
            yield epoch, batch
