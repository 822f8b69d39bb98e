"""The quantization steps write what the target takes whose rules are known: held by the checker and by ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.traversal import RecursiveGraphIterator

from tests.support.refusals import refusal
from tests.support.small_nets import digits_net, digits_samples, model, named, run, samples, snr_db
from winnow.contract.recipe import Int8, Int8Static, MixedPrecision, WeightOnly
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.load import rules_of
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.checked import checked_graph
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.progress import Silent
from worker.compression.quantization.integer.hardware import resolve_target, ruled_target
from worker.compression.steps.context import Context

QUANTIZATION = {"activations", "weights", "bias", "per_channel", "sixteen_bit"}


def quantized(
    net: ir.Model, folder: Path, data: Samples, checked: CheckedTarget | None, **step: Any
) -> ir.Model:
    asked = Int8Static.model_validate({"kind": "int8_static", **step})
    return apply(net, asked, Context(folder, 0, Silent(), data, checked=checked)).model


def broken(net: ir.Model, target: CheckedTarget) -> set[str]:
    """Rules of quantization that nodes break there."""
    check = check_graph(checked_graph(net), rules_of(target))
    return {finding.rule for finding in check.findings} & QUANTIZATION


def mixed_net(inner: int = 16) -> tuple[ir.Model, np.ndarray]:
    """A convolution with a bias, a Gemm with and a MatMul without one; `inner` numbers between these."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(8, 3, 3, 3)) * np.geomspace(0.2, 2, 8)[:, None, None, None],
        "b1": rng.normal(size=8),
        "w2": rng.normal(size=(inner, 8)) * np.geomspace(0.2, 2, inner)[:, None],
        "b2": rng.normal(size=inner),
        "w3": rng.normal(size=(inner, 5)),
    }
    net = model(
        """(float[N,3,4,4] x) => (float[N,5] y) {
            [conv] a = Conv <pads=[0, 0, 0, 0]> (x, w1, b1)
            [pool] p = GlobalAveragePool (a)
            [flat] f = Flatten (p)
            [gemm] g = Gemm <transB=1> (f, w2, b2)
            [relu] r = Relu (g)
            [matmul] y = MatMul (r, w3)
        }""",
        {name: value.astype(np.float32) for name, value in weights.items()},
    )
    return net, rng.normal(size=(64, 3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("target", ["tensorrt", "qnn", "nnapi"])
def test_int8_static_breaks_no_rule_of_its_target_and_keeps_the_outputs(
    target: CheckedTarget, tmp_path: Path
) -> None:
    """Measured: 33 to 34 dB, as for a CPU."""
    net, x = mixed_net()
    data = samples(tmp_path, net, x=x)
    made = quantized(net.clone(), tmp_path, data, target)
    assert broken(made, target) == set()
    assert {node.op_type for node in RecursiveGraphIterator(made.graph)} >= {"QuantizeLinear"}
    assert snr_db(run(net, {"x": x}), run(made, {"x": x})) > 30


def test_what_suits_a_cpu_breaks_rules_elsewhere(tmp_path: Path) -> None:
    net, x = mixed_net()
    made = quantized(net, tmp_path, samples(tmp_path, net, x=x), None)
    assert broken(made, "tensorrt") >= {"activations", "bias"}
    assert broken(made, "qnn") >= {"weights"} or broken(made, "qnn") >= {"per_channel"}
    assert broken(made, "nnapi") == {"per_channel"}


def test_qnn_has_one_scale_and_unsigned_weights_for_a_product_and_channels_for_a_convolution(
    tmp_path: Path,
) -> None:
    net, x = mixed_net()
    weight = named(net, "matmul").inputs[1].const_value.numpy()  # type: ignore[union-attr]
    made = quantized(net, tmp_path, samples(tmp_path, net, x=x), "qnn", bias_correction=False)
    integers, scale, zero = stored(made, "matmul")
    assert (integers.dtype, zero.dtype, scale.shape, int(zero)) == (np.uint8, np.uint8, (), 128)
    np.testing.assert_allclose(
        (integers.astype(np.int32) - 128) * scale, weight, atol=float(scale) / 2 + 1e-6
    )
    integers, scale, zero = stored(made, "conv")
    assert (integers.dtype, scale.shape, zero.any()) == (np.int8, (8,), False)
    integers, scale, _ = stored(made, "gemm")
    assert (integers.dtype, scale.shape) == (np.int8, ())


def stored(net: ir.Model, name: str) -> tuple[Any, Any, Any]:
    """Integers, scale and zero point of a layer's weight."""
    dequantizer = named(net, name).inputs[1].producer()  # type: ignore[union-attr]
    assert dequantizer is not None
    return tuple(v.const_value.numpy() for v in dequantizer.inputs)  # type: ignore[union-attr,return-value]


def test_the_steps_own_target_stays_what_it_is(tmp_path: Path) -> None:
    made = quantized(digits_net(), tmp_path, digits_samples(tmp_path), "tensorrt", target="cpu_vnni")
    assert broken(made, "tensorrt") >= {"activations", "bias"}


def test_without_a_target_of_rules_it_is_the_machine_s() -> None:
    assert resolve_target("auto", "qnn")[0] == "qnn"
    assert resolve_target("auto")[0] in ("cpu", "cpu_vnni", "arm")
    assert resolve_target("cuda", "qnn")[0] == "cuda"


def test_what_a_target_takes_is_read_off_its_rules() -> None:
    tensorrt, qnn = ruled_target(rules_of("tensorrt")), ruled_target(rules_of("qnn"))
    assert (tensorrt.signs, tensorrt.float_bias, tensorrt.channel_axes) == ("signed", True, None)
    assert (qnn.signs, qnn.float_bias, qnn.unsigned_weights) == ("unsigned", False, {"MatMul"})
    assert qnn.channel_axes == {"Conv": 0, "ConvTranspose": 1}


@pytest.mark.usefixtures("none_told")
def test_int8_tries_nothing_that_the_target_has_no_operator_for(tmp_path: Path) -> None:
    net, x = mixed_net()
    context = Context(tmp_path, 0, Silent(), samples(tmp_path, net, x=x), checked="qnn")
    result = apply(net, Int8(kind="int8"), context)
    names = [entry["name"] for entry in result.details["candidates"]]
    assert not [name for name in names if name.startswith("dynamic") or "signed" in name]
    assert broken(result.model, "qnn") == set()


@pytest.mark.parametrize(("target", "lacking"), [("coreml", "QuantizeLinear"), ("webgpu", "QuantizeLinear")])
def test_int8_leaves_a_model_as_it_is_where_the_target_has_no_operator_for_any_of_it(
    target: CheckedTarget, lacking: str, tmp_path: Path
) -> None:
    net, x = mixed_net()
    context = Context(tmp_path, 0, Silent(), samples(tmp_path, net, x=x), checked=target)
    result = apply(net, Int8(kind="int8"), context)
    assert (result.changed, result.model) == (0, net)
    (note,) = result.notes
    assert note.startswith("The model stays as it was: ")
    assert f"{target} takes no {lacking}" in note


@pytest.mark.parametrize(("target", "four"), [("nnapi", set()), ("qnn", {"conv", "gemm"})])
def test_weights_of_4_bits_are_written_where_the_target_takes_them_and_8_elsewhere(
    target: CheckedTarget, four: set[str], tmp_path: Path
) -> None:
    net, x = mixed_net()
    data = samples(tmp_path, net, x=x)
    asked = Int8Static(kind="int8_static", weight_bits=4)
    result = apply(net, asked, Context(tmp_path, 0, Silent(), data, checked=target))
    layers = ("conv", "gemm", "matmul")
    bits = {name: stored(result.model, name)[0].dtype.name for name in layers}
    assert {name for name, dtype in bits.items() if dtype == "int4"} == four
    assert broken(result.model, target) == set()
    (note,) = (note for note in result.notes if note.startswith("Weights of "))
    assert note.endswith("MatMul have 8 bits: the target takes none of 4.")
    assert any("are for size" in note for note in result.notes) == bool(four)
    assert (opset_of(result.model) >= 21) == bool(four)
    assert result.details["weight_bits"] == (4 if four else 8)


@pytest.mark.parametrize("sensitivity", ["measured", "hessian"])
@pytest.mark.parametrize(("target", "four"), [("nnapi", set()), ("qnn", {"conv", "gemm"})])
def test_bits_that_are_chosen_are_those_that_are_written(
    target: CheckedTarget, four: set[str], sensitivity: str, tmp_path: Path
) -> None:
    net, x = mixed_net(inner=512)
    context = Context(tmp_path, 0, Silent(), samples(tmp_path, net, x=x), checked=target)
    step = {"kind": "mixed_precision", "max_size_ratio": 0.01, "sensitivity": sensitivity}
    result = apply(net, MixedPrecision.model_validate(step), context)
    for row in result.details["layers"]:
        integers = stored(result.model, row["name"])[0]
        assert integers.dtype.name in ({"int4"} if row["bits"] == 4 else {"int8", "uint8"})
        assert (row["bits"], set(row["cost"])) == ((4, {"8", "4"}) if row["name"] in four else (8, {"8"}))
        assert row["bytes"] == integers.size * row["bits"] // 8
    assert any(note.endswith("the target takes none of 4.") for note in result.notes)
    assert (opset_of(result.model) >= 21) == bool(four)


def test_bits_that_the_target_does_not_take_are_refused(tmp_path: Path) -> None:
    net, x = mixed_net()
    context = Context(tmp_path, 0, Silent(), samples(tmp_path, net, x=x), checked="qnn")
    step = {"kind": "mixed_precision", "max_size_ratio": 0.5, "bits": {"conv": 4, "matmul": 4}}
    found = refusal(lambda: apply(net, MixedPrecision.model_validate(step), context))
    assert found is not None
    assert found.detail == "bits names 'matmul' with 4, and the target takes its weights in 8 alone."


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_alone_break_no_rule_of_a_target_that_takes_them(bits: int, tmp_path: Path) -> None:
    net, _ = mixed_net(inner=512)
    asked = WeightOnly.model_validate({"kind": "weight_only", "bits": bits})
    result = apply(net, asked, Context(tmp_path, 0, Silent(), checked="webgpu"))
    assert {row["name"] for row in result.details["layers"] if row["quantized"]} == {"conv", "gemm", "matmul"}
    check = check_graph(checked_graph(result.model), rules_of("webgpu"))
    assert not [found for found in check.findings if found.rule != "shapes"]


def test_weights_that_a_target_cannot_unpack_stay_float_with_the_reason(tmp_path: Path) -> None:
    """Of 3 bits large weights are planes, which WebGPU has no operators for; smaller ones lie in 4 bits."""
    net, _ = mixed_net(inner=2560)
    asked = WeightOnly.model_validate({"kind": "weight_only", "bits": 3})
    result = apply(net, asked, Context(tmp_path, 0, Silent(), checked="webgpu"))
    reasons = {row["name"]: row["reason"] for row in result.details["layers"]}
    assert "webgpu takes no BitwiseAnd" in (reasons["gemm"] or "")
    assert reasons["matmul"] is None


@pytest.mark.parametrize("target", ["tensorrt", "qnn", "nnapi"])
def test_weights_alone_are_refused_where_the_target_takes_them_in_no_form(
    target: CheckedTarget, tmp_path: Path
) -> None:
    asked = WeightOnly.model_validate({"kind": "weight_only"})
    found = refusal(
        lambda: apply(mixed_net(inner=512)[0], asked, Context(tmp_path, 0, Silent(), checked=target))
    )
    assert found is not None
    assert found.code == "nothing_to_quantize"
    assert f"{target} takes no com.microsoft.MatMulNBits" in found.detail
