"""A network with layers in the branches of an If and in the body of a Loop, and a weight that three graphs read."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from tests.support.graphs import node, tensors
from worker.compression.graph.normal_form.normalise import normalise

WIDTH = 32
TURNS = 3


def inner_graphs(seed: int = 0, width: int = WIDTH) -> onnx.ModelProto:
    """x[N,width], flag[] → y[N,width].

    a = relu(x · shared);  b = a · shared · then  or  tanh(a · shared) · else;  three times b = tanh(b · turn) + b
    """
    rng = np.random.default_rng(seed)

    def weight(rank: int | None = None) -> Any:
        made = rng.normal(size=(width, width)) / np.sqrt(width)
        if rank is not None:
            made = rng.normal(size=(width, rank)) @ rng.normal(size=(rank, width)) / width
        return made.astype(np.float32)

    def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    rows = ["N", width]
    then = helper.make_graph(
        [node("MatMul", "a shared", "t", "then/first"), node("MatMul", "t then.w", "then.y", "then/second")],
        "then", [], [value("then.y", rows)], tensors({"then.w": weight(4)}),
    )  # fmt: skip
    other = helper.make_graph(
        [
            node("MatMul", "a shared", "e", "else/first"),
            node("Tanh", "e", "eh", "else/tanh"),
            node("MatMul", "eh else.w", "else.y", "else/second"),
        ],
        "else", [], [value("else.y", rows)], tensors({"else.w": weight(4)}),
    )  # fmt: skip
    body = helper.make_graph(
        [
            node("MatMul", "h turn.w", "p", "loop/turn"),
            node("Tanh", "p", "q", "loop/tanh"),
            node("Add", "q h", "h2", "loop/add"),
            node("Identity", "c", "c2", "loop/goes_on"),
        ],
        "body",
        [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("h", rows)],
        [value("c2", [], TensorProto.BOOL), value("h2", rows)],
        tensors({"turn.w": weight(4)}),
    )
    nodes = [
        node("MatMul", "x shared", "f", "first"),
        node("Relu", "f", "a", "relu"),
        helper.make_node("If", ["flag"], ["b"], "choose", then_branch=then, else_branch=other),
        helper.make_node("Loop", ["turns", "on", "b"], ["y"], "repeat", body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "inner",
        [value("x", rows), value("flag", [], TensorProto.BOOL)],
        [value("y", rows)],
        tensors({"shared": weight(4), "turns": np.array(TURNS, np.int64), "on": np.array(True)}),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def normal_form(**settings: Any) -> ir.Model:
    return normalise(ir.from_proto(inner_graphs(**settings)))
