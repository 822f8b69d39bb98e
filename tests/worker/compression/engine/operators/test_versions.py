"""The same operator as older and newer versions write it, against ONNX Runtime."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.worker.compression.engine.operators.nodes import assert_parity, by_engine, node_model, rand, tensor
from worker.compression.engine.module import GraphModule

X = rand(2, 3, 4, 5)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def scalar(value: Any, dtype: Any = np.float32) -> Any:
    return np.array(value, dtype)


CASES: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
    *[
        (op, opset, {}, {"axis": axis})
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for opset, axis in ((9, 1), (9, 2), (11, -1), (12, 1), (13, 1), (13, -2))
    ],
    *[(op, opset, {}, {}) for op in ("Softmax", "LogSoftmax", "Hardmax") for opset in (11, 13)],
    *[
        (op, opset, constants, attributes | {"keepdims": keep})
        for op in ("ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd")
        for keep in (0, 1)
        for opset, constants, attributes in (
            (11, {}, {"axes": [1, -1]}),
            (13, {}, {}),
            (18, {"axes": ints(1, -1)}, {}),
            (18, {}, {"noop_with_empty_axes": 1}),
        )
        if not (op == "ReduceMax" and opset == 18 and not constants)
    ],
    ("ReduceSum", 11, {}, {"axes": [2]}),
    ("ReduceSum", 13, {"axes": ints(2)}, {}),
    ("ReduceSum", 13, {"axes": ints()}, {"noop_with_empty_axes": 1}),
    ("Unsqueeze", 11, {}, {"axes": [0, 3]}),
    ("Unsqueeze", 13, {"axes": ints(-1, 0)}, {}),
    ("Slice", 9, {}, {"axes": [1, 3], "starts": [1, -3], "ends": [9, -1]}),
    ("Slice", 9, {}, {"starts": [1], "ends": [2]}),
    ("Slice", 13, {"s": ints(-1, 4), "e": ints(-99, 0), "a": ints(1, -1), "t": ints(-1, -2)}, {}),
    ("Pad", 9, {}, {"pads": [0, 0, 1, 2, 0, 0, -1, 1], "value": 1.5}),
    ("Pad", 9, {}, {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "reflect"}),
    ("Pad", 13, {"p": ints(0, 1, 1, 2, 0, 0, -1, 1), "v": scalar(1.5)}, {}),
    ("Pad", 18, {"p": ints(1, 2, 0, 1), "v": scalar(-1), "a": ints(3, 1)}, {}),
    *[("Pad", 19, {"p": ints(1, 0, 1, 2, 0, 2, 2, 3)}, {"mode": m}) for m in ("reflect", "edge", "wrap")],
    ("Clip", 9, {}, {"min": -0.5, "max": 0.5}),
    ("Clip", 9, {}, {"max": 0.5}),
    ("Clip", 13, {"low": scalar(-0.5), "high": scalar(0.5)}, {}),
    ("Clip", 13, {"low": scalar(0.5)}, {}),
    ("Dropout", 9, {}, {"ratio": 0.3}),
    ("Dropout", 13, {"ratio": scalar(0.3), "mode": scalar(False, np.bool_)}, {}),
    ("TopK", 9, {}, {"k": 2, "axis": 1}),
    ("TopK", 11, {"k": ints(3)}, {"largest": 0}),
    ("Upsample", 7, {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
    ("Upsample", 9, {"s": np.float32([1, 1, 2, 1.5])}, {"mode": "linear"}),
    ("Resize", 10, {"s": np.float32([1, 1, 0.5, 1.6])}, {"mode": "linear"}),
    ("Resize", 10, {"s": np.float32([1, 1, 0.5, 1.6])}, {"mode": "nearest"}),
    ("Reshape", 9, {"shape": ints(0, -1, 5)}, {}),
    ("Reshape", 14, {"shape": ints(2, -1)}, {"allowzero": 1}),
    ("BatchNormalization", 9, {k: np.abs(rand(3, seed=i)) for i, k in enumerate("abcd")}, {"epsilon": 1e-3}),
    ("BatchNormalization", 15, {k: np.abs(rand(3, seed=i)) for i, k in enumerate("abcd")}, {}),
    ("Cast", 9, {}, {"to": 7}),
    ("Cast", 13, {}, {"to": 9}),
    ("CastLike", 15, {"like": ints(1)}, {}),
    ("GlobalLpPool", 9, {}, {"p": 3}),
    ("Flatten", 9, {}, {"axis": 2}),
    ("Flatten", 13, {}, {"axis": -1}),
    ("Gather", 9, {"i": ints(1, 0)}, {"axis": 2}),
    ("Gather", 13, {"i": scalar(-1, np.int64)}, {"axis": 1}),
    ("Pow", 7, {"e": scalar(2)}, {}),
    ("Pow", 13, {"e": scalar(3, np.int64)}, {}),
    ("Scatter", 9, {"i": ints(1, 0, 2, 1).reshape(1, 1, 1, 4), "u": rand(1, 1, 1, 4)}, {"axis": 1}),
]


@pytest.mark.parametrize(("op", "opset", "constants", "attributes"), CASES)
def test_each_version_computes_what_onnx_runtime_does(
    op: str, opset: int, constants: dict[str, Any], attributes: dict[str, Any]
) -> None:
    outputs = 2 if op == "TopK" else 1
    assert_parity(node_model(op, {"x": X}, constants, opset=opset, outputs=outputs, **attributes), {"x": X})


@pytest.mark.parametrize(
    ("opset", "constants", "more"),
    [
        (11, {}, {}),
        (11, {}, {"split": [1, 3]}),
        (13, {"lengths": ints(3, 1)}, {}),
        (18, {}, {"num_outputs": 2}),
    ],
)
def test_split_into_parts_and_into_lengths(
    opset: int, constants: dict[str, Any], more: dict[str, Any]
) -> None:
    assert_parity(node_model("Split", {"x": X}, constants, opset=opset, outputs=2, axis=2, **more), {"x": X})


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_with_and_without_axes(opset: int) -> None:
    x = rand(1, 3, 1, 2)
    assert_parity(node_model("Squeeze", {"x": x}, opset=opset), {"x": x})
    if opset == 11:
        assert_parity(node_model("Squeeze", {"x": x}, opset=opset, axes=[-2]), {"x": x})
    else:
        assert_parity(node_model("Squeeze", {"x": x}, {"axes": ints(-2)}, opset=opset), {"x": x})


def test_group_normalisation_scales_channels_since_version_21() -> None:
    x = rand(2, 4, 3, 3)
    weights = {"w": rand(4), "b": rand(4, seed=1)}
    assert_parity(node_model("GroupNormalization", {"x": x}, weights, opset=21, num_groups=2), {"x": x})


def test_group_normalisation_scaled_groups_before() -> None:
    """onnx's checker refuses that version, so it is not normalised here, and compared with the newer one."""
    x, each = rand(2, 4, 3, 3), {"w": rand(2), "b": rand(2, seed=1)}
    old = ir.from_proto(node_model("GroupNormalization", {"x": x}, each, opset=18, num_groups=2))
    repeated = {name: np.repeat(array, 2) for name, array in each.items()}
    new = node_model("GroupNormalization", {"x": x}, repeated, opset=21, num_groups=2)
    answer = GraphModule(old)({"x": tensor(x)})["y0"].detach().numpy()
    np.testing.assert_allclose(answer, by_engine(new, {"x": x})[0], rtol=1e-6)
