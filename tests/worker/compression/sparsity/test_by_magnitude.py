"""A part at a time, from file to file, the weights go that would go if the layer were looked at as a whole."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import graphs
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.ir.values import array_of
from worker.compression.layers.linear import Linear, layers_by_weight
from worker.compression.layers.sparsity_pattern import Structure, pattern_order
from worker.compression.sparsity import by_magnitude
from worker.compression.sparsity.by_magnitude import sparsify_by_magnitude

TEXTS = {
    "MatMul": ("[layer] y = MatMul (x, w)", "float[N,8] x", (8, 12)),
    "Gemm": ("[layer] y = Gemm <transB = 1> (x, w)", "float[N,8] x", (12, 8)),
    "Conv": ("[layer] y = Conv (x, w)", "float[N,4,5,5] x", (12, 4, 2, 3)),
    "grouped Conv": ("[layer] y = Conv <group = 2> (x, w)", "float[N,8,5,5] x", (12, 4, 1, 3)),
}


def layer_of(kind: str, weight: np.ndarray) -> Linear:
    text, x, shape = TEXTS[kind]
    rank = "N,a" if len(shape) == 2 else "N,a,b,c"
    made = graphs.parse(f"({x}) => (float[{rank}] y) {{ {text} }}", {"w": weight.reshape(shape)})
    (layer,) = layers_by_weight(normalise(ir.from_proto(made)))
    return layer


def as_a_whole(layer: Linear, structure: Structure, count: int) -> np.ndarray:
    """By `Structure.weakest` of squares, zeros first."""
    order, weight = pattern_order(layer), layer.matrix()
    ordered = weight[:, :, order].astype(np.float64)
    goes = structure.weakest(np.where(ordered == 0, -1.0, ordered**2), count)
    made = np.zeros_like(weight)
    made[:, :, order] = np.where(goes, 0.0, ordered)
    return layer.stored(made)


@pytest.mark.parametrize("kind", TEXTS)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    few=st.booleans(),
    share=st.sampled_from([0.0, 0.3, 0.5, 0.97]),
    at_once=st.sampled_from([7, 24, 1 << 20]),
    pattern=st.sampled_from(["unstructured", "2:4", "1:4"]),
)
def test_the_same_weights_go(
    kind: str, seed: int, few: bool, share: float, at_once: int, pattern: str
) -> None:
    rng = np.random.default_rng(seed)
    size = int(np.prod(TEXTS[kind][2]))
    weight = rng.normal(size=size)
    weight = np.round(weight) if few else np.where(rng.random(size) < 0.2, 0, weight)
    layer = layer_of(kind, weight.astype(np.float32))
    structure = Structure.named(pattern, (1, 1))
    count = structure.max_zeros(layer.shape) if structure.m else int(share * size)
    wanted, before = as_a_whole(layer, structure, count), array_of(layer.weight).copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_magnitude, "AT_ONCE", at_once)
        zeros = sparsify_by_magnitude(layer, structure, count, None)
    assert np.array_equal(array_of(layer.weight), wanted)
    assert (zeros.before, zeros.after) == (int((before == 0).sum()), int((wanted == 0).sum()))


def test_what_is_large_is_written_to_the_file(tmp_path: Path) -> None:
    text = "(float[N,64] x) => (float[N,32] y) { [layer] y = MatMul (x, w) }"
    weight = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    (layer,) = layers_by_weight(normalise(ir.from_proto(graphs.parse(text, {"w": weight}))))
    zeros = sparsify_by_magnitude(layer, Structure(), 1024, MappedTensors(tmp_path / "weights.data"))
    assert isinstance(layer.weight.const_value, ir.ExternalTensor)
    assert zeros.after == int((array_of(layer.weight) == 0).sum()) == 1024
    assert (
        np.abs(weight)[array_of(layer.weight) == 0].max()
        < np.abs(array_of(layer.weight))[array_of(layer.weight) != 0].min()
    )
