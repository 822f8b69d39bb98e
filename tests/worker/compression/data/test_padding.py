"""Padding is kept out of ranges and statistics: on padded data they are those of the rows one by one, without it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ragged import LENGTH, WIDTH, encoder, opened, rows
from tests.support.small_nets import run
from worker.compression.data.trimming import trimmed
from worker.compression.layers.channel_statistics import input_channels
from worker.compression.layers.input_moments import moments
from worker.compression.layers.linear import layers_by_weight
from worker.compression.quantization.calibration.collect import collect_distributions

TOLERANCE = 1e-5
VALUES = ["x", "masked", "shares", "context", "states", "counted"]
SHAPES = [("L", "N", "longest"), ("L", "N", 16), (LENGTH, "N", "longest"), (12, 1, 12), ("L", 1, "longest")]
"""Length and batch of the model, and what the data declares."""


def one_by_one(value: str) -> list[np.ndarray]:
    """A value of each row alone, at its own length, by ONNX Runtime."""
    net = encoder()
    return [run(net, {"tokens": r[None], "mask": np.ones_like(r)[None]}, value)[0] for r in rows()]


@pytest.mark.parametrize(("length", "batch", "pad_to"), SHAPES)
def test_ranges_are_those_of_the_rows_without_padding(
    length: Any, batch: Any, pad_to: Any, tmp_path: Path
) -> None:
    net = encoder(length, batch)
    data = opened(tmp_path, net, rows(), pad_to)
    seen = collect_distributions(net, VALUES, data, lambda _: None)
    for value in VALUES:
        alone = one_by_one(value)
        expected = min(float(x.min()) for x in alone), max(float(x.max()) for x in alone)
        got = seen[value].range("minmax")
        assert (got.low, got.high) == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(("length", "batch", "pad_to"), SHAPES)
def test_moments_are_those_of_the_rows_without_padding(
    length: Any, batch: Any, pad_to: Any, tmp_path: Path
) -> None:
    net = encoder(length, batch)
    layers = [layer for layer in layers_by_weight(net) if layer.data in ("x", "context")]
    assert len(layers) == 2
    for layer, sums in moments(net, layers, opened(tmp_path, net, rows(), pad_to), lambda _: None):
        alone = np.concatenate(one_by_one(layer.data)).astype(np.float64)
        assert sums.rows == len(alone)
        np.testing.assert_allclose(sums.hessian[0], alone.T @ alone, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(sums.first[0], alone.sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("length", "batch", "pad_to"), SHAPES)
def test_channels_are_those_of_the_rows_without_padding(
    length: Any, batch: Any, pad_to: Any, tmp_path: Path
) -> None:
    net = encoder(length, batch)
    layers = [layer for layer in layers_by_weight(net) if layer.data in ("x", "context")]
    statistics = input_channels(net, layers, opened(tmp_path, net, rows(), pad_to))
    for layer in layers:
        alone = np.concatenate(one_by_one(layer.data)).astype(np.float64)
        channels = statistics[layer.name]
        assert channels.count == len(alone)
        for got, expected in (
            (channels.low, alone.min(0)),
            (channels.high, alone.max(0)),
            (channels.mean, alone.mean(0)),
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_length_that_is_also_a_width_loses_no_channels(tmp_path: Path) -> None:
    """Of [N, 6, 6] the first axis of 6 is the positions."""
    net = encoder(WIDTH)
    short = [row[:WIDTH] for row in rows()]
    data = opened(tmp_path, net, short, WIDTH)
    layers = [layer for layer in layers_by_weight(net) if layer.data == "x"]
    ((_, sums),) = moments(net, layers, data, lambda _: None)
    assert sums.rows == sum(map(len, short))


def test_rows_are_fed_by_shape_and_labels_go_with_them(tmp_path: Path) -> None:
    sentences = rows()
    samples = opened(tmp_path, encoder(), sentences, None)
    fed = list(samples.counted_batches(4))
    assert samples.labels is not None
    labels, done = samples.labels, 0
    for feed, count in fed:
        for row, label in zip(feed["tokens"], labels[done : done + count], strict=True):
            assert any(
                len(row) == len(sentences[i]) and (row == sentences[i]).all()
                for i in range(int(label), len(sentences), 3)
            )
        done += count
    assert done == len(sentences) == len(samples)
    lengths = [feed["tokens"].shape[1] for feed, _ in fed]
    assert lengths == sorted(lengths)


def test_padding_as_declared_keeps_the_order(tmp_path: Path) -> None:
    sentences = rows()
    samples = opened(tmp_path, encoder(), sentences)
    assert samples.labels is not None
    assert samples.labels.tolist() == [row % 3 for row in range(len(sentences))]
    first, *_ = samples.batches(5)
    assert first["tokens"].shape == (5, max(map(len, sentences[:5])))
    assert first["mask"].sum(1).tolist() == [len(row) for row in sentences[:5]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 5, 3), (8, 2, 3)), ((40, 3), (16, 3)), ((5, 8, 3), (2, 8, 3)), ((8, 5, 5), (8, 2, 2))],
)
def test_what_is_cut_are_positions(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert trimmed(np.zeros(shape), 8, {5: 2}).shape == expected


def test_positions_of_all_rows_in_one_axis_keep_their_rows() -> None:
    x = np.arange(6)[:, None]
    assert trimmed(x, 2, {3: 2})[:, 0].tolist() == [0, 1, 3, 4]
