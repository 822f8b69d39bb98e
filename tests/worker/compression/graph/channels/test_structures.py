"""Every structure that couples channels in its own way: what is one channel, and that the laws hold when it is cut."""

import numpy as np
import pytest

from tests.support.channels import laws, reasons, sizes
from tests.support.nets import Net


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
