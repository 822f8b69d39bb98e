"""Ranges from data: laws of the three methods, and constant memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_nets import model, samples
from worker.compression.data.samples import Fed, Samples
from worker.compression.ir.affine import Range, quantized_weight, weight_scales
from worker.compression.quantization.calibration import histogram
from worker.compression.quantization.calibration.collect import collect_distributions
from worker.compression.quantization.calibration.entropy import threshold
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.runtime import observe


def observed(folder: Path, x: Any, method: Any, percentile: float = 99.0) -> Range:
    net = model(f"(float[N,{x.shape[1]}] x) => (float[N,{x.shape[1]}] y) {{ [neg] y = Neg (x) }}")
    return calibrate(net, samples(folder, net, x=x), method, percentile)


def calibrate(net: ir.Model, data: Samples, method: Any, percentile: float = 99) -> Range:
    return collect_distributions(net, ["y"], data, lambda _: None)["y"].range(method, percentile)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), heavy=st.booleans(), percentile=st.floats(90, 100))
def test_percentile_and_entropy_lie_within_minmax(
    seed: int, heavy: bool, percentile: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(seed)
    x = (rng.standard_t(2, (70, 50)) if heavy else rng.normal(size=(70, 50))).astype(np.float32)
    whole = observed(folder / "m", x, "minmax")
    assert (whole.low, whole.high) == (float((-x).min()), float((-x).max()))
    slack = 1e-5 * (whole.high - whole.low)
    for method in ("percentile", "entropy"):
        part = observed(folder / method, x, method, percentile)
        assert whole.low - slack <= part.low <= part.high <= whole.high + slack


def test_a_percentile_is_that_of_numpy_within_a_bin(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 100)).astype(np.float32)
    got = observed(tmp_path, x, "percentile", 99)
    low, high = np.percentile(-x, [0.5, 99.5])
    width = (x.max() - x.min()) / histogram.BINS
    assert abs(got.low - low) <= 2 * width
    assert abs(got.high - high) <= 2 * width


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-20, 1e20), shift=st.floats(-3, 3), zeros=st.booleans())
def test_equal_bins_count_like_numpy_but_for_the_width_of_a_first_bin(
    seed: int, scale: float, shift: float, zeros: bool
) -> None:
    """In any batches: values below x are those that numpy finds between x·(1 − 1/32) and x·(1 + 1/32)."""
    x = np.random.default_rng(seed).normal(shift, 1, 3000)
    x = (scale * (np.maximum(x, 0) if zeros else x)).astype(np.float32)
    seen = Distribution()
    for part in np.array_split(x, 7):
        seen.extend(float(part.min()), float(part.max()))
        seen.count(part, len(part) / len(x))
    found = np.cumsum(seen.equal_bins())
    assert found[-1] == len(x)
    edges = np.linspace(seen.low, seen.high, histogram.BINS + 1)[1:]
    slack = np.abs(edges) / 32
    assert (np.searchsorted(np.sort(x), edges - slack) <= found + 1e-6).all()
    assert (np.searchsorted(np.sort(x), edges + slack, "right") >= found - 1e-6).all()


def test_entropy_cuts_a_far_outlier_and_minmax_does_not(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 100)).astype(np.float32)
    x[0, 0] = -60
    assert observed(tmp_path / "a", x, "minmax").high == 60
    assert observed(tmp_path / "b", x, "entropy").high < 30


def test_entropy_is_not_drowned_by_the_zeros_of_a_relu() -> None:
    counts = np.bincount(
        (np.abs(np.random.default_rng(0).normal(size=100_000)) * 400).astype(int), minlength=2048
    )[:2048]
    limit = threshold(counts, 0.0, 5.12)
    counts[0] += 1_000_000
    assert threshold(counts, 0.0, 5.12) == limit
    assert limit > 2


@dataclass(frozen=True)
class Counted(Samples):
    """Samples that know how many batches were taken, and whether one was asked for too early."""

    def fed_batches(self, size: int) -> Iterator[Fed]:
        for fed in super().fed_batches(size):
            SIZES.append(fed.rows)
            yield fed


SIZES: list[int] = []


@pytest.mark.parametrize(("budget", "largest"), [(1, 1), (4 * 50 * 8, 8), (1 << 30, 32)])
def test_batches_shrink_to_the_memory_there_is(
    budget: int, largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "MAX_OBSERVED_BYTES", budget)
    net = model("(float[N,50] x) => (float[N,50] y) { [neg] y = Neg (x) }")
    data = samples(tmp_path, net, x=np.ones((64, 50), np.float32))
    SIZES.clear()
    lazy = Counted(data.columns, data.constants, data.targets, data.rows)
    collect_distributions(net, ["y"], lazy, lambda _: None, histograms=False)
    assert max(SIZES[1:]) == largest
    assert sum(SIZES[1:]) == 64


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    net = model("(float[1,3] x) => (float[1,3] y) { [neg] y = Neg (x) }")
    data = samples(tmp_path, net, x=np.arange(30, dtype=np.float32).reshape(10, 3))
    assert calibrate(net, data, "minmax") == Range(-29.0, 0.0)
    assert replace(data, rows=range(2)).fixed_batch == 1


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-1e4, 1e4), high=st.floats(-1e4, 1e4))
def test_zero_is_exact_and_the_range_is_covered(low: float, high: float) -> None:
    low, high = sorted((low, high))
    scale, zero_point = Range(low, high).affine()
    assert zero_point.dtype == np.uint8
    assert scale > 0
    covered = (np.array([0, 255]) - float(zero_point)) * float(scale)
    assert covered[0] <= min(low, 0) + float(scale)
    assert covered[1] >= max(high, 0) - float(scale)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    axis=st.integers(0, 1),
    limit=st.sampled_from([127, 64]),
)
def test_a_weight_is_off_by_at_most_half_a_step(
    seed: int, rows: int, columns: int, axis: int, limit: int
) -> None:
    weight = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    scales = weight_scales(weight, axis, limit)
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=1 - axis) / limit, rtol=1e-6)
    step = scales[:, None] if axis == 0 else scales[None]
    integers = quantized_weight(weight, scales, axis, limit)
    assert (np.abs(integers * step - weight) <= step * 0.5001).all()
