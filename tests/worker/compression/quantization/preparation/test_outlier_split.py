"""Splits of channels: what layers give stays as it is but for the roundings, and no more is added than is allowed."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_nets import model, run
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.linear import linear
from worker.compression.quantization.preparation.outlier_split import (
    ALIGNED,
    MOST_ADDED,
    parts_of,
    split_channels,
)

LARGEST = st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=200).map(np.array)


@given(largest=LARGEST)
@settings(max_examples=200, deadline=None)
def test_an_eighth_more_channels_at_most(largest: np.ndarray) -> None:
    parts = parts_of(largest)
    assert parts.min() >= 1
    assert parts.sum() - len(largest) <= MOST_ADDED * len(largest)


@given(largest=LARGEST)
@settings(max_examples=200, deadline=None)
def test_no_split_of_one_channel_more_would_make_all_smaller(largest: np.ndarray) -> None:
    """The bound is reached, or as many channels as are the largest are more than may be added."""
    parts = parts_of(largest)
    reached = (largest / parts).max()
    needed = np.where(largest / parts >= reached * (1 - 1e-9), parts + 1, parts)
    assert reached <= largest.max()
    assert reached == 0 or needed.sum() - len(largest) > int(MOST_ADDED * len(largest))


def test_one_large_channel_takes_all_parts() -> None:
    largest = np.ones(64)
    largest[7] = 100
    expected = np.ones(64, np.int64)
    expected[7] = 9
    np.testing.assert_array_equal(parts_of(largest), expected)


def net_of(kind: str, width: int, rng: np.random.Generator) -> ir.Model:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    if kind == "Conv":
        body, shape, weights = "y = Conv <pads=[1, 1, 1, 1]> (h, w)", "5,4,4", {"w": normal(5, width, 3, 3)}
        return model(
            f"(float[N,{width},4,4] x) => (float[N,{shape}] y) {{ h = Tanh (x) [layer] {body} }}", weights
        )
    if kind == "MatMul":
        body, weights = "y = MatMul (h, w)", {"w": normal(width, 5)}
    else:
        body, weights = "y = Gemm <transB=1> (h, w, b)", {"w": normal(5, width), "b": normal(5)}
    return model(f"(float[N,{width}] x) => (float[N,5] y) {{ h = Tanh (x) [layer] {body} }}", weights)


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Conv"])
@given(parts=st.lists(st.integers(1, 9), min_size=2, max_size=20).map(np.array), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_what_reads_split_channels_gives_what_it_gave(kind: str, parts: np.ndarray, seed: int) -> None:
    """Within 1e-5 of the largest output; of as many channels as are computed at once."""
    rng = np.random.default_rng(seed)
    net = net_of(kind, len(parts), rng)
    x = rng.normal(size=(3, len(parts), *[4] * (2 * (kind == "Conv")))).astype(np.float32)
    before = run(net, {"x": x})
    (layer,) = (each for each in map(linear, net.graph) if each is not None)
    split_channels(GraphEdit(net), [layer], parts)
    after = run(net, {"x": x})
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())
    (layer,) = (each for each in map(linear, net.graph) if each is not None)
    assert layer.channels % ALIGNED == 0
    assert layer.channels >= parts.sum()
