"""Activations that ONNX Runtime has fused, with a bias or behind a layer, in ONNX's own operators.

Gelu(x)          x/2 · (1 + erf(x/√2))                          from opset 20 on an operator of ONNX
BiasGelu(x, b)   Gelu(x + b)
FastGelu(x, b)   y/2 · (1 + tanh(√(2/π) (y + 0.044715 y³))),    y = x + b
QuickGelu(x)     x · sigmoid(α x)
FusedConv(x, w, b, z)   activation(Conv(x, w, b) + z);          FusedGemm(a, b, c)   activation(Gemm(a, b, c))
"""

import math
from collections.abc import Sequence
from typing import Final

import onnx_ir as ir

from worker.compression.ir.values import input_at, required_input
from worker.compression.simplify.contrib_writing import Writing

HAS_GELU: Final = 20
HAS_CLIP_INPUTS: Final = 11
CUBIC: Final = 0.044715
ALPHA: Final = 1.702
"""Of QuickGelu, where the node says none."""


def gelu(writing: Writing, node: ir.Node) -> ir.Value | None:
    return _gelu(writing, required_input(node, 0))


def bias_gelu(writing: Writing, node: ir.Node) -> ir.Value | None:
    return _gelu(writing, writing.add("Add", node.inputs[0], node.inputs[1]))


def _gelu(writing: Writing, x: ir.Value) -> ir.Value:
    if writing.opset >= HAS_GELU:
        return writing.add("Gelu", x)
    inner = writing.add("Erf", writing.add("Mul", x, writing.number(1 / math.sqrt(2))))
    return _half_of(writing, x, inner)


def fast_gelu(writing: Writing, node: ir.Node) -> ir.Value | None:
    x, bias = required_input(node, 0), input_at(node, 1)
    y = x if bias is None else writing.add("Add", x, bias)
    cube = writing.add("Mul", writing.add("Mul", y, y), y)
    inner = writing.add("Add", y, writing.add("Mul", cube, writing.number(CUBIC)))
    return _half_of(
        writing, y, writing.add("Tanh", writing.add("Mul", inner, writing.number(math.sqrt(2 / math.pi))))
    )


def _half_of(writing: Writing, x: ir.Value, inner: ir.Value) -> ir.Value:
    """x/2 · (1 + inner)."""
    half = writing.add("Mul", x, writing.number(0.5))
    return writing.add("Mul", half, writing.add("Add", inner, writing.number(1.0)))


def quick_gelu(writing: Writing, node: ir.Node) -> ir.Value | None:
    x = required_input(node, 0)
    scaled = writing.add("Mul", x, writing.number(node.attributes.get_float("alpha", ALPHA)))
    return writing.add("Mul", x, writing.add("Sigmoid", scaled))


def fused_conv(writing: Writing, node: ir.Node) -> ir.Value | None:
    others = {name: each.value for name, each in node.attributes.items() if not name.startswith("activation")}
    result = writing.add("Conv", *node.inputs[:3], **others)
    if (added := input_at(node, 3)) is not None:
        result = writing.add("Add", result, added)
    parameters = node.attributes.get_floats("activation_params", ())
    return _activation(writing, result, node.attributes.get_string("activation", ""), parameters)


def fused_gemm(writing: Writing, node: ir.Node) -> ir.Value | None:
    others = {name: each.value for name, each in node.attributes.items() if not name.startswith("activation")}
    result = writing.add("Gemm", *node.inputs, **others)
    names = ("activation_alpha", "activation_beta")
    parameters = [node.attributes[name].as_float() for name in names if name in node.attributes]
    return _activation(writing, result, node.attributes.get_string("activation", ""), parameters)


def _activation(writing: Writing, x: ir.Value, name: str, parameters: Sequence[float]) -> ir.Value | None:
    match name, list(parameters):
        case "", _:
            return x
        case (("Relu" | "Tanh" | "Sigmoid"), _):
            return writing.add(name, x)
        case "LeakyRelu", [alpha, *_]:
            return writing.add(name, x, alpha=float(alpha))
        case "HardSigmoid", [alpha, beta, *_]:
            return writing.add(name, x, alpha=float(alpha), beta=float(beta))
        case "Clip", [low, high, *_] if writing.opset >= HAS_CLIP_INPUTS:
            return writing.add(name, x, writing.number(low), writing.number(high))
    return None
