"""Hessian-based zeros: the structure holds, the error is no larger than magnitude's, and whatever the data is the
weights are finite."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.layers.sparsity_pattern import Structure
from worker.compression.sparsity.sparsegpt import output_error, sparsegpt

STRUCTURES = [Structure(), Structure(n=2, m=4), Structure(1, 4), Structure(2, 2)]


def data(kind: str, groups: int, rows: int, inner: int, seed: int) -> Any:
    """[groups, rows, in]"""
    rng = np.random.default_rng(seed)
    match kind:
        case "mixed":
            return np.maximum(rng.normal(size=(groups, rows, inner)) @ rng.normal(size=(inner, inner)), 0)
        case "zero":
            return np.zeros((groups, rows, inner))
        case "constant":
            return np.full((groups, rows, inner), 3.0)
        case "dead":
            x = rng.normal(size=(groups, rows, inner))
            x[:, :, ::2] = 0
            return x
        case _:
            return rng.normal(size=(groups, rows, inner)) * 10.0 ** rng.integers(-6, 7, inner)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["mixed", "zero", "constant", "dead", "scales"]),
    structure=st.sampled_from(STRUCTURES),
    groups=st.integers(1, 3),
    rows=st.integers(1, 60),
    runs=st.integers(1, 40),
    share=st.floats(0, 0.95),
    before=st.sampled_from([0.0, 0.2, 0.7]),
    seed=st.integers(0, 99),
)
def test_never_worse_than_magnitude_whatever_the_data(
    kind: str, structure: Structure, groups: int, rows: int, runs: int, share: float, before: float, seed: int
) -> None:
    """Fewer rows than inputs, dead and constant inputs, zeros that are there already.

    Tolerance 1e-9 of the output's energy.
    """
    inner = 4 * runs
    weight = np.random.default_rng(seed).normal(size=(groups, 4, inner)).astype(np.float32)
    there = np.random.default_rng(seed + 1).random(weight.shape) < before
    weight[there] = 0
    x = data(kind, groups, rows, inner, seed)
    second = x.swapaxes(1, 2) @ x / rows
    most = structure.max_zeros(weight.shape)
    count = most if structure.m else min(round(share * weight.size) // structure.unit * structure.unit, most)
    found = sparsegpt(weight, second, structure, count)
    assert np.isfinite(found).all()
    assert (found == 0).sum() >= count
    if structure.unit == 1:
        assert (found[there] == 0).all()
    if structure == Structure():
        assert (found == 0).sum() == max(count, there.sum())
    plain = np.where(structure.weakest(np.where(there, -1.0, weight.astype(float) ** 2), count), 0, weight)
    energy = output_error(weight, np.zeros_like(weight), second)
    assert output_error(weight, found, second) <= output_error(weight, plain, second) + 1e-9 * energy
    if structure.m:
        left = (found != 0).reshape(groups, 4, runs, 4).sum(-1)
        assert (left <= structure.n).all()


@pytest.mark.parametrize(
    ("structure", "share", "at_most"),
    [(Structure(), 0.5, 0.6), (Structure(n=2, m=4), 0.5, 0.6), (Structure(), 0.75, 0.6)],
)
def test_on_correlated_inputs_it_loses_far_less(structure: Structure, share: float, at_most: float) -> None:
    """At most 60 % of magnitude's error, with inputs as they are behind a ReLU; the share is exact."""
    x = data("mixed", 1, 2000, 256, 0)
    second = x.swapaxes(1, 2) @ x / 2000
    weight = np.random.default_rng(1).normal(size=(1, 32, 256)).astype(np.float32)
    count = round(share * weight.size)
    found = sparsegpt(weight, second, structure, count)
    plain = np.where(structure.weakest(weight.astype(float) ** 2, count), 0, weight)
    assert (found == 0).sum() == count
    assert output_error(weight, found, second) < at_most * output_error(weight, plain, second)


def test_with_the_zeros_known_the_rest_is_the_least_squares_answer() -> None:
    """With next to no damping needed, as numpy solves it: within 2 % of the best error there is for these zeros."""
    x = data("mixed", 1, 4000, 32, 3)
    second = x.swapaxes(1, 2) @ x / 4000
    weight = np.random.default_rng(2).normal(size=(1, 6, 32)).astype(np.float32)
    found = sparsegpt(weight, second, Structure(), 96)
    best = np.zeros_like(found)
    for row in range(6):
        stay = np.flatnonzero(found[0, row])
        best[0, row, stay] = np.linalg.lstsq(x[0][:, stay], x[0] @ weight[0, row], rcond=None)[0]
    assert output_error(weight, found, second) <= 1.02 * output_error(weight, best, second)


def test_zeros_that_are_there_count_and_stay() -> None:
    x = data("mixed", 1, 500, 64, 0)
    second = x.swapaxes(1, 2) @ x / 500
    weight = np.random.default_rng(1).normal(size=(1, 8, 64)).astype(np.float32)
    there = np.random.default_rng(2).random(weight.shape) < 0.3
    weight[there] = 0
    found = sparsegpt(weight, second, Structure(), 256)
    assert (found == 0).sum() == 256
    assert (found[there] == 0).all()
