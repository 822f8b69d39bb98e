"""What is simulated, against the saturating sums themselves, computed here in int16; tolerance: one part in 10⁴."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from tests.support.graphs import node, of
from tests.support.inner_graphs import normal_form
from tests.support.ort import run
from winnow.contract.recipe import Int8Dynamic
from worker.compression.apply import apply
from worker.compression.ir.edit import GraphEdit
from worker.compression.measure.network import Network
from worker.compression.measure.robustness.without_vnni.emulation import Emulator, How
from worker.compression.measure.robustness.without_vnni.integer_layers import integer_layers
from worker.compression.measure.robustness.without_vnni.pairs import exposed_pairs, in_seven_bits
from worker.compression.measure.robustness.without_vnni.simulate import without_vnni
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

RNG = np.random.default_rng(0)
SCALE, ZERO = np.float32(0.02), np.uint8(7)


def saturating(data: Any, weight: Any) -> Any:
    """uint8 [rows, inputs] · int8 [outputs, inputs], two products at a time in int16: int64 [rows, outputs]."""
    odd = data.shape[1] % 2
    a, w = (np.pad(x.astype(np.int64), [(0, 0), (0, odd)]) for x in (data, weight))
    products = a[:, None, :] * w[None]
    return np.clip(products[..., ::2] + products[..., 1::2], -32768, 32767).sum(axis=2)


def emulated(net: onnx.ModelProto, how: How) -> onnx.ModelProto:
    edit = GraphEdit(ir.from_proto(net))
    emulator = Emulator(edit, how)
    for layer in integer_layers(edit.graph):
        pairs = exposed_pairs(layer.matrix)
        assert pairs is not None
        emulator.write(layer, pairs)
    made: onnx.ModelProto = ir.to_proto(edit.model)
    onnx.checker.check_model(made, full_check=True)
    return made


def pairs_of(weight: Any, bias: Any = None, op: str = "MatMul", shape: Any = ("N", 5), **how: Any) -> Any:
    """QuantizeLinear, DequantizeLinear, and a product with an int8 weight that has a scale for each output."""
    axis = 0 if op == "Conv" or how.get("transB") else 1
    scales = RNG.uniform(0.01, 0.05, weight.shape[axis]).astype(np.float32)
    net = of(
        [
            node("QuantizeLinear", "x scale zero", "q"),
            node("DequantizeLinear", "q scale zero", "d"),
            node("DequantizeLinear", "w scales", "real", axis=axis),
            node(op, "d real" + (" bias" if bias is not None else ""), "y", "layer", **how),
        ],
        {"x": list(shape)},
        {"y": [None] * len(shape)},
        {"scale": SCALE, "zero": ZERO, "w": weight, "scales": scales}
        | ({"bias": bias} if bias is not None else {}),
    )
    return net, scales


def integers(x: Any) -> Any:
    return np.clip(np.rint(x / SCALE) + ZERO, 0, 255).astype(np.uint8)


def loud(*shape: int) -> Any:
    return RNG.integers(-127, 128, shape).astype(np.int8)


@pytest.mark.parametrize("inputs", [5, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_products_are_cut_off_as_in_16_bits(inputs: int, turned: bool) -> None:
    weight, bias = loud(4, inputs), RNG.normal(size=4).astype(np.float32)
    stored = weight if turned else weight.T
    net, scales = pairs_of(stored, bias, "Gemm", ("N", inputs), transB=int(turned))
    x = RNG.uniform(0, 5, (6, inputs)).astype(np.float32)
    offsets = int(ZERO) * weight.astype(np.int64).sum(axis=1)
    expected = (saturating(integers(x), weight) - offsets) * SCALE * scales + bias
    exact = (integers(x).astype(np.int64) @ weight.T.astype(np.int64) - offsets) * SCALE * scales + bias
    assert np.abs(expected - exact).max() > 1  # it does cut off
    cut, count, size = run(emulated(net, "cut off"), {"x": x})
    np.testing.assert_allclose(cut, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(run(emulated(net, "exact"), {"x": x})[0], exact, rtol=1e-4, atol=1e-3)
    assert 0 < count <= size


def test_convolutions_pair_the_channels_of_one_place_also_in_groups_and_at_the_border() -> None:
    weight = loud(6, 3, 3, 2)  # 3 · 2 · 3 inputs of each of 2 groups
    net, scales = pairs_of(
        weight, None, "Conv", ("N", 6, 7, 5), group=2, pads=[1, 0, 1, 1], strides=[2, 1], dilations=[1, 2]
    )
    x = RNG.uniform(0, 5, (2, 6, 7, 5)).astype(np.float32)
    data = np.pad(integers(x), [(0, 0), (0, 0), (1, 1), (0, 1)], constant_values=ZERO)
    cut = run(emulated(net, "cut off"), {"x": x})[0]
    height, width = cut.shape[2:]
    for out in range(6):
        channels = slice(out // 3 * 3, out // 3 * 3 + 3)
        own = np.moveaxis(weight[out], 0, -1).reshape(1, -1)
        for row, column in np.ndindex(height, width):
            window = data[:, channels, 2 * row : 2 * row + 3, column : column + 3 : 2]
            seen = np.moveaxis(window, 1, -1).reshape(2, -1)
            sums = saturating(seen, own)[:, 0] - int(ZERO) * own.astype(np.int64).sum()
            np.testing.assert_allclose(
                cut[:, out, row, column], sums * SCALE * scales[out], rtol=1e-4, atol=1e-3
            )


def test_integer_products_are_cut_off_with_the_zero_point_of_the_batch() -> None:
    weight = loud(6, 4)
    net = of(
        [
            node("DynamicQuantizeLinear", "x", "q s z"),
            node("MatMulInteger", "q w z", "i", "layer"),
            node("Cast", "i", "y", to=TensorProto.FLOAT),
        ],
        {"x": ["N", 6]},
        {"y": ["N", 4]},
        {"w": weight},
    )
    x = RNG.uniform(-1, 3, (5, 6)).astype(np.float32)
    scale = (max(x.max(), 0) - min(x.min(), 0)) / 255
    zero = int(np.rint(-min(x.min(), 0) / scale))
    data = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)
    expected = saturating(data, weight.T) - zero * weight.astype(np.int64).sum(axis=0)
    np.testing.assert_array_equal(run(emulated(net, "cut off"), {"x": x})[0], expected)
    narrow = data.astype(np.int64) @ in_seven_bits(weight).astype(np.int64)
    narrow -= zero * in_seven_bits(weight).astype(np.int64).sum(axis=0)
    np.testing.assert_allclose(run(emulated(net, "seven bits"), {"x": x})[0], narrow * 127 / 64, atol=0.6)


def test_depthwise_convolutions_and_narrow_weights_are_not_exposed(tmp_path: Path) -> None:
    depthwise, _ = pairs_of(loud(6, 1, 3, 3), None, "Conv", ("N", 6, 7, 5), group=6)
    narrow, _ = pairs_of((loud(5, 4) // 2).clip(-64, 64), None, "MatMul", ("N", 5))
    for net, layers in ((depthwise, 0), (narrow, 1)):
        onnx.save(net, tmp_path / "net.onnx")
        said = without_vnni(tmp_path / "net.onnx", Network(tmp_path / "net.onnx", 1, "it"), lambda: [])
        assert (said.layers, said.exposed, said.cut_off) == (layers, 0, None)
        assert "cuts off nothing" in said.says


def test_the_figures_order_exact_narrow_and_cut_off(tmp_path: Path) -> None:
    weight = loud(64, 16)
    net, scales = pairs_of(weight, None, "MatMul", ("N", 64))
    floats = of(
        [node("MatMul", "x w", "y", "layer")], {"x": ["N", 64]}, {"y": ["N", 16]}, {"w": weight * scales}
    )
    onnx.save(net, tmp_path / "after.onnx")
    onnx.save(floats, tmp_path / "before.onnx")
    feeds = [{"x": RNG.uniform(0, 5, (1, 64)).astype(np.float32)} for _ in range(3)]
    said = without_vnni(tmp_path / "after.onnx", Network(tmp_path / "before.onnx", 1, "it"), lambda: feeds)
    assert said.exact_db is not None
    assert said.cut_off_db is not None
    assert said.seven_bits_db is not None
    assert said.cut_off_db < 30 < said.seven_bits_db < said.exact_db
    assert said.cut_off is not None
    assert 0.1 < said.cut_off < 0.9
    assert '"target": "cpu"' in said.says


def test_what_stays_in_integers_of_another_form_is_counted(tmp_path: Path) -> None:
    net = helper.make_model(
        helper.make_graph(
            [node("QLinearMatMul", "x s z w s z s z", "y", "layer")],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 4])],
            [helper.make_tensor_value_info("y", TensorProto.UINT8, ["N", 3])],
            [
                onnx.numpy_helper.from_array(np.asarray(a), n)
                for n, a in (("s", SCALE), ("z", ZERO), ("w", RNG.integers(0, 255, (4, 3)).astype(np.uint8)))
            ],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(net, tmp_path / "net.onnx")
    said = without_vnni(tmp_path / "net.onnx", Network(tmp_path / "net.onnx", 1, "it"), lambda: [])
    assert "It is not known" in said.says
    assert "Not looked into: 1 nodes" in said.says


def test_integer_layers_in_branches_are_counted_and_not_looked_into(tmp_path: Path) -> None:
    net = normal_form()
    step = Int8Dynamic.model_validate({"kind": "int8_dynamic", "exclude": ["first"]})
    inside = apply(net.clone(), step, Context(tmp_path, 0, Silent())).model
    model_files.save(inside, tmp_path / "net.onnx")
    original = Network(tmp_path / "net.onnx", 1, "it")
    said = without_vnni(tmp_path / "net.onnx", original, lambda: [])
    assert said.layers == 0
    assert "It is not known" in said.says
