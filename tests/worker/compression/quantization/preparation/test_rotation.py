"""Rotations change nothing but the roundings: outputs within 1e-5, relative and of the largest value."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import graphs
from tests.support import residual_transformers as transformers
from tests.support.channels import assert_equal, normal
from tests.support.onnx_export import export_onnx
from tests.support.ort import run
from tests.support.small_nets import model
from tests.support.transformers import STYLES, exported
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of
from worker.compression.quantization.preparation.rotation import Rotated, rotate, rotated

WIDTH = 8
IDS = np.random.default_rng(0).integers(0, transformers.WORDS, (2, transformers.LENGTH))
PICTURES = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)


def worn(net: ir.Model) -> ir.Model:
    """Normalisations with scales and shifts, as training leaves them."""
    rng = np.random.default_rng(5)
    for node in net.graph:
        for value in node.inputs[1:] if node.op_type == "LayerNormalization" else ():
            assert value is not None
            array = array_of(value)
            value.const_value = ir.tensor((array + rng.normal(size=array.shape) * 0.3).astype(np.float32))
    return net


def rotated_exactly(net: ir.Model, feeds: dict[str, Any], exclude: tuple[str, ...] = ()) -> Rotated:
    before = run(ir.to_proto(net), feeds)
    made = rotate(GraphEdit(net, exclude))
    assert_equal(before, run(ir.to_proto(net), feeds))
    return made


def reasons(made: Rotated) -> str:
    return " ".join(each.reason for each in made.pinned)


@given(width=st.integers(2, 300), keeps_means=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_rotations_are_orthogonal_and_those_of_streams_keep_means(
    width: int, keeps_means: bool, seed: int
) -> None:
    """To 1e-10."""
    turn = rotated(np.eye(width), seed, keeps_means=keeps_means)
    np.testing.assert_allclose(turn @ turn.T, np.eye(width), atol=1e-10)
    if keeps_means:
        np.testing.assert_allclose(turn @ np.ones(width), 1, atol=1e-10)


@pytest.mark.parametrize("keeps_means", [True, False])
@pytest.mark.parametrize("width", [64, 96, 384])
def test_an_outlier_is_spread_over_all_channels(width: int, keeps_means: bool) -> None:
    """No channel has more than 5 / √n of it: of n numbers like normal ones of size 1 / √n."""
    assert np.abs(rotated(np.eye(width), keeps_means=keeps_means)).max() < 5 / np.sqrt(width)


@pytest.mark.parametrize("style", STYLES)
def test_transformers_compute_what_they_did(style: str) -> None:
    """Values of heads are rotated where each head has its own, the stream where it is normalised before the layers."""
    net = worn(normal(exported(style, "torchscript")))
    made = rotated_exactly(net, graphs.feeds(exported(style, "torchscript"), batch=2))
    assert ("/embed/MatMul" in made.names) == (STYLES[style].norm == "pre")
    assert any("/attention/" in name for name in made.names) or style == "one_key"


@pytest.mark.parametrize(
    ("make", "inputs", "why"),
    [
        (
            transformers.Gpt,
            IDS,
            "LayerNormalization '/embedding/norm/LayerNormalization' has a scale and a shift",
        ),
        (
            transformers.Vit,
            PICTURES,
            "Mul '/layers/layers.0/body/body/body.1/Mul' scales each of them by itself",
        ),
    ],
)
def test_streams_of_the_field_that_stay_are_told_with_what_stands_against_it(
    make: Any, inputs: np.ndarray, why: str
) -> None:
    """What is embedded is normalised with a scale; LayerScale scales what is added."""
    torch.manual_seed(0)
    proto = export_onnx(make().eval(), [torch.from_numpy(inputs)], "torchscript")
    made = rotated_exactly(worn(normal(proto)), {proto.graph.input[0].name: inputs})
    assert why in reasons(made)
    assert all("value/MatMul" in name for name in made.names)


LINEAR = ["branch", "half", "move", "head"]
OTHERS = {
    "relu": "Relu",
    "scaled": "scales each",
    "lifted": "",
    "gate": "scales each",
    "post": "has a scale and a shift",
    "conv": "",
    "tied": "",
}


def stream(parts: list[str], seed: int, *, rms: bool = False) -> tuple[ir.Model, dict[str, Any]]:
    """A residual stream s0 … through these parts, each of which reads it, writes it or changes it."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {"w": rng.normal(size=(4, WIDTH)), "b": rng.normal(size=WIDTH)}
    weights["shared"] = rng.normal(size=(WIDTH, WIDTH))
    lines = ["[write] m = MatMul (x, w)", "[lift] s0 = Add (m, b)"]
    for at, part in enumerate([*parts, "branch", "last"]):
        s, made = f"s{at}", f"s{at + 1}"
        norm = "RMSNormalization <axis=-1>" if rms else "LayerNormalization <axis=-1>"
        more = f"g{at}" if rms else f"g{at}, h{at}"
        weights |= {f"g{at}": rng.uniform(0.5, 2, WIDTH), f"h{at}": rng.normal(size=WIDTH)}
        weights |= {f"u{at}": rng.normal(size=(WIDTH, WIDTH)), f"d{at}": rng.normal(size=(WIDTH, WIDTH))}
        weights |= {f"c{at}": np.array(1.5)}
        lines += {
            "branch": [
                f"n{at} = {norm} ({s}, {more})", f"p{at} = MatMul (n{at}, u{at})", f"e{at} = Elu (p{at})",
                f"q{at} = MatMul (e{at}, d{at})", f"{made} = Add ({s}, q{at})",
            ],
            "tied": [
                f"n{at} = {norm} ({s}, {more})", f"p{at} = MatMul (n{at}, shared)", f"e{at} = Elu (p{at})",
                f"q{at} = MatMul (e{at}, d{at})", f"{made} = Add ({s}, q{at})",
            ],
            "head": [
                f"n{at} = {norm} ({s}, {more})", f"p{at} = MatMul (n{at}, u{at})",
                f"q{at} = MatMul (p{at}, d{at})", f"{made} = Add ({s}, q{at})",
            ],
            "half": [f"{made} = Mul ({s}, c{at})"],
            "move": [f"t{at} = Transpose <perm=[0, 2, 1]> ({s})", f"{made} = Transpose <perm=[0, 2, 1]> (t{at})"],
            "relu": [f"{made} = Relu ({s})"],
            "scaled": [f"{made} = Mul ({s}, g{at})"],
            "lifted": [f"{made} = Add ({s}, c{at})"],
            "gate": [f"p{at} = MatMul ({s}, u{at})", f"{made} = Mul ({s}, p{at})"],
            "post": [f"{made} = {norm} ({s}, {more})"],
            "conv": [
                f"n{at} = {norm} ({s}, {more})", f"t{at} = Transpose <perm=[0, 2, 1]> (n{at})",
                f"k{at} = Conv (t{at}, f{at})", f"q{at} = Transpose <perm=[0, 2, 1]> (k{at})",
                f"{made} = Add ({s}, q{at})",
            ],
            "last": [f"n{at} = {norm} ({s}, {more})", f"y = MatMul (n{at}, u{at})"],
        }[part]  # fmt: skip
        if part == "conv":
            weights[f"f{at}"] = rng.normal(size=(WIDTH, WIDTH, 1))
    body = "\n".join(line if line.startswith("[") else f"[n_{i}] {line}" for i, line in enumerate(lines))
    used = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    used = {name: array for name, array in used.items() if f" {name})" in body or f" {name}," in body}
    net = model(f"(float[N,3,4] x) => (float[N,3,{WIDTH}] y) {{\n{body}\n}}", used, opset=23 if rms else 17)
    return net, {"x": rng.normal(size=(2, 3, 4)).astype(np.float32)}


