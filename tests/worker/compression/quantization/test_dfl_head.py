"""A head of distributions over bins (YOLOv8's) keeps its boxes and its scores in 8 bits, each judged by itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.dfl_head import BINS, dfl_net, images
from tests.support.small_nets import run, samples, snr_db
from winnow.contract.recipe import Int8, Int8Static, MixedPrecision
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

STEPS = {"int8_static": Int8Static, "int8": Int8, "mixed_precision": MixedPrecision}


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
    data = samples(tmp_path, dfl_net(product=product), **images())
    asked = STEPS[kind].model_validate({"kind": kind, **step})
    made = apply(dfl_net(product=product), asked, Context(tmp_path, 0, Silent(), data))
    others = images(32, seed=77)
    expected, answers = run(dfl_net(product=product), others), run(made.model, others)
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
