"""Chooses the epoch of a training whose weights are kept."""

from dataclasses import replace
from typing import Any

from winnow.contract.errors import Refusal
from worker.compression.engine.tensors import Snapshot, restore_snapshot, take_snapshot
from worker.compression.training.feeding.batches import Batches
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.optimization.divergence import Diverged
from worker.compression.training.loop.result import Epoch, TrainingResult
from worker.compression.training.loop.training_progress import TrainingProgress
from worker.compression.training.loop.validate import (
    Validation,
    better_beyond_noise,
    validate,
    worse_beyond_noise,
)
from worker.compression.training.loop.zero_masks import ZeroMasks

COMPARED_ROWS = 256
"""Rows of the training data on which end and beginning are compared where none were held out."""


class Best:
    """The epoch with the lowest validation loss, of those that the rows tell to be better than the beginning; without
    validation rows the last one, unless rows that it was trained on tell that it is worse than the beginning.

    What has fewer zeros than it will have is no choice, but the fallback of a training that diverges. So are, in the
    last of two stages, the weights that it began with, until one of its epochs is the best: by the outputs, which only
    that stage learns, those of the first are no better than the beginning.
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
        self._stage: Snapshot | None = None
        self._beginning: tuple[Validation, Snapshot] | None = None

    def state_dict(self) -> dict[str, Any]:
        """With the epochs so far, which the result has."""
        beginning = self._beginning and (_plain(self._beginning[0]), self._beginning[1])
        return {
            "epochs": [(e.epoch, e.step, e.loss, _plain(e.validation)) for e in self._result.epochs],
            "best": None if self._result.best is None else self._result.epochs.index(self._result.best),
            "has_all_zeros": self._best_has_all_zeros,
            "snapshot": self._snapshot,
            "stage": self._stage,
            "beginning": beginning,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        epochs = [Epoch(e, step, loss, _validation(plain)) for e, step, loss, plain in state["epochs"]]
        self._result.epochs = epochs
        self._result.best = None if state["best"] is None else epochs[state["best"]]
        self._best_has_all_zeros, self._snapshot = state["has_all_zeros"], state["snapshot"]
        self._stage = state["stage"]
        if state["beginning"] is not None:
            validation, snapshot = state["beginning"]
            self._beginning = Validation(*validation), snapshot

    def epochs_without_gain(self, epoch: int, since: int = 0) -> int:
        """Count the epochs since the best one, or epoch `since` if that is later; none while zeros still grow."""
        best = self._result.best
        return 0 if best is None or not self._best_has_all_zeros else max(0, epoch - max(best.epoch, since))

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
            self._stage = None

    def begin_last_stage(self) -> None:
        """Remember the weights that the first of two stages came to."""
        self._stage = take_snapshot(self._pair.learning)

    def go_back(self) -> str:
        """Put the best weights back that there were so far to go on from; returns which these are."""
        if self._stage is not None:
            restore_snapshot(self._pair.learning, self._stage)
            return "its last stage began with"
        restore_snapshot(self._pair.learning, self._snapshot)
        best = self._result.best.epoch if self._result.best is not None else 0
        return f"after epoch {best}" if best else "it began with"

    def restore(self) -> None:
        """Put the best weights back, or those of the beginning."""
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


def _plain(validation: Validation | None) -> tuple[Any, ...] | None:
    return None if validation is None else (validation.loss, validation.metric, validation.losses)


def _validation(plain: tuple[Any, ...] | None) -> Validation | None:
    return None if plain is None else Validation(*plain)


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
