"""Convolutions and matrix products."""

from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.windows import Window, padded

CONVOLUTIONS: Final = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def conv(attributes: Attributes) -> Function:
    """Convolve x [N, C, …] with weight [M, C/group, …] and bias [M]: [N, M, …]."""
    group, window = attributes.integer("group", 1), Window(attributes)

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        kernel = weight.shape[2:]
        here = window.at(x, kernel)
        x, padding = padded(x, here)
        return CONVOLUTIONS[len(kernel)](x, weight, bias, here.strides, padding, here.dilations, group)

    return run


def gemm(attributes: Attributes) -> Function:
    """Compute alpha · A' B' + beta · C, where ' is a transposition if transA, transB."""
    trans_a, trans_b = attributes.integer("transA", 0), attributes.integer("transB", 0)
    alpha, beta = attributes.number("alpha", 1.0), attributes.number("beta", 1.0)

    def run(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        a, b = a.T if trans_a else a, b if trans_b else b.T
        if alpha == beta == 1.0 and (c is None or c.shape == (b.shape[0],)):
            return functional.linear(a, b, c)
        product = alpha * functional.linear(a, b)
        return product if c is None else product + beta * c

    return run


def matmul(attributes: Attributes) -> Function:
    """[…, M, K] · […, K, N], as numpy's."""
    return torch.matmul


def einsum(attributes: Attributes) -> Function:
    """The sum of products that the equation says, of any number of inputs."""
    equation = attributes.text("equation", "")
    return lambda *values: torch.einsum(equation, *values)


OPERATORS: Final[dict[str, Operator]] = {
    "Conv": Operator(conv, weights=(1, 2)),
    "Gemm": Operator(gemm, since=7, weights=(0, 1, 2)),
    "MatMul": Operator(matmul, weights=(0, 1)),
    "Einsum": Operator(einsum, weights=(0, 1, 2, 3)),
}
