"""Small networks that read words: tables, layer normalisations and products behind them."""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto

from tests.support.small_nets import model, node

WORDS, WIDTH = 2048, 64


def embedding_net(*, axis: int = 0, tied: bool = False, twice: bool = False) -> ir.Model:
    """Rows of a table, which differ in size; their mean goes through `head`, which may be the table itself."""
    rng = np.random.default_rng(4)
    weights: dict[str, Any] = {
        "table": rng.normal(size=(WORDS, WIDTH)) * np.geomspace(0.1, 10, WORDS)[:, None],
        "small": rng.normal(size=(WORDS, 4)),
        "w": rng.normal(size=(16, WIDTH)),
        "v": rng.normal(size=(16, WIDTH)),
        "norm": np.ones(WIDTH),
    }
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    if axis:
        weights["table"] = np.ascontiguousarray(weights["table"].T)
    nodes = [
        node("Gather", "table ids", "rows", "words", axis=axis),
        node("Gather", "small ids", "places", "places"),
        node("Transpose", "rows", "turned", "turned", perm=[1, 2, 0] if axis else [0, 1, 2]),
        node("ReduceMean", "turned", "mean", "mean", axes=[1], keepdims=0),
        node("LayerNormalization", "mean norm", "normed", "normed"),
        node("Gemm", f"normed {'table' if tied else 'w'}", "y", "head", transB=1),
        node("Gemm", "normed v", "z", "other", transB=1),
    ]
    outputs: dict[str, list[Any]] = {"y": ["N", WORDS if tied else 16], "z": ["N", 16], "places": ["N", 6, 4]}
    if twice:
        nodes.append(node("Gather", "table ids", "more", "again"))
        outputs["more"] = ["N", 6, WIDTH]
    return model(nodes, {"ids": ["N", 6]}, outputs, weights, inputs_are=TensorProto.INT64)


def transformer(normalised: bool) -> ir.Model:
    """Two products that read one value whose channels differ a thousandfold."""
    rng = np.random.default_rng(0)
    scale = np.ones(16)
    scale[3] = 300
    nodes = [
        node("LayerNormalization", "x scale shift", "n", "norm", axis=-1),
        node("MatMul", "n w1", "q", "query"),
        node("MatMul", "n w2", "k", "key"),
        node("Add", "q k", "y", "sum"),
    ]
    if not normalised:
        nodes[0] = node("Mul", "x scale", "n", "norm")
    weights = {
        "scale": scale.astype(np.float32),
        **({"shift": np.zeros(16, np.float32)} if normalised else {}),
        "w1": rng.normal(size=(16, 8)).astype(np.float32),
        "w2": rng.normal(size=(16, 8)).astype(np.float32),
    }
    weights["w1"][3] = weights["w2"][3] = 0.01
    return model(nodes, {"x": ["N", 5, 16]}, {"y": ["N", 5, 8]}, weights)
