"""Attention, recurrent layers and sums: what is one channel of them, and that the laws hold when it is cut."""

import numpy as np
import onnx
import pytest

from tests.support.channels import groups_of, laws, reasons, sizes, units
from tests.support.nets import Net
from worker.compression.graph.channels import Cuttable

INSIDE = Cuttable("inside")


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


@pytest.mark.parametrize("fused", [False, True])
def test_heads_go_whole_and_what_is_normalised_is_pinned(fused: bool) -> None:
    groups = laws(attention(fused=fused))
    assert units(groups) == {"qkv" if fused else "q": ("head", 3)}
    assert groups.groups[0].producers == (("qkv",) if fused else ("q", "k", "v"))
    assert len(groups.groups[0].channels[0].parts[0].indices) == (24 if fused else 8)
    assert reasons(groups)["embed"] == "LayerNormalization 'norm' normalises over them"


def test_inside_the_width_of_all_heads_is_cut() -> None:
    groups = laws(attention(fused=False), INSIDE)
    assert units(groups) == {"q": ("head_width", 8), "v": ("head_width", 8)}
    assert groups.groups[0].producers == ("q", "k")


def test_inside_queries_keys_and_values_of_one_matrix_go_together() -> None:
    groups = laws(attention(fused=True), INSIDE)
    assert sizes(groups) == {"qkv": 8}
    assert len(groups.groups[0].channels[0].parts[0].indices) == 9


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("keys", [4, 2, 1])
@pytest.mark.parametrize("rotary", [False, True])
def test_the_attention_operator_loses_heads_with_the_keys_that_they_share(
    flat: bool, keys: int, rotary: bool
) -> None:
    """`flat`: heads lie along the last axis, and attributes count them. Inside, without a told scale, values alone
    get narrower."""
    net = Net(opset=23)
    parts = {name: net.linear("x", 6, 8 * n, name=name) for name, n in (("q", 4), ("k", keys), ("v", keys))}
    if not flat:
        apart = {name: net.op("Reshape", value, net.ints(0, 0, -1, 8)) for name, value in parts.items()}
        parts = {name: net.op("Transpose", value, perm=[0, 2, 1, 3]) for name, value in apart.items()}
    if rotary:
        angles = net.normal(5, 4), net.normal(5, 4), net.constant(np.tile(np.arange(5), (2, 1)))
        for name, heads in (("q", 4), ("k", keys)):
            count = {"num_heads": heads} if flat else {}
            parts[name] = net.op("RotaryEmbedding", parts[name], *angles, **count)
    counts = {"q_num_heads": 4, "kv_num_heads": keys} if flat else {}
    mixed = net.op("Attention", *parts.values(), **counts)
    if not flat:
        mixed = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, 0, 32))
    net.op("MatMul", mixed, net.normal(32, 3), name="y")
    proto = net.model({"x": [2, 5, 6]}, {"y": [2, 5, 3]})
    groups = laws(proto)
    assert units(groups) == {"q": ("head", keys if keys > 1 else 4)}
    assert groups.groups[0].queries == (4 // keys if keys > 1 else 1)
    assert sizes(laws(proto, INSIDE))["v"] == 8


def test_heads_that_do_not_divide_are_pinned() -> None:
    """The checker lets it pass; ONNX Runtime would refuse to run it."""
    net = Net(opset=23)
    parts = [net.linear("x", 6, width, name=name) for name, width in (("q", 24), ("k", 16), ("v", 16))]
    net.op("Attention", *parts, name="attention", q_num_heads=3, kv_num_heads=2)
    net.op("MatMul", "attention", net.normal(24, 3), name="y")
    _, groups = groups_of(net.model({"x": [2, 5, 6]}, {"y": [2, 5, 3]}))
    assert groups.groups == ()
    assert reasons(groups)["q"] == "the rule of Attention 'attention' does not fit it"


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_the_attention_operator_keeps_its_width_unless_its_scale_is_told(scaled: bool, fused: bool) -> None:
    net = Net(opset=23)
    if fused:
        parts = net.op("Split", net.linear("x", 6, 48, name="qkv"), net.ints(16, 16, 16), outputs=3, axis=-1)
        made = [parts[:-1] + str(i) for i in range(3)]
    else:
        made = [net.linear("x", 6, 16, name=name) for name in "qkv"]
    heads = [net.op("Transpose", net.op("Reshape", v, net.ints(0, 0, 2, 8)), perm=[0, 2, 1, 3]) for v in made]
    mixed = net.op("Attention", *heads, **({"scale": 0.3} if scaled else {}))
    joined = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, 0, 16))
    net.op("MatMul", joined, net.normal(16, 3), name="y")
    groups = laws(net.model({"x": ["N", 5, 6]}, {"y": ["N", 5, 3]}), INSIDE)
    values = {"qkv": 8} if fused else {"v": 8}
    others = {"qkv (2)": 8} if fused else {"q": 8}
    assert sizes(groups) == (values | others if scaled else values)


def test_what_is_summed_without_a_weight_must_be_zero_to_be_offered() -> None:
    net = Net()
    x = net.op("Sigmoid", net.linear("x", 4, 6, name="a"))
    y = net.relu(net.linear("x", 4, 6, name="b"))
    net.op("ReduceSum", x, net.ints(-1), name="y", keepdims=0)
    net.op("ReduceSum", y, net.ints(-1), name="z", keepdims=0)
    groups = laws(net.model({"x": ["N", 4]}, {"y": ["N"], "z": ["N"]}))
    assert sizes(groups) == {"b": 6}
    assert "ReduceSum 'y'" in reasons(groups)["a"]


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
