"""Residual blocks are found in any style of network, and a network without some of them is the one never given them."""

from typing import get_args

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.residual_nets import WIDTH, Style, residual_net
from tests.support.small_nets import model
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.blocks.removal import without_blocks

ROWS = np.random.default_rng(1).standard_normal((5, WIDTH)).astype(np.float32)
SQUARE = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
STYLES = get_args(Style)


def answers(net: ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = ir.to_proto(net)
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds or {"x": ROWS}))


def names(net: ir.Model) -> list[str]:
    return [block.name for block in residual_blocks(net).blocks]


def reasons(text: str, **weights: np.ndarray) -> dict[str, str]:
    found = residual_blocks(model(text, weights or {"w": SQUARE, "v": SQUARE}))
    assert not found.blocks
    return {each.name: each.reason for each in found.pinned}


@pytest.mark.parametrize("style", STYLES)
def test_every_block_is_found_with_its_layers(style: Style) -> None:
    found = residual_blocks(residual_net(style, [1, 1, 1]))
    assert [(block.name, block.layers) for block in found.blocks] == [
        (f"join{number}", (f"up{number}", f"down{number}")) for number in range(3)
    ]
    assert not found.pinned


@settings(max_examples=40)
@given(
    style=st.sampled_from(STYLES),
    kept=st.lists(st.booleans(), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_without_some_it_is_the_network_that_never_had_them(
    style: Style, kept: list[bool], seed: int
) -> None:
    """The others keep their weights: bit for bit the same answers, and nodes are left over of none that went."""
    whole = residual_net(style, [1.0] * len(kept), seed=seed)
    gone = [block for block, stays in zip(residual_blocks(whole).blocks, kept, strict=True) if not stays]
    smaller = without_blocks(whole, gone)
    weights = {name: value.const_value for name, value in whole.graph.initializers.items()}
    never = residual_net(style, [1.0] * sum(kept), seed=seed)
    places = [place for place, stays in enumerate(kept) if stays]
    for number, place in enumerate(places):
        for letter in "uv":
            never.graph.initializers[f"{letter}{number}"].const_value = weights[f"{letter}{place}"]
    for name in ("first", "last"):
        never.graph.initializers[name].const_value = weights[name]
    assert np.array_equal(answers(smaller)[0], answers(never)[0])
    assert len(smaller.graph) == len(never.graph)
    assert names(smaller) == [f"join{place}" for place in places]


@pytest.mark.parametrize("style", ["plain", "pre", "activated"])
def test_a_block_that_adds_nothing_is_not_missed(style: Style) -> None:
    net = residual_net(style, [1, 0, 1])
    (middle,) = (block for block in residual_blocks(net).blocks if block.name == "join1")
    assert np.array_equal(answers(net)[0], answers(without_blocks(net, [middle]))[0])


def test_a_block_that_makes_an_output_leaves_the_outputs_name() -> None:
    net = model(
        f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
            [stem] s = MatMul (x, w)
            [layer] f = MatMul (s, v)
            [join] y = Add (s, f)
        }}""",
        {"w": SQUARE, "v": SQUARE},
    )
    smaller = without_blocks(net, residual_blocks(net).blocks)
    assert [value.name for value in smaller.graph.outputs] == ["y"]
    assert np.allclose(answers(smaller)[0], ROWS @ SQUARE, atol=1e-5)


def test_an_activation_that_adds_its_input_is_no_block() -> None:
    text = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
        [a] s = MatMul (x, w)
        [t] f = Tanh (s)
        [j] d = Add (s, f)
        [b] y = MatMul (d, v)
    }}"""
    assert reasons(text) == {}


def test_a_mask_that_is_added_in_every_layer_is_no_stream() -> None:
    """It leads to the second layer's scores, and is broadcast."""
    text = f"""(float[N,{WIDTH}] x, float[N,1] mask) => (float[N,{WIDTH}] y) {{
        [a] s = MatMul (x, w)
        [m1] d = Add (mask, s)
        [b] t = MatMul (d, v)
        [m2] y = Add (mask, t)
    }}"""
    assert reasons(text) == {}


def test_what_is_pinned_says_why() -> None:
    projection = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
        [stem] s = MatMul (x, w)
        [way] a = MatMul (s, w)
        [shortcut] b = MatMul (s, v)
        [join] y = Add (a, b)
    }}"""
    assert reasons(projection) == {"join": "its shortcut has layers of its own"}
    changed = projection.replace("MatMul (s, v)", "Neg (s)")
    assert reasons(changed) == {"join": "its shortcut is changed on its way"}
    all_of_it = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
        [layer] f = MatMul (x, w)
        [join] y = Add (x, f)
    }}"""
    assert reasons(all_of_it) == {"join": "nothing would be left"}
    cached = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y, float[N,{WIDTH}] keys) {{
        [stem] s = MatMul (x, w)
        [layer] keys = MatMul (s, v)
        [join] y = Add (s, keys)
    }}"""
    assert reasons(cached) == {"join": "'keys' is read outside of it too"}


def test_a_block_around_others_stays() -> None:
    found = residual_blocks(
        model(
            f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
                [stem] s = MatMul (x, w)
                [inner] f = MatMul (s, v)
                [join] d = Add (s, f)
                [outer] e = MatMul (d, w)
                [around] y = Add (s, e)
            }}""",
            {"w": SQUARE, "v": SQUARE},
        )
    )
    assert [block.name for block in found.blocks] == ["join"]
    assert [(each.name, each.reason) for each in found.pinned] == [("around", "it holds other blocks")]


