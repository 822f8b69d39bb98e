"""The average of weights over the steps of a training."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from worker.compression.training.loop.optimization.average import Average

VALUES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30)


def moved(module: nn.BatchNorm1d, average: Average, value: float) -> None:
    with torch.no_grad():
        module.weight.fill_(value)
    average.update()


@given(values=VALUES, decay=st.floats(0.01, 0.999))
def test_it_is_the_mean_that_its_formula_says_and_the_module_has_its_own_again(
    values: list[float], decay: float
) -> None:
    """To 1e-4 of the largest value: float32."""
    module = nn.BatchNorm1d(1)
    average, expected = Average(module, decay), 1.0
    for t, value in enumerate(values, 1):
        moved(module, average, value)
        share = min(decay, (1 + t) / (10 + t))
        expected = share * expected + (1 - share) * value
    with average.in_place():
        assert abs(module.weight.item() - expected) <= 1e-4 * max(1.0, *map(abs, values))
    assert module.weight.item() == values[-1]


def test_what_counts_is_no_mean() -> None:
    module = nn.BatchNorm1d(1)
    average = Average(module, 0.9)
    module(torch.randn(4, 1))
    average.update()
    with average.in_place():
        assert module.num_batches_tracked.item() == 1


def test_a_mask_of_infinities_stays_what_it_is() -> None:
    """∞ − ∞ is no number, and the mean would be none."""
    module = nn.Linear(1, 1)
    module.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    average = Average(module, 0.9)
    average.update()
    with average.in_place():
        assert torch.equal(module.mask, torch.tensor([0.0, -torch.inf]))


def test_taken_up_again_it_stays_where_its_module_is() -> None:
    """Not where the state was read to, which is the host whatever the module is on: told here by the type."""
    module = nn.Linear(1, 1)
    average = Average(module, 0.9)
    average.load_state_dict({"mean": [torch.ones_like(p).double() for p in module.parameters()], "steps": 3})
    assert {(mean.dtype, mean.mean().item()) for mean in average.state_dict()["mean"]} == {
        (torch.float32, 1.0)
    }
