"""AWQ: what takes up the scales takes them up exactly, and the products lose no more than without."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.small_nets import model, run, samples, snr_db
from tests.support.small_transformer import small_transformer
from winnow.contract.errors import Refusal
from winnow.contract.recipe import WeightOnly
from worker.compression.layers.input_moments import moments
from worker.compression.progress import Silent
from worker.compression.quantization.weight_only import weight_only
from worker.compression.quantization.weights.awq import MUL, NO_GAIN, NOT_WORTH, Scales, factors_of, scale
from worker.compression.quantization.weights.block_affine import Grid
from worker.compression.quantization.weights.eligibility import weight_layers
from worker.compression.quantization.weights.hqq import fit_hqq
from worker.compression.steps.context import Context

WIDTH = 64
NETS = {
    "the normalisation before": """
        n = LayerNormalization (x, gain, shift)
        a = MatMul (n, w1)
        b = MatMul (n, w2)
        y = Add (a, b)
    """,
    "the layer before": """
        a = Gemm <transB=1> (x, w1, shift)
        r = Relu (a)
        y = MatMul (r, w2)
    """,
    "a gated product before": """
        g = MatMul (x, w1)
        f = Sigmoid (g)
        u = MatMul (x, w2)
        s = Add (u, shift)
        m = Mul (f, s)
        y = MatMul (m, w3)
    """,
    "a product with constants before": """
        t = Tanh (x)
        m = Mul (t, gain)
        y = MatMul (m, w1)
    """,
    MUL: """
        n = LayerNormalization (x, gain, shift)
        a = MatMul (n, w1)
        y = Add (a, n)
    """,
}


def net(text: str, seed: int = 0) -> ir.Model:
    """Weights of normal numbers; of the inputs some channels are 50 times as large."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {
        name: (rng.standard_normal((WIDTH, WIDTH)) / 8).astype(np.float32) for name in ("w1", "w2", "w3")
    }
    weights["gain"] = np.where(rng.random(WIDTH) < 0.1, 50, 1).astype(np.float32)
    weights["shift"] = rng.standard_normal(WIDTH).astype(np.float32)
    return model(f"(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{ {text} }}", weights)