def test_what_only_a_block_reads_goes_with_it_and_what_others_read_stays() -> None:
    """As the keys and values of what a decoder looks at."""
    net = model(
        f"""(float[N,{WIDTH}] x, float[N,{WIDTH}] memory) => (float[N,{WIDTH}] y) {{
            [stem] s = MatMul (x, w)
            [keys] k = MatMul (memory, w)
            [both] o = MatMul (memory, v)
            [query] q = MatMul (s, w)
            [scores] p = Mul (q, k)
            [mixed] m = Mul (p, o)
            [join] d = Add (s, m)
            [head] h = MatMul (d, w)
            [other] y = Mul (h, o)
        }}""",
        {"w": SQUARE, "v": SQUARE},
    )
    (block,) = residual_blocks(net).blocks
    assert block.layers == ("keys", "query")
    assert [node.name for node in without_blocks(net, [block]).graph] == ["stem", "both", "head", "other"]


def test_a_block_that_another_one_is_there_for_stays() -> None:
    """Without the decoder's block nobody needs the encoder, with the block in it."""
    found = residual_blocks(
        model(
            f"""(float[N,{WIDTH}] x, float[N,{WIDTH}] memory) => (float[N,{WIDTH}] y) {{
                [embed] e = MatMul (memory, w)
                [inner] i = MatMul (e, w)
                [encoded] k = Add (e, i)
                [stem] s = MatMul (x, w)
                [query] q = MatMul (s, w)
                [scores] m = Mul (q, k)
                [join] d = Add (s, m)
                [head] y = MatMul (d, w)
            }}""",
            {"w": SQUARE},
        )
    )
    assert [block.name for block in found.blocks] == ["encoded"]
    assert [(each.name, each.reason) for each in found.pinned] == [
        ("join", "other blocks are there for it alone")
    ]


def test_where_sizes_are_open_a_block_ends_before_they_change() -> None:
    pads = "pads = [1, 1, 1, 1]"
    found = residual_blocks(
        model(
            f"""(float[N,2,H,W] x) => (float[N,2,P,Q] y) {{
                [stem] s = Conv <{pads}> (x, w)
                [start] a = Relu (s)
                [inner] b = Conv <{pads}> (a, w)
                [join] c = Add (a, b)
                [activation] d = Relu (c)
                [smaller] e = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d)
                [second] f = Conv <{pads}> (e, w)
                [sum] g = Add (e, f)
                [head] y = Conv <{pads}> (g, w)
            }}""",
            {"w": np.ones((2, 2, 3, 3), np.float32)},
        )
    )
    assert [(block.name, block.entry, block.exit) for block in found.blocks] == [
        ("join", "a", "d"),
        ("sum", "e", "g"),
    ]


def test_a_stream_that_is_broadcast_to_a_size_that_is_open_stays() -> None:
    text = f"""(float[1,{WIDTH}] x, float[T,{WIDTH}] z) => (float[T,{WIDTH}] y) {{
        [stem] s = MatMul (x, w)
        [inner] a = MatMul (s, v)
        [all] b = Mul (a, z)
        [join] c = Add (s, b)
        [head] y = MatMul (c, w)
    }}"""
    assert reasons(text) == {}


def test_a_value_that_a_branch_reads_keeps_its_block() -> None:
    net = model(
        f"""(float[N,{WIDTH}] x, bool flag) => (float[N,{WIDTH}] y, float[N,{WIDTH}] z) {{
            [stem] s = MatMul (x, w)
            [layer] f = MatMul (s, v)
            [join] y = Add (s, f)
            [choose] z = If <
                then_branch = then () => (float[N,{WIDTH}] p) {{ [p] p = Neg (f) }},
                else_branch = else () => (float[N,{WIDTH}] q) {{ [q] q = Neg (x) }}> (flag)
        }}""",
        {"w": SQUARE, "v": SQUARE},
    )
    found = residual_blocks(net)
    assert [each.reason for each in found.pinned] == ["'f' is read outside of it too"]
