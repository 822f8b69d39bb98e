"""After normalising every name is given once, and what is computed is what it was."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise


def names(model: ir.Model) -> tuple[list[str | None], list[str | None]]:
    """Of all nodes, and of all values."""
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    values = [v.name for g in model.graphs() for v in (*g.inputs, *g.initializers.values())]
    return [n.name for n in nodes], values + [v.name for n in nodes for v in n.outputs if v.name]


@pytest.mark.parametrize("flag", [True, False])
def test_branches_that_use_the_same_names_get_names_of_their_own(flag: bool) -> None:
    feeds = {"x": np.ones((2, 3, 8, 8), np.float32), "flag": np.array(flag)}
    expected = run(graphs.siblings(), feeds)
    made = normalise(ir.from_proto(graphs.siblings()))
    assert all(len(each) == len(set(each)) for each in names(made))
    np.testing.assert_array_equal(expected[0], run(made, feeds)[0])


@settings(max_examples=20, deadline=None)
@given(called=st.lists(st.sampled_from(["", "a", "a_1", "Relu", "Relu_1"]), min_size=2, max_size=6))
def test_nodes_may_share_names_or_have_none(called: list[str]) -> None:
    """Every node keeps its name where it is the first to have it."""
    values = ["x", *(f"v{i}" for i in range(len(called) - 1)), "y"]
    nodes = [
        graphs.node(["Relu", "Neg"][i % 2], values[i], values[i + 1], name) for i, name in enumerate(called)
    ]
    model = graphs.of(nodes, {"x": [2]}, {"y": [2]}, {})
    found, _ = names(normalise(ir.from_proto(model)))
    assert len(set(found)) == len(called)
    firsts = {name for i, name in enumerate(called) if name and name not in called[:i]}
    assert firsts - {"Relu", "Relu_1", "a_1"} <= set(found)


def test_the_signature_keeps_its_names_where_an_inner_value_has_one_of_them() -> None:
    model = graphs.parse(
        """(float[2] x, bool flag) => (float[2] t) {
            y = If <
                then_branch = b () => (float[2] t) { t = Neg (x) },
                else_branch = b () => (float[2] t) { t = Neg (x) }
            > (flag)
            t = Add (y, w)
        }""",
        {"w": np.ones(2, np.float32)},
    )
    made = normalise(ir.from_proto(model))
    assert [value.name for value in made.graph.outputs] == ["t"]
    assert all(len(each) == len(set(each)) for each in names(made))
    onnx.checker.check_model(ir.to_proto(made))
