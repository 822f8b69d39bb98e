"""Shapes follow from the inputs, with their symbols; what a file declares inside counts where they tell nothing."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import graphs
from worker.compression.graph.normal_form.tracing import trace


@pytest.mark.parametrize("build", [graphs.cnn, graphs.mlp, graphs.lstm], ids=lambda build: build.__name__)
def test_a_batch_that_the_file_forgot_is_found_again(build) -> None:  # type: ignore[no-untyped-def]
    model = build()
    for dim in model.graph.output[0].type.tensor_type.shape.dim:
        if dim.dim_param:
            dim.dim_value = 1
    traced = ir.from_proto(model)
    trace(traced)
    assert "N" in str(traced.graph.outputs[0].shape)


def reshaped(source: list[int | str], target: list[int]) -> ir.Model:
    node = graphs.node("Reshape", "x target", "y", "reshape")
    return ir.from_proto(
        graphs.of([node], {"x": source}, {"y": [None] * len(target)}, {"target": np.array(target, np.int64)})
    )


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (["N", 512, 1, 1], [-1, 512], "[N,512]"),
        (["N", 3, 4], [0, -1], "[N,12]"),
        ([2, "T", 8], [2, -1, 4, 2], "[2,T,4,2]"),
    ],
)
def test_a_reshape_keeps_the_symbol(source: list[int | str], target: list[int], expected: str) -> None:
    model = reshaped(source, target)
    trace(model)
    assert str(model.graph.outputs[0].shape) == expected


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_is_told_of_a_reshape_is_what_numpy_answers(data: st.DataObject) -> None:
    """For a batch of 1, 2 and 7: each dimension that is told is the one that comes out."""
    rest = data.draw(st.lists(st.sampled_from([1, 2, 3, 4]), max_size=3))
    target = data.draw(st.lists(st.sampled_from([-1, 0, 1, 2, 3, 4, 6, 12]), min_size=1, max_size=4))
    if target.count(-1) > 1 or any(d == 0 and i > len(rest) for i, d in enumerate(target)):
        return
    model = reshaped(["N", *rest], target)
    trace(model)
    shape = model.graph.outputs[0].shape
    for batch in (1, 2, 7):
        array = np.zeros((batch, *rest))
        copied = [array.shape[i] if d == 0 else d for i, d in enumerate(target)]
        try:
            expected = array.reshape(copied).shape
        except ValueError:
            continue
        for told, dim in zip(shape or (), expected, strict=True):
            known = {"N": batch}.get(str(told), told if isinstance(told, int) else None)
            assert known is None or known == dim


def test_what_cannot_be_inferred_is_as_declared() -> None:
    proto = graphs.parse(
        """(float[N,4] x) => (float[N,4] y) <float[N,4] h> {
            [fused] h = com.microsoft.BiasSplitGelu (x, w)
            [relu] y = Relu (h)
        }""",
        {"w": np.ones(4, np.float32)},
        domains={"com.microsoft": 1},
    )
    model = ir.from_proto(proto)
    assert model.graph[0].outputs[0] not in trace(model)
    assert str(model.graph[0].outputs[0].shape) == "[N,4]"
