"""int8_static's settings: each does what it is for, and none changes what the float network computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.encoders import transformer
from tests.support.small_nets import digits_net, digits_samples, model, named, run, samples, snr_db
from tests.support.uneven_channels import images, uneven_net
from winnow.contract.recipe import Int8Static, Requirements
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.quantization.integer.static_preparation import StaticSettings
from worker.compression.steps.context import Context, StepResult


def quantize(
    net: ir.Model, folder: Path, data: Samples, require: Requirements | None = None, **step: Any
) -> StepResult:
    """Without `repair`, which would do for these networks what settings are tried for."""
    asked = Int8Static.model_validate({"kind": "int8_static", "repair": False, **step})
    scratch = folder / "step"
    scratch.mkdir(exist_ok=True)
    return apply(net, asked, Context(scratch, 0, Silent(), data, require=require or Requirements()))


def lost(net: ir.Model, folder: Path, **step: Any) -> float:
    """SNR in dB of the uneven network's outputs."""
    data = samples(folder, net, image=images())
    before = run(net.clone(), {"image": images()})
    return snr_db(before, run(quantize(net, folder, data, **step).model, {"image": images()}))


def test_what_is_not_asked_for_is_the_same_for_every_technique() -> None:
    """`int8` and `mixed_precision` make settings without a step of the wire."""
    assert StaticSettings.of(Int8Static.model_validate({"kind": "int8_static"})) == StaticSettings()


def test_equalising_saves_a_network_whose_channels_differ(tmp_path: Path) -> None:
    """More than 15 dB better, and above 25 dB."""
    plain = lost(uneven_net(), tmp_path / "a")
    equal = lost(uneven_net(), tmp_path / "b", equalize=True)
    assert plain < 15
    assert equal > max(25, plain + 15)


def test_layers_behind_what_does_not_scale_are_not_equalised(tmp_path: Path) -> None:
    net = uneven_net("Sigmoid")
    made = quantize(net, tmp_path, samples(tmp_path, net, image=images()), equalize=True)
    assert made.details["pairs_equalized"] == 1


def test_poor_outputs_come_with_what_to_do(tmp_path: Path) -> None:
    net = uneven_net()
    poor = quantize(net, tmp_path, samples(tmp_path, net, image=images()))
    assert 'exclude: "auto"' in poor.notes[-1]
    assert quantize(digits_net(), tmp_path, digits_samples(tmp_path)).notes == []


def test_auto_leaves_the_layers_that_matter_in_float_and_says_what_it_cost(tmp_path: Path) -> None:
    net = uneven_net()
    data = samples(tmp_path, net, image=images())
    before = run(net.clone(), {"image": images()})
    made = quantize(net, tmp_path, data, exclude="auto")
    rows = {row["name"]: row for row in made.details["layers"]}
    assert {name for name, row in rows.items() if not row["quantized"]} <= {"conv1", "conv2"}
    assert "dB at the outputs" in rows["conv2"]["reason"]
    assert made.changed == sum(row["quantized"] for row in rows.values())
    assert snr_db(before, run(made.model, {"image": images()})) > 18  # 20 asked of other samples
    last = made.details["exclusions"][-1]
    assert last["snr_db"] >= 20 > last["snr_db_before"]
    weight = 4 * named(uneven_net(), "conv2").inputs[1].const_value.size  # type: ignore[union-attr]
    assert [s["bytes_lost"] for s in made.details["exclusions"] if s["layers"] == ["conv2"]] == [
        weight * 3 // 4
    ]
    assert made.details["sensitivity"][0]["name"] in ("conv1", "conv2")


def test_auto_leaves_nothing_out_where_the_requirement_holds(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), exclude="auto", calibration="minmax")
    assert made.changed == made.candidates == 3
    assert made.details["exclusions"] == []


def test_auto_goes_as_far_as_the_job_requires(tmp_path: Path) -> None:
    """A mean cosine of 0.3 is met by all layers in 8 bits, one of 0.999 is not."""
    net = uneven_net()
    data = samples(tmp_path, net, image=images())
    mild = quantize(net.clone(), tmp_path, data, Requirements(min_cosine=0.3), exclude="auto")
    strict = quantize(net, tmp_path, data, Requirements(min_cosine=0.999), exclude="auto")
    assert strict.changed < mild.changed == 4
    assert strict.details["asked_on_calibration_data"] == "cosine ≥ 0.999"


