import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.feeding.epochs import Epochs

COUNT = 9
"""Batches looked at; an epoch has four."""


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    folder = tmp_path_factory.mktemp("epochs")
    np.savez(folder / "data.npz", x=np.arange(17 * 64, dtype=np.float32).reshape(17, 1, 8, 8))
    spec = TensorSpec(name="x", dtype="float32", shape=["N", 1, 8, 8])
    samples = open_samples(Source(folder / "data.npz"), [spec], folder)
    return Batches(samples, np.arange(17), 4, ("padded_crop", "horizontal_flip"))


def seen(epoch: int, batch: Batch) -> tuple[int, list[int], bytes]:
    return epoch, batch.rows.tolist(), batch.feeds["x"].numpy().tobytes()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 5), left_after=st.integers(0, COUNT - 1))
def test_taken_up_again_it_goes_on_as_if_it_had_not_been_left(
    batches: Batches, seed: int, left_after: int
) -> None:
    """Also in the middle of an epoch, and with the same augmentation."""
    whole = [seen(*pair) for _, pair in zip(range(COUNT), Epochs(batches, seed), strict=False)]
    first, second = Epochs(batches, seed), Epochs(batches, seed)
    pairs = iter(first)
    begun = [seen(*next(pairs)) for _ in range(left_after)]
    second.load_state_dict(first.state_dict())
    rest = [seen(*pair) for _, pair in zip(range(COUNT - left_after), second, strict=False)]
    assert begun + rest == whole


def test_epochs_are_counted_from_one_and_differ(batches: Batches) -> None:
    pairs = [pair for _, pair in zip(range(8), Epochs(batches, 0), strict=False)]
    assert [epoch for epoch, _ in pairs] == [1] * 4 + [2] * 4
    first, second = ([batch.rows.tolist() for epoch, batch in pairs if epoch == n] for n in (1, 2))
    assert first != second
