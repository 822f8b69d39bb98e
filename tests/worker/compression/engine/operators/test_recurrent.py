"""Recurrent networks, fused and step by step, against ONNX Runtime."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.worker.compression.engine.operators.nodes import assert_parity, graph_module, node_model, rand
from winnow.contract.errors import Refusal

STEPS, ROWS, INPUTS, HIDDEN = 5, 3, 4, 2
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = ["forward", "reverse", "bidirectional"]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("LSTM", {"clip": 0.5}),
    ("LSTM", {"activations": ["Sigmoid", "Relu", "Softsign"]}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 1, "clip": 0.3}),
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
    ("RNN", {"activations": ["Sigmoid"]}),
]


@pytest.mark.parametrize(
    ("variant", "direction", "short"), list(product(VARIANTS, DIRECTIONS, [False, True]))
)
def test_sequences_and_last_states(variant: tuple[str, dict[str, Any]], direction: str, short: bool) -> None:
    op, attributes = variant[0], dict(variant[1])
    count, gates = 2 if direction == "bidirectional" else 1, GATES[op]
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * count
    constants = {
        "w": rand(count, gates * HIDDEN, INPUTS),
        "r": rand(count, gates * HIDDEN, HIDDEN, seed=1),
        "b": rand(count, 2 * gates * HIDDEN, seed=2),
        "lengths": np.array([5, 2, 4] if short else [5, 5, 5], np.int32),
        "h": rand(count, ROWS, HIDDEN, seed=3),
    }
    if op == "LSTM":
        constants |= {"c": rand(count, ROWS, HIDDEN, seed=4), "p": rand(count, 3 * HIDDEN, seed=5)}
        if direction == "forward":
            del constants["p"]
    x = {"x": rand(STEPS, ROWS, INPUTS, seed=6)}
    outputs = 3 if op == "LSTM" else 2
    model = node_model(
        op, x, constants, outputs=outputs, hidden_size=HIDDEN, direction=direction, **attributes
    )
    assert_parity(model, x)


def test_an_activation_that_the_engine_does_not_know_is_refused() -> None:
    x, weights = {"x": rand(5, 3, 4)}, {"w": rand(1, 2, 4), "r": rand(1, 2, 2)}
    model = node_model("RNN", x, weights, hidden_size=2, activations=["ScaledTanh"])
    with pytest.raises(Refusal, match=r"RNN of node 'node'.*scaledtanh"):
        graph_module(model)
