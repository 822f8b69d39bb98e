"""Normalisations that ONNX Runtime has fused, alone or with their streams, are taken apart and compute the same."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import run
from tests.support.small_nets import optimized, samples
from winnow.contract.recipe import Recipe
from worker.compression.apply import apply
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

WIDTH = 8
X = np.random.default_rng(1).normal(size=(3, 5, WIDTH)).astype(np.float32)


def fused(first: str, *, outputs: str = "t", opset: int = 17) -> onnx.ModelProto:
    """A layer around which its input is added, as ONNX Runtime writes it; x float32 [N, 5, WIDTH]."""
    rng = np.random.default_rng(0)
    names = {"stem": (WIDTH, WIDTH), "w": (WIDTH, WIDTH), "v": (WIDTH, WIDTH)}
    names |= dict.fromkeys(("gamma", "beta", "bias"), (WIDTH,))
    return graphs.parse(
        f"""(float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            s = MatMul (x, stem)
            a = Relu (s)
            h = MatMul (a, w)
            [skip] {outputs} = com.microsoft.SkipLayerNormalization ({first}, gamma, beta, bias)
            [head] y = MatMul (t, v)
        }}""",
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in names.items()},
        opset=opset,
        ir_version=8,
        domains={"com.microsoft": 1},
    )


@pytest.mark.parametrize("first", ["a, h", "h, a"])
def test_a_block_is_seen_whichever_operand_the_bias_was_taken_from(first: str) -> None:
    made = fused(first)
    net = normalise(ir.from_proto(made))
    assert [node.op_type for node in net.graph] == [
        *("MatMul", "Relu", "MatMul", "Add", "Add", "LayerNormalization", "MatMul")
    ]
    assert [block.entry for block in residual_blocks(net).blocks] == ["a"]
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_the_sum_that_is_read_too_is_that_of_the_add() -> None:
    made = fused("a, h", outputs="n, mean, deviation, t")
    net = normalise(ir.from_proto(made))
    assert "SkipLayerNormalization" not in {node.op_type for node in net.graph}
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_before_opset_17_a_layer_normalization_stays() -> None:
    net = normalise(ir.from_proto(fused("a, h", opset=15)))
    assert "SkipLayerNormalization" in {node.op_type for node in net.graph}


RMS = ["Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]


def rms(*, skip: bool, opset: int = 17, outputs: str = "t", dtype: Any = np.float32) -> onnx.ModelProto:
    """A layer around which its input is added, normalised without a mean, as ONNX Runtime does; x [N, 5, WIDTH]."""
    rng = np.random.default_rng(0)
    kind = {np.float32: "float", np.float16: "float16"}[dtype]
    norm = (
        f"[norm] {outputs} = com.microsoft.SkipSimplifiedLayerNormalization (a, h, gain, bias)"
        if skip
        else "s = Add (a, h)\n [norm] t = SimplifiedLayerNormalization <axis=-1, epsilon=0.001> (s, gain)"
    )
    names = {"stem": (WIDTH, WIDTH), "w": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "gain": (WIDTH,)}
    names |= {"bias": (WIDTH,)} if skip else {}
    return graphs.parse(
        f"""({kind}[N,5,{WIDTH}] x) => ({kind}[N,5,{WIDTH}] y) {{
            first = MatMul (x, stem)
            a = Relu (first)
            h = MatMul (a, w)
            {norm}
            [head] y = MatMul (t, v)
        }}""",
        {name: rng.normal(size=shape).astype(dtype) for name, shape in names.items()},
        opset=opset,
        ir_version=8,
        domains={"com.microsoft": 1},
    )


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("skip", [False, True])
def test_one_without_a_mean_is_written_out(skip: bool, opset: int) -> None:
    made = rms(skip=skip, opset=opset)
    net = normalise(ir.from_proto(made))
    adds = ["Add", "Add"] if skip else ["Add"]
    assert [node.op_type for node in net.graph] == ["MatMul", "Relu", "MatMul", *adds, *RMS, "MatMul"]
    assert {node.domain for node in net.graph} == {""}
    assert [block.entry for block in residual_blocks(net).blocks] == ["a"]
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_in_float16_the_square_is_taken_in_float32() -> None:
    """Of numbers whose squares are beyond 65504; to 1 % and 0.05."""
    made, x = rms(skip=False, dtype=np.float16), (300 * X).astype(np.float16)
    net = normalise(ir.from_proto(made))
    after, before = run(ir.to_proto(net), {"x": x}), run(made, {"x": x})
    assert np.isfinite(after).all()
    assert np.allclose(after, before, rtol=0.01, atol=0.05)


@pytest.mark.parametrize(("cast", "dtype"), [(10, np.float32), (10, np.float16), (11, np.float64)])
def test_values_of_an_unknown_type_are_no_float32_where_any_other_is_made(cast: int, dtype: Any) -> None:
    """To 1 % and 0.01: ONNX Runtime multiplies by the gain in float16."""
    made = graphs.parse(
        f"""(float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            c = Cast <to = {cast}> (x)
            r = Relu (c)
            t = SimplifiedLayerNormalization (r, gain)
            y = Cast <to = 1> (t)
        }}""",
        {"gain": np.linspace(0.5, 2, WIDTH, dtype=dtype)},
        opset=17,
        ir_version=8,
    )
    net = normalise(ir.from_proto(made))
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("axis", [1, 2, -2])
def test_the_mean_is_taken_over_the_axes_from_the_one_that_is_named(axis: int) -> None:
    gain = np.random.default_rng(0).normal(size=(5, WIDTH)[-1 if axis == 2 else -2 :]).astype(np.float32)
    made = graphs.parse(
        f"""(float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            t = SimplifiedLayerNormalization <axis = {axis}> (x, gain)
            y = Relu (t)
        }}""",
        {"gain": gain},
        opset=17,
        ir_version=8,
    )
    net = normalise(ir.from_proto(made))
    assert {node.op_type for node in net.graph} >= {"ReduceMean"}
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_the_sum_in_front_of_one_without_a_mean_is_that_of_the_add() -> None:
    made = rms(skip=True, outputs="n, mean, deviation, t")
    net = normalise(ir.from_proto(made))
    assert "SkipSimplifiedLayerNormalization" not in {node.op_type for node in net.graph}
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_what_onnx_runtime_has_fused_itself_is_taken_apart_and_fused_again(tmp_path: Path) -> None:
    """The optimizer's own file of a normalisation that is written out."""
    names = optimized(normalise(ir.from_proto(rms(skip=False))), tmp_path)
    assert "SimplifiedLayerNormalization" in names
    made = onnx.load(tmp_path / "optimized.onnx")
    net = normalise(ir.from_proto(made))
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)
    assert optimized(net, tmp_path) == names


