"""A candidate that a recipe names is that candidate, and what it takes is reported as of any other."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.collapsing_nets import data_for, joined_net
from tests.support.refusals import refusal
from tests.support.small_nets import digits_net, digits_samples, samples
from winnow.contract.recipe import Int8
from winnow.contract.target import CheckedTarget
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult


def made_of(
    net: ir.Model, folder: Path, data: Samples | None, checked: CheckedTarget | None = None, **step: Any
) -> StepResult:
    asked = Int8.model_validate({"kind": "int8", "samples": 64, **step})
    return apply(net, asked, Context(folder, 0, Silent(), data, checked=checked))


def scales(made: StepResult) -> tuple[float, ...]:
    """Of all activations."""
    quantizers = [node for node in made.model.graph if node.op_type == "QuantizeLinear"]
    return tuple(float(node.inputs[1].const_value.numpy()) for node in quantizers)  # type: ignore[union-attr]


def test_each_calibration_is_the_one_that_its_name_says(tmp_path: Path) -> None:
    """Three ranges of the same data, of which that of min-max is the widest everywhere."""
    x = np.random.default_rng(0).normal(size=(64, 1, 8, 8)).astype(np.float32)
    data = samples(tmp_path, digits_net(), image=x)
    names = [f"static, {method}" for method in ("minmax", "percentile", "mse")]
    made = [made_of(digits_net(), tmp_path, data, candidate=name, repair=False) for name in names]
    assert [each.details["chosen"] for each in made] == names
    widest, *others = map(scales, made)
    assert len({widest, *others}) == 3
    assert all((np.array(widest) >= np.array(other)).all() for other in others)


def test_what_was_repaired_in_it_is_reported(tmp_path: Path) -> None:
    data = samples(tmp_path, joined_net(), **data_for(joined_net()))
    made = made_of(joined_net(), tmp_path, data, candidate="static, mse")
    (repair,) = made.details["repairs"]
    assert repair["kind"] == "channels"
    assert any(note.startswith(f"{repair['cause']}; {repair['remedy']}: +") for note in made.notes)
    assert made.details["target"] in ("cpu_vnni", "cpu", "arm")


def test_values_that_never_changed_are_named(tmp_path: Path) -> None:
    data = samples(tmp_path, digits_net(), image=np.full((16, 1, 8, 8), 0.5, np.float32))
    made = made_of(digits_net(), tmp_path, data, candidate="static, minmax")
    assert any("Constant on all of the calibration data: 'image'" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "floats"), [("products only", {"conv1", "conv2"}), ("convolutions only", {"head/gemm"})]
)
def test_kinds_that_a_name_leaves_in_float_need_not_be_listed(
    name: str, floats: set[str], tmp_path: Path
) -> None:
    made = made_of(digits_net(), tmp_path, digits_samples(tmp_path), candidate=f"static, {name}")
    assert {row["name"] for row in made.details["layers"] if not row["quantized"]} == floats


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"candidate": "static, maximum"}, "the candidates of int8 are float; dynamic; "),
        ({"candidate": "static, smoothed, mse"}, "no layer of this model can be quantized so"),
        ({"candidate": "static, without depthwise"}, "leave nothing or everything in float"),
        ({"candidate": "static, without the most sensitive"}, "name them in float_layers"),
        ({"candidate": "static, mse", "float_layers": ["fc9"]}, "'fc9' is no layer with weights"),
    ],
)
def test_what_the_model_has_not_is_refused(step: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    found = refusal(lambda: made_of(digits_net(), tmp_path, data, repair=False, **step))
    assert found is not None
    assert found.code == "invalid_request"
    assert said in found.detail


@pytest.mark.parametrize(
    ("target", "name", "said"),
    [
        ("coreml", "static, mse", "coreml takes no QuantizeLinear"),
        ("qnn", "static, signed activations", "the rules of qnn say which sign"),
        ("qnn", "dynamic", "the target does not take it"),
    ],
)
def test_what_the_target_does_not_take_is_refused(
    target: CheckedTarget, name: str, said: str, tmp_path: Path
) -> None:
    data = digits_samples(tmp_path)
    found = refusal(lambda: made_of(digits_net(), tmp_path, data, target, candidate=name))
    assert found is not None
    assert said in found.detail


def test_a_static_one_asks_for_data(tmp_path: Path) -> None:
    found = refusal(lambda: made_of(digits_net(), tmp_path, None, candidate="static, mse"))
    assert found is not None
    assert (found.code, found.field) == ("missing_data", "data.calibration")
