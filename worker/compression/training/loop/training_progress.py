"""Reports how a training goes, at least every two seconds, and draws its curves."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from worker.compression.progress import Progress
from worker.compression.training.feeding.batches import Batch

MAX_REPORT_SECONDS = 1.5


class TrainingProgress:
    """Collects what is known of a training and reports it, from a thread of its own: a step may take longer than that.

    `with TrainingProgress(…) as progress:` begins and ends the reports. `test_steps` are those that a range test may
    take: they are work like the others.

    fraction = done / all     seconds left = seconds spent on steps · (all − done) / done     done, all: of both kinds

    One that goes on after `before` steps counts them as done, but not their time, and draws its curves on from there.
    """

    def __init__(
        self, progress: Progress, curves: Path, epochs: int, steps: int, test_steps: int, before: int = 0
    ) -> None:
        self._progress, self._epochs, self._steps = progress, epochs, steps
        self._test_steps, self._tested, self._testing = test_steps, 0, False
        self._before = before
        self._writer = SummaryWriter(str(curves), flush_secs=5, purge_step=before + 1 if before else None)
        self.begun = time.monotonic()
        self._samples, self._doing, self._logged = 0, "training", ""
        self._known: dict[str, Any] = {"epoch": 0, "step": before, "steps": steps}
        self._idle, self._paused = 0.0, 0.0
        self._over = threading.Event()
        self._reporter = threading.Thread(target=self._report_on, daemon=True)

    def __enter__(self) -> Self:
        self._reporter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._reporter.join()
        self._writer.close()

    def stepped(self, epoch: int, step: int, samples: int, loss: float, rate: float) -> None:
        self._samples += samples
        self._known |= {"epoch": epoch, "step": step, "loss": loss, "learning_rate": rate}
        self._writer.add_scalar("loss/training", loss, step)
        self._writer.add_scalar("learning_rate", rate, step)

    def validated(self, step: int, loss: float, metric: tuple[str, float] | None) -> None:
        self._known["validation_loss"] = loss
        self._writer.add_scalar("loss/validation", loss, step)
        if metric is not None:
            self._known["metric"], self._known["metric_name"] = metric[1], metric[0]
            self._writer.add_scalar(f"{metric[0]}/validation", metric[1], step)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Name something that takes time and is no training step, while it is done."""
        self._doing, self._paused = what, time.monotonic()
        yield
        self._idle += time.monotonic() - self._paused
        self._doing, self._paused = "training", 0.0

    @contextmanager
    def testing(self, steps: Iterator[list[Batch]]) -> Iterator[Iterator[list[Batch]]]:
        """Count a range test's steps as it takes their batches; it may need fewer than expected."""
        self._doing, self._testing = "looking for a learning rate", True
        yield self._counted(steps)
        self._test_steps = self._tested
        self._doing, self._testing = "training", False

    def _counted(self, steps: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
        for step in steps:
            yield step
            self._tested += 1
            self._samples += sum(map(len, step))

    @property
    def step(self) -> int:
        """The number of the last step that was made."""
        return int(self._known["step"])

    @property
    def samples_per_second(self) -> float:
        return self._samples / max(1e-9, self._busy)

    @property
    def _busy(self) -> float:
        """Seconds spent on steps and tests."""
        return (self._paused or time.monotonic()) - self.begun - self._idle

    def _report_on(self) -> None:
        while not self._over.wait(MAX_REPORT_SECONDS):
            self._report()

    def _report(self) -> None:
        known = self._values()
        step = int(known["step"])
        self._progress.advance(min(1.0, (self._tested + step) / (self._test_steps + self._steps)))
        if step == self._before or self._doing != "training":
            if self._doing != self._logged:  # once: the progress goes on beside it
                self._progress.log(self._prelude(step), **known)
            self._logged = self._doing
            return
        self._logged = self._doing
        metric = f", {known['metric_name']} {known['metric']:.4f}" if "metric" in known else ""
        self._progress.log(
            f"epoch {known['epoch']} of {self._epochs}, step {step} of {self._steps}: "
            f"loss {known['loss']:.4g}{metric}, {known['samples_per_second']:.0f} samples/s",
            **known,
        )

    def _prelude(self, step: int) -> str:
        if self._testing:
            return f"{self._doing}, at most {self._test_steps} steps"
        return f"{self._doing}: step {step} of {self._steps} done"

    def _values(self) -> dict[str, Any]:
        step = int(self._known["step"])
        done = self._tested + step
        own = done - self._before
        seconds_left = self._busy * (self._test_steps + self._steps - done) / own if own else None
        return {
            **self._known,
            "samples_per_second": round(self.samples_per_second, 1),
            "seconds_left": None if seconds_left is None else round(seconds_left, 1),
        }