def test_auto_says_when_nothing_suffices(tmp_path: Path) -> None:
    net = uneven_net()
    data = samples(tmp_path, net, image=images())
    made = quantize(net, tmp_path, data, Requirements(min_cosine=1.0), exclude="auto")
    assert made.changed == 0
    assert "misses cosine ≥ 1: the model stays as it was" in made.notes[-1]


@pytest.mark.parametrize("bits", [8, 4])
def test_bias_correction_brings_the_mean_back(bits: int, tmp_path: Path) -> None:
    """The mean error of each output over the calibration data, at most half of what it was."""
    data = digits_samples(tmp_path)
    x = {"image": next(data.batches(2000))["image"]}
    before = run(digits_net(), x)
    errors = []
    for corrected in (False, True):
        made = quantize(digits_net(), tmp_path, data, bias_correction=corrected, weight_bits=bits)
        errors.append(np.abs((run(made.model, x) - before).mean(axis=0)).mean())
    assert errors[1] < errors[0] * (0.5 if bits == 4 else 0.8)


def test_learned_rounding_beats_rounding_to_nearest_in_4_bits(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    x = {"image": next(data.batches(2000))["image"]}
    before = run(digits_net(), x)
    found = []
    for learned in (False, True):
        made = quantize(digits_net(), tmp_path, data, weight_bits=4, adaround=learned, samples=64)
        found.append(snr_db(before, run(made.model, x)))
    assert found[1] > found[0] + 0.5


@pytest.mark.parametrize("normalised", [True, False])
def test_smoothing_saves_products_with_outliers(normalised: bool, tmp_path: Path) -> None:
    """At least 8 dB better; folded into the normalisation where there is one, else one Mul is put in front."""
    net = transformer(normalised)
    x = np.random.default_rng(1).normal(size=(64, 5, 16)).astype(np.float32)
    data, before = samples(tmp_path, net, x=x), run(net.clone(), {"x": x})
    plain = run(quantize(net.clone(), tmp_path, data).model, {"x": x})
    made = quantize(net, tmp_path, data, smooth=0.5)
    assert made.details["layers_smoothed"] == 2
    assert snr_db(before, run(made.model, {"x": x})) > snr_db(before, plain) + 8
    assert sum(n.op_type == "Mul" for n in made.model.graph) == (0 if normalised else 2)


def test_for_cuda_activations_are_symmetric_and_biases_float(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    made = quantize(digits_net(), tmp_path, data, target="cuda")
    points = [n.inputs[2].const_value for n in made.model.graph if n.op_type == "QuantizeLinear"]  # type: ignore[union-attr]
    assert {point.dtype for point in points} == {ir.DataType.INT8}  # type: ignore[union-attr]
    assert not any(point.numpy().any() for point in points)  # type: ignore[union-attr]
    assert named(made.model, "head/gemm").inputs[2].const_value.dtype == ir.DataType.FLOAT  # type: ignore[union-attr]
    x = {"image": next(data.batches(2000))["image"]}
    assert snr_db(run(digits_net(), x), run(made.model, x)) > 15


@pytest.mark.parametrize(("target", "limit"), [("cpu_vnni", 127), ("cpu", 64), ("arm", 127), ("cuda", 127)])
def test_weights_have_the_range_of_the_target(target: str, limit: int, tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), target=target, samples=16)
    assert made.details["weight_range"] == [-limit, limit]
    assert made.details["target"] == target


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy", "mse"])
def test_constant_activations_are_no_problem_and_named(calibration: str, tmp_path: Path) -> None:
    """To 2 % of the largest output."""
    w = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    net = model("(float[N,4] x) => (float[N,2] y) { [product] y = MatMul (x, w) }", {"w": w})
    for value in (0.0, 3.0, -2.0):
        x = np.full((10, 4), value, np.float32)
        data = samples(tmp_path / f"{value}", net, x=x)
        before = run(net.clone(), {"x": x})
        made = quantize(net.clone(), tmp_path, data, calibration=calibration)
        after = run(made.model, {"x": x})
        np.testing.assert_allclose(before, after, atol=0.02 * np.abs(before).max() + 1e-6)
        assert f"'x' (always {value:g})" in made.notes[0]


def test_the_report_has_samples_and_seed(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), samples=100)
    assert (made.details["samples"], made.details["seed"]) == (100, 0)
