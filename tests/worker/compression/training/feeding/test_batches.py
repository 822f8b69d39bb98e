"""Batches: every row, in an order of the seed; augmentation that leaves what it should."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.declaration import ArrayInput, Augmentation
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.array import array_reader
from worker.compression.data.model_inputs import Column
from worker.compression.data.samples import Samples
from worker.compression.training.feeding.augment import augmented
from worker.compression.training.feeding.batches import split


def samples(rows: int, fixed: int | None = None) -> Samples:
    """Row i is the number i, and so is its label."""
    array = np.arange(rows, dtype=np.float32)[:, None]
    column = Column(
        TensorSpec(name="x", dtype="float32", shape=["N", 1]),
        array_reader("x", array, ArrayInput(array="x")),
        False,
    )
    return Samples((column,), (), np.arange(rows), range(rows), fixed)


@settings(deadline=None)
@given(st.integers(4, 60), st.integers(1, 16), st.floats(0, 0.5), st.integers(0, 5))
def test_rows_are_trained_on_or_held_out_and_labels_stay_with_them(
    rows: int, size: int, share: float, seed: int
) -> None:
    training, held = split(samples(rows), share, size, (), seed)
    seen = list(training.shuffled(seed))
    for batch in seen:
        assert batch.labels is not None
        assert batch.feeds["x"][:, 0].tolist() == batch.labels.tolist() == batch.rows.tolist()
    trained = {int(row) for batch in seen for row in batch.rows}
    kept = {int(row) for batch in held.ordered() for row in batch.rows} if held else set()
    assert trained.isdisjoint(kept)
    assert len(kept) == int(rows * share)
    assert len(trained) == len(training) * training.size


def test_an_order_follows_from_its_seed() -> None:
    training, _ = split(samples(64), 0.0, 16, (), 0)
    orders = [[batch.rows.tolist() for batch in training.shuffled(seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_model_with_a_fixed_batch_gets_whole_ones() -> None:
    training, held = split(samples(40, fixed=8), 0.25, 20, (), 0)
    made = list(training.shuffled(0))
    assert [(len(batch), batch.share, batch.ends_step) for batch in made] == [
        (8, 0.5, False),
        (8, 0.5, True),
    ] * 2
    assert held is not None
    assert {len(batch) for batch in held.ordered()} == {8}


@pytest.mark.parametrize("kind", ["horizontal_flip", "padded_crop"])
def test_images_are_changed_and_nothing_else_is(kind: Augmentation) -> None:
    feeds = {"image": torch.rand(32, 3, 16, 16), "state": torch.rand(32, 4), "ids": torch.arange(32)}
    made = augmented(feeds, [kind], torch.Generator().manual_seed(0))
    assert made["image"].shape == feeds["image"].shape
    assert not torch.equal(made["image"], feeds["image"])
    assert made["state"] is feeds["state"]
    assert made["ids"] is feeds["ids"]


def test_a_flip_keeps_each_image_or_mirrors_it() -> None:
    x = torch.rand(64, 1, 4, 4)
    made = augmented({"x": x}, ["horizontal_flip"], torch.Generator().manual_seed(0))["x"]
    flipped = (made == x.flip(3)).flatten(1).all(1)
    assert 16 < int(flipped.sum()) < 48
    assert torch.equal(made[~flipped], x[~flipped])


@pytest.mark.parametrize("kind", ["horizontal_flip", "padded_crop"])
def test_channels_may_come_last(kind: Augmentation) -> None:
    first = torch.randn(16, 3, 16, 16)
    made = [
        augmented({"x": x}, [kind], torch.Generator().manual_seed(0))["x"]
        for x in (first, first.movedim(1, 3))
    ]
    assert torch.equal(made[0], made[1].movedim(3, 1))


def test_a_crop_moves_an_image_by_at_most_an_eighth() -> None:
    x = torch.zeros(64, 1, 32, 32)
    x[:, :, 16, 16] = 1
    made = augmented({"x": x}, ["padded_crop"], torch.Generator().manual_seed(0))["x"]
    places = made.flatten(1).argmax(1)
    assert int((places // 32 - 16).abs().max()) <= 4
    assert int((places % 32 - 16).abs().max()) <= 4