@pytest.mark.parametrize("skip", [False, True])
def test_steps_that_train_and_cut_take_one_without_a_mean(skip: bool, tmp_path: Path) -> None:
    net = normalise(ir.from_proto(rms(skip=skip)))
    rows = samples(tmp_path / "data", net, x=X, labels=X)
    steps = [
        {"kind": "finetune", "steps": 2, "batch_size": 3, "validation": 0, "learning_rate": 0.01},
        {"kind": "channel_pruning", "amount": 0.25, "criterion": "taylor", "embedding_width": True},
    ]
    for number, step in enumerate(Recipe.model_validate({"steps": steps}).steps):
        (scratch := tmp_path / str(number)).mkdir()
        context = Context(scratch, 0, Silent(), rows, curves=scratch / "curves", training=lambda _: rows)
        result = apply(net, step, context)
        assert result.changed, step.kind
        net = normalise(result.model)
    assert np.isfinite(run(ir.to_proto(net), {"x": X})[0]).all()


def statistics(norm: str, opset: int, dtype: str = "float") -> onnx.ModelProto:
    """Of a normalisation of x [N, 5, WIDTH], read by another node and as they are; `norm` writes y, m and i."""
    width = [5, WIDTH] if "axis = 1" in norm else [WIDTH]
    kind = {"float": np.float32, "float16": np.float16}[dtype]
    return graphs.parse(
        f"""({dtype}[N,5,{WIDTH}] x) => ({dtype}[N,5,{WIDTH}] y, float[N,K,1] i, float[N,K,1] z) {{
            [norm] {norm}
            z = Exp (m)
        }}""",
        {
            name: np.linspace(0.5, 2, width[-1]).astype(kind) * np.ones(width, kind)
            for name in ("gain", "shift")
        },
        opset=opset,
        ir_version=8,
    )


