from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worker.compression.training.feeding.batches import Batch
from worker.compression.training.loop import training_progress as module
from worker.compression.training.loop.training_progress import TrainingProgress

BATCH = Batch({}, None, np.arange(10))


class Told:
    """What a training tells, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.fraction, self.message = 100.0, 0.0, ""
        self.values: dict[str, Any] = {}

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None:
        self.fraction = fraction

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.message, self.values = message, values

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(module, "time", told)
    return told


def test_a_range_test_is_work_and_tells_its_steps(told: Told, tmp_path: Path) -> None:
    watch = TrainingProgress(told, tmp_path, epochs=2, steps=20, test_steps=60)
    with watch.testing(iter([[BATCH]] * 5)) as batches:
        for _ in batches:
            told.now += 1.0
        watch._report()
        assert told.message == "looking for a learning rate, at most 60 steps"
        assert told.fraction == pytest.approx(5 / 80)
        assert told.values["seconds_left"] == pytest.approx(75.0)
    watch._report()
    assert told.fraction == pytest.approx(5 / 25)
    assert told.values["seconds_left"] == pytest.approx(20.0)


def test_time_left_follows_from_steps_alone(told: Told, tmp_path: Path) -> None:
    """Not from validating, also while it goes on."""
    watch = TrainingProgress(told, tmp_path, epochs=2, steps=20, test_steps=0)
    with watch.doing("validating"):
        told.now += 1000.0
    told.now += 4.0
    watch.stepped(1, 2, 20, 0.5, 0.1)
    with watch.doing("validating"):
        told.now += 1000.0
        watch._report()
    assert told.message == "validating: step 2 of 20 done"
    assert told.values["seconds_left"] == pytest.approx(36.0)
    assert told.values["samples_per_second"] == pytest.approx(5.0)
