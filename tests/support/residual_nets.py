"""Networks of residual blocks, written as text: x[N,W] → y[N,W], a product for each block."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model

WIDTH = 6
Style = Literal["plain", "pre", "post", "activated"]
"""x + f(x); x + f(norm x); norm(x + f(x)), as in BERT; relu(x + f(x)), as in ResNet."""


def residual_net(style: Style, outs: Sequence[float], *, seed: int = 0) -> ir.Model:
    """Blocks whose last products are scaled by `outs`: of a block of scale 0 nothing is added."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {"g": np.ones(WIDTH, np.float32), "first": _normal(rng), "last": _normal(rng)}
    lines, stream = ["[stem] stem = MatMul (x, first)", _behind(style, "stem", "s0")], "s0"
    if style in ("plain", "pre"):
        lines[1] = "[start] s0 = Tanh (stem)"
    for number, scale in enumerate(outs):
        weights |= {f"u{number}": _normal(rng), f"v{number}": np.float32(scale) * _normal(rng)}
        inner = f"n{number}" if style == "pre" else stream
        if style == "pre":
            lines.append(f"[norm{number}] {inner} = LayerNormalization ({stream}, g)")
        lines += [
            f"[up{number}] a{number} = MatMul ({inner}, u{number})",
            f"[act{number}] b{number} = Tanh (a{number})",
            f"[down{number}] c{number} = MatMul (b{number}, v{number})",
            f"[join{number}] d{number} = Add ({stream}, c{number})",
        ]
        stream = f"d{number}"
        if style in ("post", "activated"):
            lines.append(_behind(style, stream, f"s{number + 1}"))
            stream = f"s{number + 1}"
    lines.append(f"[head] y = MatMul ({stream}, last)")
    body = "\n".join(lines)
    return model(f"(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{\n{body}\n}}", weights)


def _behind(style: Style, value: str, made: str) -> str:
    operator = "Relu ({})" if style == "activated" else "LayerNormalization ({}, g)"
    return f"[behind_{value}] {made} = {operator.format(value)}"


def _normal(rng: np.random.Generator) -> Any:
    return rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
