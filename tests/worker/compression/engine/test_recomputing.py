"""Activations that are computed again: the same outputs, gradients and statistics, in less memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.digits_pair import digits_pair
from tests.support.small_nets import digits_samples
from worker.compression.engine import batchnorm
from worker.compression.engine.module import GraphModule
from worker.compression.engine.tensors import take_snapshot
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop import activations
from worker.compression.training.loop.activations import activation_bytes, choose_activations
from worker.compression.training.train_step import Training

ROWS = 16


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    samples = digits_samples(tmp_path).take(ROWS).with_class_numbers()
    return Batches(samples, np.arange(ROWS), ROWS)


def pair_of(batches: Batches) -> StudentTeacher:
    """With normalisations that count statistics."""
    pair = digits_pair()
    batchnorm.restore(pair.module, [next(batches.ordered()).feeds])
    pair.module.train()
    return pair


def after_a_step(pair: StudentTeacher, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The loss; gradients, weights and statistics."""
    loss = pair.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in pair.module.parameters() if p.grad is not None]
    assert gradients
    return loss, [*gradients, *take_snapshot(pair.module)]


def test_loss_gradients_and_statistics_are_the_same_bit_by_bit(batches: Batches) -> None:
    batch, ways = next(batches.ordered()), []
    for recomputes in (False, True):
        pair = pair_of(batches)
        pair.module.recomputes = recomputes
        ways.append(after_a_step(pair, batch))
    (loss, values), (again, others) = ways
    assert torch.equal(loss, again)
    assert all(torch.equal(a, b) for a, b in zip(values, others, strict=True))


def test_fewer_bytes_wait_for_the_gradients(batches: Batches) -> None:
    pair = pair_of(batches)
    kept = activation_bytes(pair, batches)
    pair.module.recomputes = True
    assert activation_bytes(pair, batches) < kept


@pytest.mark.parametrize(
    ("mode", "free", "recomputes"),
    [("auto", 1, True), ("auto", 2**40, False), ("always", 2**40, True), ("never", 1, False)],
)
def test_by_itself_where_memory_is_short(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, mode: str, free: int, recomputes: bool
) -> None:
    monkeypatch.setattr(activations, "free_bytes", lambda: free)
    pair = pair_of(batches)
    choose_activations(pair, Training(activation_checkpointing=mode), batches)
    assert pair.module.recomputes is recomputes


def test_what_is_counted_grows_with_the_batch(batches: Batches) -> None:
    pair = pair_of(batches)
    whole = activation_bytes(pair, batches)
    half = activation_bytes(pair, Batches(batches.samples, batches.rows[: ROWS // 2], ROWS // 2))
    assert 1.9 * half <= whole <= 2.1 * half


def test_without_gradients_nothing_is_computed_twice(batches: Batches) -> None:
    pair = pair_of(batches)
    module: GraphModule = pair.module.eval()
    module.recomputes = True
    with torch.no_grad():
        first = module(next(batches.ordered()).feeds)
    module.recomputes = False
    with torch.no_grad():
        assert all(torch.equal(x, first[name]) for name, x in module(next(batches.ordered()).feeds).items())
