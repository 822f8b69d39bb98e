"""Layers whose noise all others pass on stay float, few and cheap ones, where nothing is uneven and that helps."""

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collapsing_nets import cancelling_net, data_for, separable_net
from tests.support.dfl_head import dfl_net, images
from tests.support.small_nets import run, samples, snr_db
from winnow.contract.recipe import Int8Static, Requirements
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.quantization.search.float_costs import Costs
from worker.compression.steps.context import Context, StepResult


def quantize(net: ir.Model, folder: Path, require: Requirements | None = None, **step: Any) -> StepResult:
    asked = Int8Static.model_validate({"kind": "int8_static", **step})
    data = samples(folder, net, **data_for(net))
    return apply(net, asked, Context(folder, 0, Silent(), data, require=require or Requirements()))


def test_what_loses_most_for_its_cost_stays_float(tmp_path: Path) -> None:
    """From below 12 dB to above 25, with 2 % of the multiply-accumulates in float, on samples of another seed."""
    before, after = (quantize(cancelling_net(), tmp_path, repair=repair) for repair in (False, True))
    others = data_for(cancelling_net(), seed=99)
    quality = [snr_db(run(cancelling_net(), others), run(result.model, others)) for result in (before, after)]
    assert quality[0] < 12
    assert quality[1] > 25
    assert (before.changed, after.changed) == (5, 3)
    floats = {row["name"]: row["reason"] for row in after.details["layers"] if row["reason"]}
    assert set(floats) == {"pairs", "difference"}
    assert all(reason.startswith("sensitive: '") for reason in floats.values())


def test_the_report_says_which_what_it_brought_and_what_share_they_are(tmp_path: Path) -> None:
    made = quantize(cancelling_net(), tmp_path)
    (row,) = made.details["repairs"]
    assert row["kind"] == "layers"
    assert row["cause"].startswith("2 of 5 layers cost the outputs most ('")
    assert row["remedy"] == "left in float, 2.1% of the multiply-accumulates"
    assert row["snr_db"] >= 21 > 12 > row["snr_db_before"]
    gain = row["snr_db"] - row["snr_db_before"]
    (note,) = (note for note in made.notes if note.startswith(row["cause"]))
    assert float(note.removesuffix(" dB.").rsplit("+", 1)[1]) == pytest.approx(gain, abs=0.11)


def test_nothing_stays_float_that_has_most_of_the_multiplications(tmp_path: Path) -> None:
    made = quantize(cancelling_net(wide=False), tmp_path)
    assert "repairs" not in made.details
    assert made.changed == 2


@pytest.mark.parametrize("step", [{"repair": False}, {"weight_bits": 4}, {"exclude": "auto"}])
def test_not_where_another_way_was_chosen(step: dict[str, Any], tmp_path: Path) -> None:
    assert "repairs" not in quantize(cancelling_net(), tmp_path, **step).details


def test_a_signal_to_noise_that_is_required_takes_the_place_of_20_db(tmp_path: Path) -> None:
    made = [
        quantize(cancelling_net(likeness=16), tmp_path, Requirements(min_snr_db=least)) for least in (8, None)
    ]
    assert ["repairs" in each.details for each in made] == [False, True]


def test_what_is_required_and_can_be_reached_is_reached_with_a_decibel_to_spare(tmp_path: Path) -> None:
    data = samples(tmp_path, dfl_net(), **images())
    context = Context(tmp_path, 0, Silent(), data, require=Requirements(min_snr_db=33))
    (row,) = apply(dfl_net(), Int8Static(kind="int8_static"), context).details["repairs"]
    assert row["kind"] == "layers"
    assert row["snr_db_before"] < 30
    assert row["snr_db"] >= 33.99  # two digits are reported


def test_more_than_what_counts_as_good_is_looked_for_where_it_is_required(tmp_path: Path) -> None:
    """Evened out, the network is above 30 dB already."""
    rows = quantize(separable_net(), tmp_path, Requirements(min_snr_db=41)).details["repairs"]
    assert [row["kind"] for row in rows] == ["channels", "layers"]
    assert rows[0]["snr_db"] < 41 < 42 <= rows[1]["snr_db"]


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 1 << 40), min_size=1))
def test_shares_add_up(costs: dict[str, int]) -> None:
    of = Costs(costs, "weights")
    assert sum(of.share([name]) for name in costs) == pytest.approx(1.0 if any(costs.values()) else 0.0)
    assert of.share(costs) <= 1
