"""Operators of ONNX Runtime's own, written in ONNX's: the same outputs to 1e-5 of the largest."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import largest_difference, run
from tests.support.small_nets import optimized
from tests.support.unfolded_bert import unfolded_bert
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import raise_opset
from worker.compression.simplify.undo_contrib import contrib_operators, undo_contrib

TOLERANCE = 1e-5
RNG = np.random.default_rng(0)
WIDTH, HEADS = 8, 2


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE = {"x": numbers(2, 3, 6, 6)}
ROWS = {"x": numbers(2, 5, WIDTH)}
CONV = {"w": numbers(4, 3, 3, 3), "b": numbers(4), "z": numbers(2, 4, 4, 4)}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Gelu": ("com.microsoft.Gelu (x)", {}, ROWS),
    "BiasGelu": ("com.microsoft.BiasGelu (x, b)", {"b": numbers(WIDTH)}, ROWS),
    "FastGelu": ("com.microsoft.FastGelu (x)", {}, ROWS),
    "FastGelu with a bias": ("com.microsoft.FastGelu (x, b)", {"b": numbers(WIDTH)}, ROWS),
    "QuickGelu": ("com.microsoft.QuickGelu <alpha=1.5> (x)", {}, ROWS),
    "FusedConv": ('com.microsoft.FusedConv <activation="Relu", strides=[1, 1]> (x, w, b)', CONV, IMAGE),
    "FusedConv with a sum": ('com.microsoft.FusedConv <activation="Relu"> (x, w, b, z)', CONV, IMAGE),
    "FusedConv, clipped": (
        'com.microsoft.FusedConv <activation="Clip", activation_params=[0.0, 1.0]> (x, w)',
        CONV,
        IMAGE,
    ),
    "FusedConv, leaky": (
        'com.microsoft.FusedConv <activation="LeakyRelu", activation_params=[0.2]> (x, w)',
        CONV,
        IMAGE,
    ),
    "FusedGemm": (
        'com.microsoft.FusedGemm <activation="LeakyRelu", activation_alpha=0.1, transB=1> (x, w, b)',
        {"w": numbers(4, WIDTH), "b": numbers(4)},
        {"x": numbers(3, WIDTH)},
    ),
    "FusedMatMul": ("com.microsoft.FusedMatMul <alpha=0.5, transB=1> (x, w)", {"w": numbers(4, WIDTH)}, ROWS),
    "FusedMatMul, left": ("com.microsoft.FusedMatMul <transA=1> (x, w)", {"w": numbers(5, 4)}, ROWS),
    "DynamicQuantizeMatMul": (
        "com.microsoft.DynamicQuantizeMatMul (x, w, s, , b)",
        {"w": RNG.integers(-127, 127, (WIDTH, 4), np.int8), "s": np.array(0.02, np.float32), "b": numbers(4)},
        ROWS,
    ),
    "MultiHeadAttention": (
        f"com.microsoft.MultiHeadAttention <num_heads={HEADS}> (x, x, x)",
        {},
        ROWS,
    ),
    "MultiHeadAttention with biases": (
        f"com.microsoft.MultiHeadAttention <num_heads={HEADS}, scale=0.3> (x, x, x, b, , m)",
        {"b": numbers(3 * WIDTH), "m": numbers(1, HEADS, 5, 5)},
        ROWS,
    ),
    "Attention": (
        f"com.microsoft.Attention <num_heads={HEADS}> (x, w, b, m)",
        {
            "w": numbers(WIDTH, 3 * WIDTH),
            "b": numbers(3 * WIDTH),
            "m": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32),
        },
        ROWS,
    ),
    "SkipLayerNormalization": (
        "com.microsoft.SkipLayerNormalization (x, r, g, b)",
        {"r": numbers(2, 5, WIDTH), "g": numbers(WIDTH), "b": numbers(WIDTH)},
        ROWS,
    ),
}


def fused(body: str, weights: dict[str, Any], feeds: dict[str, Any], opset: int = 17) -> onnx.ModelProto:
    shape = ",".join(map(str, feeds["x"].shape))
    open_shape = ",".join("PQRS"[: len(feeds["x"].shape)])
    read = re.findall(r"\w+", body.partition(" (")[2])
    used = {name: array for name, array in weights.items() if name in read}
    return graphs.parse(
        f"(float[{shape}] x) => (float[{open_shape}] y) {{ [fused] f = {body} [out] y = Neg (f) }}",
        used,
        opset=opset,
        domains={"com.microsoft": 1},
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opset", [17, 20])
def test_it_computes_the_same(case: str, opset: int) -> None:
    body, weights, feeds = CASES[case]
    made = fused(body, weights, feeds, opset)
    net = normalise(ir.from_proto(made), norms_apart=False)
    undo_contrib(net)
    assert not contrib_operators(net)
    net = normalise(net)
    assert {node.domain for node in net.graph} == {""}
    assert largest_difference(run(made, feeds, optimize=False), run(net, feeds, optimize=False)) <= TOLERANCE
    assert net.graph.node("out").outputs[0].name == "y"


def test_embeddings_are_looked_up_and_added() -> None:
    weights = {"words": numbers(20, WIDTH), "places": numbers(9, WIDTH), "types": numbers(2, WIDTH)}
    weights |= {"g": numbers(WIDTH), "b": numbers(WIDTH)}
    made = graphs.parse(
        f"""(int32[N,L] ids, int32[N,L] kinds) => (float[N,L,{WIDTH}] y) {{
            [embed] e, m = com.microsoft.EmbedLayerNormalization (ids, kinds, words, places, types, g, b)
            [out] y = Neg (e)
        }}""",
        weights,
        opset=17,
        domains={"com.microsoft": 1},
    )
    net = normalise(ir.from_proto(made), norms_apart=False)
    undo_contrib(net)
    feeds = {
        "ids": RNG.integers(0, 20, (2, 6)).astype(np.int32),
        "kinds": RNG.integers(0, 2, (2, 6)).astype(np.int32),
    }
    assert not contrib_operators(net)
    assert largest_difference(run(made, feeds), run(normalise(net), feeds)) <= TOLERANCE


@pytest.mark.parametrize(
    "body",
    [
        f"com.microsoft.Attention <num_heads={HEADS}, unidirectional=1> (x, w, b)",
        f"com.microsoft.MultiHeadAttention <num_heads={HEADS}> (x, x, x, , k)",
    ],
)
def test_what_has_no_form_here_stays_as_it_is(body: str) -> None:
    weights = {"w": numbers(WIDTH, 3 * WIDTH), "b": numbers(3 * WIDTH), "k": np.ones((2, 5), np.int32)}
    made = fused(body, weights, ROWS)
    net = normalise(ir.from_proto(made), norms_apart=False)
    undo_contrib(net)
    assert contrib_operators(net).total() == 1
    assert largest_difference(run(made, ROWS), run(normalise(net), ROWS)) == 0


def test_what_onnx_runtime_fused_itself_is_undone(tmp_path: Path) -> None:
    unfolded_bert(tmp_path / "bert.onnx", layers=1, width=32, heads=2)
    optimized(raise_opset(normalise(ir.load(tmp_path / "bert.onnx")), 17), tmp_path)
    made = onnx.load(tmp_path / "optimized.onnx")
    net = normalise(ir.from_proto(made), norms_apart=False)
    assert contrib_operators(net)
    undo_contrib(net)
    feeds = {name: np.ones((1, 7), np.int64) for name in ("input_ids", "attention_mask")}
    assert largest_difference(run(made, feeds), run(normalise(net), feeds)) <= TOLERANCE
