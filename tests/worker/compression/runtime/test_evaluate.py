"""A node computed on constants gives what it gives in a model, whatever was computed before it."""

import numpy as np
import onnx_ir as ir

from worker.compression.runtime import evaluate
from worker.compression.runtime.evaluate import Array, Call


def gathered(name: str, data: Array, indices: Array, axis: int) -> Array:
    inputs = [ir.Value(name=f"{name} {part}") for part in ("data", "indices")]
    node = ir.node("Gather", inputs, {"axis": axis}, name=name, outputs=[ir.Value(name=f"{name} out")])
    results = evaluate.evaluate(Call(node, 18, [data, indices]))
    assert results is not None
    assert [*results] == [f"{name} out"]
    return results[f"{name} out"]


def test_nodes_that_differ_in_names_values_and_shapes_share_a_session_and_no_result() -> None:
    evaluate._session.cache_clear()
    small, large = np.arange(6.0).reshape(2, 3), np.arange(60.0).reshape(3, 4, 5)
    for name, data in (("one", small), ("other", small + 1), ("large", large)):
        np.testing.assert_array_equal(gathered(name, data, np.array([1, 0]), 1), data[:, [1, 0]])
    assert evaluate._session.cache_info().misses == 1
    np.testing.assert_array_equal(gathered("axis", small, np.array([1, 0]), 0), small[[1, 0]])
    np.testing.assert_array_equal(gathered("type", small > 2, np.array([1, 0]), 1), small[:, [1, 0]] > 2)
    assert evaluate._session.cache_info().misses == 3


def test_inputs_that_are_left_out_and_results_without_a_name_keep_their_places() -> None:
    data, repeats = np.array([3.0, 1.0, 3.0]), ir.Value(name="")
    node = ir.node(
        "Unique", [ir.Value(name="x")], {}, outputs=[ir.Value(name="y"), repeats, ir.Value(name="at")]
    )
    results = evaluate.evaluate(Call(node, 18, [data]))
    assert results is not None
    assert {name: array.tolist() for name, array in results.items()} == {"y": [1, 3], "at": [1, 0, 1]}
    limits = [ir.Value(name="x"), None, ir.Value(name="most")]
    clip = ir.node("Clip", limits, {}, outputs=[ir.Value(name="clipped")])
    results = evaluate.evaluate(Call(clip, 18, [data, None, np.array(2.0)]))
    assert results is not None
    assert results["clipped"].tolist() == [2, 1, 2]
