"""Fake quantization: the values ONNX Runtime has, and the gradients of LSQ."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.worker.compression.engine.operators.nodes import (
    assert_parity,
    by_engine,
    by_runtime,
    graph_module,
    node_model,
    rand,
)
from winnow.contract.errors import Refusal
from worker.compression.engine.operators.fakequant import RANGES, fake_quantize

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
VALUES = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30).map(torch.tensor)
SCALES = st.floats(0.015625, 2, width=32).map(torch.tensor)
FORMS = [("INT8", 0), ("UINT8", 100), ("INT4", 0), ("UINT4", 7), ("INT8", -5)]


def pair(dtype: int, zero: Any, scale: Any, x: Any, axis: int = 1) -> Any:
    """QuantizeLinear and DequantizeLinear, as a quantized graph has them."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=axis),
    ]
    zeros = np.asarray(zero)
    made = helper.make_tensor("z", dtype, zeros.shape, zeros.ravel().tolist())
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(np.asarray(scale, np.float32), "s"), made],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize(("name", "zero"), FORMS)
def test_values_are_onnx_runtimes(name: str, zero: int) -> None:
    x = rand(4, 3, 50) * 20
    for scale, zeros in (
        (0.11, zero),
        ([0.1, 0.25, 1.0], [zero] * 3),
        ([0.1, 0.25, 1.0], [zero, zero + 1, zero]),
    ):
        assert_parity(pair(getattr(TensorProto, name), zeros, scale, x), {"x": x})


def test_halves_are_rounded_to_even() -> None:
    x = np.arange(-3, 3.5, 0.5, dtype=np.float32) * 0.25
    assert_parity(pair(TensorProto.INT8, 0, 0.25, x, 0), {"x": x})


@pytest.mark.parametrize("name", ["INT8", "UINT8", "INT4"])
def test_an_integer_initializer_is_dequantized(name: str) -> None:
    low, high = RANGES[name]
    numbers = np.linspace(low, high, 12).astype(int).reshape(3, 4)
    node = helper.make_node("DequantizeLinear", ["q", "s"], ["y"], axis=0)
    graph = helper.make_graph(
        [node],
        "one",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])],
        [
            helper.make_tensor("q", getattr(TensorProto, name), [3, 4], numbers.ravel().tolist()),
            numpy_helper.from_array(np.array([0.1, 0.2, 0.3], np.float32), "s"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    np.testing.assert_allclose(by_engine(model, {})[0], by_runtime(model, {})[0], rtol=1e-6)


@pytest.mark.parametrize(("scale", "axis"), [([0.3], 1), ([0.1, 0.3, 0.5], 1)])
@pytest.mark.parametrize(("name", "zero"), FORMS)
def test_the_two_nodes_have_the_gradients_of_the_one_function(
    name: str, zero: int, scale: list[float], axis: int
) -> None:
    x = rand(4, 3, 20) * 10
    value: Any = scale if len(scale) > 1 else scale[0]
    module = graph_module(pair(getattr(TensorProto, name), np.full(np.shape(value), zero), value, x))
    given = torch.from_numpy(x).requires_grad_()
    y = module({"x": given})["y"]
    upstream = torch.from_numpy(rand(*x.shape, seed=1))
    y.backward(upstream)
    own_x = torch.from_numpy(x).requires_grad_()
    own_scale = torch.tensor(scale, requires_grad=True)
    own = fake_quantize(own_x, own_scale, zero, *RANGES[name], axis)
    own.backward(upstream)
    torch.testing.assert_close(y, own)
    torch.testing.assert_close(given.grad, own_x.grad)
    found = module.weight("s").grad
    assert found is not None
    torch.testing.assert_close(found.reshape(-1), own_scale.grad, rtol=1e-3, atol=1e-3)


def test_gradients_are_lsqs_written_out() -> None:
    """Equation 3 of the paper, with the straight-through estimator by autograd."""
    x = torch.from_numpy(rand(200) * 5).requires_grad_()
    scale = torch.tensor(0.5, requires_grad=True)
    upstream = torch.from_numpy(rand(200, seed=1))
    fake_quantize(x, scale, 0, -8, 7).backward(upstream)
    other_x, other_scale = x.detach().requires_grad_(), scale.detach().requires_grad_()
    factor = 1 / math.sqrt(200 * 7)
    scaled = other_scale * factor + (other_scale * (1 - factor)).detach()
    ratio = other_x / scaled
    clamped = torch.where(ratio.round() < -8, -8.0, torch.where(ratio.round() > 7, 7.0, ratio))
    (((clamped.round() - clamped).detach() + clamped) * scaled).backward(upstream)
    torch.testing.assert_close(x.grad, other_x.grad)
    torch.testing.assert_close(scale.grad, other_scale.grad, rtol=1e-4, atol=1e-5)


@SETTINGS
@given(VALUES, SCALES, st.sampled_from(FORMS))
def test_values_are_on_the_grid_and_stay_there(
    x: torch.Tensor, scale: torch.Tensor, form: tuple[str, int]
) -> None:
    low, high = RANGES[form[0]]
    y = fake_quantize(x, scale, form[1], low, high)
    levels = y / scale + form[1]
    assert ((levels - levels.round()).abs() < 1e-3).all()
    assert (low <= levels.round()).all()
    assert (levels.round() <= high).all()
    torch.testing.assert_close(fake_quantize(y, scale, form[1], low, high), y)


@SETTINGS
@given(VALUES, SCALES, st.sampled_from(FORMS))
def test_gradients_pass_inside_and_stop_outside(
    x: torch.Tensor, scale: torch.Tensor, form: tuple[str, int]
) -> None:
    low, high = RANGES[form[0]]
    x = x.requires_grad_()
    fake_quantize(x, scale, form[1], low, high).sum().backward()
    level = (x.detach() / scale).round() + form[1]
    assert torch.equal(x.grad, ((low <= level) & (level <= high)).float())


def test_types_that_are_not_integers_are_refused() -> None:
    x = rand(3)
    model = node_model(
        "QuantizeLinear", {"x": x}, {"s": np.array(0.1, np.float32)}, opset=21, output_dtype=17
    )
    with pytest.raises(Refusal, match="FLOAT8E4M3FN"):
        graph_module(model)
