"""int8_dynamic on graphs built here."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.encoders import transformer
from tests.support.graphs import node
from tests.support.small_nets import (
    digits_net,
    loud_product,
    model,
    model_of,
    named,
    ops,
    run,
    samples,
    snr_db,
)
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Dynamic
from winnow.contract.target import CpuFeature
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

RNG = np.random.default_rng(0)


def quantize(net: ir.Model, **step: Any) -> StepResult:
    asked = Int8Dynamic.model_validate({"kind": "int8_dynamic", **step})
    return apply(net, asked, Context(Path(), 0, Silent()))


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def mlp(opset: int = 17) -> ir.Model:
    rng = np.random.default_rng(5)
    shapes = {"w1": (64, 32), "b1": (64,), "w2": (64, 10), "b2": (10,), "w3": (64, 10)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return model(
        """(float[N,32] x) => (float[N,10] y) {
            [one] a = Gemm <transB=1> (x, w1, b1)
            [relu] r = Relu (a)
            [two] b = Gemm (r, w2, b2)
            [three] c = MatMul (r, w3)
            [sum] y = Add (b, c)
        }""",
        weights,
        opset=opset,
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_layer_whose_weight_is_not_finite_stays(bad: float) -> None:
    """One infinity would be the scale of its whole channel, and NaN whatever the channel gives."""
    net = mlp()
    weight = net.graph.initializers["w3"].const_value.numpy().copy()  # type: ignore[union-attr]
    weight[0, 0] = bad
    net.graph.initializers["w3"].const_value = ir.tensor(weight, name="w3")
    made = quantize(net)
    assert {row["name"]: row["reason"] for row in made.details["layers"]} == {
        "one": None,
        "two": None,
        "three": "its weight has NaN or infinity",
    }
    x = normal(50, 32)
    assert (np.isnan(run(made.model, {"x": x})) == np.isnan(run(net, {"x": x}))).all()


def test_products_become_integer_and_stay_close() -> None:
    x = normal(50, 32)
    made = quantize(mlp())
    assert (made.changed, made.candidates) == (3, 3)
    assert [op for op in ops(made.model) if op in ("Gemm", "MatMul")] == []
    assert named(made.model, "two").op_type == "MatMulInteger"
    assert snr_db(run(mlp(), {"x": x}), run(made.model, {"x": x})) > 30


def test_an_activation_read_twice_is_quantized_once() -> None:
    assert ops(quantize(mlp()).model).count("DynamicQuantizeLinear") == 2


def test_float_weights_are_gone_and_int8_per_channel() -> None:
    weight = named(mlp(), "three").inputs[1].const_value.numpy()  # type: ignore[union-attr]
    made = quantize(mlp(), weight_range="full").model
    assert not any(
        v.const_value.size > 64 and v.dtype == ir.DataType.FLOAT for v in made.graph.initializers.values()
    )  # type: ignore[union-attr]
    scales = next(v for name, v in made.graph.initializers.items() if name == "w3_scale").const_value.numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=0) / 127, rtol=1e-6)


@pytest.mark.parametrize("op", ["MatMul", "Gemm", "LSTM"])
def test_the_largest_sums_are_right_on_this_cpu(op: str) -> None:
    """To 40 dB of float32; cut-off sums give less than 10."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0.9, 1, (5, 8, 64) if op == "LSTM" else (40, 64)).astype(np.float32)
    net = loud_product(op)
    assert snr_db(run(net, {"x": x}), run(quantize(loud_product(op)).model, {"x": x})) > 40


def test_weights_in_7_bits_stay_within_64() -> None:
    for net in (mlp(), loud_product("LSTM")):
        made = quantize(net, weight_range="reduced")
        arrays = [v.const_value.numpy() for v in made.model.graph.initializers.values() if v.const_value]
        assert {np.abs(a.astype(int)).max() for a in arrays if a.dtype == np.int8 and a.any()} == {64}
        assert made.details["weight_range"] == [-64, 64]