@given(parts=st.lists(st.sampled_from(LINEAR), max_size=3), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_streams_that_everything_takes_as_vectors_are_rotated(parts: list[str], seed: int) -> None:
    assert "write" in rotated_exactly(*stream(parts, seed)).names


@given(
    parts=st.lists(st.sampled_from([*LINEAR, *OTHERS]), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_whatever_is_on_a_stream_the_network_computes_what_it_did(parts: list[str], seed: int) -> None:
    rotated_exactly(*stream(parts, seed))


@pytest.mark.parametrize(("part", "why"), [(part, why) for part, why in OTHERS.items() if why])
def test_what_takes_channels_by_themselves_is_named_and_keeps_the_stream(part: str, why: str) -> None:
    made = rotated_exactly(*stream(["branch", part], 3))
    assert "write" not in made.names
    assert why in reasons(made)


def test_a_weight_that_two_branches_read_keeps_the_stream_and_what_it_computes() -> None:
    made = rotated_exactly(*stream(["tied", "tied"], 3))
    assert "write" not in made.names


def test_channels_that_are_read_across_two_copies_of_the_stream_stay() -> None:
    """Both halves of m are the stream's channels; what is in the middle has some of each."""
    rng = np.random.default_rng(0)
    sizes = {"w": (4, 8), "u": (4, 4), "d": (4, 4), "v": (4, 3), "z": (4, 3)}
    ends = {"zero": 0, "two": 2, "four": 4, "six": 6, "eight": 8, "last": 2}
    net = model(
        """(float[N,3,4] x) => (float[N,3,3] y) {
            [write] m = MatMul (x, w)
            [first] a = Slice (m, zero, four, last)
            [second] b = Slice (m, four, eight, last)
            [middle] c = Slice (m, two, six, last)
            [both] s0 = Add (a, b)
            [norm0] n0 = LayerNormalization <axis=-1> (s0, g, h)
            [up] p = MatMul (n0, u)
            [elu] e = Elu (p)
            [down] q = MatMul (e, d)
            [sum] s1 = Add (s0, q)
            [norm1] n1 = LayerNormalization <axis=-1> (s1, g, h)
            [read] r = MatMul (n1, v)
            [aside] t = MatMul (c, z)
            [out] y = Add (r, t)
        }""",
        {
            **{name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()},
            **{name: np.array([end], np.int64) for name, end in ends.items()},
            "g": np.ones(4, np.float32),
            "h": np.zeros(4, np.float32),
        },
    )
    made = rotated_exactly(net, {"x": rng.normal(size=(2, 3, 4)).astype(np.float32)})
    assert made.names == ()
    assert "Slice 'middle' parts some of them from others" in reasons(made)


@pytest.mark.parametrize("parts", [[], ["half", "branch"]])
def test_a_stream_of_root_mean_squares_is_rotated(parts: list[str]) -> None:
    assert "write" in rotated_exactly(*stream(parts, 4, rms=True)).names


def test_streams_of_excluded_layers_stay() -> None:
    net, feeds = stream(["branch"], 0)
    weight = array_of(net.graph.initializers["w"]).copy()
    made = rotated_exactly(net, feeds, exclude=("write",))
    assert "MatMul 'write' is excluded" in reasons(made)
    np.testing.assert_array_equal(array_of(net.graph.initializers["w"]), weight)
