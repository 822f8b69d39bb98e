"""Every way to resize, by torch's own functions or by a matrix, against ONNX Runtime."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.worker.compression.engine.operators.nodes import assert_parity, node_model, rand

X = rand(2, 3, 6, 7)
"""Sizes and scales are such that no place lies halfway by a scale that float32 has not: rounding decides there."""
HOW = ["half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric"]
SCALES: list[Any] = [[1, 1, 2, 2], [1, 1, 0.5, 0.7], [1, 1, 1.3, 2.7], [1, 1, 3, 1]]
SIZES = [[2, 3, 12, 14], [2, 3, 3, 5], [2, 3, 9, 5], [2, 3, 1, 10]]
ROUNDING = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def check(target: dict[str, Any], **attributes: Any) -> None:
    order = ["x", "", "scales"] if "scales" in target else ["x", "", "", "sizes"]
    assert_parity(node_model("Resize", {"x": X}, target, order=order, opset=19, **attributes), {"x": X})


@pytest.mark.parametrize(("how", "rounding"), list(product(HOW, ROUNDING)))
def test_nearest(how: str, rounding: str) -> None:
    for scales in SCALES:
        target = {"scales": np.array(scales, np.float32)}
        check(target, mode="nearest", coordinate_transformation_mode=how, nearest_mode=rounding)
    for sizes in SIZES:
        target = {"sizes": np.array(sizes, np.int64)}
        check(target, mode="nearest", coordinate_transformation_mode=how, nearest_mode=rounding)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "more", [{"mode": "linear"}, {"mode": "cubic"}, {"mode": "cubic", "exclude_outside": 1}]
)
def test_linear_and_cubic(how: str, more: dict[str, Any]) -> None:
    for scales in SCALES:
        check({"scales": np.array(scales, np.float32)}, coordinate_transformation_mode=how, **more)
    for sizes in SIZES:
        check({"sizes": np.array(sizes, np.int64)}, coordinate_transformation_mode=how, **more)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_smaller_without_aliases(mode: str) -> None:
    check({"scales": np.array([1, 1, 0.5, 0.7], np.float32)}, mode=mode, antialias=1)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_one_scale_for_all_axes(policy: str) -> None:
    sizes = {"sizes": np.array([9, 5], np.int64)}
    check(sizes, mode="linear", axes=[2, 3], keep_aspect_ratio_policy=policy)
