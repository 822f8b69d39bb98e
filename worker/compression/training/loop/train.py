"""Trains a module, top to bottom: it comes out with better weights."""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from winnow.contract.declaration import Augmentation
from winnow.contract.recipe import Training
from worker.compression.cache.unfinished import NOT_KEPT, Unfinished
from worker.compression.data.samples import Samples
from worker.compression.engine import batchnorm
from worker.compression.progress import Progress
from worker.compression.training.feeding.batches import Batches, split
from worker.compression.training.feeding.epochs import Epochs
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.activations import choose_activations
from worker.compression.training.loop.best import Best
from worker.compression.training.loop.course import Course, Keeper, State, read_state
from worker.compression.training.loop.optimization.descent import (
    gradients,
    optimizer_step,
    schedule,
    set_rate,
)
from worker.compression.training.loop.optimization.divergence import Diverged, Divergence
from worker.compression.training.loop.optimization.rate import (
    CAREFUL_RATES,
    RangeTest,
    search_rate,
    steps_for_search,
)
from worker.compression.training.loop.precision import choose_precision
from worker.compression.training.loop.result import TrainingResult
from worker.compression.training.loop.training_progress import TrainingProgress
from worker.compression.training.loop.zero_masks import ZeroMasks

BATCHNORM_BATCHES = 8
"""Batches that restored normalisations are measured on."""


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
    unfinished: Unfinished = NOT_KEPT


def train(pair: StudentTeacher, run: Run) -> TrainingResult:
    """Train the pair's module: it ends with the weights of the best epoch, normalisations folded."""
    settings, result = run.settings, TrainingResult()
    torch.manual_seed(run.seed)
    training, held_out = split(
        run.samples,
        settings.validation,
        settings.batch_size,
        run.augment,
        run.seed,
        settings.micro_batch_size,
    )
    total = settings.steps or settings.epochs * len(training)
    saved = read_state(run.unfinished)
    test_steps = steps_for_search(total) if settings.learning_rate is None and saved is None else 0
    epochs, before = -(-total // len(training)), saved["step"] if saved else 0
    with TrainingProgress(run.progress, run.curves, epochs, total, test_steps, before) as progress:
        if run.restores:
            with progress.doing("measuring for batch normalisation"):
                batches = islice(training.shuffled(run.seed), 0 if saved else BATCHNORM_BATCHES)
                result.restored = batchnorm.restore(pair.module, map(pair.feeds, batches), run.frozen)
        choose_activations(pair, settings, training)
        if saved is None:
            with progress.doing("choosing the arithmetic"):
                choose_precision(pair, settings, Epochs(training, run.seed).steps(), total)
            result.rate, result.range_test = _rate(pair, run, training, test_steps, progress)
        _descend(pair, run, training, held_out, total, result, progress, saved)
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
    endless = (step for _, step in Epochs(training, run.seed + 1).steps())
    with progress.testing(endless) as steps:
        range_test = search_rate(
            pair.learning,
            partial(pair.losses, stage=0),
            steps,
            run.settings,
            pair.module.relative,
            test_steps,
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
    saved: State | None,
) -> None:
    """Make steps, epoch by epoch, from what was saved on; at the end the module has the weights of the best one."""
    best = Best(pair, result, training, held_out, progress, run.masks)
    course = Course(pair, run.settings, Epochs(training, run.seed), total, run.masks, best, result)
    if saved is None:
        best.validate(0, 0, None)
    else:
        course.load_state_dict(saved)
        run.progress.log(f"Going on after step {course.step} of {total}, where an earlier attempt ended.")
    pair.learning.train()
    keeper = Keeper(run.unfinished, progress.begun)
    while True:
        try:
            _walk(course, run.settings, len(training), progress, keeper)
            break
        except Diverged as error:
            if not course.lower_rate(error):
                result.diverged = f"{error} behind step {course.step} of {total}"
                break
            run.progress.log(f"The training diverged: {result.lowered[-1]}.")
    best.restore()


def _walk(
    course: Course, settings: Training, steps_an_epoch: int, progress: TrainingProgress, keeper: Keeper
) -> None:
    """To the last step, or until patience is at its end. Raises `Diverged`."""
    pair, total, best = course.pair, course.total, course.best
    first_steps = pair.objective.weights.first_steps(total)
    factor, since = schedule(settings, total, first_steps), first_steps // steps_an_epoch
    for _, step in islice(course.epochs.steps(), total - course.step):
        epoch = course.step // steps_an_epoch + 1  # the data's is ahead of it behind a step that diverged
        stage = 0 if course.step < first_steps else -1
        if course.step == first_steps > 0:
            course.begin_last_stage()
        divergence = course.divergence or Divergence(pair.zero_student_loss(step, stage))
        course.divergence = divergence
        rate = course.result.rate * factor(course.step)
        set_rate(course.optimizer, rate)
        smoothed = divergence.check(gradients(course.optimizer, partial(pair.losses, stage=stage), step))
        optimizer_step(course.optimizer, course.parameters, settings.clip_norm)
        course.stepped()
        progress.stepped(epoch, course.step, sum(map(len, step)), smoothed, rate)
        if course.step % steps_an_epoch == 0 or course.step == total:
            course.validate(epoch, smoothed)
            if settings.patience is not None and best.epochs_without_gain(epoch, since) >= settings.patience:
                break
        if keeper.is_due():
            with progress.doing("keeping the state"):
                keeper.keep(course)
