"""A head of distributions over bins (YOLOv8's) keeps its boxes and its scores in 8 bits, each judged by itself."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.dfl_head import BINS, dfl_net, images
from tests.support.integer_steps import quantize
from tests.support.small_nets import run, snr_db


@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("int8_static", {}),
        ("int8", {"samples": 64, "candidate": "static, mse"}),
        ("mixed_precision", {"max_size_ratio": 0.3}),
    ],
)
def test_boxes_and_scores_are_20_db_above_their_error(
    product: bool, kind: str, step: dict[str, Any], tmp_path: Path
) -> None:
    """On other images; the layer of fixed weights is quantized like any other, the Softmax before it stays float."""
    make = partial(dfl_net, product=product)
    made = quantize(make, tmp_path, images(), kind, **step)
    others = images(32, seed=77)
    expected, answers = run(make(), others), run(made.model, others)
    assert snr_db(expected[:, :4], answers[:, :4]) > 30
    assert snr_db(expected[:, 4:], answers[:, 4:]) > 25
    assert [row["op"] for row in made.details["float_operators"]] == ["Softmax"]
    if kind != "mixed_precision":
        assert {row["name"]: row["quantized"] for row in made.details["layers"]}["dfl/conv"]


def test_the_head_is_what_it_says() -> None:
    """A distance is the mean of its distribution, in bins."""
    x = images(2)
    shares, distances = (run(dfl_net(), x, name) for name in ("shares", "distances"))
    assert shares.shape[1:3] == (BINS, 4)
    means = sum(k * shares[:, k] for k in range(BINS))
    assert abs(means - distances).max() < 1e-4
