"""Layers go to float by what they lose for what their 8 bits save, and come back where the others suffice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collapsing_nets import data_for, separable_net
from tests.support.small_nets import samples
from winnow.contract.recipe import Int8Static, Requirements
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.quantization.search.acceptance import MARGIN_DB, acceptance_rule, with_margin
from worker.compression.quantization.search.exclusion import by_price
from worker.compression.quantization.search.output_error import OutputQuality
from worker.compression.quantization.search.sensitivity import Gain, Sensitivity
from worker.compression.steps.context import Context, StepResult


def layer(name: str, snr_db: float, saved_bytes: int = 0, op: str = "Conv") -> Sensitivity:
    return Sensitivity(name, op, OutputQuality(snr_db, 1.0), Gain(saved_bytes, None))


def without_sensitive(folder: Path, least: float) -> StepResult:
    """The network in 8 bits, `least` dB above its error by layers left in float alone."""
    folder.mkdir(exist_ok=True)
    net = separable_net()
    step = Int8Static(kind="int8_static", exclude="auto", repair=False)
    data = samples(folder, net, **data_for(net))
    return apply(net, step, Context(folder, 0, Silent(), data, require=Requirements(min_snr_db=least)))


def test_a_cheap_layer_goes_before_a_dear_one_that_loses_a_little_more() -> None:
    """Three decibels more are twice the noise, for ten times the multiply-accumulates."""
    ranking = [layer("dear", 20.0), layer("cheap", 23.0)]
    assert [each.name for each in by_price(ranking, {"dear": 1000, "cheap": 100})] == ["cheap", "dear"]


def test_a_table_multiplies_nothing_and_is_dear_by_its_bytes() -> None:
    ranking = [layer("words", 20.0, 3_000_000, "Gather"), layer("product", 23.0, 3000)]
    assert [each.name for each in by_price(ranking, {"product": 10_000})] == ["product", "words"]


@given(
    st.lists(st.tuples(st.integers(-10, 120), st.integers(0, 10**9)), min_size=1, max_size=20),
    st.integers(1, 1000),
)
def test_of_two_that_cost_the_same_the_one_that_loses_more_goes_first(
    measured: list[tuple[int, int]], macs: int
) -> None:
    ranking = [layer(str(number), snr_db) for number, (snr_db, _) in enumerate(measured)]
    alike = by_price(ranking, dict.fromkeys((each.name for each in ranking), macs))
    assert [each.quality.snr_db for each in alike] == sorted(snr_db for snr_db, _ in measured)
    by_cost = by_price(ranking, {str(number): cost for number, (_, cost) in enumerate(measured)})
    assert sorted(each.name for each in by_cost) == sorted(each.name for each in ranking)


def test_what_the_others_do_without_comes_back(tmp_path: Path) -> None:
    """As two of six layers that were left out one after the other."""
    made = without_sensitive(tmp_path, 25)
    tried = {name for row in made.details["exclusions"] for name in row["layers"]}
    back = set(made.details["taken_back"])
    assert back
    assert back < tried
    floats = {row["name"] for row in made.details["layers"] if not row["quantized"]}
    assert floats == tried - back
    assert made.details["found_on_calibration_data"]["snr_db"] >= 25 + MARGIN_DB


@given(st.floats(-50, 100), st.floats(-50, 100))
def test_a_margin_is_of_decibels_alone(snr_db: float, least: float) -> None:
    accepts, _ = acceptance_rule(Requirements(min_snr_db=least), labelled=False)
    quality = OutputQuality(snr_db, 0.5)
    assert with_margin(accepts)(quality) == (snr_db - MARGIN_DB >= least)
    by_cosine, _ = acceptance_rule(Requirements(min_cosine=0.5), labelled=False)
    assert with_margin(by_cosine)(quality)


def test_where_the_margin_is_out_of_reach_what_is_required_is_enough(tmp_path: Path) -> None:
    """All but one layer in float reach so much, and no dB more."""
    most = without_sensitive(tmp_path / "most", 150)
    assert not most.changed
    reached = most.details["found_on_calibration_data"]["snr_db"]
    made = without_sensitive(tmp_path / "less", reached - MARGIN_DB / 2)
    assert made.changed
    assert (
        reached - MARGIN_DB / 2
        <= made.details["found_on_calibration_data"]["snr_db"]
        < reached + MARGIN_DB / 2
    )


@pytest.mark.parametrize("least", [15, 20])
def test_nothing_comes_back_where_all_are_needed(least: float, tmp_path: Path) -> None:
    made = without_sensitive(tmp_path, least)
    assert "taken_back" not in made.details
    assert len(made.details["exclusions"]) == 2
