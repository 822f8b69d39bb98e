"""Sentinels and masks stay out of ranges and pass exactly; a graph without any is quantized as ever."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collapsing_nets import masked_by_infinity, masked_images, masked_net
from tests.support.small_nets import digits_net, digits_samples, run, samples, snr_db
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8, Int8Static, MixedPrecision
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.quantization.search.repair.sentinels import marked_values, sentinel_in
from worker.compression.steps.context import Context, StepResult

STEPS = {"int8_static": Int8Static, "int8": Int8, "mixed_precision": MixedPrecision}


def quantize(
    net: ir.Model, folder: Path, data: Samples, kind: str = "int8_static", **step: Any
) -> StepResult:
    asked = STEPS[kind].model_validate({"kind": kind, **step})
    return apply(net, asked, Context(folder, 0, Silent(), data))


def bytes_of(made: StepResult) -> bytes:
    return ir.to_proto(made.model).SerializeToString(deterministic=True)


@pytest.mark.parametrize("fill", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_a_mask_before_a_pool_no_longer_ruins_the_outputs(fill: float, tmp_path: Path) -> None:
    x = masked_images()
    net = masked_net(fill)
    before, after = (
        run(quantize(masked_net(fill), tmp_path, samples(tmp_path, net, **x), repair=repair).model, x)
        for repair in (False, True)
    )
    float_outputs = run(masked_net(fill), x)
    assert snr_db(float_outputs, before) < 5
    assert snr_db(float_outputs, after) > 30


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy", "mse"])
def test_with_every_method(calibration: str, tmp_path: Path) -> None:
    x = masked_images()
    data = samples(tmp_path, masked_net(), **x)
    made = quantize(masked_net(), tmp_path, data, calibration=calibration)
    assert snr_db(run(masked_net(), x), run(made.model, x)) > 25


def test_the_report_names_what_was_seen_and_what_it_brought(tmp_path: Path) -> None:
    made = quantize(masked_net(), tmp_path, samples(tmp_path, masked_net(), **masked_images()))
    (row,) = made.details["repairs"]
    assert (row["kind"], row["value"]) == ("sentinels", "a")
    assert row["snr_db"] > row["snr_db_before"] + 20
    note = next(note for note in made.notes if "sentinels" in note)
    assert note.startswith("'a' holds sentinels (-1e+09) beside values up to ")
    gain = float(note.removesuffix(" dB.").rsplit("+", 1)[1])
    assert "passed exactly by what stays float: +" in note
    assert gain == pytest.approx(row["snr_db"] - row["snr_db_before"], abs=0.11)


def test_layers_around_the_mask_stay_in_integers(tmp_path: Path) -> None:
    made = quantize(masked_net(), tmp_path, samples(tmp_path, masked_net(), **masked_images()))
    assert (made.changed, made.candidates) == (2, 2)


def test_infinity_in_a_mask_is_no_reason_to_refuse(tmp_path: Path) -> None:
    x = masked_images()
    data = samples(tmp_path, masked_by_infinity(), **x)
    with pytest.raises(Refusal, match="became NaN or infinity"):
        quantize(masked_by_infinity(), tmp_path, data, repair=False)
    made = quantize(masked_by_infinity(), tmp_path, data)
    assert snr_db(run(masked_by_infinity(), x), run(made.model, x)) > 30
    assert made.details["repairs"][0]["snr_db_before"] is None
    assert any("without, it could not be quantized" in note for note in made.notes)


@pytest.mark.parametrize(
    ("kind", "step"), [("int8", {"samples": 48}), ("mixed_precision", {"max_size_ratio": 0.9})]
)
def test_steps_that_choose_repair_too(kind: str, step: dict[str, Any], tmp_path: Path) -> None:
    data = samples(tmp_path, masked_net(), **masked_images())
    made = quantize(masked_net(), tmp_path, data, kind, **step)
    assert made.details["repairs"][0]["snr_db"] > 30
    assert "repairs" not in quantize(masked_net(), tmp_path, data, kind, repair=False, **step).details


def test_a_mask_that_masks_nothing_changes_nothing(tmp_path: Path) -> None:
    data = samples(tmp_path, masked_net(), **masked_images(masked=False))
    made = [quantize(masked_net(), tmp_path, data, repair=repair) for repair in (False, True)]
    assert bytes_of(made[0]) == bytes_of(made[1])
    assert made[0].notes == made[1].notes
    assert made[0].details == made[1].details


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy", "mse"])
def test_a_net_with_nothing_to_repair_is_the_same_byte_for_byte(calibration: str, tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    made = [
        quantize(digits_net(), tmp_path, data, calibration=calibration, repair=repair)
        for repair in (False, True)
    ]
    assert bytes_of(made[0]) == bytes_of(made[1])
    assert "repairs" not in made[1].details


def test_marks_go_where_a_mask_goes_and_end_at_a_layer() -> None:
    assert marked_values(masked_net()) == {"m", "a", "p"}
    assert marked_values(digits_net()) == set()


def counted(*parts: Any) -> Distribution:
    x = np.concatenate([np.asarray(part, np.float32).reshape(-1) for part in parts])
    seen = Distribution()
    seen.extend(float(x.min()), float(x.max()))
    seen.count(x, 1.0)
    return seen


@given(
    largest=st.floats(0.01, 5),
    size=st.sampled_from([1e4, 65504.0, 1e9, float(np.finfo(np.float32).max), np.inf]),
    sign=st.sampled_from([-1, 1]),
)
def test_what_lies_far_apart_is_a_sentinel_of_that_size(largest: float, size: float, sign: int) -> None:
    values = np.linspace(-largest, largest, 1001)
    sentinel = sentinel_in("x", counted(values, [sign * size] * 3), marked=False)
    assert sentinel is not None
    assert sentinel.size == np.float32(sign * size)
    assert largest * 0.98 <= sentinel.largest <= largest * 1.02


@given(scale=st.floats(1e-3, 1e12), shape=st.sampled_from([1.0, 2.0, 4.0]))
def test_values_that_are_only_large_hold_none(scale: float, shape: float) -> None:
    """Heavy tails too: normal numbers to the power of 1, 2 and 4."""
    x = np.abs(np.random.default_rng(0).normal(size=4096)) ** shape * scale
    assert sentinel_in("x", counted(x[x > scale * 1e-3]), marked=True) is None
