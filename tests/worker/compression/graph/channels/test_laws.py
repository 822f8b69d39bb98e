"""For random graphs made of all the structures: any cut is valid and runs, and cutting zeros changes nothing.

"Weights and biases of a channel" are all its parts: what makes it, what is added, and the slices that read it. Where
f(0) ≠ 0 (a sigmoid) a channel of zeros is not zero behind f, but then what reads it has a slice of zeros for it.
"""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import graphs
from tests.support.channels import assert_laws, every_third, groups_of, normal
from tests.support.nets import Net, Value
from worker.compression.graph.channels import Channel, Forecast, Groups, channel_groups, cut
from worker.compression.graph.facts.cost import macs, parameters

SIZE = 6
Block = Callable[[Net, Value, int, int], tuple[Value, int]]
"""(net, value, its channels, a number to vary with) → value, its channels."""


def convolution(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    outs = 4 + 2 * (n % 5)
    return net.conv(x, width, outs, kernel=1 + 2 * (n % 2)), outs


def activation(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    return net.op(["Relu", "Sigmoid", "Tanh", "Exp", "HardSwish", "Softplus"][n % 6], x), width


def scaled(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    return net.op(["Mul", "Add", "PRelu", "Sub"][n % 4], x, net.normal(width, 1, 1)), width


def normalised(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    if n % 2:
        return net.op("InstanceNormalization", x, net.normal(width), net.normal(width)), width
    variance = net.constant(abs(net.rng.standard_normal(width)).astype("float32") + 0.5)
    return net.op(
        "BatchNormalization", x, net.normal(width), net.normal(width), net.normal(width), variance
    ), width


def residual(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    inner = net.relu(net.conv(x, width, 4 + n % 4))
    return net.op("Add", net.conv(inner, 4 + n % 4, width), x), width


def dense(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    more = 2 + n % 4
    return net.op("Concat", x, net.conv(x, width, more), axis=1), width + more


def padded(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    before, after = n % 3, 1 + n % 2
    short = net.op("Pad", x, net.ints(0, before, 0, 0, 0, after, 0, 0))
    wide = width + before + after
    return net.op("Add", short, net.conv(x, width, wide)), wide


def mirrored(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    wide = net.op("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1), mode=["reflect", "edge"][n % 2])
    return net.op("MaxPool", wide, kernel_shape=[3, 3]), width


def depthwise(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    return net.conv(x, width, width * (1 + n % 2), kernel=3, group=width), width * (1 + n % 2)


def grouped(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    group = next(g for g in (2 + n % 3, 2, 1) if width % g == 0)
    return net.conv(x, width, 4 * group, group=group), 4 * group


def shuffled(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    group = next(g for g in (2 + n % 3, 2, 1) if width % g == 0)
    apart = net.op("Reshape", x, net.ints(0, group, width // group, SIZE, SIZE))
    return net.op(
        "Reshape", net.op("Transpose", apart, perm=[0, 2, 1, 3, 4]), net.ints(-1, width, SIZE, SIZE)
    ), width


def excited(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    inner = net.relu(net.conv(net.op("GlobalAveragePool", x), width, 3))
    gate = net.op(["Sigmoid", "HardSigmoid"][n % 2], net.conv(inner, 3, width))
    return net.op("Mul", x, gate), width


def split(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    left = 1 + n % (width - 1)
    first = net.op("Split", x, net.ints(left, width - left), outputs=2, axis=1)
    other = net.conv(first[:-1] + "1", width - left, 4)
    return net.op("Concat", other, first, axis=1), left + 4


def sliced(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    start, stride = n % 2, 1 + n % 2
    kept = len(range(start, width, stride))
    return net.op("Slice", x, net.ints(start), net.ints(2**40), net.ints(1), net.ints(stride)), kept


def chosen(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    places = [(n * i + i) % width for i in range(width + 1)]
    return net.op("Gather", x, net.ints(*places), axis=1), len(places)


def attended(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    dim = 4 * (2 + n % 2)
    flat = net.op("Transpose", net.op("Reshape", x, net.ints(0, 0, -1)), perm=[0, 2, 1])
    made = (net.op("Reshape", net.linear(flat, width, dim), net.ints(0, 0, 2, dim // 2)) for _ in range(3))
    q, k, v = (net.op("Transpose", value, perm=[0, 2, 1, 3]) for value in made)
    scores = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    mixed = net.op("Transpose", net.op("MatMul", scores, v), perm=[0, 2, 3, 1])
    return net.op("Reshape", mixed, net.ints(0, dim, SIZE, SIZE)), dim


def there_and_back(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    up = net.op("ConvTranspose", x, net.normal(width, 8, 2, 2), net.normal(8), strides=[2, 2])
    deep = net.op("SpaceToDepth", up, blocksize=2)
    return net.op("DepthToSpace", net.conv(deep, 32, 16), blocksize=1), 16


def recurrent(net: Net, x: Value, width: int, n: int) -> tuple[Value, int]:
    kind, gates = [("LSTM", 4), ("GRU", 3)][n % 2]
    rows = net.op("Reshape", net.op("Transpose", x, perm=[2, 0, 3, 1]), net.ints(SIZE, -1, width))
    hidden = 3 + n % 3
    weights = (net.normal(1, gates * hidden, width), net.normal(1, gates * hidden, hidden))
    y = net.op(kind, rows, *weights, net.normal(1, 2 * gates * hidden), outputs=2, hidden_size=hidden)
    y = net.op("Reshape", net.op("Squeeze", y, net.ints(1)), net.ints(SIZE, -1, SIZE, hidden))
    return net.op("Transpose", y, perm=[1, 3, 0, 2]), hidden


BLOCKS: list[Block] = [
    convolution, activation, scaled, normalised, residual, dense, padded, depthwise, grouped,
    mirrored, shuffled, excited, split, sliced, chosen, attended, there_and_back, recurrent,
]  # fmt: skip
LIKELY = [*BLOCKS, convolution, residual]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    net = Net(seed=draw(st.integers(0, 99)))
    x, width = net.conv("x", 3, 8), 8
    for block, n in draw(
        st.lists(st.tuples(st.sampled_from(LIKELY), st.integers(0, 30)), min_size=1, max_size=6)
    ):
        if width < 2 or width > 64:
            x, width = net.conv(x, width, 8), 8
        x, width = block(net, x, width, n)
    net.head(x, width)
    return net.image_model(size=SIZE)


def some_of(groups: Groups, data: st.DataObject) -> list[Channel]:
    """Any set of channels that leaves one of each group."""
    found: list[Channel] = []
    for group in groups.groups:
        kept = data.draw(st.lists(st.booleans(), min_size=len(group.channels), max_size=len(group.channels)))
        stays = data.draw(st.integers(0, len(group.channels) - 1))
        found += [c for i, c in enumerate(group.channels) if i != stays and not kept[i]]
    return found


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=models(), data=st.data())
def test_any_cut_is_valid_and_runs_and_cutting_zeros_changes_nothing(
    model: onnx.ModelProto, data: st.DataObject
) -> None:
    made, groups = groups_of(model)
    assert_laws(made, some_of(groups, data), graphs.feeds(model, batch=2))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=models(), data=st.data())
def test_what_a_cut_leaves_is_forecast_exactly(model: onnx.ModelProto, data: st.DataObject) -> None:
    made, groups = groups_of(model)
    chosen = set(some_of(groups, data))
    losers = [np.array([i for i, c in enumerate(g.channels) if c in chosen], np.int64) for g in groups.groups]
    forecast, smaller = Forecast(made, groups.groups), cut(made, chosen)
    assert forecast.parameters(losers) == parameters(smaller)
    assert forecast.macs(losers) == macs(smaller)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_each_block_alone_offers_channels_and_keeps_the_laws(block: Block, n: int) -> None:
    net = Net(seed=n)
    x, width = block(net, net.relu(net.conv("x", 3, 12)), 12, n)
    net.head(x, width)
    model = net.image_model(size=SIZE)
    made, groups = groups_of(model)
    assert every_third(groups)
    assert_laws(made, every_third(groups), graphs.feeds(model, batch=2))


def test_a_cut_model_can_be_cut_again_and_the_first_one_is_as_it_was() -> None:
    made = normal(graphs.cnn())
    before = {name: value.const_value.numpy().copy() for name, value in made.graph.initializers.items()}
    groups = channel_groups(made)
    once = cut(made, every_third(groups))
    again = channel_groups(once)
    assert sum(len(g.channels) for g in again.groups) == sum(len(g.channels) for g in groups.groups) - len(
        every_third(groups)
    )
    assert_laws(once, every_third(again), graphs.feeds(graphs.cnn()))
    assert all(
        (value.const_value.numpy() == before[name]).all() for name, value in made.graph.initializers.items()
    )


def test_one_channel_of_a_group_must_stay() -> None:
    made = normal(graphs.cnn())
    (group, *_) = channel_groups(made).groups
    with pytest.raises(ValueError, match="one must stay"):
        cut(made, group.channels)


def test_a_channel_of_another_model_is_refused() -> None:
    (group, *_) = channel_groups(normal(graphs.mlp())).groups
    with pytest.raises(ValueError, match="not a channel of this model"):
        cut(normal(graphs.cnn()), group.channels[:1])
