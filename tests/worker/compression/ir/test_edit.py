"""Changes of one graph: names that are free, nodes that patterns keep, one node in place of another."""

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model, named, run
from worker.compression.ir.edit import GraphEdit


def net() -> ir.Model:
    return model(
        """(float[N,3] x) => (float[N,3] y) {
            [first] h = Relu (x)
            [last] y = Neg (h)
        }""",
    )


def test_excluded_nodes_may_not_be_changed() -> None:
    edit = GraphEdit(net(), ["fir*"])
    assert [edit.may_change(node) for node in edit.graph] == [False, True]
    assert [edit.on_clone().may_change(node) for node in edit.graph] == [False, True]


def test_names_collide_with_no_value_and_no_node() -> None:
    edit = GraphEdit(net())
    constant = edit.new_constant("h", np.ones(3, np.float32))
    made = edit.new_node("Neg", [constant], "last")
    assert constant.name == "h_1"
    assert (made.outputs[0].name, made.name) == ("last_1", "last_1_Neg")
    assert edit.fresh_name("last_1_Neg") == "last_1_Neg_1"


def test_nodes_take_the_place_and_the_names_of_one() -> None:
    edit = GraphEdit(net())
    x = np.array([[-1, 0, 2]], np.float32)
    before = run(edit.model, {"x": x})
    old = named(edit.model, "last")
    twice = edit.new_node("Add", [old.inputs[0], old.inputs[0]], "twice")
    half = edit.new_constant("half", np.array(-0.5, np.float32))
    edit.replace_node(old, [twice, edit.new_node("Mul", [twice.outputs[0], half], "halved")])
    assert [node.name for node in edit.graph] == ["first", "last", "halved_Mul"]
    assert [node.op_type for node in edit.graph] == ["Relu", "Add", "Mul"]
    assert edit.graph.outputs[0].name == "y"
    np.testing.assert_array_equal(run(edit.model, {"x": x}), before)


def test_a_copy_is_edited_apart() -> None:
    edit = GraphEdit(net())
    edit.on_clone().new_constant("c", np.ones(1, np.float32))
    assert "c" not in edit.graph.initializers
