"""A state is carried from window to window, and is an ordinary input from then on."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.graphs import node
from tests.support.refusals import refusal
from tests.support.sounds import encoded, sound
from tests.support.tokenizer import archive
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.runtime.state import state_arrays

LENGTH = 100
DECLARED: dict[str, Any] = {
    "inputs": {"x": {"from": "audio", "rate": 16_000, "length": LENGTH, "hop": LENGTH}},
    "state": {"next": "state"},
}


def network(path: Path, batch: int | str = "N") -> list[TensorSpec]:
    """next [2, N, 3] = state / 2 + the sum of the window."""
    nodes = [
        node("ReduceSum", "x axis", "sum", "sum", keepdims=1),
        node("Mul", "state half", "less", "less"),
        node("Add", "less sum", "next", "add"),
        node("ReduceSum", "next axis", "y", "y", keepdims=0),
    ]
    shapes = {"x": [batch, LENGTH], "state": [2, batch, 3]}
    graph = helper.make_graph(
        nodes,
        "stateful",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [2, batch, 3]),
        ],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"),
            onnx.numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())
    axis = 1 if isinstance(batch, str) else 0
    return [
        TensorSpec(name="x", dtype="float32", shape=[batch, LENGTH]),
        TensorSpec(name="state", dtype="float32", shape=[2, batch, 3], batch_axis=axis),
    ]


def opened(
    folder: Path, batch: int | str = "N", declared: dict[str, Any] = DECLARED, **source: Any
) -> Samples:
    inputs = network(folder / "model.onnx", batch)
    path = folder / "data.zip"
    if not path.exists():
        contents = [encoded(sound(350 / 16_000 * (i + 1), seed=i), subtype="FLOAT") for i in range(2)]
        archive(path, {f"{i}.wav": content for i, content in enumerate(contents)})
    data = Source(path, Declaration.model_validate(declared), **source)
    states = state_arrays(folder / "model.onnx", data, inputs, folder / "scratch", max_unpacked_bytes=2**28)
    return open_samples(data, inputs, folder / "scratch", states=states)


def expected(samples: Samples) -> np.ndarray:
    """The state before each window, by the recurrence itself."""
    assert samples.sequences is not None
    windows = np.concatenate([feed["x"] for feed in samples.batches(1)])
    states, state = [], 0.0
    for row, window in enumerate(windows):
        if row and samples.sequences[row] != samples.sequences[row - 1]:
            state = 0.0
        states.append(state)
        state = state / 2 + float(window.sum())
    return np.array(states, np.float32)


@pytest.mark.parametrize("batch", ["N", 1])
def test_each_row_is_given_what_the_rows_before_it_leave(batch: int | str, tmp_path: Path) -> None:
    samples = opened(tmp_path, batch)
    got = np.concatenate([feed["state"] for feed in samples.batches(1)], axis=1)
    assert got.shape == (2, 11, 3)
    np.testing.assert_allclose(
        got, np.broadcast_to(expected(samples)[None, :, None], got.shape), rtol=1e-5, atol=1e-6
    )


def test_batches_slices_and_draws_have_the_states_of_their_rows(tmp_path: Path) -> None:
    states = expected(opened(tmp_path))
    (feed,) = opened(tmp_path, slice=(2, 6)).batches(9)
    assert feed["state"].shape == (2, 4, 3)
    np.testing.assert_allclose(feed["state"][0, :, 0], states[2:6], rtol=1e-5, atol=1e-6)
    drawn = opened(tmp_path).draw(3, seed=1)
    (feed,) = drawn.batches(9)
    np.testing.assert_allclose(feed["state"][1, :, 2], states[np.asarray(drawn.rows)], rtol=1e-5, atol=1e-6)


def test_rows_of_a_group_follow_each_other(tmp_path: Path) -> None:
    inputs = network(tmp_path / "model.onnx")
    x = np.ones((5, LENGTH), np.float32)
    np.savez(tmp_path / "a.npz", x=x, who=np.array([7, 3, 7, 3, 7]))
    declared = {"inputs": {"x": {"array": "x"}}, "state": {"next": "state"}, "group": "who"}
    data = Source(tmp_path / "a.npz", Declaration.model_validate(declared))
    states = state_arrays(
        tmp_path / "model.onnx", data, inputs, tmp_path / "scratch", max_unpacked_bytes=2**28
    )
    assert states["state"][:, 0, 0].tolist() == [0, 0, 100, 100, 150]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": {"later": "state"}}, "no output 'later'"),
        ({"state": {"y": "state"}}, r"output 'y' is float32 \[2, 3\]"),
        ({"state": {"next": "memory"}}, "no input 'memory'"),
        ({"constants": {"state": 0.0}}, "something else"),
        ({"state": {"next": "state", "y": "state"}}, "two outputs"),
        ({"inputs": {"x": {"from": "audio", "rate": 16_000, "length": LENGTH}}}, "hop"),
    ],
)
def test_what_is_no_state_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, declared={**DECLARED, **change}))
    assert problem is not None
    assert problem.code == "invalid_declaration"
    assert re.search(says, problem.detail)
