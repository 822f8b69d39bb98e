"""Every structure that couples channels in its own way: what is one channel, and that the laws hold when it is cut."""

import numpy as np
import onnx
import pytest

from tests.support import graphs
from tests.support.channels import assert_laws, every_third, groups_of
from tests.support.nets import Net
from worker.compression.graph.channels import Groups


def sizes(groups: Groups) -> dict[str, int]:
    return {group.name: len(group.channels) for group in groups.groups}


def laws(model: onnx.ModelProto) -> Groups:
    made, groups = groups_of(model)
    assert_laws(made, every_third(groups), graphs.feeds(model, batch=2))
    return groups


def reasons(groups: Groups) -> dict[str, str]:
    return {pinned.node: pinned.reason for pinned in groups.pinned}


def test_a_residual_sum_couples_its_summands_and_the_output_is_pinned() -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 6, name="a"))
    net.head(net.op("Add", a, net.conv(a, 6, 6, name="b")), 6)
    groups = laws(net.image_model())
    assert sizes(groups) == {"a": 6}
    assert groups.groups[0].producers == ("a", "b")
    assert groups.groups[0].consumers == ("b", "y")
    assert reasons(groups) == {"y": "graph output 'y'"}


def test_parts_tell_filters_from_what_reads_them_and_from_biases() -> None:
    net = Net()
    net.head(net.conv("x", 3, 6, name="a"), 6)
    (group,) = laws(net.image_model()).groups
    assert [(p.axis, p.indices, p.role) for p in group.channels[4].parts] == [
        (0, (4,), "output"),
        (0, (4,), "other"),
        (1, (4,), "input"),
    ]


def test_a_zero_padded_shortcut_loses_padding_with_the_channels_that_meet_it() -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 4, name="a"))
    short = net.op("Slice", a, net.ints(0, 0), net.ints(99, 99), net.ints(2, 3), net.ints(2, 2))
    short = net.op("Pad", short, net.ints(0, 2, 0, 0, 0, 2, 0, 0))
    net.head(net.op("Add", short, net.conv(a, 4, 8, stride=2, name="b")), 8)
    assert sizes(laws(net.image_model())) == {"a": 4, "b": 4}


def test_dense_concatenation_keeps_each_layer_s_channels_apart() -> None:
    net = Net()
    a = net.conv("x", 3, 4, name="a")
    b = net.op("Concat", a, net.conv(a, 4, 5, name="b"), axis=1)
    c = net.op("Concat", b, net.conv(net.relu(b), 9, 6, name="c"), axis=1)
    net.head(net.relu(c), 15)
    assert sizes(laws(net.image_model())) == {"a": 4, "b": 5, "c": 6}


def test_a_depthwise_convolution_passes_channels_on_and_its_group_is_repaired() -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 6, name="a"))
    b = net.conv(a, 6, 12, kernel=3, group=6, name="b")
    net.head(net.conv(b, 12, 4, name="c"), 4)
    groups = laws(net.image_model())
    assert sizes(groups) == {"a": 6, "c": 4}
    assert groups.groups[0].producers == ("a", "b")


@pytest.mark.parametrize(("group", "channels"), [(2, 6), (6, 6), (3, 4)])
def test_groups_of_a_convolution_stay_equally_big(group: int, channels: int) -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 12, name="a"))
    net.head(net.conv(a, 12, 12, kernel=3, group=group, name="b"), 12)
    assert sizes(laws(net.image_model()))["a"] == channels


