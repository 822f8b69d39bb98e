"""Raising the opset: only when asked, to exactly what is asked, with the same outputs."""

from pathlib import Path

import pytest

from tests.support import graphs
from tests.support.ort import largest_difference, run
from worker.compression.graph import store
from worker.compression.graph.normalise import normalise
from worker.compression.graph.opset import opset_of, raise_opset


@pytest.mark.parametrize(
    "model",
    [graphs.cnn(opset=9), graphs.lstm(opset=13), graphs.branches(opset=13)],
    ids=["cnn", "lstm", "if"],
)
def test_outputs_stay_equal_and_names_survive(model, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    normal = normalise(store.load(path))
    raised = raise_opset(normal, 19)
    feeds = graphs.feeds(model)
    assert opset_of(raised) == 19
    assert largest_difference(run(model, feeds), run(raised, feeds)) <= 1e-5
    assert {node.name for node in normal.graph} <= {node.name for node in raised.graph}
    assert set(normal.graph.initializers) <= set(raised.graph.initializers)


def test_a_model_that_is_high_enough_is_returned_as_it_is(tmp_path: Path) -> None:
    model = normalise(store.load(graphs.with_external_data(tmp_path)))
    assert raise_opset(model, 13) is model


def test_external_weights_and_metadata_survive(tmp_path: Path) -> None:
    model = normalise(store.load(graphs.with_external_data(tmp_path)))
    store.stamp(model, {"note": "kept"})
    raised = raise_opset(model, 20)
    target = tmp_path / "raised.onnx"
    store.save(raised, target)
    feeds = graphs.feeds(graphs.mlp())
    assert raised.metadata_props["winnow.note"] == "kept"
    assert largest_difference(run(graphs.mlp(), feeds), run(target, feeds)) <= 1e-6
