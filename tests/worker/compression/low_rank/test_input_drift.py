"""Weights for inputs that moved: the least squares where there are rows enough, the old weights where nothing moved."""

from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from tests.support.small_nets import model
from worker.compression.layers.linear import Linear, linears
from worker.compression.low_rank.input_drift import MAX_PASSES, Drift, runs_for_one_pass

OUT, INNER = 4, 6


def layer() -> Linear:
    weight = np.zeros((INNER, OUT), np.float32)
    (found,) = linears(
        model(f"(float[N,{INNER}] x) => (float[N,{OUT}] y) {{ [layer] y = MatMul (x, w) }}", {"w": weight})
    )
    return found


def gone(rng: Generator, rows: int) -> tuple[Any, Any]:
    """Inputs, and what is left of them without two directions, a little noisy."""
    x = rng.normal(1, 1, (1, rows, INNER)).astype(np.float32)
    flat = np.diag([1, 1, 1, 1, 0, 0.0]).astype(np.float32) @ np.linalg.qr(rng.normal(size=(INNER, INNER)))[0]
    moved = x @ flat.T + 0.1 * rng.normal(size=x.shape)
    return x, moved.astype(np.float32)


def drifted(*batches: tuple[Any, Any]) -> Drift:
    sums = Drift.empty(layer())
    for x, moved in batches:
        sums.add(x, moved)
    return sums


@pytest.mark.parametrize("centred", [True, False])
def test_many_rows_give_the_least_squares(centred: bool) -> None:
    """To 1e-2: the damping is inputs / rows, 6 / 20,000. With a bias that keeps the mean, of what is centred."""
    rng = np.random.default_rng(0)
    x, moved = gone(rng, 20_000)
    weight = rng.normal(size=(1, OUT, INNER))
    average = drifted((x[:, :5000], moved[:, :5000]), (x[:, 5000:], moved[:, 5000:])).averaged(centred)
    a, b = (
        values[0].astype(np.float64) - (values[0].mean(0) if centred else 0)
        for values in (moved, x @ weight[0].T)
    )
    best = np.linalg.lstsq(a, b, rcond=None)[0].T
    found = average.compensated(weight)[0]

    def error(w: Any) -> float:
        return float(((b - a @ w.T) ** 2).sum())

    assert error(found) <= 1.01 * error(best)
    assert error(found) < 0.9 * error(weight[0])


def test_where_nothing_moved_the_weights_stay() -> None:
    """To 1e-6, float32 sums; also of inputs that are always zero, and of a single row."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(1, OUT, INNER))
    for rows in (1, 5, 500):
        x = rng.normal(size=(1, rows, INNER)).astype(np.float32)
        x[:, :, 0] = 0
        found = drifted((x, x)).averaged(centred=True).compensated(weight)
        np.testing.assert_allclose(found, weight, atol=1e-6)


def test_layers_are_looked_at_in_order_and_in_few_passes() -> None:
    layers = [layer() for _ in range(19)]
    parts = list(runs_for_one_pass(layers))
    assert [found for part in parts for found in part] == layers
    assert len(parts) <= MAX_PASSES
    assert list(runs_for_one_pass(layers[:3])) == [[found] for found in layers[:3]]