@pytest.mark.parametrize("opset", [17, 18, 21])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("dtype", ["float", "float16"])
def test_statistics_that_are_read_are_computed_beside(opset: int, axis: int, dtype: str) -> None:
    """To 1e-5, in float16 to a hundredth. The normalisation keeps its name."""
    norm = f"y, m, i = LayerNormalization <axis = {axis}, epsilon = 0.01> (x, gain, shift)"
    made = statistics(norm, opset, dtype)
    net = normalise(ir.from_proto(made))
    (kept,) = (node for node in net.graph if node.op_type == "LayerNormalization")
    assert (kept.name, len(kept.outputs)) == ("norm", 1)
    x = (3 + X).astype(np.float32 if dtype == "float" else np.float16)
    tolerance = 1e-5 if dtype == "float" else 0.01
    for before, after in zip(run(made, {"x": x}), run(ir.to_proto(net), {"x": x}), strict=True):
        assert after.dtype == before.dtype
        assert np.allclose(after, before, rtol=tolerance, atol=tolerance)


def test_the_inverse_of_one_without_a_mean_is_computed_beside() -> None:
    made = statistics("y, i = SimplifiedLayerNormalization <epsilon = 0.01> (x, gain)\n m = Neg (i)", 17)
    net = normalise(ir.from_proto(made))
    assert "SimplifiedLayerNormalization" not in {node.op_type for node in net.graph}
    for before, after in zip(run(made, {"x": X}), run(ir.to_proto(net), {"x": X}), strict=True):
        assert np.allclose(after, before, rtol=1e-5, atol=1e-5)


def test_statistics_that_nobody_reads_change_nothing() -> None:
    made = graphs.parse(
        f"""(float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            y, m, i = LayerNormalization (x, gain)
        }}""",
        {"gain": np.ones(WIDTH, np.float32)},
        opset=17,
        ir_version=8,
    )
    assert [node.op_type for node in normalise(ir.from_proto(made)).graph] == ["LayerNormalization"]


@pytest.mark.parametrize("statistic", ["n, m, i, t", "n, m, i"])
def test_statistics_of_a_sum_are_computed_beside_too(statistic: str) -> None:
    """To 1e-5. The sum is made in front, and may be read or not."""
    norm = f"{statistic} = com.microsoft.SkipLayerNormalization (x, x, gain, shift, shift)"
    check_written_out("SkipLayerNormalization", f"{norm}\n y = Neg (n)")


def test_the_inverse_of_a_sum_without_a_mean_is_computed_beside_too() -> None:
    norm = "y, none, i = com.microsoft.SkipSimplifiedLayerNormalization (x, x, gain, shift)"
    check_written_out("SkipSimplifiedLayerNormalization", f"{norm}\n m = Neg (i)")


def check_written_out(operator: str, norm: str) -> None:
    made = statistics(norm, 17)
    made.opset_import.add(domain="com.microsoft", version=1)
    net = normalise(ir.from_proto(made))
    assert operator not in {node.op_type for node in net.graph}
    for before, after in zip(run(made, {"x": X}), run(ir.to_proto(net), {"x": X}), strict=True):
        assert np.allclose(after, before, rtol=1e-5, atol=1e-5)