@pytest.mark.parametrize(("features", "bits"), [(["avx2"], 7), (["avx2", "avx_vnni"], 8), (["asimddp"], 8)])
def test_weights_are_chosen_by_the_features_of_the_target(features: list[CpuFeature], bits: int) -> None:
    context = Context(Path(), 0, Silent(), features=features)
    assert apply(mlp(), Int8Dynamic(kind="int8_dynamic"), context).details["weight_bits"] == bits


def test_excluded_nodes_are_untouched() -> None:
    made = quantize(mlp(), exclude=["t*"])
    assert (made.changed, made.candidates) == (1, 3)
    for name in ("two", "three"):
        before, after = named(mlp(), name), named(made.model, name)
        assert before.op_type == after.op_type
        assert [v.name for v in before.inputs] == [v.name for v in after.inputs]  # type: ignore[union-attr]


@settings(max_examples=8, deadline=None)
@given(hidden=st.integers(1, 9), size=st.integers(1, 9), both=st.booleans(), bias=st.booleans())
def test_an_lstm_stays_close(hidden: int, size: int, both: bool, bias: bool) -> None:
    directions = 2 if both else 1
    rng = np.random.default_rng(hidden * 10 + size)
    shapes = {
        "w": (directions, 4 * hidden, size),
        "r": (directions, 4 * hidden, hidden),
        "b": (directions, 8 * hidden),
    }
    weights = {n: rng.normal(size=s).astype(np.float32) / 2 for n, s in shapes.items() if bias or n != "b"}
    kind = "bidirectional" if both else "forward"
    lstm = node("LSTM", "x w r b" if bias else "x w r", "y h", "lstm", hidden_size=hidden, direction=kind)
    net = model_of(
        [lstm],
        {"x": ["T", "N", size]},
        {"y": ["T", directions, "N", hidden], "h": [directions, "N", hidden]},
        weights,
    )
    x = rng.normal(size=(6, 3, size)).astype(np.float32)
    before = [run(net, {"x": x}, name) for name in ("y", "h")]
    made = quantize(net)
    assert named(made.model, "lstm").op_type == "DynamicQuantizeLSTM"
    assert made.model.opset_imports["com.microsoft"] == 1
    for name, reference in zip(("y", "h"), before, strict=True):
        np.testing.assert_allclose(run(made.model, {"x": x}, name), reference, atol=0.1)


def test_the_opset_stays_from_11_and_is_raised_below() -> None:
    assert quantize(mlp(11)).model.opset_imports == {"": 11}
    made = quantize(mlp(9))
    assert made.model.opset_imports == {"": 11}
    assert "from 9 to 11" in made.notes[0]
    x = normal(5, 32)
    assert snr_db(run(mlp(9), {"x": x}), run(made.model, {"x": x})) > 30


def test_only_the_classifier_of_a_convolutional_net_is_taken() -> None:
    made = quantize(digits_net())
    assert (made.changed, made.candidates) == (1, 1)
    assert ops(made.model).count("Conv") == 2
    assert made.model.graph.outputs[0].name == "logits"


@pytest.mark.parametrize("normalised", [True, False])
def test_outliers_behind_a_normalisation_go_into_the_weights(normalised: bool, tmp_path: Path) -> None:
    """At least 8 dB better and without another node; elsewhere nothing is smoothed."""
    x = np.random.default_rng(1).normal(size=(64, 5, 16)).astype(np.float32)
    before = run(transformer(normalised), {"x": x})
    context = Context(tmp_path, 0, Silent(), samples(tmp_path, transformer(normalised), x=x))
    asked = Int8Dynamic(kind="int8_dynamic", weight_range="auto", smooth=0.7)
    plain, made = quantize(transformer(normalised)), apply(transformer(normalised), asked, context)
    assert ops(made.model) == ops(plain.model)
    assert made.details["layers_smoothed"] == (2 if normalised else 0)
    gain = snr_db(before, run(made.model, {"x": x})) - snr_db(before, run(plain.model, {"x": x}))
    assert gain > 8 if normalised else gain == 0


def test_smoothing_needs_data() -> None:
    with pytest.raises(Refusal, match="missing_data"):
        quantize(transformer(normalised=True), smooth=0.7)