@pytest.mark.parametrize("group", [2, 3])
def test_a_channel_shuffle_between_grouped_convolutions(group: int) -> None:
    net = Net()
    a = net.conv("x", 3, 24, name="a")
    b = net.op("Reshape", a, net.ints(0, group, 24 // group, 8, 8))
    c = net.op("Reshape", net.op("Transpose", b, perm=[0, 2, 1, 3, 4]), net.ints(0, -1, 8, 8))
    net.head(net.conv(c, 24, 24, group=24, name="d"), 24)
    assert sizes(laws(net.image_model())) == {"a": 24 // group}


def test_squeeze_and_excitation_is_coupled_with_what_it_scales() -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 8, name="a"))
    s = net.relu(net.conv(net.op("GlobalAveragePool", a), 8, 4, name="down"))
    gate = net.op("HardSigmoid", net.conv(s, 4, 8, name="up"))
    net.head(net.op("Mul", a, gate), 8)
    groups = laws(net.image_model())
    assert sizes(groups) == {"a": 8, "down": 4}
    assert groups.groups[0].producers == ("a", "up")


def test_flattened_maps_are_cut_out_of_the_matrix_behind() -> None:
    net = Net()
    flat = net.op("Flatten", net.relu(net.conv("x", 3, 5, name="a")))
    net.op("Gemm", flat, net.normal(5 * 64, 3), net.normal(3), name="y")
    (group,) = laws(net.image_model()).groups
    assert len(group.channels[0].parts[-1].indices) == 64


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_the_channels_of_a_pixel_shuffle_go_four_at_a_time(mode: str) -> None:
    net = Net()
    a = net.op("DepthToSpace", net.conv("x", 3, 24, name="a"), blocksize=2, mode=mode)
    net.head(net.conv(a, 6, 4, name="b"), 4)
    assert sizes(laws(net.image_model())) == {"a": 6, "b": 4}


def test_a_pixel_shuffle_by_reshape_and_transpose() -> None:
    net = Net()
    a = net.op("Reshape", net.conv("x", 3, 24, name="a"), net.ints(-1, 6, 2, 2, 8, 8))
    a = net.op("Transpose", a, perm=[0, 1, 4, 2, 5, 3])
    net.head(net.conv(net.op("Reshape", a, net.ints(-1, 6, 16, 16)), 6, 4), 4)
    assert sizes(laws(net.image_model()))["a"] == 6


def attention(*, fused: bool) -> onnx.ModelProto:
    net, dim, heads = Net(), 24, 3
    x = net.linear("x", 10, dim, name="embed")
    if fused:
        qkv = net.op("Reshape", net.linear(x, dim, 3 * dim, name="qkv"), net.ints(0, 7, 3, heads, 8))
        parts = net.op("Split", net.op("Transpose", qkv, perm=[2, 0, 3, 1, 4]), net.ints(1, 1, 1), outputs=3)
        q, k, v = (net.op("Squeeze", parts[:-1] + str(i), net.ints(0)) for i in range(3))
    else:
        made = (net.op("Reshape", net.linear(x, dim, dim, name=n), net.ints(0, 0, heads, 8)) for n in "qkv")
        q, k, v = (net.op("Transpose", value, perm=[0, 2, 1, 3]) for value in made)
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    joined = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, 7, dim))
    x = net.op("Add", x, net.linear(joined, dim, dim, name="project"))
    scale, shift = net.normal(dim), net.normal(dim)
    normed = net.op("LayerNormalization", x, scale, shift, name="norm")
    net.op("MatMul", normed, net.normal(dim, 3), name="y")
    return net.model({"x": ["N", 7, 10]}, {"y": ["N", 7, 3]})


def test_of_attention_the_width_of_all_heads_is_cut_and_what_is_normalised_is_pinned() -> None:
    groups = laws(attention(fused=False))
    assert sizes(groups) == {"q": 8, "v": 8}
    assert groups.groups[0].producers == ("q", "k")
    assert reasons(groups)["embed"] == "LayerNormalization 'norm' normalises over them"


def test_queries_keys_and_values_of_one_matrix_go_together() -> None:
    groups = laws(attention(fused=True))
    assert sizes(groups) == {"qkv": 8}
    assert len(groups.groups[0].channels[0].parts[0].indices) == 9


def test_what_is_summed_without_a_weight_must_be_zero_to_be_offered() -> None:
    net = Net()
    x = net.op("Sigmoid", net.linear("x", 4, 6, name="a"))
    y = net.relu(net.linear("x", 4, 6, name="b"))
    net.op("ReduceSum", x, net.ints(-1), name="y", keepdims=0)
    net.op("ReduceSum", y, net.ints(-1), name="z", keepdims=0)
    groups = laws(net.model({"x": ["N", 4]}, {"y": ["N"], "z": ["N"]}))
    assert sizes(groups) == {"b": 6}
    assert "ReduceSum 'y'" in reasons(groups)["a"]


@pytest.mark.parametrize("opset", [11, 18])
def test_split_sizes_and_slice_bounds_follow(opset: int) -> None:
    net = Net(opset=opset)
    a = net.conv("x", 3, 12, name="a")
    if opset < 13:
        net.op("Split", a, outputs=2, name="s", axis=1, split=[4, 8])
    else:
        net.op("Split", a, net.ints(4, 8), outputs=2, name="s", axis=1)
    left = net.conv("s.0", 4, 6, name="b")
    right = net.op("Slice", "s.1", net.ints(-6), net.ints(2**40), net.ints(1))
    flipped = net.op("Slice", right, net.ints(-1), net.ints(-(2**40)), net.ints(1), net.ints(-1))
    net.head(net.op("Add", left, flipped), 6)
    assert sum(sizes(laws(net.image_model())).values()) == 12


