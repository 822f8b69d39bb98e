"""A training on its way: all that decides how it goes on, kept from time to time.

    weights, statistics, averages · optimizer · masks of zeros · arithmetic · place in the data · random states ·
    best epoch so far

Taken up again from there it ends with the weights, bit by bit, of one that nobody interrupted: on the same kind of CPU,
with as many threads. A teacher's cached outputs are not kept but computed again, which may differ by rounding.
"""

import logging
import pickle
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import torch

from winnow.contract.recipe import Training
from worker.compression.cache.unfinished import Unfinished
from worker.compression.engine.tensors import restore_snapshot, take_snapshot
from worker.compression.training.feeding.epochs import Epochs
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.best import Best
from worker.compression.training.loop.optimization.average import Average
from worker.compression.training.loop.optimization.descent import optimizer_for
from worker.compression.training.loop.optimization.divergence import Diverged, Divergence
from worker.compression.training.loop.optimization.rate import RangeTest
from worker.compression.training.loop.result import TrainingResult
from worker.compression.training.loop.zero_masks import ZeroMasks

log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 90.0
"""Between a state and the next, and a step: no more than two minutes are lost."""
FORMAT: Final = (3, str(torch.__version__))
"""What was kept by another version is not taken up."""

MAX_LOWERED: Final = 2
LOWERED_TO: Final = 0.2
"""Share of a rate at which a training diverged, at which it goes on."""
STEPS_TO_GO_ON: Final = 0.25
"""Share of the steps that have to be left for that."""

State = dict[str, Any]


class Course:
    """`step` is the last that was made, of `total`. `masks`, `best` and `result` are those of the same training."""

    def __init__(
        self,
        pair: StudentTeacher,
        settings: Training,
        epochs: Epochs,
        total: int,
        masks: ZeroMasks,
        best: Best,
        result: TrainingResult,
    ) -> None:
        self.pair, self.epochs, self.total, self.step = pair, epochs, total, 0
        self.parameters = [p for p in pair.learning.parameters() if p.requires_grad]
        self._settings, self._masks, self.best, self.result = settings, masks, best, result
        self._begin()

    def _begin(self) -> None:
        """From the weights as they are, with nothing remembered of the steps before."""
        pair, settings = self.pair, self._settings
        self.optimizer = optimizer_for(self.parameters, settings, self.result.rate, pair.module.relative)
        self.divergence: Divergence | None = None
        self.average = None if settings.ema_decay is None else Average(pair.learning, settings.ema_decay)

    def begin_last_stage(self) -> None:
        """Of two: its loss is another."""
        self.divergence = None
        self.best.begin_last_stage()

    def stepped(self) -> None:
        """Count a step of the optimizer, and do what follows each."""
        self.pair.module.constrain()
        self.step += 1
        self._masks.after_step(self.step, self.total)
        if self.average is not None:
            self.average.update()

    def validate(self, epoch: int, loss: float | None) -> None:
        """Raises what `Best.validate` raises. The average is validated, where there is one."""
        with self.average.in_place() if self.average is not None else nullcontext():
            if self.average is not None:
                self._masks.apply()
            self.best.validate(epoch, self.step, loss)

    def lower_rate(self, why: Diverged) -> bool:
        """Go back to the best weights and on from there at a lower rate; False where that was tried often enough, or
        hardly a step is left for it."""
        result = self.result
        if len(result.lowered) >= MAX_LOWERED or self.total - self.step < STEPS_TO_GO_ON * self.total:
            return False
        weights = self.best.go_back()
        result.rate *= LOWERED_TO
        result.lowered.append(
            f"{why} behind step {self.step} of {self.total}: it went on from the weights {weights} at a learning rate "
            f"of {result.rate:.3g}"
        )
        self._begin()
        return True

    def state_dict(self) -> State:
        result, test = self.result, self.result.range_test
        return {
            "format": FORMAT,
            "step": self.step,
            "weights": take_snapshot(self.pair.learning),
            "optimizer": self.optimizer.state_dict(),
            "epochs": self.epochs.state_dict(),
            "masks": self._masks.state_dict(),
            "average": self.average and self.average.state_dict(),
            "best": self.best.state_dict(),
            "divergence": self.divergence and self.divergence.state_dict(),
            "half": self.pair.hardware.half,
            "rate": result.rate,
            "lowered": result.lowered,
            "range_test": test and (test.rates, test.losses, test.proposed),
            "random": torch.get_rng_state(),
            "random_on_gpus": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: State) -> None:
        """Into the parts of the same training, made anew."""
        self.step, self.result.rate, self.result.lowered = state["step"], state["rate"], state["lowered"]
        self.pair.hardware.half = state["half"]
        self.result.range_test = state["range_test"] and RangeTest(*state["range_test"])
        restore_snapshot(self.pair.learning, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs.load_state_dict(state["epochs"])
        self._masks.load_state_dict(state["masks"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best.load_state_dict(state["best"])
        self.divergence = state["divergence"] and Divergence.of(state["divergence"])
        torch.set_rng_state(state["random"])
        if len(state["random_on_gpus"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random_on_gpus"])


class Keeper:
    """Keeps a course every `KEEP_SECONDS`; `begun` is when the training did, by the monotonic clock."""

    def __init__(self, unfinished: Unfinished, begun: float) -> None:
        self._unfinished, self._kept_at = unfinished, begun

    def is_due(self) -> bool:
        return time.monotonic() >= self._kept_at + KEEP_SECONDS

    def keep(self, course: Course) -> None:
        self._unfinished.write(lambda file: _write(course.state_dict(), file))
        self._kept_at = time.monotonic()


def read_state(unfinished: Unfinished) -> State | None:
    """What an earlier attempt kept last; None where there is nothing that can be taken up."""
    if (file := unfinished.state) is None:
        return None
    try:
        state: State = torch.load(file, map_location="cpu", weights_only=True)
        if tuple(state["format"]) == FORMAT:
            return state
        log.warning("the training begins anew: another version kept its state")
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        log.warning("the training begins anew: its state cannot be read: %s", error)
    return None


def _write(state: State, file: Path) -> None:
    with file.open("wb") as opened:  # torch's own way to open one raises what is no OSError
        torch.save(state, opened)
