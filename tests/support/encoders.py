"""Small networks that read words: tables, layer normalisations and products behind them."""

from typing import Any

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model

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
    head, classes = ("table", WORDS) if tied else ("w", 16)
    again = f", float[N,6,{WIDTH}] more" if twice else ""
    text = f"""(int64[N,6] ids) => (float[N,{classes}] y, float[N,16] z, float[N,6,4] places{again}) {{
        [words] rows = Gather <axis={axis}> (table, ids)
        [places] places = Gather (small, ids)
        [turned] turned = Transpose <perm={[1, 2, 0] if axis else [0, 1, 2]}> (rows)
        [mean] mean = ReduceMean <axes=[1], keepdims=0> (turned)
        [normed] normed = LayerNormalization (mean, norm)
        [head] y = Gemm <transB=1> (normed, {head})
        [other] z = Gemm <transB=1> (normed, v)
        {"[again] more = Gather (table, ids)" if twice else ""}
    }}"""
    return model(text, weights)


def transformer(normalised: bool) -> ir.Model:
    """Two products that read one value whose channels differ a thousandfold."""
    rng = np.random.default_rng(0)
    scale = np.ones(16)
    scale[3] = 300
    weights = {
        "scale": scale.astype(np.float32),
        **({"shift": np.zeros(16, np.float32)} if normalised else {}),
        "w1": rng.normal(size=(16, 8)).astype(np.float32),
        "w2": rng.normal(size=(16, 8)).astype(np.float32),
    }
    weights["w1"][3] = weights["w2"][3] = 0.01
    norm = "LayerNormalization <axis=-1> (x, scale, shift)" if normalised else "Mul (x, scale)"
    text = f"""(float[N,5,16] x) => (float[N,5,8] y) {{
        [norm] n = {norm}
        [query] q = MatMul (n, w1)
        [key] k = MatMul (n, w2)
        [sum] y = Add (q, k)
    }}"""
    return model(text, weights)
