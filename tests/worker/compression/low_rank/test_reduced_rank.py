"""A weight as a product of smaller ones: what is promised is what the factors do, and data never make it worse."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.low_rank.decompositions import Geometry, OutputRows, Split
from worker.compression.low_rank.reduced_rank import ReducedRank, recomposed

EXACT = 1e-8
"""Of energies: float64, conditions up to 1e6."""


def problem(
    out: int, inputs: int, kernel: tuple[int, ...], groups: int = 1, seed: int = 0
) -> tuple[Geometry, Any, Any]:
    """Weights, and a covariance whose directions differ a hundredfold, in part never seen."""
    rng = np.random.default_rng(seed)
    inner = inputs * math.prod(kernel)
    geometry = Geometry(groups, out, inputs, kernel, OutputRows(1, 1, 1))
    weight = rng.normal(size=(groups, out, inner)).astype(np.float32)
    mixing = rng.normal(size=(groups, inner, inner)) * np.geomspace(1, 0.01, inner)
    mixing[:, -1] = 0 if inner > 1 else 1
    return geometry, weight, mixing @ mixing.swapaxes(1, 2)


def lost(weight: Any, other: Any, covariance: Any) -> float:
    def energy(w: Any) -> float:
        return float(np.trace(w @ covariance @ w.swapaxes(1, 2), axis1=1, axis2=2).sum())

    return energy(weight - other) / energy(weight)


@settings(max_examples=60, deadline=None)
@given(
    out=st.integers(2, 7),
    inputs=st.integers(1, 5),
    kernel=st.sampled_from([(), (3,), (2, 3), (3, 3)]),
    groups=st.integers(1, 2),
    seed=st.integers(0, 999),
)
def test_fitted_on_data_no_split_loses_more_of_the_outputs_than_fitted_to_the_weights(
    out: int, inputs: int, kernel: tuple[int, ...], groups: int, seed: int
) -> None:
    """At every rank of every way; and the loss that is promised is that of the factors."""
    geometry, weight, covariance = problem(out, inputs, kernel, groups, seed)
    aware, plain = ReducedRank(weight, covariance, geometry), ReducedRank(weight, None, geometry)
    for way in geometry.split_kinds:
        s = geometry.later_positions(way)
        for split, promised in aware.errors(way):
            fitted = aware.error(recomposed(split, aware.parts(split), s))
            assert abs(fitted - promised) <= EXACT
            assert fitted <= aware.error(recomposed(split, plain.parts(split), s)) + EXACT


def test_the_error_is_the_share_of_the_energy_that_is_lost() -> None:
    """To 1e-4: it counts the covariance with 1e-6 of its mean added."""
    geometry, weight, covariance = problem(5, 4, (3, 3))
    aware, plain = ReducedRank(weight, covariance, geometry), ReducedRank(weight, None, geometry)
    for split in (Split("channel", (2,)), Split("spatial", (4,)), Split("tucker", (2, 3))):
        other = recomposed(split, aware.parts(split), geometry.later_positions(split.kind))
        assert aware.error(other) == pytest.approx(lost(weight, other, covariance), abs=1e-4)
        assert plain.error(other) == pytest.approx(lost(weight, other, np.eye(36)[None]), abs=1e-9)


@pytest.mark.parametrize("aware", [True, False])
def test_the_full_rank_loses_nothing_and_every_rank_less_than_the_one_before(aware: bool) -> None:
    geometry, weight, covariance = problem(8, 4, (3, 3))
    fitted = ReducedRank(weight, covariance if aware else None, geometry)
    for way, full in (("channel", (8,)), ("spatial", (12,)), ("tucker", (4, 8))):
        errors = dict(fitted.errors(way))  # type: ignore[arg-type]
        assert errors[Split(way, full)] < EXACT  # type: ignore[arg-type]
        for split, error in errors.items():
            larger = Split(way, tuple(min(r + 1, most) for r, most in zip(split.ranks, full, strict=True)))  # type: ignore[arg-type]
            assert errors[larger] <= error + 1e-12


def test_without_data_a_split_in_two_is_the_singular_value_decomposition() -> None:
    """1e-10 of the energy: float64 throughout. A spatial split is that of [inputs · height, outputs · width]."""
    geometry, weight, _ = problem(6, 3, (3, 2))
    turned = weight.reshape(6, 9, 2).transpose(1, 0, 2).reshape(9, 12)
    for way, matrix in (("channel", weight[0]), ("spatial", turned)):
        squares = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
        for split, error in ReducedRank(weight, None, geometry).errors(way):  # type: ignore[arg-type]
            assert abs(error - squares[split.ranks[0] :].sum() / squares.sum()) < 1e-10


def test_with_data_a_split_in_two_is_the_best_there_is() -> None:
    """The whitened decomposition, computed with the inverse that the fit does without."""
    geometry, weight, covariance = problem(6, 8, ())
    damped = covariance[0] + 1e-6 * np.trace(covariance[0]) / 8 * np.eye(8)
    root = np.linalg.cholesky(damped)
    u, s, v = np.linalg.svd(weight[0].astype(np.float64) @ root)
    best = (u[:, :3] * s[:3]) @ v[:3] @ np.linalg.inv(root)
    fitted = ReducedRank(weight, covariance, geometry).parts(Split("svd", (3,)))
    np.testing.assert_allclose(recomposed(Split("svd", (3,)), fitted, 1)[0], best, rtol=1e-6, atol=1e-6)


def test_weights_that_answer_nothing_lose_nothing() -> None:
    geometry, weight, covariance = problem(4, 3, (3, 3))
    for fitted in (
        ReducedRank(0 * weight, covariance, geometry),
        ReducedRank(weight, 0 * covariance, geometry),
    ):
        for way in geometry.split_kinds:
            assert all(0 <= error <= 1 for _, error in fitted.errors(way))
            split = Split(way, (1, 1) if way == "tucker" else (1,))
            assert all(np.isfinite(part).all() for part in fitted.parts(split))
