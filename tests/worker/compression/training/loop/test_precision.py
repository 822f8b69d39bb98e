"""bfloat16 is chosen where it is faster, and trying it leaves nothing behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.small_nets import digits_net, digits_samples
from winnow.contract.recipe import Finetune
from worker.compression.engine.tensors import take_snapshot
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.head import head_of
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop import precision
from worker.compression.training.loop.precision import choose_precision

STEPS = 10_000_000
"""So many that any trial pays."""


@pytest.fixture
def pair() -> StudentTeacher:
    model = digits_net()
    objective = Objective(LossWeights(labels=1.0), head_of(model, None, "auto"), None)
    module = as_module(model, objective.student_values)
    return StudentTeacher(module, objective, None, Hardware(torch.device("cpu"), False, False))


@pytest.fixture
def step(tmp_path: Path) -> list[Batch]:
    samples = digits_samples(tmp_path).take(8).with_class_numbers()
    return list(Batches(samples, np.arange(8), 8).ordered())


@pytest.fixture(autouse=True)
def _a_cpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"amx_bf16"}))


def takes(monkeypatch: pytest.MonkeyPatch, single: float, half: float, difference: float = 0.0) -> None:
    """Seconds of a step in both, and how much the loss differs."""

    def timed(*_: Any, half: bool, of: tuple[float, float] = (single, half)) -> tuple[float, float]:
        return of[half], 1.0 + difference * half

    monkeypatch.setattr(precision, "_timed", timed)


def settings(**more: Any) -> Finetune:
    return Finetune(kind="finetune", **more)


@pytest.mark.parametrize(
    ("single", "half", "difference", "chosen"),
    [(1.0, 0.5, 0.0, True), (1.0, 0.9, 0.0, False), (1.0, 0.5, 0.2, False), (1e-9, 1e-10, 0.0, False)],
    ids=["faster", "hardly faster", "another loss", "not worth a trial"],
)
def test_it_is_chosen_where_it_is_faster_and_learns_the_same(
    pair: StudentTeacher,
    step: list[Batch],
    monkeypatch: pytest.MonkeyPatch,
    single: float,
    half: float,
    difference: float,
    chosen: bool,
) -> None:
    takes(monkeypatch, single, half, difference)
    choose_precision(pair, settings(), step, STEPS)
    assert pair.hardware.half is chosen


def test_what_is_said_is_not_tried(
    pair: StudentTeacher, step: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    takes(monkeypatch, 1.0, 0.1)
    choose_precision(pair, settings(precision="float32"), step, STEPS)
    monkeypatch.setattr(precision, "cpu_flags", frozenset)
    choose_precision(pair, settings(), step, STEPS)
    assert not pair.hardware.half


def test_a_trial_leaves_weights_statistics_and_random_numbers_as_they_were(
    pair: StudentTeacher, step: list[Batch]
) -> None:
    """Both are really run, whichever is chosen."""
    before, random = take_snapshot(pair.learning), torch.get_rng_state()
    choose_precision(pair, settings(), step, STEPS)
    after = take_snapshot(pair.learning)
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in pair.learning.parameters())
