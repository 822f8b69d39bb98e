"""weight_only: what is stored is what is computed, in every form; and the file has the bits that were asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_ir import external_data

from tests.support.graphs import node
from tests.support.small_nets import (
    digits_net,
    digits_samples,
    model,
    model_of,
    named,
    ops,
    run,
    samples,
    snr_db,
)
from winnow.contract.errors import Refusal
from winnow.contract.recipe import WeightOnly
from worker.compression.graph.facts import cost
from worker.compression.graph.nodes.weights import layers
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.quantization.weight_only import weight_only
from worker.compression.quantization.weights.block_affine import Grid, fit_range
from worker.compression.steps.context import Context, StepResult

EXACT_DB = 100
"""Float32 sums in another order."""
INT8_DB = 30
"""MatMulNBits rounds activations to int8 block by block."""


def quantize(net: ir.Model, folder: Path, data: Any = None, **step: Any) -> StepResult:
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(folder, 0, Silent(), data)
    made = weight_only(net, WeightOnly.model_validate({"kind": "weight_only", **step}), context)
    return replace(made, model=external_data.load_to_model(normalise(made.model)))


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def rounded(weight: Any, bits: int, symmetric: bool, block: int) -> Any:
    """[out, in] rounded to nearest, by the formula."""
    grid = Grid(bits, symmetric)
    scale, zero = fit_range(weight, grid, min(block or weight.shape[1], weight.shape[1])).spread(
        weight.shape[1]
    )
    return scale * (grid.codes(weight, scale, zero) - zero)


def product(kind: str, inner: int, outer: int) -> tuple[ir.Model, Any]:
    """The net and its weight as [out, in]."""
    w = normal(outer, inner)
    ends = {"x": ["N", inner]}, {"y": ["N", outer]}
    if kind == "MatMul":
        return model_of([node("MatMul", "x w", "y", "layer")], *ends, {"w": w.T.copy()}), w
    weights = {"w": w.copy(), "b": normal(outer, seed=1)}
    return model_of([node("Gemm", "x w b", "y", "layer", transB=1)], *ends, weights), w


FORMS = st.fixed_dictionaries(
    {
        "bits": st.sampled_from([8, 4, 3, 2]),
        "symmetric": st.booleans(),
        "block": st.sampled_from([0, 16, 32, 128]),
    }
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["MatMul", "Gemm"]),
    inner=st.integers(60, 200),
    outer=st.integers(65, 120),
    form=FORMS,
)
def test_products_compute_with_the_rounded_weights(
    tmp_path: Path, kind: str, inner: int, outer: int, form: Any
) -> None:
    net, w = product(kind, inner, outer)
    bias = normal(outer, seed=1) if kind == "Gemm" else 0
    made = quantize(net, tmp_path, method="rtn", **form)
    x = normal(20, inner, seed=2)
    assert "MatMulNBits" in ops(made.model)
    assert snr_db(x @ rounded(w, **form).T + bias, run(made.model, {"x": x})) > INT8_DB


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.sampled_from([4, 10, 32]),
    groups=st.sampled_from([1, 2]),
    kernel=st.integers(1, 3),
    form=FORMS,
)
def test_convolutions_compute_with_the_rounded_weights(
    tmp_path: Path, channels: int, groups: int, kernel: int, form: Any
) -> None:
    w = normal(400, channels // groups, kernel, kernel)
    ends = {"x": ["N", channels, 6, 6]}, {"y": ["N", 400, 7 - kernel, 7 - kernel]}

    def net(weight: Any) -> ir.Model:
        return model_of([node("Conv", "x w", "y", "layer", group=groups)], *ends, {"w": weight})

    flat = rounded(w.reshape(400, -1), **form)
    x = normal(3, channels, 6, 6, seed=2)
    expected = run(net(flat.reshape(w.shape)), {"x": x})
    made = quantize(net(w), tmp_path, method="rtn", **form)
    assert "DequantizeLinear" in ops(made.model)
    assert snr_db(expected, run(made.model, {"x": x})) > EXACT_DB


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inner=st.sampled_from([60, 64, 100]), form=FORMS)
def test_tables_hold_the_rounded_rows(tmp_path: Path, inner: int, form: Any) -> None:
    w = normal(400, inner)
    net = model(
        f"""(float[N] x) => (float[N,{inner}] y) {{
            [cast] rows = Cast <to=7> (x)
            [table] y = Gather (w, rows)
        }}""",
        {"w": w},
    )
    made = quantize(net, tmp_path, method="rtn", **form)
    got = run(made.model, {"x": np.array([7, 0, 399], np.float32)})
    np.testing.assert_allclose(got, rounded(w, **form)[[7, 0, 399]], rtol=1e-5, atol=1e-6)
    assert "GatherBlockQuantized" in ops(made.model)


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("kind", ["MatMul", "Conv"])
def test_the_file_has_the_bits_that_were_asked_for(bits: int, kind: str, tmp_path: Path) -> None:
    """Of 2^18 weights in blocks of 64: their bits, a scale of 32 bits and a zero point (8 bits at most), and
    3 kB for nodes and shared constants."""
    if kind == "MatMul":
        net, _ = product("MatMul", 512, 512)
    else:
        w = {"w": normal(512, 512, 1, 1)}
        net = model("(float[N,512,1,1] x) => (float[N,512,1,1] y) { [layer] y = Conv (x, w) }", w)
    made = quantize(net, tmp_path, bits=bits, block=64)
    (row,) = made.details["layers"]
    assert row["bytes_before"] == 2**20
    assert row["bytes_after"] < 2**18 * (bits + 40 / 64) / 8 + 200
    assert ir.to_proto(made.model).ByteSize() < 2**18 * (bits + 40 / 64) / 8 + 3000
    assert cost.parameters(made.model) == 2**18
    ((_, (weight,)),) = layers(made.model)
    assert (weight.size, weight.dtype) == (2**18, f"uint{bits}")
    assert cost.sparsity(made.model) > 0.2 / 2**bits


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_zeros_are_counted_where_they_are(bits: int, tmp_path: Path) -> None:
    """Three quarters of the weights are zero; zero has a number of its own, asymmetric or not."""
    w = normal(512, 256)
    w[:, ::4], w[:, 1::4], w[:, 2::4] = 0, 0, 0
    net = model("(float[N,256] x) => (float[N,512] y) { [layer] y = MatMul (x, w) }", {"w": w.T.copy()})
    expected = (rounded(w, bits, symmetric=False, block=32) == 0).mean()
    made = quantize(net, tmp_path, bits=bits, method="rtn")
    assert cost.sparsity(made.model) == pytest.approx(expected, abs=1e-6)
    assert expected >= 0.75


def test_gptq_moves_outputs_least_and_says_by_how_much(tmp_path: Path) -> None:
    """On the digits, 3 bits: SNR of the logits on held-out images, and relative errors layer by layer."""
    net, data = digits_net(), digits_samples(tmp_path / "data")
    images = np.concatenate([feeds["image"] for feeds in data.batches(600)])[1200:]
    expected = run(net, {"image": images})
    found, told = {}, {}
    for method in ("rtn", "hqq", "gptq"):
        made = quantize(digits_net(), tmp_path / method, data, bits=3, method=method)
        found[method] = snr_db(expected, run(made.model, {"image": images}))
        told[method] = made.details["layers"]
    assert found["gptq"] > found["hqq"]
    assert found["gptq"] > found["rtn"] + 3
    for row in told["gptq"]:
        if row["quantized"]:
            assert 0 < row["output_error"] < row["weight_error"]
    assert all(row.get("output_error") is None for row in told["rtn"])


def test_it_is_deterministic(tmp_path: Path) -> None:
    data = digits_samples(tmp_path / "data")
    nets = [quantize(digits_net(), tmp_path / n, data, method="gptq", samples=64).model for n in "ab"]
    first, second = (
        {
            name: v.const_value.tobytes()
            for name, v in net.graph.initializers.items()
            if v.const_value is not None
        }
        for net in nets
    )
    assert first == second


def test_what_stays_has_a_reason(tmp_path: Path) -> None:
    big, lstm = normal(64, 64), {"lw": normal(1, 64, 64), "lr": normal(1, 64, 16)}
    nodes = [
        node("MatMul", "x big", "a", "taken"),
        node("MatMul", "a shared", "b", "shared"),
        node("Add", "s shared", "h", "sum"),
        node("MatMul", "b out", "d", "left/out"),
        node("MatMul", "d tiny", "e", "tiny"),
        node("MatMul", "d broken", "f", "broken"),
        node("LSTM", "x3 lw lr", "g", "lstm", hidden_size=16),
    ]
    weights = {"big": big, "shared": big, "out": big, "tiny": normal(64, 1), "broken": big.copy(), **lstm}
    weights["broken"][3, 4] = np.nan
    inputs = {"x": ["N", 64], "s": [64, 64], "x3": ["T", "N", 64]}
    outputs = {"e": ["N", 1], "f": ["N", 64], "g": ["T", 1, "N", 16], "h": [64, 64]}
    made = quantize(model_of(nodes, inputs, outputs, weights), tmp_path, exclude=["left/*"])
    reasons = {row["name"]: row["reason"] for row in made.details["layers"]}
    assert (made.changed, made.candidates) == (1, 6)
    assert reasons["taken"] is None
    for name, words in {
        "shared": "shared with another node",
        "left/out": "pattern",
        "tiny": "smaller",
        "broken": "NaN",
        "lstm": "LSTM",
    }.items():
        assert words in str(reasons[name])


def test_the_opset_is_raised_only_where_a_form_needs_it(tmp_path: Path) -> None:
    net, _ = product("MatMul", 128, 512)
    assert quantize(net, tmp_path / "a").notes == []
    assert "raised" not in str(
        quantize(product("Gemm", 128, 512)[0], tmp_path / "b", layers="products").notes
    )
    assert "18" in quantize(product("MatMul", 128, 512)[0], tmp_path / "c", bits=3).notes[0]
    assert "21" in quantize(digits_net(), tmp_path / "d").notes[0]


def test_products_alone(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, layers="products")
    assert ops(made.model).count("Conv") == 2
    assert named(made.model, "head/gemm").op_type == "MatMulNBits"
    assert made.model.graph.outputs[0].name == "logits"


def test_activations_that_are_not_finite_are_refused_by_the_layer_they_come_from(tmp_path: Path) -> None:
    net = model(
        """(float[N,64] x) => (float[N,64] y) {
            [log] l = Log (x)
            [layer] y = MatMul (l, w)
        }""",
        {"w": normal(64, 64)},
    )
    data = samples(tmp_path / "data", net, x=np.zeros((8, 64), np.float32))
    with pytest.raises(Refusal) as refused:
        quantize(net, tmp_path / "a", data, method="gptq")
    assert (refused.value.problem.code, refused.value.problem.layer) == ("not_finite", "log")
    assert quantize(net.clone(), tmp_path / "b").changed == 1


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_activations_have_an_answer(value: float, tmp_path: Path) -> None:
    net, w = product("MatMul", 64, 64)
    data = samples(tmp_path / "data", net, x=np.full((8, 64), value, np.float32))
    made = quantize(net, tmp_path / "a", data, method="gptq")
    (row,) = made.details["layers"]
    assert row["dead_inputs"] == (64 if value == 0 else 0)
    x = normal(10, 64, seed=3)
    assert snr_db(x @ w.T, run(made.model, {"x": x})) > 10
