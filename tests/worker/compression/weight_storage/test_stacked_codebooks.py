"""Codebooks are stacked in the file and apart again at the door; what is computed is the same, bit by bit."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tests.support import graphs
from worker.compression.weight_storage.smallest_form import pack
from worker.compression.weight_storage.stacked_codebooks import unstack_codebooks
from worker.compression.weight_storage.unpacking import unpack


def palettes(lengths: list[int], opset: int = 17) -> onnx.ModelProto:
    """A model of so many codebooks whose outputs are the weights that they stand for."""
    rng = np.random.default_rng(0)
    lines, outputs, weights = [], [], {}
    for number, length in enumerate(lengths):
        codes = rng.integers(0, length, (24, 8, 3, 3)).astype(np.uint8)
        codes.flat[0] = length - 1
        weights[f"codes{number}"] = codes
        weights[f"book{number}"] = rng.normal(size=length).astype(np.float32)
        lines += [
            f"index{number} = Cast <to={TensorProto.INT32}> (codes{number})",
            f"w{number} = Gather (book{number}, index{number})",
            f"y{number} = Add (w{number}, x)",
        ]
        outputs.append(f"float[24,8,3,3] y{number}")
    text = f"(float[1] x) => ({', '.join(outputs)}) {{ {'  '.join(lines)} }}"
    return graphs.parse(text, weights, opset=opset, ir_version=8)


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
    more = {
        "an output": (", float[] a", ""),
        "a reader of another kind": (", float[] n", "n = Neg (b)"),
        "a shape with a zero": ("", ""),
    }
    output, reader = more[other]
    text = f"""(int64[3,2] x) => (float[] y{output}) {{
        rows = Gather <axis=1> (books, x)
        a, b = Split <axis=0> (rows)
        c = Gather <axis=1> (a, number)
        y = Reshape (c, shape)
        {reader}
    }}"""
    shape = np.array([0, 2] if other == "a shape with a zero" else [1, 2])
    books = np.arange(8, dtype=np.float32).reshape(2, 4)
    model = graphs.parse(text, {"books": books, "shape": shape, "number": np.zeros(1, np.int64)}, opset=17)
    before = model.SerializeToString()
    unstack_codebooks(model.graph)
    assert model.SerializeToString() == before
