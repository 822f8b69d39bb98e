"""A training on its way: all that decides how it goes on, kept from time to time.

    weights and statistics · optimizer · masks of zeros · place in the data · random states · best epoch so far

Taken up again from there it ends with the weights, bit by bit, of one that nobody interrupted: on the same kind of CPU,
with as many threads. A teacher's cached outputs are not kept but computed again, which may differ by rounding.
"""

import logging
import pickle
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from worker.compression.engine.tensors import restore_snapshot, take_snapshot
from worker.compression.training.feeding.epochs import Epochs
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.best import Best
from worker.compression.training.loop.divergence import Divergence
from worker.compression.training.loop.rate import RangeTest
from worker.compression.training.loop.result import TrainingResult
from worker.compression.training.loop.zero_masks import ZeroMasks
from worker.compression.unfinished import Unfinished

log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 90.0
"""Between a state and the next, and a step: no more than two minutes are lost."""
FORMAT: Final = (1, str(torch.__version__))
"""What was kept by another version is not taken up."""

State = dict[str, Any]


@dataclass
class Course:
    """`step` is the last that was made. `masks`, `best` and `result` are those of the same training."""

    pair: StudentTeacher
    optimizer: torch.optim.Optimizer
    epochs: Epochs
    masks: ZeroMasks
    best: Best
    result: TrainingResult
    divergence: Divergence | None = None
    step: int = 0

    def state_dict(self) -> State:
        result, test = self.result, self.result.range_test
        return {
            "format": FORMAT,
            "step": self.step,
            "weights": take_snapshot(self.pair.learning),
            "optimizer": self.optimizer.state_dict(),
            "epochs": self.epochs.state_dict(),
            "masks": self.masks.state_dict(),
            "best": self.best.state_dict(),
            "divergence": self.divergence and self.divergence.state_dict(),
            "rate": result.rate,
            "range_test": test and (test.rates, test.losses, test.proposed),
            "random": torch.get_rng_state(),
            "random_on_gpus": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: State) -> None:
        """Into the parts of the same training, made anew."""
        self.step, self.result.rate = state["step"], state["rate"]
        self.result.range_test = state["range_test"] and RangeTest(*state["range_test"])
        restore_snapshot(self.pair.learning, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs.load_state_dict(state["epochs"])
        self.masks.load_state_dict(state["masks"])
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
