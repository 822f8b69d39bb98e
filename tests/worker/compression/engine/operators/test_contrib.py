"""ONNX Runtime's own operators, against ONNX Runtime."""

from typing import Any

import pytest

from tests.worker.compression.engine.operators.nodes import assert_parity, node_model, rand

X = rand(2, 3, 4)
CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("Gelu", {"x": X}, {}, {}),
    ("BiasGelu", {"x": X}, {"b": rand(4)}, {}),
    ("FastGelu", {"x": X}, {"b": rand(4)}, {}),
    ("FastGelu", {"x": X}, {}, {}),
    ("QuickGelu", {"x": X}, {}, {"alpha": 1.3}),
    ("FusedMatMul", {"x": X}, {"w": rand(2, 5, 4)}, {"transB": 1, "alpha": 0.5}),
    ("FusedMatMul", {"x": X}, {"w": rand(2, 3, 5)}, {"transA": 1}),
    *[
        ("FusedConv", {"x": rand(1, 3, 6, 6)}, {"w": rand(4, 3, 3, 3), "b": rand(4)}, more)
        for more in (
            {"activation": "Relu"},
            {"activation": "LeakyRelu", "activation_params": [0.2]},
            {"activation": "Clip", "activation_params": [-0.5, 0.5]},
            {"activation": "HardSigmoid", "activation_params": [0.2, 0.5]},
        )
    ],
    ("SkipLayerNormalization", {"x": X, "skip": rand(2, 3, 4, seed=1)}, {"w": rand(4), "b": rand(4)}, {}),
    (
        "SkipLayerNormalization",
        {"x": X, "skip": rand(2, 3, 4, seed=1)},
        {"w": rand(4), "b": rand(4), "more": rand(4, seed=2)},
        {"epsilon": 1e-3},
    ),
]


@pytest.mark.parametrize(("op", "feeds", "constants", "attributes"), CASES)
def test_same_as_onnx_runtime(
    op: str, feeds: dict[str, Any], constants: dict[str, Any], attributes: dict[str, Any]
) -> None:
    assert_parity(node_model(op, feeds, constants, domain="com.microsoft", **attributes), feeds)