def inputs(graph: ir.Model, seed: int = 1) -> dict[str, Any]:
    shape = [dim if isinstance(dim, int) else 24 for dim in graph.graph.inputs[0].shape or ()]
    return {"x": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def in_floats(graph: ir.Model, scales: Scales) -> ir.Model:
    """With the scaled weights as they are before they are rounded."""
    for layer in weight_layers(graph):
        assert layer.linear is not None
        layer.linear.put(scales.applied(layer))
    return graph


def scaled(graph: ir.Model, folder: Path, bits: int = 3) -> Scales:
    data, measured = samples(folder, graph, **inputs(graph)), graph.clone()

    def measure(layers: Any) -> Any:
        return moments(measured, layers, data, lambda _: None)

    chosen = [layer for layer in weight_layers(graph) if layer.linear is not None]
    return scale(graph, chosen, measure, fit_hqq, lambda _: Grid(bits, False), 16)


@pytest.mark.parametrize("place", NETS)
@given(seed=st.integers(0, 999))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_scaling_leaves_the_function_as_it_was(place: str, tmp_path: Path, seed: int) -> None:
    """To 1e-5 of the largest output."""
    graph = net(NETS[place], seed)
    before = run(graph, inputs(graph), "y")
    scales = scaled(graph, tmp_path / str(seed))
    after = run(in_floats(graph, scales), inputs(graph), "y")
    assert place in {account["scaled_by"] for account in scales.account.values()}
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize("pre", [False, True])
def test_a_transformer_is_scaled_through_its_attention_and_stays_what_it_was(
    pre: bool, tmp_path: Path
) -> None:
    """To 1e-5 of the largest output."""
    graph = small_transformer(2, width=32, heads=4, pre=pre)
    feed = {"x": np.random.default_rng(1).standard_normal((6, 5, 32)).astype(np.float32)}
    before = run(graph, feed, "y")
    measured = graph.clone()
    data = samples(tmp_path, graph, **feed)
    chosen = [layer for layer in weight_layers(graph) if layer.linear is not None]
    scales = scale(
        graph,
        chosen,
        lambda layers: moments(measured, list(layers), data, lambda _: None),
        fit_hqq,
        lambda _: Grid(3, False),
        16,
    )
    np.testing.assert_allclose(
        run(in_floats(graph, scales), feed, "y"), before, atol=1e-5 * np.abs(before).max()
    )
    by_node = {name: account for name, account in scales.account.items() if "attended" in name}
    assert {account["scaled_by"] for account in by_node.values()} == {"the values of attention before"}


def test_where_nothing_takes_the_scales_up_and_little_is_won_the_products_stay(tmp_path: Path) -> None:
    graph = net("t = Tanh (x)\n y = MatMul (t, w1)")
    nodes = len(list(graph.graph))
    scales = scaled(graph, tmp_path)
    (account,) = scales.account.values()
    assert account["unscaled"] in (NO_GAIN, NOT_WORTH)
    assert (scales.columns, scales.rows, len(list(graph.graph))) == ({}, {}, nodes)


@given(sizes=st.lists(st.floats(0, 1e6), min_size=1, max_size=8), alpha=st.floats(0, 1))
def test_factors_grow_with_the_inputs_and_lie_around_1(sizes: list[float], alpha: float) -> None:
    factors = factors_of(np.array(sizes), alpha)
    assert (factors > 0).all()
    assert np.isfinite(factors).all()
    alive = [(size, factor) for size, factor in zip(sizes, factors, strict=True) if size > 1e-37]
    assert all(a[1] <= b[1] * (1 + 1e-9) for a in alive for b in alive if a[0] <= b[0])
    assert all(factor == 1 for size, factor in zip(sizes, factors, strict=True) if not size)
    assert (factors_of(np.array(sizes), 0.0) == 1).all()


def test_large_inputs_lose_less_than_without(tmp_path: Path) -> None:
    """On the products' own outputs never more, on the model's at least 2 dB of what hqq leaves."""
    graph = net(NETS["the normalisation before"])
    feed = inputs(graph, seed=2)
    expected = run(graph, feed, "y")
    db = {}
    for method in ("hqq", "awq"):
        context = Context(
            tmp_path / method, 0, Silent(), samples(tmp_path / f"{method}-data", graph, **inputs(graph))
        )
        context.scratch.mkdir()
        step = WeightOnly(kind="weight_only", bits=3, block=16, method=method)
        made = weight_only(graph.clone(), step, context)
        db[method] = snr_db(expected, run(made.model, feed, "y"))
        if method == "awq":
            for row in made.details["layers"]:
                assert row["output_error"] <= row["output_error_unscaled"]
                assert row["scaled_by"] == "the normalisation before"
                assert 0 < row["alpha"] <= 1
            assert any("Scaled by AWQ: 2 by the normalisation before." in note for note in made.notes)
    assert db["awq"] > db["hqq"] + 2


def test_awq_without_data_is_refused(tmp_path: Path) -> None:
    step = WeightOnly(kind="weight_only", method="awq")
    with pytest.raises(Refusal, match="weight_only by awq needs calibration data"):
        weight_only(net(NETS["the layer before"]), step, Context(tmp_path, 0, Silent()))


def test_a_layer_that_stays_float_takes_up_nothing(tmp_path: Path) -> None:
    graph = net(NETS["the layer before"])
    name = str(graph.graph[0].name)
    weight = np.array(graph.graph[0].inputs[1].const_value.numpy())  # type: ignore[union-attr]
    context = Context(tmp_path, 0, Silent(), samples(tmp_path / "data", graph, **inputs(graph)))
    made = weight_only(graph, WeightOnly(kind="weight_only", method="awq", exclude=[name]), context)
    first = next(node for node in made.model.graph if node.name == name)
    np.testing.assert_array_equal(first.inputs[1].const_value.numpy(), weight)  # type: ignore[union-attr]
    (row,) = [row for row in made.details["layers"] if row.get("bits")]
    assert row["scaled_by"] in (None, MUL)
