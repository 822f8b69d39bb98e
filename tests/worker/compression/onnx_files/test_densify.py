"""Sparse tensors become the dense ones they stand for, wherever they are."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests.support import graphs
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.densify import densify

HERE = Path()


def sparse_model(dense: np.ndarray, indices: np.ndarray) -> onnx.ModelProto:
    values = numpy_helper.from_array(dense[dense != 0], "w")
    tensor = helper.make_sparse_tensor(values, numpy_helper.from_array(indices, "w_indices"), dense.shape)
    graph = helper.make_graph([], "g", [], [], sparse_initializer=[tensor])
    return helper.make_model(graph)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    coordinates=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_dense_values_are_those_the_indices_name(shape: list[int], coordinates: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = (rng.standard_normal(shape) * (rng.random(shape) < 0.4)).astype(np.float32)
    indices = np.argwhere(dense) if coordinates else np.flatnonzero(dense)
    model = sparse_model(dense, indices.astype(np.int64))
    assert densify(model, HERE) == 1
    assert not model.graph.sparse_initializer
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), dense)


@pytest.mark.parametrize("indices", [[-1, 2], [0, 6], [0], [[0, 0], [0, 3]]])
def test_indices_outside_the_shape_are_refused(indices: list[int]) -> None:
    dense = np.array([[1, 0, 2], [0, 0, 0]], np.float32)
    with pytest.raises(Refusal, match="'w'"):
        densify(sparse_model(dense, np.array(indices, np.int64)), HERE)


def test_a_loaded_model_computes_the_same_and_a_sparse_constant_too(tmp_path: Path) -> None:
    model = graphs.with_sparse_initializers()
    sparse = model.graph.sparse_initializer[1]
    constant = helper.make_node("Constant", [], ["w2"], name="constant", sparse_value=sparse)
    del model.graph.sparse_initializer[1]
    model.graph.node.insert(0, constant)
    dense = graphs.with_sparse_initializers()
    densify(dense, HERE)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    feeds = graphs.feeds(dense)
    assert largest_difference(run(dense, feeds), run(model_files.load(path), feeds)) <= 1e-6
