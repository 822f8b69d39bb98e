"""A layer seen as a matrix computes what ONNX Runtime computes; its moments are those of all rows."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.graphs import node
from tests.support.small_nets import model, model_of, samples
from worker.compression.layers.bias import owns_bias, takes_bias
from worker.compression.layers.input_moments import moments
from worker.compression.layers.linear import Linear, linears

TOLERANCE = 1e-4
"""Relative to the largest output: float32 sums in another order."""


def computed(net: ir.Model, x: Any) -> Any:
    return ort.InferenceSession(ir.to_proto(net).SerializeToString()).run(None, {"x": x})[0]


def one(net: ir.Model) -> Linear:
    (found,) = linears(net)
    return found


def convolution(weight: Any, shape: list[int], **attributes: Any) -> ir.Model:
    conv = node("Conv", "x w", "y", "conv", **attributes)
    return model_of([conv], {"x": shape}, {"y": [None] * len(shape)}, {"w": weight})


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    padding=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 3), "SAME_UPPER", "SAME_LOWER", "VALID"]),
    seed=st.integers(0, 99),
)
def test_a_convolution_is_the_product_of_its_patches(
    kernel: int, stride: int, dilation: int, groups: int, padding: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(8, 4 // groups, kernel, kernel)).astype(np.float32)
    x = rng.normal(size=(2, 4, 9, 10)).astype(np.float32)
    dilation = 1 if padding in ("SAME_UPPER", "SAME_LOWER") else dilation  # ONNX Runtime has no other
    how = {"auto_pad": padding} if isinstance(padding, str) else {"pads": padding}
    net = convolution(
        weight, [2, 4, 9, 10], strides=[stride] * 2, dilations=[dilation] * 2, group=groups, **how
    )
    layer, expected = one(net), computed(net, x)
    product = layer.columns(x) @ layer.matrix().swapaxes(1, 2)  # [groups, rows, out]
    found = np.moveaxis(product, 0, 1).reshape(2, *expected.shape[2:], 8)
    assert np.abs(np.moveaxis(found, -1, 1) - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("how", ["matmul", "gemm", "gemm_transposed", "conv1d"])
def test_products_and_writing_back(how: str) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 3)).astype(np.float32)
    if how == "conv1d":
        net, x = convolution(weight.T[:, :, None].copy(), ["N", 5, 4]), rng.normal(size=(2, 5, 4))
    else:
        stored = weight.T.copy() if how == "gemm_transposed" else weight
        product = {"matmul": "MatMul", "gemm": "Gemm", "gemm_transposed": "Gemm <transB=1>"}[how]
        net = model(f"(float[N,5] x) => (float[N,3] y) {{ [layer] y = {product} (x, w) }}", {"w": stored})
        x = rng.normal(size=(7, 5))
    x = x.astype(np.float32)
    layer, expected = one(net), computed(net, x)
    assert layer.shape == (1, 3, 5)
    product = (layer.columns(x) @ layer.matrix().swapaxes(1, 2))[0]
    flat = np.moveaxis(expected, 1, -1).reshape(-1, 3)
    assert np.abs(product - flat).max() <= TOLERANCE * np.abs(flat).max()
    layer.put(2 * layer.matrix())
    assert np.allclose(computed(net, x), 2 * expected, rtol=TOLERANCE)


def test_what_is_no_plain_product_is_left_out() -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(4, 4)).astype(np.float32), "b": np.zeros(4, np.float32)}
    for product in ("Gemm <alpha=0.5> (x, w, b)", "MatMul (w, x)", "MatMul (x, x)"):
        net = model(f"(float[4,4] x) => (float[4,4] y) {{ y = {product} }}", weights)
        assert list(linears(net)) == []


def test_a_weight_that_the_model_answers_too_is_not_the_layers_own() -> None:
    text = "(float[N,4] x) => (float[N,3] y, float[4,3] w) { y = MatMul (x, w) }"
    net = model(text, {"w": np.ones((4, 3), np.float32)})
    assert list(linears(net)) == []


def test_a_product_of_nothing_is_no_layer() -> None:
    for inner, outer in ((4, 0), (0, 3)):
        weight = np.ones((inner, outer), np.float32)
        net = model(f"(float[N,{inner}] x) => (float[N,{outer}] y) {{ y = MatMul (x, w) }}", {"w": weight})
        assert list(linears(net)) == []


@pytest.mark.parametrize(
    ("bias", "takes"),
    [(None, True), ((8,), True), ((1, 8), True), ((8, 1), False), ((1,), False), ((), False)],
)
def test_a_bias_is_one_number_for_each_output(bias: tuple[int, ...] | None, takes: bool) -> None:
    weights = {"w": np.ones((4, 8), np.float32)}
    if bias is not None:
        weights["b"] = np.ones(bias, np.float32)
    layer = one(
        model(f"(float[8,4] x) => (float[8,8] y) {{ y = Gemm ({', '.join(['x', *weights])}) }}", weights)
    )
    assert takes_bias(layer) is takes
    assert owns_bias(layer) is takes


def test_numbers_of_channels_stand_by_their_columns() -> None:
    layer = one(convolution(np.ones((6, 2, 1, 3), np.float32), ["N", 4, 5, 5], group=2))
    assert layer.by_column(np.array([1, 2, 3, 4])).tolist() == [[1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]]


def test_moments_are_those_of_all_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(1, 1, (50, 4, 6, 6)).astype(np.float32)
    net = convolution(rng.normal(size=(8, 2, 3, 3)).astype(np.float32), ["N", 4, 6, 6], group=2)
    layer = one(net)
    ((_, found),) = moments(net, [layer], samples(tmp_path, net, x=x), lambda _: None)
    rows = layer.columns(x).astype(np.float64)
    assert found.rows == rows.shape[1] == 50 * 16
    np.testing.assert_allclose(found.hessian, rows.swapaxes(1, 2) @ rows, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found.first, rows.sum(1), rtol=1e-4)
