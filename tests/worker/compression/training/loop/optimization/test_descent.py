"""Gradients that are added up from parts of a batch."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.feeding.epochs import Epochs
from worker.compression.training.loop.optimization.descent import gradients


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("parts")
    np.savez(folder / "data.npz", x=np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32))
    spec = TensorSpec(name="x", dtype="float32", shape=["N", 3])
    return open_samples(Source(folder / "data.npz"), [spec], folder)


def gradient_of(batches: Batches, seed: int) -> tuple[float, torch.Tensor, list[int]]:
    """Loss, gradient and rows of the first step."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)

    def losses(step: Sequence[Batch]) -> list[torch.Tensor]:
        return [batch.share * layer(batch.feeds["x"]).exp().square().mean() for batch in step]

    _, step = next(Epochs(batches, seed).steps())
    value = gradients(torch.optim.SGD(layer.parameters(), 0.1), losses, step)
    assert layer.weight.grad is not None
    return value, layer.weight.grad, sorted(int(row) for batch in step for row in batch.rows)


@settings(deadline=None, max_examples=30)
@given(size=st.integers(1, 23), at_once=st.integers(1, 23), seed=st.integers(0, 3))
def test_parts_have_the_gradients_of_the_whole(samples: Samples, size: int, at_once: int, seed: int) -> None:
    """To 1e-5 of the largest: sums in another order."""
    rows = np.arange(23)
    whole, gradient, drawn = gradient_of(Batches(samples, rows, size), seed)
    parts, added, drawn_in_parts = gradient_of(Batches(samples, rows, size, (), at_once), seed)
    assert drawn == drawn_in_parts
    assert parts == pytest.approx(whole, rel=1e-5)
    assert torch.allclose(added, gradient, rtol=0, atol=1e-5 * float(gradient.abs().max()))


def test_an_epoch_has_as_many_steps_whatever_is_worked_on_at_once(samples: Samples) -> None:
    for at_once in (None, 2, 5, 9):
        batches = Batches(samples, np.arange(23), 5, (), at_once)
        epochs = [epoch for epoch, _ in zip(map(_first, Epochs(batches, 0).steps()), range(8), strict=False)]
        assert epochs == [1] * 4 + [2] * 4


def _first(step: tuple[int, list[Batch]]) -> int:
    return step[0]
