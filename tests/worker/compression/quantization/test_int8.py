"""int8 tries, measures and picks, and the report proves it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.encoders import transformer
from tests.support.graphs import node
from tests.support.small_nets import (
    digits_net,
    digits_samples,
    loud_product,
    model_of,
    ops,
    run,
    samples,
    snr_db,
)
from tests.support.uneven_channels import images, uneven_net
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Int8
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult


def best(
    net: ir.Model, folder: Path, data: Samples | None, evaluation: Evaluation | None = None, **step: Any
) -> StepResult:
    scratch = folder / "step"
    scratch.mkdir(exist_ok=True)
    context = Context(scratch, 0, Silent(), data, evaluation=evaluation)
    return apply(net, Int8.model_validate({"kind": "int8", **step}), context)


def rows(made: StepResult) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in made.details["candidates"]}


@pytest.mark.usefixtures("all_told")
@pytest.mark.parametrize("prefer", ["latency", "quality"])
def test_the_numbers_of_all_candidates_bear_the_choice_out(prefer: str, tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    made = best(digits_net(), tmp_path, data, prefer=prefer)
    found = rows(made)
    won = found[made.details["chosen"]]
    assert {"float", "dynamic"} < set(found)
    assert sum(name.startswith("static") for name in found) >= 3
    assert set(made.details["calibrations"]) == {"minmax", "percentile", "mse"}
    kept = [row for name, row in found.items() if row["keeps_quality"] and name != "float"]
    assert won["keeps_quality"]
    if prefer == "latency":
        assert won["speedup"] >= 0.985 * max(row["speedup"] for row in kept) or won["name"] == "float"
    x = {"image": next(data.batches(2000))["image"]}
    assert snr_db(run(digits_net(), x), run(made.model, x)) > 17
    assert made.changed == won["layers"]
    assert made.details["judged"] == 64


def test_what_ruins_the_outputs_does_not_win_without_repair(tmp_path: Path) -> None:
    net = uneven_net()
    before = run(net.clone(), {"image": images()})
    made = best(net, tmp_path, samples(tmp_path, net, image=images()), repair=False)
    found = rows(made)
    plain = next(
        row for name, row in found.items() if name in ("static, minmax", "static, percentile", "static, mse")
    )
    assert not plain["keeps_quality"]
    assert found[made.details["chosen"]]["keeps_quality"]
    assert snr_db(before, run(made.model, {"image": images()})) > 18
    assert made.details["exclusions"]


def test_what_would_ruin_the_outputs_is_repaired_for_every_candidate(tmp_path: Path) -> None:
    net = uneven_net()
    made = best(net, tmp_path, samples(tmp_path, net, image=images()))
    assert made.details["repairs"][0]["kind"] == "channels"
    assert max(quality["snr_db"] for quality in made.details["calibrations"].values()) > 30
    assert made.details["exclusions"] == []


def test_quality_is_judged_by_the_metric_where_there_are_labels(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    made = best(digits_net(), tmp_path, data, Evaluation(metric="top1"), max_drop=0.05)
    assert made.details["asked"] == "drop ≤ 0.05"
    assert all("metric_drop" in row for name, row in rows(made).items() if name != "float")


@pytest.mark.parametrize("most", [0.0, 1e-9])
def test_a_limit_that_nothing_meets_keeps_the_float_model_and_says_so(most: float, tmp_path: Path) -> None:
    net = digits_net()
    made = best(net, tmp_path, digits_samples(tmp_path), max_drop=most, samples=64)
    assert (made.changed, made.details["chosen"]) == (0, "float")
    assert ops(made.model) == ops(digits_net())
    assert "No candidate keeps the quality" in made.details["why"]
    assert not any(row["keeps_quality"] for name, row in rows(made).items() if name != "float")
    assert {row["reason"] for row in made.details["layers"]} == {"the float model is the best that was tried"}


def test_a_model_that_integers_make_larger_stays_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = [node("Conv", f"{a} w{b}", b, f"conv {b}") for a, b in pairwise("xabcdy")]
    weights = {f"w{b}": rng.normal(size=(3, 3, 1, 1)).astype(np.float32) for b in "abcdy"}
    net = model_of(nodes, {"x": ["N", 3, 8, 8]}, {"y": ["N", 3, 8, 8]}, weights)
    x = rng.normal(size=(40, 3, 8, 8)).astype(np.float32)
    made = best(net, tmp_path, samples(tmp_path, net, x=x), max_drop=1.0)
    found = rows(made)
    assert all(row["bytes"] > found["float"]["bytes"] for name, row in found.items() if name != "float")
    assert (made.changed, made.candidates) == (0, 5)
    assert "larger file" in made.details["why"]


@pytest.mark.parametrize("prefer", ["latency", "quality"])
def test_the_sensitivity_of_each_layer_is_told_also_where_nothing_is_left_out(
    prefer: str, tmp_path: Path
) -> None:
    made = best(digits_net(), tmp_path, digits_samples(tmp_path), prefer=prefer, max_drop=1.0, samples=64)
    assert not made.details["exclusions"]
    told = {row["name"]: row["snr_db"] for row in made.details["sensitivity"]}
    assert set(told) == {"conv1", "conv2", "head/gemm"}
    assert list(told.values()) == sorted(told.values())


def test_without_data_convolutions_ask_for_it(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"missing_data.*2 × Conv") as caught:
        best(digits_net(), tmp_path, None, exclude=["head*"])
    assert caught.value.problem.field == "data.calibration"


def test_reasons_name_what_would_have_to_change(tmp_path: Path) -> None:
    """Doing what the reason says makes the layer one that is quantized."""
    without = best(digits_net(), tmp_path, None, exclude=["conv1"], prefer="quality")
    said = {row["name"]: row["reason"] for row in without.details["layers"]}
    assert said["conv1"] == "excluded by pattern"
    assert said["conv2"].startswith("calibration data is missing")
    every = best(digits_net(), tmp_path, digits_samples(tmp_path), prefer="quality", samples=64)
    assert max(row["layers"] for row in rows(every).values()) == 3


@pytest.mark.parametrize("normalised", [True, False])
def test_smoothing_is_tried_behind_normalisations_only(normalised: bool, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(64, 5, 16)).astype(np.float32)
    net = transformer(normalised)
    made = best(net.clone(), tmp_path, samples(tmp_path, net, x=x), prefer="quality")
    found = rows(made)
    smoothed = {name for name in found if "smoothed" in name}
    assert len(smoothed) == (2 if normalised else 0)
    assert len(made.details["calibrations"]) == (6 if normalised else 3)
    if normalised:
        assert found["dynamic, smoothed"]["snr_db"] > found["dynamic"]["snr_db"] + 8
        most = max(row["layers"] for row in found.values())  # with some in float any way is better
        whole = {name: row["snr_db"] for name, row in found.items() if row["layers"] == most}
        assert max(whole, key=whole.__getitem__) in smoothed


def test_without_data_products_are_quantized_dynamically(tmp_path: Path) -> None:
    made = best(loud_product("MatMul"), tmp_path, None, prefer="quality")
    assert made.details["chosen"] == "dynamic"
    assert "DynamicQuantizeLinear" in ops(made.model)
    assert any("quality was not judged" in note for note in made.notes)


def test_excluded_layers_stay_float_in_every_candidate(tmp_path: Path) -> None:
    made = best(digits_net(), tmp_path, digits_samples(tmp_path), exclude=["conv*"], prefer="quality")
    conv = [n for n in made.model.graph if n.op_type == "Conv"]
    assert all(n.inputs[1].const_value is not None for n in conv)  # type: ignore[union-attr]
    assert max(row["layers"] for row in rows(made).values()) == 1


@pytest.mark.usefixtures("none_told")
def test_what_cannot_be_timed_is_chosen_without_time_and_the_report_says_so(tmp_path: Path) -> None:
    made = best(digits_net(), tmp_path, digits_samples(tmp_path))
    found = rows(made)
    assert all(row["speedup"] is row["ms"] is row["speedup_interval"] is None for row in found.values())
    won = found[made.details["chosen"]]
    assert won["keeps_quality"]
    assert won["bytes"] < found["float"]["bytes"]
    assert not any("layers that get slower" in name for name in found)
    assert any("without regard to time" in note and "other programs used" in note for note in made.notes)


@pytest.mark.parametrize("prefer", ["latency", "quality"])
def test_a_candidate_that_is_named_is_the_one_that_was_chosen(prefer: str, tmp_path: Path) -> None:
    """Byte by byte, and without a race."""
    net = uneven_net()
    data = samples(tmp_path, net, image=images())
    made = best(net.clone(), tmp_path, data, prefer=prefer)
    chosen = made.details["chosen"]
    floats = [row["name"] for row in made.details["layers"] if not row["quantized"]]
    named = {"candidate": chosen, "float_layers": floats if chosen.startswith("static") else []}
    again = best(net.clone(), tmp_path, data, prefer=prefer, **named)
    assert ir.to_proto(again.model).SerializeToString() == ir.to_proto(made.model).SerializeToString()
    assert (again.changed, again.details["chosen"]) == (made.changed, chosen)
    assert "candidates" not in again.details


def test_a_candidate_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    net = uneven_net()
    with pytest.raises(Refusal) as caught:
        best(net, tmp_path, samples(tmp_path, net, image=images()), candidate="dynamical")
    assert (caught.value.problem.code, "'dynamical'" in caught.value.problem.detail) == (
        "invalid_request",
        True,
    )
