"""What held out rows can tell, and how long a rate is searched for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_nets import model, run
from winnow.contract.recipe import Finetune
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.engine.working import as_module
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.training.feeding.batches import Batch, Batches, validation_rows
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.head import head_of
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.optimization import rate
from worker.compression.training.loop.optimization.rate import search_rate, steps_for_search
from worker.compression.training.loop.validate import (
    Validation,
    better_beyond_noise,
    validate,
    worse_beyond_noise,
)


def validation(losses: np.ndarray, top1: float | None = None) -> Validation:
    return Validation(float(losses.mean()), None if top1 is None else ("top1", top1), tuple(losses.tolist()))


def test_noise_is_no_progress() -> None:
    """Losses that change by chance alone: taken for progress in at most 5 % (2.5 % expected) of 1,000 trainings."""
    rng, taken = np.random.default_rng(0), 0
    for _ in range(1000):
        begun = rng.exponential(1.0, 20)
        taken += better_beyond_noise(validation(begun), validation(begun + rng.normal(0, 0.3, 20)))
    assert taken <= 50


def test_progress_is_seen_and_so_is_the_opposite() -> None:
    begun = np.random.default_rng(0).exponential(1.0, 80)
    assert better_beyond_noise(validation(begun), validation(begun * 0.7))
    assert worse_beyond_noise(validation(begun), validation(begun * 1.3))
    assert not better_beyond_noise(validation(begun, 0.9), validation(begun * 0.7, 0.88))
    assert not better_beyond_noise(validation(begun[:3]), validation(begun[:3] * 0.1))


@given(rows=st.integers(0, 100_000))
def test_few_rows_give_a_larger_share(rows: int) -> None:
    held = validation_rows(rows, None)
    assert held <= max(rows / 5, rows * 0.05)
    assert held >= min(200, rows // 5)
    assert validation_rows(rows, 0.0) == 0


@given(total=st.integers(1, 10_000))
def test_a_search_takes_at_most_a_quarter_of_the_steps(total: int) -> None:
    assert steps_for_search(total) <= total / 4
    assert steps_for_search(7) == 0


class Parabola(torch.nn.Module):
    """One weight, which begins near the minimum of loss = x² · w²."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([[1e-3]]))


def search(monkeypatch_rate: float) -> tuple[float, int]:
    """The rate that is trained with where the range test proposes this one; and batches that were drawn."""
    module, drawn = Parabola(), 0

    def batches() -> Iterator[list[Batch]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield [Batch({"x": torch.ones(1, 1)}, None, np.arange(1))]

    settings = Finetune(kind="finetune", weight_decay=0)
    proposed, rate._proposed = rate._proposed, lambda *_: monkeypatch_rate
    try:
        found = search_rate(
            module,
            lambda step: [(batch.feeds["x"] * module.w).square().sum() for batch in step],
            batches(),
            settings,
            [],
            20,
        )
    finally:
        rate._proposed = proposed
    assert module.w.item() == torch.tensor(1e-3).item()
    return found.proposed, drawn


def test_a_rate_that_makes_its_own_batch_worse_is_lowered() -> None:
    """AdamW steps by about the rate: more than twice the distance to the minimum makes it worse."""
    assert search(1e-3)[0] == 1e-3
    assert search(3e-3)[0] == 3e-3 / rate.LOWERED_BY
    careful, drawn = search(1e-1)
    assert careful == rate.CAREFUL_RATES["adamw"]
    assert drawn + rate.MAX_CHECKS <= 20


@pytest.mark.parametrize("steps", [5, 8])
def test_of_steps_that_come_first_each_answer_is_compared_with_its_own_label(
    tmp_path: Path, steps: int
) -> None:
    """As many steps as rows, too: these are not to be taken for each other. To 1e-5."""
    draw, rows = np.random.default_rng(0), 8
    weights = {"w": draw.normal(size=(1, 16, 3)), "r": draw.normal(size=(1, 16, 4)), "axis": np.array([1])}
    net = model(
        "(float[T,N,3] x) => (float[T,N,4] y) { s = LSTM <hidden_size=4> (x, w, r) y = Squeeze (s, axis) }",
        {name: x.astype(np.int64 if name == "axis" else np.float32) for name, x in weights.items()},
    )
    x, labels = (draw.normal(size=(rows, steps, n)).astype(np.float32) for n in (3, 4))
    np.savez(tmp_path / "data.npz", x=x, labels=labels)
    samples = open_samples(Source(tmp_path / "data.npz"), inputs_of(net), tmp_path / "scratch")
    objective = Objective(LossWeights(labels=1.0), head_of(net, None, "auto"), None)
    module = as_module(net, objective.student_values)
    pair = StudentTeacher(module, objective, None, Hardware(torch.device("cpu"), False, False))
    answers = run(net, {"x": x.swapaxes(0, 1)}).swapaxes(0, 1)
    expected = float(((answers - labels) ** 2).mean())
    found = validate(pair, Batches(samples, np.arange(rows), rows))
    assert found.loss == pytest.approx(expected, rel=1e-5)
