"""mixed_precision keeps to its budget, spares the layers that matter, and says when it cannot."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.refusals import refusal
from tests.support.small_nets import digits_net, digits_samples, model_of, named, run, samples, snr_db
from tests.support.uneven_channels import images, uneven_net
from winnow.contract.recipe import MixedPrecision
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.onnx_files.model_files import save, weight_bytes
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult
from worker.compression.weight_storage.drop_defaults import NO_UPLOAD_NAMES


def mixed(net: ir.Model, folder: Path, data: Samples, **step: Any) -> StepResult:
    scratch = folder / "step"
    scratch.mkdir(exist_ok=True)
    asked = MixedPrecision.model_validate({"kind": "mixed_precision", **step})
    return apply(net, asked, Context(scratch, 0, Silent(), data))


def _saved(net: ir.Model, folder: Path) -> int:
    save(net, folder / "saved.onnx", NO_UPLOAD_NAMES)
    return (folder / "saved.onnx").stat().st_size


def bits(made: StepResult) -> dict[str, int]:
    return {row["name"]: row["bits"] for row in made.details["layers"]}


@pytest.mark.parametrize("sensitivity", ["measured", "hessian"])
@pytest.mark.parametrize("ratio", [0.5, 0.35])
def test_the_file_takes_no_more_bytes_than_asked(ratio: float, sensitivity: str, tmp_path: Path) -> None:
    made = mixed(
        digits_net(), tmp_path, digits_samples(tmp_path), max_size_ratio=ratio, sensitivity=sensitivity
    )
    (target,) = made.targets
    assert target.met
    assert target.measured == pytest.approx(_saved(made.model, tmp_path) / _saved(digits_net(), tmp_path))
    assert target.measured is not None
    assert target.measured <= ratio


def test_integers_have_the_bits_of_the_table(tmp_path: Path) -> None:
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), max_size_ratio=0.2)
    types = {8: ir.DataType.INT8, 4: ir.DataType.INT4}
    for name, count in bits(made).items():
        weight = named(made.model, name).inputs[1]
        assert weight is not None
        if count == 32:
            assert weight.const_value is not None
        else:
            dequantize = weight.producer()
            assert dequantize is not None
            assert dequantize.inputs[0].const_value.dtype == types[count]  # type: ignore[union-attr]
    assert 4 in bits(made).values()


def test_layers_that_read_one_weight_have_the_same_bits_and_it_is_stored_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {n: rng.standard_normal((64, 64)).astype(np.float32) for n in ("shared", "own")}
    nodes = [
        node("MatMul", "x shared", "a", "first"),
        node("Relu", "a", "b", "relu"),
        node("MatMul", "b own", "c", "middle"),
        node("Relu", "c", "d", "relu2"),
        node("MatMul", "d shared", "y", "last"),
    ]
    net = model_of(nodes, {"x": ["N", 64]}, {"y": ["N", 64]}, weights)
    data = samples(tmp_path, net, x=rng.standard_normal((32, 64)).astype(np.float32))
    made = mixed(net, tmp_path, data, max_size_ratio=0.22)
    assert bits(made)["first"] == bits(made)["last"] != bits(made)["middle"]
    stored = [
        value
        for value in made.model.graph.initializers.values()
        if value.const_value is not None and value.const_value.size == 64 * 64
    ]
    assert len(stored) == 2


def test_a_layer_that_ruins_the_outputs_stays_float(tmp_path: Path) -> None:
    net = uneven_net()
    made = mixed(net, tmp_path, samples(tmp_path, net, image=images()), max_size_ratio=0.7)
    assert bits(made)["conv3"] < 32
    assert bits(made)["conv1"] == 32


def test_the_smallest_model_that_keeps_the_noise_down(tmp_path: Path) -> None:
    """Measured by hand on all samples: 30 dB asked of a part of them, 28 found at least."""
    data = digits_samples(tmp_path)
    made = mixed(digits_net(), tmp_path, data, min_snr_db=30)
    x = {"image": next(data.batches(2000))["image"]}
    assert made.targets[0].met
    assert snr_db(run(digits_net(), x), run(made.model, x)) > 28
    loose = mixed(digits_net(), tmp_path, data, min_snr_db=12)
    assert weight_bytes(loose.model) < weight_bytes(made.model)


def test_a_budget_out_of_reach_gives_the_smallest_and_says_so(tmp_path: Path) -> None:
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), max_size_ratio=0.01)
    (target,) = made.targets
    assert not target.met
    assert "0.01 was asked" in str(target.why)
    assert set(bits(made).values()) == {4}


@pytest.mark.usefixtures("none_told")
def test_without_times_bytes_stand_in_for_them_and_the_target_is_not_met(tmp_path: Path) -> None:
    """1.5 times as fast asks for a third of the bytes of weights."""
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), min_speedup=1.5)
    (target,) = made.targets
    assert (target.measured, target.met) == (None, False)
    assert "No time could be told" in str(target.why)
    assert target.why in made.notes
    assert made.details["estimated_speedup"] is None
    assert sum(width < 32 for width in bits(made).values()) > 0
    assert made.details["size_ratio"] < 0.8


@pytest.mark.usefixtures("none_told")
def test_what_was_chosen_for_speed_is_done_again_without_measuring(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    made = mixed(digits_net(), tmp_path, data, min_speedup=1.5)
    again = mixed(digits_net(), tmp_path, data, min_speedup=1.5, **made.details["as_settings"])
    assert ir.to_proto(again.model).SerializeToString() == ir.to_proto(made.model).SerializeToString()
    assert bits(again) == bits(made)
    assert (again.changed, again.targets) == (made.changed, [])


def test_no_layers_in_few_bits_are_the_model_as_it_was(tmp_path: Path) -> None:
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), max_size_ratio=0.5, bits={})
    assert (made.changed, made.notes) == (0, [])
    assert ir.to_proto(made.model).opset_import == ir.to_proto(digits_net()).opset_import
    assert weight_bytes(made.model) == weight_bytes(digits_net())


def test_bits_of_a_layer_that_is_none_are_refused_with_the_names_there_are(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    found = refusal(lambda: mixed(digits_net(), tmp_path, data, max_size_ratio=0.5, bits={"fc9": 8}))
    assert found is not None
    assert found.code == "invalid_request"
    assert "'fc9', which is no layer with weights" in found.detail


def test_bits_of_a_layer_that_a_pattern_leaves_float_are_refused_with_the_reason(tmp_path: Path) -> None:
    data, net = digits_samples(tmp_path), digits_net()
    found = refusal(
        lambda: mixed(net, tmp_path, data, max_size_ratio=0.5, bits={"conv1": 8}, exclude=["conv1"])
    )
    assert found is not None
    assert found.detail == (
        "bits names 'conv1', which stays float: excluded by pattern. The layers are conv2, head/gemm."
    )


@pytest.mark.usefixtures("all_told")
def test_a_speedup_out_of_reach_is_said(tmp_path: Path) -> None:
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), min_speedup=90)
    assert not made.targets[0].met
    assert made.targets[0].name == "mixed_precision.min_speedup"


def test_a_budget_that_float_meets_changes_nothing(tmp_path: Path) -> None:
    made = mixed(digits_net(), tmp_path, digits_samples(tmp_path), max_size_ratio=1)
    assert made.changed == 0
    assert made.targets[0].met
    assert "nothing was quantized" in made.notes[0]


def test_what_never_changed_is_named(tmp_path: Path) -> None:
    data = samples(tmp_path, digits_net(), image=np.full((16, 1, 8, 8), 0.5, np.float32))
    made = mixed(digits_net(), tmp_path, data, max_size_ratio=0.5)
    assert any("Constant on all of the calibration data: 'image' (always 0.5)" in note for note in made.notes)
