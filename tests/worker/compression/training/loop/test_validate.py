"""What held out rows can tell, and how long a rate is searched for."""

from collections.abc import Iterator

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.recipe import Finetune
from worker.compression.training.feeding.batches import Batch, validation_rows
from worker.compression.training.loop import rate
from worker.compression.training.loop.rate import search_rate, steps_for_search
from worker.compression.training.loop.validate import Validation, better_beyond_noise, worse_beyond_noise


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
            module, lambda b: (b.feeds["x"] * module.w).square().sum(), batches(), settings, [], 20
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
