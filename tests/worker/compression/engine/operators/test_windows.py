"""Convolution and pooling over what strides, dilations and pads can be, against ONNX Runtime."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.worker.compression.engine.operators.nodes import assert_parity, node_model, rand

AUTO = st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> dict[str, Any]:
    auto = draw(AUTO)
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(list)
    found: dict[str, Any] = {"kernel_shape": draw(pair), "strides": draw(pair), "auto_pad": auto}
    if auto.startswith("SAME"):  # ONNX Runtime pools no windows that leave gaps
        found["strides"] = list(map(min, found["strides"], found["kernel_shape"]))
    if auto == "NOTSET":
        highest = min(found["kernel_shape"]) - 1
        found["pads"] = draw(st.lists(st.integers(0, highest), min_size=4, max_size=4))
    if dilated and auto in ("NOTSET", "VALID"):
        found["dilations"] = draw(pair)
    return found


SIZES = st.tuples(st.integers(7, 10), st.integers(7, 10))


@SETTINGS
@given(windows(), SIZES, st.sampled_from([1, 2, 4]), st.booleans())
def test_convolution(window: dict[str, Any], size: tuple[int, int], group: int, biased: bool) -> None:
    x, weights = rand(2, 4, *size), {"w": rand(8, 4 // group, *window["kernel_shape"], seed=1)}
    weights |= {"b": rand(8)} if biased else {}
    assert_parity(node_model("Conv", {"x": x}, weights, group=group, **window), {"x": x})


@SETTINGS
@given(windows(), SIZES, st.sampled_from([1, 2]), st.data())
def test_transposed_convolution(
    window: dict[str, Any], size: tuple[int, int], group: int, data: st.DataObject
) -> None:
    x, weights = rand(2, 4, *size), {"w": rand(4, 3, *window["kernel_shape"], seed=1), "b": rand(3 * group)}
    more = [data.draw(st.integers(0, stride - 1)) for stride in window["strides"]]
    if window["auto_pad"] == "NOTSET":
        window["output_padding"] = more
    assert_parity(node_model("ConvTranspose", {"x": x}, weights, group=group, **window), {"x": x})


@SETTINGS
@given(windows(), SIZES, st.booleans(), st.booleans())
def test_largest_of_each_window(
    window: dict[str, Any], size: tuple[int, int], ceil: bool, places: bool
) -> None:
    assume(not (ceil and window["auto_pad"] != "NOTSET"))
    x = rand(2, 3, *size)
    assert_parity(node_model("MaxPool", {"x": x}, outputs=1 + places, ceil_mode=ceil, **window), {"x": x})


@SETTINGS
@given(windows(), SIZES, st.booleans(), st.booleans())
def test_mean_of_each_window(
    window: dict[str, Any], size: tuple[int, int], ceil: bool, counted: bool
) -> None:
    assume(not (ceil and window["auto_pad"] != "NOTSET"))
    x = rand(2, 3, *size)
    model = node_model("AveragePool", {"x": x}, opset=19, ceil_mode=ceil, count_include_pad=counted, **window)
    assert_parity(model, {"x": x})


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"])
def test_one_axis_and_three(op: str, axes: int) -> None:
    x = rand(2, 4, *[7] * axes)
    weights = {"w": rand(4, 4, *[3] * axes)} if "Conv" in op else {}
    pads = [1] * axes + [0] * axes
    assert_parity(
        node_model(op, {"x": x}, weights, kernel_shape=[3] * axes, strides=[2] * axes, pads=pads), {"x": x}
    )


@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", [[9, 9], [10, 11], [12, 12]])
def test_a_transposed_convolution_to_a_given_shape(auto: str, shape: list[int]) -> None:
    x, weights = rand(1, 2, 5, 5), {"w": rand(2, 3, 3, 3), "b": rand(3)}
    model = node_model("ConvTranspose", {"x": x}, weights, strides=[2, 2], output_shape=shape, auto_pad=auto)
    assert_parity(model, {"x": x})