def test_chosen_and_interleaved_channels() -> None:
    net = Net()
    a = net.conv("x", 3, 8, name="a")
    b = net.op("Gather", a, net.ints(7, 5, 0, 0), axis=1)
    c = net.op("Slice", a, net.ints(1), net.ints(8), net.ints(1), net.ints(2))
    net.head(net.conv(net.op("Concat", b, c, axis=1), 8, 4), 4)
    laws(net.image_model())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both", [False, True])
def test_a_hidden_unit_goes_from_every_gate_and_state(kind: str, both: bool) -> None:
    net, hidden, gates, directions = Net(), 5, {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 1 + both
    x = net.op("MatMul", "x", net.normal(6, 4), name="embed")
    weights = (net.normal(directions, gates * hidden, 4), net.normal(directions, gates * hidden, hidden))
    extra = {"direction": "bidirectional"} if both else {}
    net.op(
        kind,
        x,
        *weights,
        net.normal(directions, 2 * gates * hidden),
        outputs=2,
        name="rnn",
        hidden_size=hidden,
        **extra,
    )
    y = net.op("Transpose", "rnn.0", perm=[0, 2, 1, 3])
    y = net.op("Reshape", y, net.ints(0, 0, -1))
    net.op("MatMul", y, net.normal(directions * hidden, 3), name="y")
    groups = laws(net.model({"x": [7, "N", 6]}, {"y": [7, "N", 3]}))
    assert sizes(groups) == {"embed": 4, "rnn": 5}


def test_a_recurrent_state_that_is_an_input_pins_and_says_so() -> None:
    net = Net()
    net.op(
        "GRU",
        "x",
        net.normal(1, 15, 4),
        net.normal(1, 15, 5),
        "",
        "",
        "h",
        outputs=2,
        name="rnn",
        hidden_size=5,
    )
    model = net.model({"x": [7, "N", 4], "h": [1, "N", 5]}, {"rnn.1": [1, "N", 5]})
    _, groups = groups_of(model)
    assert groups.groups == ()
    assert reasons(groups) == {"rnn": "GRU 'rnn' joins them with graph input 'h'"}


@pytest.mark.parametrize("group", [1, 2, 8])
def test_transposed_convolutions(group: int) -> None:
    net = Net()
    a = net.relu(net.conv("x", 3, 8, name="a"))
    b = net.op(
        "ConvTranspose",
        a,
        net.normal(8, 8 // group, 2, 2),
        net.normal(8),
        name="up",
        group=group,
        strides=[2, 2],
    )
    net.head(net.conv(b, 8, 4, name="c"), 4)
    groups = laws(net.image_model())
    assert sizes(groups)["a"] == {1: 8, 2: 4, 8: 8}[group]


def test_scales_and_zero_points_of_channels_go_with_them() -> None:
    net = Net()
    scale, zero = (
        net.constant(np.linspace(0.01, 0.02, 6, dtype=np.float32)),
        net.constant(np.zeros(6, np.int8)),
    )
    stored = net.constant(net.rng.integers(-127, 127, (6, 3, 1, 1)).astype(np.int8))
    weight = net.op("DequantizeLinear", stored, scale, zero, axis=0)
    a = net.op("Conv", "x", weight, net.normal(6), name="a")
    one, offset = net.constant(np.float32(0.05)), net.constant(np.int8(3))
    a = net.op("DequantizeLinear", net.op("QuantizeLinear", a, one, offset), one, offset)
    net.head(a, 6)
    (group,) = laws(net.image_model()).groups
    assert [(p.axis, p.role) for p in group.channels[0].parts] == [(0, "output")] + 3 * [(0, "other")] + [
        (1, "input")
    ]


def test_group_normalisation_by_reshape_cuts_whole_groups() -> None:
    net = Net()
    a = net.conv("x", 3, 12, name="a")
    b = net.op("Reshape", a, net.ints(0, 4, -1))
    ones = (net.constant(np.ones(4, np.float32)), net.constant(np.zeros(4, np.float32)))
    b = net.op("Reshape", net.op("InstanceNormalization", b, *ones), net.ints(-1, 12, 8, 8))
    net.head(net.op("Mul", b, net.normal(12, 1, 1)), 12)
    assert sizes(laws(net.image_model())) == {"a": 4}


def test_a_shape_that_is_computed_is_corrected_where_it_says_a_size_that_is_cut() -> None:
    net = Net()
    a = net.conv("x", 3, 6, name="a")
    dims = net.op("Shape", "x")
    batch = net.op("Gather", dims, net.ints(0))
    flat = net.op("Reshape", a, net.op("Concat", batch, net.ints(6, -1), axis=0))
    net.op("MatMul", net.op("Transpose", flat, perm=[0, 2, 1]), net.normal(6, 3), name="y")
    groups = laws(net.model({"x": ["N", 3, "H", "W"]}, {"y": ["N", "P", 3]}))
    assert sizes(groups) == {"a": 6}


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
