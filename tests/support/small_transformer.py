"""A transformer written node by node: x[N,L,W] → y[N,W], pre- or post-norm, with any number of layers and heads."""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import helper

from tests.support.small_nets import model, model_of


def small_transformer(
    layers: int, *, width: int = 8, heads: int = 2, pre: bool = False, inner: int = 2, seed: int = 0
) -> ir.Model:
    """Names: `joined{i}` and `fed{i}` are what the stream is behind attention and behind layer i (its norm, where it is
    normalised behind), `v{i}` the values of attention i with their heads together."""
    net = _Net(width, heads, pre, inner, seed)
    stream = "x"
    for number in range(layers):
        stream = net.layer(stream, number)
    net.op("ReduceMean", [stream], "mean", axes=[1], keepdims=0)
    net.op("MatMul", ["mean", net.weight("head", width, width)], "y")
    shapes: dict[str, list[Any]] = {"x": ["N", "L", width]}
    return model_of(net.nodes, shapes, {"y": ["N", width]}, net.weights)


class _Net:
    def __init__(self, width: int, heads: int, pre: bool, inner: int, seed: int) -> None:
        self.width, self.heads, self.pre, self.inner = width, heads, pre, inner
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {
            "split": np.array([0, 0, heads, width // heads]),
            "unsplit": np.array([0, 0, width]),
            "root": np.float32((width // heads) ** 0.5),
            "gain": np.ones(width, np.float32),
        }

    def op(self, kind: str, reads: list[str], made: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, reads, [made], name=f"{kind}_{made}", **attributes))
        return made

    def weight(self, name: str, *shape: int) -> str:
        self.weights[name] = (self.rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        return name

    def norm(self, x: str, made: str) -> str:
        return self.op("LayerNormalization", [x, "gain"], made)

    def layer(self, x: str, i: int) -> str:
        read = self.norm(x, f"before{i}") if self.pre else x
        for part in "qkv":
            self.op("MatMul", [read, self.weight(f"w{part}{i}", self.width, self.width)], f"{part}{i}")
            self.op("Reshape", [f"{part}{i}", "split"], f"{part}s{i}")
            perm = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            self.op("Transpose", [f"{part}s{i}"], f"{part}h{i}", perm=perm)
        scores = self.op("Div", [self.op("MatMul", [f"qh{i}", f"kh{i}"], f"dots{i}"), "root"], f"scores{i}")
        mixed = self.op(
            "MatMul", [self.op("Softmax", [scores], f"shares{i}", axis=-1), f"vh{i}"], f"mixed{i}"
        )
        flat = self.op("Transpose", [mixed], f"flat{i}", perm=[0, 2, 1, 3])
        joined = self.op("Reshape", [flat, "unsplit"], f"together{i}")
        out = self.op("MatMul", [joined, self.weight(f"wo{i}", self.width, self.width)], f"attended{i}")
        stream = self.joined(x, out, f"joined{i}")
        read = self.norm(stream, f"between{i}") if self.pre else stream
        wide = self.op(
            "MatMul", [read, self.weight(f"up{i}", self.width, self.inner * self.width)], f"wide{i}"
        )
        wide = self.op("Tanh", [wide], f"bent{i}")
        narrow = self.weight(f"down{i}", self.inner * self.width, self.width)
        return self.joined(stream, self.op("MatMul", [wide, narrow], f"narrow{i}"), f"fed{i}")

    def joined(self, x: str, added: str, made: str) -> str:
        if self.pre:
            return self.op("Add", [x, added], made)
        return self.norm(self.op("Add", [x, added], f"sum_{made}"), made)


def folded_attention(heads: int, width: int) -> ir.Model:
    """One attention over steps that come first, as torch writes it: [T, N, W] → [N · heads, T, d]."""
    text = f"""(float[5,N,{width}] x) => (float[5,N,{width}] y) {{
        v = MatMul (x, w)
        parts = Reshape (v, apart)
        values = Transpose <perm = [1, 0, 2]> (parts)
        keys = Transpose <perm = [1, 2, 0]> (parts)
        scores = MatMul (values, keys)
        shares = Softmax <axis = -1> (scores)
        mixed = MatMul (shares, values)
        turned = Transpose <perm = [1, 0, 2]> (mixed)
        joined = Reshape (turned, together)
        y = Add (x, joined)
    }}"""
    weights = {"apart": np.array([5, -1, width // heads]), "together": np.array([5, -1, width])}
    return model(text, weights | {"w": np.eye(width, dtype=np.float32)})


LENGTH, WIDTH = 4, 8


def attention_of_folded_heads(heads: int, seed: int) -> ir.Model:
    """The same behind samples that come first, [N, T, W] → [N · heads, T, d], mixed and back; drawn weights."""
    text = f"""(float[N,{LENGTH},{WIDTH}] x) => (float[N,{LENGTH},{WIDTH}] y) {{
        v = MatMul (x, w)
        steps = Transpose <perm = [1, 0, 2]> (v)
        parts = Reshape (steps, apart)
        values = Transpose <perm = [1, 0, 2]> (parts)
        keys = Transpose <perm = [0, 2, 1]> (values)
        scores = MatMul (values, keys)
        shares = Softmax <axis = -1> (scores)
        mixed = MatMul (shares, values)
        turned = Transpose <perm = [1, 0, 2]> (mixed)
        joined = Reshape (turned, together)
        y = Transpose <perm = [1, 0, 2]> (joined)
    }}"""
    rng = np.random.default_rng(seed)
    weights = {"apart": np.array([LENGTH, -1, WIDTH // heads]), "together": np.array([LENGTH, -1, WIDTH])}
    return model(text, weights | {"w": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32)})
