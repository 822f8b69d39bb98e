"""Gradients with respect to inputs and weights, against differences of the engine's own values, in float64."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.worker.compression.engine.operators.nodes import Array, graph_module, node_model, rand
from worker.compression.engine.operators import TABLE

Shapes = dict[str, tuple[int, ...]]


def lstm(directions: int, inputs: int = 3, hidden: int = 2, gates: int = 4) -> Shapes:
    return {
        "w": (directions, gates * hidden, inputs),
        "r": (directions, gates * hidden, hidden),
        "b": (directions, 2 * gates * hidden),
    }


IMAGE = {"x": (1, 4, 5, 4)}
SEQUENCE = {"x": (4, 2, 3)}
CASES: list[tuple[str, Shapes, Shapes, dict[str, Any]]] = [
    ("Conv", IMAGE, {"w": (4, 4, 3, 3), "b": (4,)}, {}),
    ("Conv", IMAGE, {"w": (4, 2, 3, 2)}, {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]}),
    (
        "Conv",
        IMAGE,
        {"w": (4, 1, 3, 3), "b": (4,)},
        {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ),
    ("Conv", {"x": (1, 2, 7)}, {"w": (3, 2, 3)}, {"dilations": [2]}),
    ("ConvTranspose", IMAGE, {"w": (4, 2, 3, 3), "b": (2,)}, {"strides": [2, 2], "output_padding": [1, 0]}),
    ("ConvTranspose", IMAGE, {"w": (4, 1, 2, 2), "b": (2,)}, {"group": 2, "pads": [0, 1, 1, 0]}),
    ("Gemm", {"x": (3, 4)}, {"w": (5, 4), "b": (5,)}, {"transB": 1}),
    ("Gemm", {"x": (4, 3)}, {"w": (4, 5), "b": (3, 1)}, {"transA": 1, "alpha": 0.5, "beta": 2.0}),
    ("MatMul", {"x": (2, 3, 4)}, {"w": (4, 5)}, {}),
    ("Einsum", {"x": (2, 3, 4)}, {"w": (4, 2, 5)}, {"equation": "btd,dhk->bhtk"}),
    ("PRelu", IMAGE, {"w": (4, 1, 1)}, {}),
    ("PRelu", IMAGE, {"w": (1,)}, {}),
    ("PRelu", IMAGE, {"w": (5, 1)}, {}),
    ("LayerNormalization", {"x": (2, 3, 4)}, {"w": (4,), "b": (4,)}, {}),
    ("LayerNormalization", {"x": (2, 3, 4)}, {"w": (3, 4)}, {"axis": 1}),
    ("RMSNormalization", {"x": (2, 3, 4)}, {"w": (4,)}, {"opset": 23}),
    ("GroupNormalization", IMAGE, {"w": (4,), "b": (4,)}, {"num_groups": 2, "opset": 21}),
    ("InstanceNormalization", IMAGE, {"w": (4,), "b": (4,)}, {}),
    ("LSTM", SEQUENCE, lstm(1), {"hidden_size": 2}),
    ("LSTM", SEQUENCE, lstm(2), {"hidden_size": 2, "direction": "bidirectional"}),
    ("LSTM", SEQUENCE, lstm(1), {"hidden_size": 2, "direction": "reverse", "clip": 0.9}),
    ("LSTM", {"x": (2, 4, 3)}, lstm(1), {"hidden_size": 2, "layout": 1}),
    ("GRU", SEQUENCE, lstm(2, gates=3), {"hidden_size": 2, "direction": "bidirectional"}),
    ("GRU", SEQUENCE, lstm(1, gates=3), {"hidden_size": 2, "linear_before_reset": 1}),
    ("RNN", SEQUENCE, lstm(1, gates=1), {"hidden_size": 2}),
    ("BiasGelu", {"x": (2, 3)}, {"w": (3,)}, {"domain": "com.microsoft"}),
    ("FastGelu", {"x": (2, 3)}, {"w": (3,)}, {"domain": "com.microsoft"}),
    ("FusedMatMul", {"x": (3, 2)}, {"w": (4, 3)}, {"domain": "com.microsoft", "transA": 1, "transB": 1}),
    ("FusedConv", IMAGE, {"w": (3, 4, 2, 2)}, {"domain": "com.microsoft", "activation": "Tanh"}),
    (
        "SkipLayerNormalization",
        {"x": (2, 3), "skip": (2, 3)},
        {"w": (3,), "b": (3,)},  # a bias is added behind the product in front
        {"domain": "com.microsoft"},
    ),
]


def constants(shapes: Shapes) -> dict[str, Array]:
    return {name: rand(*shape, seed=i + 1) for i, (name, shape) in enumerate(shapes.items())}


def check(
    op: str, inputs: Shapes, weights: dict[str, Array], more: dict[str, Any], train: bool = False
) -> None:
    """gradcheck over the float inputs and every parameter; all weights must be parameters."""
    feeds = {name: rand(*shape, seed=9) for name, shape in inputs.items()}
    module = graph_module(node_model(op, feeds, weights, **more)).double().train(train)
    positions = TABLE[more.get("domain", ""), op].weights
    assert set(dict(module.named_parameters())) == {
        name for i, name in enumerate([*feeds, *weights]) if i in positions and name in weights
    }
    parameters = list(module.parameters())

    def run(*values: torch.Tensor) -> torch.Tensor:
        return module(dict(zip(feeds, values, strict=False)))["y0"]

    given = [torch.from_numpy(feeds[name]).double().requires_grad_() for name in feeds]
    assert torch.autograd.gradcheck(run, (*given, *parameters))


@pytest.mark.parametrize(("op", "inputs", "weights", "more"), CASES)
def test_gradients_of_operators_with_weights(
    op: str, inputs: Shapes, weights: Shapes, more: dict[str, Any]
) -> None:
    check(op, inputs, constants(weights), more)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_gradients_of_what_broadcasts(op: str) -> None:
    """Constants are weights there only behind a computed input, so both sides are inputs here."""
    check(op, {"x": (2, 3), "w": (3,)}, {}, {})


@pytest.mark.parametrize("train", [False, True])
def test_gradients_of_batch_normalisation(train: bool) -> None:
    weights = constants({"w": (4,), "b": (4,), "mean": (4,)}) | {"variance": np.full(4, 1.5, np.float32)}
    check("BatchNormalization", IMAGE, weights, {}, train)


@pytest.mark.parametrize("opset", [11, 18])
def test_gradients_of_an_embedding(opset: int) -> None:
    table, index = rand(5, 3), np.array([[0, -1], [2, 0]])
    module = graph_module(
        node_model("Gather", {"i": index}, {"w": table}, order=["w", "i"], opset=opset)
    ).double()
    weight = module.weight("w")
    assert torch.autograd.gradcheck(lambda _: module({"i": torch.from_numpy(index)})["y0"], (weight,))
