"""Rows of different length are trained on in batches of one length, and padding has no part in the loss."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.ragged import LENGTH, encoder, opened, rows
from winnow.contract.recipe import Finetune
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.batches import Batches, split
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.head import head_of
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.goal.teacher import Teacher
from worker.compression.training.loop import activations
from worker.compression.training.loop.activations import choose_activations

CPU = Hardware(torch.device("cpu"), False, False)


def losses(folder: Path, length: Any, pad_to: Any, output: str) -> Iterator[float]:
    """Of a student that learns another network's answers, batch by batch."""
    net, other = encoder(length), encoder(length, seed=5)
    samples = opened(folder, net, rows(), pad_to).unpadded()
    heads = [head_of(graph, output, "regression") for graph in (net, other)]
    objective = Objective(LossWeights(soft=1.0), *heads)
    teacher = Teacher(
        as_module(other, objective.teacher_values), CPU, len(samples), None, objective.teacher_heads
    )
    pair = StudentTeacher(as_module(net, objective.student_values), objective, teacher, CPU)
    for batch in Batches(samples, np.asarray(samples.rows), 4).ordered():
        yield float(pair.loss(batch).detach())


@pytest.mark.parametrize("output", ["states", "pooled"])
@pytest.mark.parametrize(("length", "pad_to"), [("L", "longest"), ("L", 16), (LENGTH, "longest"), (12, 12)])
def test_losses_are_those_of_the_rows_without_padding(
    length: Any, pad_to: Any, output: str, tmp_path: Path
) -> None:
    """Within 1e-5: sums of other sizes are added in another order."""
    alone = list(losses(tmp_path / "alone", "L", None, output))
    got = list(losses(tmp_path / "padded", length, pad_to, output))
    assert got == pytest.approx(alone, rel=1e-5)


def test_batches_are_of_one_length_and_all_rows_have_their_turn(tmp_path: Path) -> None:
    sentences = rows()
    samples = opened(tmp_path, encoder(), sentences).unpadded()
    training, held = split(samples, 0.2, 4, (), 0)
    seen: set[int] = set()
    for seed in range(8):
        batches = list(training.shuffled(seed))
        assert len(batches) == len(training)
        for batch in batches:
            assert {len(sentences[row]) for row in batch.rows} == {batch.feeds["tokens"].shape[1]}
            assert batch.labels is not None
            assert batch.labels.tolist() == [row % 3 for row in batch.rows]
            seen |= set(batch.rows.tolist())
    assert held is not None
    kept = {int(row) for batch in held.ordered() for row in batch.rows}
    assert seen | kept == set(range(20))
    assert not seen & kept


def test_the_order_of_lengths_follows_from_the_seed(tmp_path: Path) -> None:
    training, _ = split(opened(tmp_path, encoder(), rows()).unpadded(), 0.0, 4, (), 0)
    orders = [[batch.rows.tolist() for batch in training.shuffled(seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_activations_are_counted_where_rows_are_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the shortest a batch of the longest would not fit where it is said to."""
    net, longest = encoder(), max(map(len, rows()))
    samples = opened(tmp_path, net, rows()).unpadded()
    objective = Objective(LossWeights(labels=1.0), head_of(net, None, "regression"), None)
    pair = StudentTeacher(as_module(net, objective.student_values), objective, None, CPU)
    lengths: list[int] = []

    def counted(_: StudentTeacher, batches: Batches) -> int:
        lengths.extend(next(batches.ordered()).feeds["tokens"].shape[1:])
        return 0

    monkeypatch.setattr(activations, "activation_bytes", counted)
    training, _ = split(samples, 0, 4, (), 0)
    choose_activations(pair, Finetune(kind="finetune"), training)
    assert lengths == [longest]
