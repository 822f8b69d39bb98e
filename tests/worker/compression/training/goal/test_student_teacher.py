"""What student and teacher answer, as it is compared."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.support.small_nets import model
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
LENGTH, WIDTH = 4, 8


def attention(heads: int, seed: int) -> ir.Model:
    """[N, T, W] → [N · heads, T, d], mixed and back."""
    text = f"""(float[N,{LENGTH},{WIDTH}] x) => (float[N,{LENGTH},{WIDTH}] y) {{
        v = MatMul (x, w)
        steps = Transpose <perm = [1, 0, 2]> (v)
        parts = Reshape (steps, apart)
        values = Transpose <perm = [1, 0, 2]> (parts)
        keys = Transpose <perm = [0, 2, 1]> (values)
        scores = MatMul (values, keys)
        shares = Softmax <axis = -1> (scores)
        mixed = MatMul (shares, values)
        turned = Transpose <perm = [1, 0, 2]> (mixed)
        joined = Reshape (turned, together)
        y = Transpose <perm = [1, 0, 2]> (joined)
    }}"""
    rng = np.random.default_rng(seed)
    weights = {"apart": np.array([LENGTH, -1, WIDTH // heads]), "together": np.array([LENGTH, -1, WIDTH])}
    return model(text, weights | {"w": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32)})


def pair_of(student: ir.Model, teacher: ir.Model) -> StudentTeacher:
    relations = auto_features(student, teacher)[-1:]
    objective = Objective(LossWeights(features=relations), HEAD, HEAD)
    taught = Teacher(as_module(teacher, objective.teacher_values), CPU, 8, None)
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
    nets = attention(heads[0], 0), attention(heads[1], 1)
    own, others = (values(net, x)[:, :true] for net in nets)
    assert float(pair_of(*nets).loss(batch)) == pytest.approx(float(relation_loss(own, others)), rel=1e-5)


@torch.no_grad()
def test_values_with_folded_heads_have_a_loss_for_each_row() -> None:
    x = torch.randn(3, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    pair = pair_of(attention(2, 0), attention(4, 1))
    batch = Batch({"x": x}, None, np.arange(3))
    student, teacher, _ = pair.outputs(batch)
    assert {len(value) for value in (*student.values(), *teacher.values())} == {3}
    alone = [float(pair.loss(replace(batch, feeds={"x": row[None]}, rows=np.arange(1)))) for row in x]
    assert float(pair.loss(batch)) == pytest.approx(float(np.mean(alone)), rel=1e-5)
