"""Codes in few bits: every code survives, through ONNX Runtime and back at the door; files get smaller, none larger."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from worker.compression.weight_storage.smallest_form import pack
from worker.compression.weight_storage.unpacking import unpack


def showing(codes: Any, opset: int = 17) -> onnx.ModelProto:
    """A model whose output is the codes as floats."""
    shape = ",".join(map(str, codes.shape))
    text = f"""(float[1] x) => (float[{shape}] y, float[1] z) {{
        [cast] y = Cast <to=1> (codes)
        [pass] z = Identity (x)
    }}"""
    return graphs.parse(text, {"codes": codes}, opset=opset, ir_version=8)


def shown(model: onnx.ModelProto) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.zeros(1, np.float32)})[0]


def drawn(shape: tuple[int, ...], bits: int, density: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**bits, shape).astype(np.uint8)
    return np.where(rng.random(shape) < density, codes, np.uint8(0))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 17), min_size=1, max_size=4).map(tuple),
    bits=st.integers(1, 8),
    density=st.sampled_from([0.0, 0.03, 0.2, 1.0]),
    seed=st.integers(0, 99),
)
def test_every_code_survives_and_the_file_does_not_grow(
    shape: tuple[int, ...], bits: int, density: float, seed: int
) -> None:
    codes = drawn(shape, bits, density, seed)
    model = showing(codes)
    before = model.ByteSize()
    pack(model)
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() <= before
    assert np.array_equal(shown(model), codes)
    unpack(model)
    (cast,) = [node for node in model.graph.node if "y" in node.output]
    assert cast.op_type == "Cast"
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}[cast.input[0]]
    assert found.dtype == np.uint8
    assert np.array_equal(found, codes)


@pytest.mark.parametrize("bits", range(1, 8))
def test_large_tensors_take_the_bits_of_their_largest_code(bits: int) -> None:
    codes = drawn((64, 64, 3, 3), bits, 1.0, 0)
    model = showing(codes)
    assert pack(model).forms == {"bits": 1}
    assert model.ByteSize() < codes.size * bits / 8 + 1300


def test_of_mostly_zeros_only_the_others_take_bits() -> None:
    codes = drawn((64, 64, 3, 3), 3, 0.05, 0)
    model = showing(codes)
    assert pack(model).forms == {"bitmask_of_bits": 1}
    assert model.ByteSize() < codes.size / 8 + np.count_nonzero(codes) * 3 / 8 + 1800


def test_onnx_runtime_has_only_the_cast_left_to_fold(tmp_path: Path) -> None:
    model = showing(drawn((64, 64), 4, 1.0, 0))
    pack(model)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    left = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert not left & {"BitShift", "Mod", "MatMulInteger", "Cast", "Reshape"}


def test_bytes_that_other_nodes_read_stay(tmp_path: Path) -> None:
    model = showing(drawn((64, 64), 2, 1.0, 0))
    model.graph.node[0].op_type = "Identity"
    del model.graph.node[0].attribute[:]
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert pack(model).forms["bits"] == 0


def test_below_opset_11_nothing_is_packed() -> None:
    assert pack(showing(drawn((64, 64), 2, 1.0, 0), opset=10)).forms == {"dense": 1}


@pytest.mark.parametrize("name", ["s3", "s4", "col", "i8", "i0"])
def test_what_only_looks_alike_stays_as_it_is(name: str) -> None:
    model = showing(drawn((64, 64), 3, 1.0, 0))
    pack(model)
    constant = next(t for t in model.graph.initializer if t.name == f"Z{name}")
    changed = numpy_helper.to_array(constant) + np.asarray(1, numpy_helper.to_array(constant).dtype)
    constant.CopyFrom(numpy_helper.from_array(changed, constant.name))
    assert unpack(model) == 0


@settings(max_examples=30, deadline=None)
@given(
    colors=st.integers(2, 40),
    size=st.integers(300, 1200),
    zeros=st.sampled_from([0.0, 0.9]),
    channels=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_reads_each_code_alone_is_done_to_the_table_and_comes_back(
    colors: int, size: int, zeros: float, channels: bool, seed: int
) -> None:
    """A codebook, also one of no power of two and one for each row: the same bits, no node as wide as the weight."""
    codes = np.where(
        drawn((size,), 8, 1.0, seed) % 100 < 100 * zeros, 0, drawn((size,), 8, 1.0, seed) % colors
    )
    model = showing(codes.astype(np.uint8).reshape(1, size))
    model.graph.node[0].attribute[0].i = TensorProto.INT32
    rng = np.random.default_rng(seed)
    book = rng.normal(size=colors * (1 + channels)).astype(np.float32)
    model.graph.node[0].output[0] = "places"
    offset = np.array([[0], [colors]], np.int32)
    if channels:
        model.graph.node.append(graphs.node("Add", "places offset", "moved"))
        model.graph.initializer.append(numpy_helper.from_array(offset, "offset"))
    model.graph.node.append(helper.make_node("Gather", ["book", "moved" if channels else "places"], ["y"]))
    model.graph.initializer.append(numpy_helper.from_array(book, "book"))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1 + channels
    expected = shown(model)
    packing = pack(model)
    assert packing.forms["dense"] <= 2 + channels
    onnx.checker.check_model(model, full_check=True)
    assert shown(model).tobytes() == expected.tobytes()
    unpack(model)
    assert shown(model).tobytes() == expected.tobytes()
    (gather,) = [node for node in model.graph.node if "y" in node.output]
    assert gather.input[0] == "book"
