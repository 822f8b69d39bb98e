"""What student and teacher answer, as it is compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.support.small_transformer import LENGTH, WIDTH, attention_of_folded_heads
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.feature_distillation.auto_features import auto_features
from worker.compression.training.goal.feature_distillation.relations import relation_loss
from worker.compression.training.goal.head import Head
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.goal.teacher import Teacher

CPU = Hardware(torch.device("cpu"), False, False)
HEAD = Head("y", "y", "regression")


def pair_of(student: ir.Model, teacher: ir.Model, folder: Path | None = None) -> StudentTeacher:
    relations = auto_features(student, teacher)[-1:]
    objective = Objective(LossWeights(features=relations), HEAD, HEAD)
    taught = Teacher(as_module(teacher, objective.teacher_values), CPU, 8, folder, objective.teacher_heads)
    return StudentTeacher(as_module(student, objective.student_values), objective, taught, CPU)


def values(net: ir.Model, x: torch.Tensor) -> torch.Tensor:
    """Those of attention, all heads together."""
    return as_module(net, ["v"])({"x": x})["v"]


@torch.no_grad()
@pytest.mark.parametrize("heads", [(2, 4), (4, 1), (2, 2)])
@pytest.mark.parametrize("true", [LENGTH, 3])
def test_heads_folded_into_the_samples_may_be_as_many_as_positions(heads: tuple[int, int], true: int) -> None:
    """Two samples of two heads are as many as positions that rows are padded to. The loss is that of the values
    together, to 1e-5."""
    x = torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    batch = Batch({"x": x}, None, np.arange(2), {} if true == LENGTH else {LENGTH: true})
    nets = attention_of_folded_heads(heads[0], 0), attention_of_folded_heads(heads[1], 1)
    own, others = (values(net, x)[:, :true] for net in nets)
    assert float(pair_of(*nets).loss(batch)) == pytest.approx(float(relation_loss(own, others)), rel=1e-5)


@torch.no_grad()
def test_values_with_folded_heads_have_a_loss_for_each_row() -> None:
    x = torch.randn(3, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    pair = pair_of(attention_of_folded_heads(2, 0), attention_of_folded_heads(4, 1))
    batch = Batch({"x": x}, None, np.arange(3))
    student, teacher, _ = pair.outputs(batch)
    assert {len(value) for value in (*student.values(), *teacher.values())} == {3}
    alone = [float(pair.loss(replace(batch, feeds={"x": row[None]}, rows=np.arange(1)))) for row in x]
    assert float(pair.loss(batch)) == pytest.approx(float(np.mean(alone)), rel=1e-5)


def test_answers_with_folded_heads_are_kept_for_each_row(tmp_path: Path) -> None:
    """Read in another order, they have the loss of those that are computed, to 1e-6."""
    x = torch.randn(3, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    nets = attention_of_folded_heads(2, 0), attention_of_folded_heads(4, 1)
    pair, computing = pair_of(*nets, tmp_path), pair_of(*nets)
    batch = Batch({"x": x}, None, np.arange(3))
    with torch.no_grad():
        pair.loss(batch)
        assert pair.teacher is not None
        pair.teacher.module.forward = refuse_to_run  # type: ignore[method-assign]
        for rows in ([2, 0], [1], [0, 1, 2]):
            part = replace(batch, feeds={"x": x[rows]}, rows=np.array(rows))
            assert float(pair.loss(part)) == pytest.approx(float(computing.loss(part)), rel=1e-6)
    assert pair.teacher.why_not_kept is None


def refuse_to_run(_: object) -> dict[str, torch.Tensor]:
    raise AssertionError("the teacher's answers to these rows are there")
