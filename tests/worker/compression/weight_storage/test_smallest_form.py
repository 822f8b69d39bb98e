"""Zeros in little space: the same bits through ONNX Runtime, never larger, folded at load, dense again at the door."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.weight_storage.smallest_form import pack
from worker.compression.weight_storage.unpacking import unpack

FLOATS = [np.float32, np.float16, np.float64]


def showing(array: Any, opset: int = 17) -> onnx.ModelProto:
    """A model whose only output is the weight, read by a node so that it is no output itself."""
    weight = numpy_helper.from_array(array, "w")
    axes = list(range(array.ndim))
    node = graphs.node("Transpose", "w", "y", "show", perm=axes)
    used = graphs.node("Identity", "x", "z", "pass")
    graph = helper.make_graph(
        [node, used],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor_value_info("y", weight.data_type, array.shape),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]),
        ],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def shown(model: onnx.ModelProto) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.zeros(1, np.float32)})[0]


def sparse(shape: tuple[int, ...], dtype: Any, density: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    array = (rng.normal(size=shape) * 40).astype(dtype)
    return np.where(rng.random(shape) < density, array, np.zeros((), dtype))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 13), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from([*FLOATS, np.int8, np.uint8]),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_every_bit_survives_and_the_file_does_not_grow(
    shape: tuple[int, ...], dtype: Any, density: float, seed: int
) -> None:
    array = sparse(shape, dtype, density, seed)
    model = showing(array)
    before = model.ByteSize()
    packing = pack(model)
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() <= before
    assert packing.stored_bytes <= packing.dense_bytes + 16 * len(packing.forms)
    found = shown(model)
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize(
    ("density", "form"), [(0.5, "bitmask"), (0.1, "bitmask"), (0.001, "sparse_tensor"), (1.0, "dense")]
)
def test_the_smallest_form_is_taken(density: float, form: str) -> None:
    """A bitmask of n float32 values costs n/8 + 4 bytes a value left, within 800 bytes for nodes and names
    (most of which further tensors share)."""
    array = sparse((64, 300), np.float32, density, 0)
    packing = pack(showing(array))
    assert packing.forms == {form: 1}
    if form == "bitmask":
        ideal = array.size / 8 + 4 * np.count_nonzero(array)
        assert ideal <= packing.stored_bytes <= ideal + 800


def test_further_tensors_cost_little_more_than_their_bits() -> None:
    """Tables are made once: a second bitmask takes 400 bytes of nodes and names."""
    array = sparse((64, 300), np.float32, 0.5, 0)
    one, two = showing(array), showing(array)
    two.graph.initializer.append(numpy_helper.from_array(array, "v"))
    two.graph.node.append(graphs.node("Neg", "v", "u", "again"))
    grown = two.ByteSize() - one.ByteSize()
    assert pack(one).forms == {"bitmask": 1}
    assert pack(two).forms == {"bitmask": 2}
    assert two.ByteSize() - one.ByteSize() <= array.size / 8 + 4 * np.count_nonzero(array) + 400 < grown


def test_minus_zero_and_nan_are_kept() -> None:
    array = sparse((40, 40), np.float32, 0.3, 1)
    array[0, :3] = [-0.0, np.nan, np.inf]
    model = showing(array)
    assert pack(model).forms == {"bitmask": 1}
    assert shown(model).tobytes() == array.tobytes()


def test_before_opset_11_all_is_dense() -> None:
    model = showing(sparse((40, 40), np.float32, 0.3, 1), opset=10)
    assert pack(model).forms == {"dense": 1}


@pytest.mark.parametrize("shape", [(64, 64, 3, 3), (33, 17, 3, 3)])
def test_onnx_runtime_runs_the_graph_of_dense_weights(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Folded when loaded: the nodes that are left are those of the dense model."""
    weight = sparse(shape, np.float32, 0.5, 0)
    model = graphs.parse(
        f"(float[N,{shape[1]},9,9] x) => (float[N,{shape[0]},7,7] y) {{ [conv] y = Conv (x, w) }}",
        {"w": weight},
        opset=17,
        ir_version=8,
    )
    left, answers = [], []
    x = np.random.default_rng(0).normal(size=(2, shape[1], 9, 9)).astype(np.float32)
    for packed in (False, True):
        if packed:
            assert pack(model).forms == {"bitmask": 1}
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / f"{packed}.onnx")
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        answers.append(session.run(None, {"x": x})[0].tobytes())
        optimized = onnx.load(options.optimized_model_filepath)
        left.append(Counter(node.op_type for node in optimized.graph.node))
    assert left[0] == left[1]
    assert answers[0] == answers[1]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    density=st.sampled_from([0.0, 0.02, 0.3, 0.6]),
    dtype=st.sampled_from([*FLOATS, np.int8]),
)
def test_it_is_dense_again_when_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: int, density: float, dtype: Any
) -> None:
    array = sparse((rows, 37), dtype, density, rows)
    model = showing(array)
    pack(model)
    path = tmp_path_factory.mktemp("packed") / "model.onnx"
    onnx.save(model, str(path))
    read = normalise(model_files.load(path))
    assert [node.op_type for node in read.graph] == ["Transpose", "Identity"]
    found = read.graph.initializers["w"].const_value
    assert found is not None
    assert found.numpy().tobytes() == array.tobytes()


def test_what_only_looks_alike_is_left_alone() -> None:
    """A count of bits that does not fit the values: no bitmask of ours, so nothing is made of it."""
    model = showing(sparse((40, 40), np.float32, 0.3, 1))
    pack(model)
    (mask,) = [t for t in model.graph.initializer if t.name.endswith("m")]
    flipped = numpy_helper.to_array(mask).copy()
    flipped[0] ^= 255 if np.unpackbits(flipped[0]).sum() != 4 else 1
    mask.CopyFrom(numpy_helper.from_array(flipped, mask.name))
    nodes = len(model.graph.node)
    assert unpack(model) == 0
    assert len(model.graph.node) == nodes


def test_a_packed_model_is_saved_and_measured_as_one_file(tmp_path: Path) -> None:
    array = sparse((64, 64), np.float32, 0.5, 0)
    packing = model_files.save_packed(ir.from_proto(showing(array)), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size < array.nbytes * 0.7
    assert packing.stored_bytes < packing.dense_bytes * 0.7
