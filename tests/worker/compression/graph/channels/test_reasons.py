"""What is computed from shapes, what pins channels, and how both are told."""

import numpy as np
import onnx_ir as ir

from tests.support import graphs
from tests.support.channels import assert_laws, every_third, groups_of, laws, reasons, sizes
from tests.support.nets import Net
from worker.compression.graph.channels import channel_groups, describe


def test_a_shape_that_is_computed_is_corrected_where_it_says_a_size_that_is_cut() -> None:
    net = Net()
    a = net.conv("x", 3, 6, name="a")
    dims = net.op("Shape", "x")
    batch = net.op("Gather", dims, net.ints(0))
    flat = net.op("Reshape", a, net.op("Concat", batch, net.ints(6, -1), axis=0))
    net.op("MatMul", net.op("Transpose", flat, perm=[0, 2, 1]), net.normal(6, 3), name="y")
    groups = laws(net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", "P", 3]}))
    assert sizes(groups) == {"a": 6}


def test_copies_of_channels_pin_them() -> None:
    net = Net()
    a = net.conv("x", 3, 6, name="a")
    net.head(net.op("Pad", a, net.ints(0, 1, 0, 0, 0, 1, 0, 0), mode="edge"), 8)
    groups = laws(net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", 3]}))
    assert sizes(groups) == {}
    assert "pads by mode edge" in reasons(groups)["a"]


def test_bounds_that_are_computed_from_the_number_of_channels_are_known() -> None:
    net = Net()
    a = net.conv("x", 3, 8, name="a")
    half = net.op("Div", net.op("Gather", net.op("Shape", a), net.ints(1)), net.ints(2))
    left = net.op("Slice", a, net.ints(0), half, net.ints(1))
    right = net.op("Slice", a, half, net.ints(2**40), net.ints(1))
    net.head(net.op("Concat", net.conv(left, 4, 4), right, axis=1), 8)
    made = ir.from_proto(
        net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", 3]})
    )  # normalising would fold this one
    groups = channel_groups(made)
    assert sum(sizes(groups).values()) == 12
    assert_laws(made, every_third(groups), {"x": np.ones((2, 3, 4, 4), np.float32)})


def test_computed_bounds_along_another_axis_let_channels_go() -> None:
    net = Net()
    a = net.conv("x", 3, 8, name="a")
    rows = net.op("Gather", net.op("Shape", "short"), net.ints(2))
    net.head(net.op("Slice", a, net.ints(0), rows, net.ints(2)), 8)
    groups = laws(net.model({"x": ["N", 3, 4, 4], "short": ["N", 1, "M", 1]}, {"y": ["N", 3]}))
    assert sizes(groups) == {"a": 8}


def test_the_number_of_channels_as_a_number_pins_them() -> None:
    net = Net()
    flat = net.op(
        "Transpose", net.op("Reshape", net.conv("x", 3, 6, name="a"), net.ints(0, 6, -1)), perm=[0, 2, 1]
    )
    count = net.op("Cast", net.op("Gather", net.op("Shape", flat), net.ints(2)), name="number", to=1)
    scores = net.op("MatMul", flat, net.op("Transpose", flat, perm=[0, 2, 1]))
    net.op("Div", scores, net.op("Sqrt", count), name="y")
    groups = channel_groups(ir.from_proto(net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", "P", "Q"]})))
    assert reasons(groups) == {"a": "Cast 'number' computes with how many there are"}


def test_an_open_dimension_becomes_a_number_that_fits_the_weights() -> None:
    net = Net()
    a = net.op("Transpose", net.conv("x", 3, 4, name="a"), perm=[0, 3, 1, 2])
    y = net.op("Reshape", a, net.ints(0, 0, -1))
    net.op("MatMul", y, net.normal(4 * 32, 3), name="y")
    made = ir.from_proto(net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", "W", 3]}))
    groups = channel_groups(made)
    assert sizes(groups) == {"a": 4}
    assert_laws(made, every_third(groups), {"x": np.ones((2, 3, 32, 5), np.float32)})


def test_the_account_tells_what_is_coupled_and_what_pins_the_rest() -> None:
    net = Net()
    net.head(net.conv("x", 3, 6, name="a"), 6)
    _, groups = groups_of(net.image_model())
    plain = {"unit": "channel", "queries": 1, "width": 1}
    assert describe(groups) == [
        plain | {"name": "a", "channels": 6, "producers": ["a"], "consumers": ["y"], "pinned": None},
        plain
        | {"name": "y", "channels": 3, "producers": ["y"], "consumers": [], "pinned": "graph output 'y'"},
    ]


def test_an_operator_without_a_rule_pins_with_its_name() -> None:
    net = Net()
    a = net.conv("x", 3, 6, name="a")
    net.op("TopK", a, net.ints(2), outputs=2, name="top", axis=1)
    _, groups = groups_of(net.model({"x": ["N", 3, 8, 8]}, {"top.0": ["N", 2, 8, 8]}))
    assert reasons(groups) == {"a": "no rule for operator TopK ('top')"}


def test_branches_are_walked_and_what_they_capture_is_coupled() -> None:
    _, groups = groups_of(graphs.branches())
    assert groups.groups == ()
    assert {pinned.reason for pinned in groups.pinned} == {"graph output 'y'"}
