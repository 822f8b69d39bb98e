"""bfloat16 is chosen where it is faster, and trying it leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.digits_pair import digits_pair
from tests.support.small_nets import digits_samples
from winnow.contract.recipe import Finetune
from worker.compression.engine.tensors import take_snapshot
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop import precision
from worker.compression.training.loop.precision import choose_precision

STEPS = 10_000_000
"""So many that any trial pays."""


@pytest.fixture
def pair() -> StudentTeacher:
    return digits_pair()


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[tuple[int, list[Batch]]]:
    samples = digits_samples(tmp_path).take(8).with_class_numbers()
    return iter([(1, list(Batches(samples, np.arange(8), 8).ordered()))])


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
    steps: Iterator[tuple[int, list[Batch]]],
    monkeypatch: pytest.MonkeyPatch,
    single: float,
    half: float,
    difference: float,
    chosen: bool,
) -> None:
    takes(monkeypatch, single, half, difference)
    choose_precision(pair, settings(), steps, STEPS)
    assert pair.hardware.half is chosen


def test_what_is_said_is_not_tried(
    pair: StudentTeacher, steps: Iterator[tuple[int, list[Batch]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    takes(monkeypatch, 1.0, 0.1)
    choose_precision(pair, settings(precision="float32"), steps, STEPS)
    monkeypatch.setattr(precision, "cpu_flags", frozenset)
    choose_precision(pair, settings(), steps, STEPS)
    assert not pair.hardware.half


def test_a_trial_leaves_weights_statistics_and_random_numbers_as_they_were(
    pair: StudentTeacher, steps: Iterator[tuple[int, list[Batch]]]
) -> None:
    """Both are really run, whichever is chosen."""
    before, random = take_snapshot(pair.learning), torch.get_rng_state()
    choose_precision(pair, settings(), steps, STEPS)
    after = take_snapshot(pair.learning)
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in pair.learning.parameters())
