"""Codebooks are stacked in the file and apart again at the door; what is computed is the same, bit by bit."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from worker.compression.weight_storage.smallest_form import pack
from worker.compression.weight_storage.stacked_codebooks import unstack_codebooks
from worker.compression.weight_storage.unpacking import unpack


def palettes(lengths: list[int], opset: int = 17) -> onnx.ModelProto:
    """A model of so many codebooks whose outputs are the weights that they stand for."""
    rng = np.random.default_rng(0)
    nodes, constants, outputs = [], [], []
    for number, length in enumerate(lengths):
        codes = rng.integers(0, length, (24, 8, 3, 3)).astype(np.uint8)
        codes.flat[0] = length - 1
        constants += [
            numpy_helper.from_array(codes, f"codes{number}"),
            numpy_helper.from_array(rng.normal(size=length).astype(np.float32), f"book{number}"),
        ]
        nodes += [
            helper.make_node("Cast", [f"codes{number}"], [f"index{number}"], to=TensorProto.INT32),
            helper.make_node("Gather", [f"book{number}", f"index{number}"], [f"w{number}"]),
            helper.make_node("Add", [f"w{number}", "x"], [f"y{number}"]),
        ]
        outputs.append(helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, codes.shape))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answers(model: onnx.ModelProto) -> list[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones(1, np.float32)})


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.sampled_from([2, 4, 7, 16]), min_size=1, max_size=5),
    opset=st.sampled_from([11, 13, 18, 21]),
)
def test_every_weight_survives_and_every_codebook_comes_back(lengths: list[int], opset: int) -> None:
    model = palettes(lengths, opset)
    expected = answers(model)
    pack(model)
    onnx.checker.check_model(model, full_check=True)
    assert all(map(np.array_equal, answers(model), expected))
    assert unpack(model) == len(lengths)
    codes = [t for t in model.graph.initializer if t.data_type == TensorProto.UINT8 and len(t.dims) == 4]
    assert len(codes) == len(lengths)
    assert all(map(np.array_equal, answers(model), expected))


def test_codebooks_of_one_length_are_looked_up_once() -> None:
    model = palettes([16] * 4)
    pack(model)
    counted = operators(model)
    assert counted["Split"] == 1
    assert counted["Gather"] == 1 + 4


def test_a_single_codebook_is_not_stacked() -> None:
    model = palettes([16])
    pack(model)
    assert not operators(model)["Split"]


@pytest.mark.parametrize("other", ["an output", "a reader of another kind", "a shape with a zero"])
def test_what_only_looks_alike_stays(other: str) -> None:
    books = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "books")
    shape = numpy_helper.from_array(np.array([0, 2] if other == "a shape with a zero" else [1, 2]), "shape")
    zero = numpy_helper.from_array(np.zeros(1, np.int64), "number")
    nodes = [
        helper.make_node("Gather", ["books", "x"], ["rows"], axis=1),
        helper.make_node("Split", ["rows"], ["a", "b"], axis=0),
        helper.make_node("Gather", ["a", "number"], ["c"], axis=1),
        helper.make_node("Reshape", ["c", "shape"], ["y"]),
    ]
    outputs = ["y", "a"] if other == "an output" else ["y"]
    if other == "a reader of another kind":
        nodes.append(helper.make_node("Neg", ["b"], ["n"]))
        outputs.append("n")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [3, 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [books, shape, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    before = model.SerializeToString()
    unstack_codebooks(model.graph)
    assert model.SerializeToString() == before
