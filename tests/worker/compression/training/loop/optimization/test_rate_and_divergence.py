"""The range test proposes a rate that trains, whatever the scale of the problem; divergence is told from noise."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from winnow.contract.recipe import Finetune, Training
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.loop.optimization.descent import optimizer_for, schedule
from worker.compression.training.loop.optimization.divergence import Diverged, Divergence, Smoothed
from worker.compression.training.loop.optimization.rate import range_test


def settings(**more: object) -> Training:
    return Finetune.model_validate({"kind": "finetune", **more})


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_sgd_is_proposed_a_rate_below_the_edge_of_stability(curvature: float) -> None:
    """On ½ c w² steps grow beyond a rate of 2 / c; what is proposed lies below it, and the weights are put back."""
    layer = nn.Linear(4, 1, bias=False)
    before = layer.weight.detach().clone()
    batches = ([Batch({}, None, np.arange(1))] for _ in itertools.count())
    found = range_test(
        layer,
        lambda step: [curvature / 2 * layer.weight.square().sum() for _ in step],
        batches,
        settings(optimizer="sgd", clip_norm=None),
        [],
    )
    assert 1e-5 < found.proposed < 2 / curvature
    assert torch.equal(layer.weight, before)


@given(st.floats(0.01, 10), st.lists(st.floats(-0.5, 0.5), min_size=50, max_size=200))
def test_noise_around_a_level_is_no_divergence(level: float, noise: list[float]) -> None:
    watch = Divergence(zero_student_loss=level)
    for part in noise:
        watch.check(level * (1 + part))


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e6])
def test_what_is_no_number_or_explodes_is(loss: float) -> None:
    watch = Divergence(zero_student_loss=1.0)
    watch.check(1.0)
    with pytest.raises(Diverged):
        watch.check(loss)


@given(st.floats(-1e3, 1e3), st.integers(1, 50))
def test_the_smoothed_mean_of_a_constant_is_it(value: float, steps: int) -> None:
    smoothed = Smoothed()
    assert [smoothed.add(value) for _ in range(steps)][-1] == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_the_rate_rises_then_falls_to_zero() -> None:
    factor = schedule(settings(warmup=0.1), 100)
    factors = [factor(step) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] < 0.01


@given(st.integers(1, 99))
def test_the_rate_of_a_second_stage_is_that_of_a_training_of_its_own(first: int) -> None:
    both = schedule(settings(warmup=0.1), 100, first)
    alone = [schedule(settings(warmup=0.1), steps) for steps in (first, 100 - first)]
    assert [both(step) for step in range(first)] == [alone[0](step) for step in range(first)]
    assert [both(step) for step in range(first, 100)] == [alone[1](step) for step in range(100 - first)]


def test_vectors_do_not_decay_and_scales_move_by_their_own_size() -> None:
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    scale = nn.Parameter(torch.tensor([0.01]))
    groups = optimizer_for([weight, bias, scale], settings(weight_decay=0.1), 1e-3, [scale]).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.0]
    assert [group["factor"] for group in groups] == pytest.approx([1.0, 1.0, 0.01])
