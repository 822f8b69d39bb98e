"""Constants cast together are what they are cast one by one, before and after opset 13, and come back."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from worker.compression.graph.joint_cast import join, split_up


def model_of(arrays: list[np.ndarray], opset: int, rows: int = 1) -> onnx.ModelProto:
    """Each array cast to int32, as so many equal rows, under the name Z0, Z1, …; what is negated as y0, y1, …"""
    nodes, outputs, constants = [], [], []
    for number, array in enumerate(arrays):
        constants.append(numpy_helper.from_array(array, f"c{number}"))
        cast = f"Z{number}" if rows == 1 else f"Zc{number}"
        nodes.append(helper.make_node("Cast", [f"c{number}"], [cast], to=TensorProto.INT32))
        if rows > 1:
            nodes.append(helper.make_node("Concat", [cast] * rows, [f"Z{number}"], axis=0))
        nodes.append(helper.make_node("Neg", [f"Z{number}"], [f"y{number}"]))
        outputs.append(helper.make_tensor_value_info(f"y{number}", TensorProto.INT32, [rows, None]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(nodes, "g", [x], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"x": np.zeros(1, np.float32)}))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    opset=st.sampled_from([11, 13, 18]),
    rows=st.integers(1, 3),
)
def test_joined_and_split_up_again_all_is_as_it_was(lengths: list[int], opset: int, rows: int) -> None:
    rng = np.random.default_rng(sum(lengths))
    arrays = [rng.integers(0, 256, (1, length)).astype(np.uint8) for length in lengths]
    model = model_of(arrays, opset, rows)
    expected = [(-array.astype(np.int32)).repeat(rows, 0).tolist() for array in arrays]
    join(model.graph, opset, "Z")
    assert [node.op_type for node in model.graph.node].count("Cast") == 1
    onnx.checker.check_model(model, full_check=True)
    assert [each.tolist() for each in answers(model)] == expected
    split_up(model.graph)
    assert not [node for node in model.graph.node if node.op_type == "Split"]
    assert [each.tolist() for each in answers(model)] == expected


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3), np.uint8), np.zeros(3, np.uint8), np.zeros((1, 3), np.int8)]
)
def test_what_is_no_row_of_codes_is_left_alone(array: np.ndarray) -> None:
    model = model_of([array, array], 17)
    before = model.SerializeToString()
    join(model.graph, 17, "Z")
    assert model.SerializeToString() == before


def test_a_split_whose_sizes_are_wrong_is_left_alone() -> None:
    model = model_of([np.zeros((1, 4), np.uint8), np.zeros((1, 6), np.uint8)], 17)
    join(model.graph, 17, "Z")
    sizes = next(t for t in model.graph.initializer if t.name == "Zasizes")
    sizes.CopyFrom(numpy_helper.from_array(np.array([4, 7]), "Zasizes"))
    split_up(model.graph)
    assert [node.op_type for node in model.graph.node].count("Split") == 1
