import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.recipe import Requirements
from winnow.contract.report import Latency, Pair, Parity, Percentiles, Quality
from worker.compression.measure.quality.parity import MAX_FLOAT32
from worker.compression.measure.verdict.costs import median_interval
from worker.compression.measure.verdict.requirements import judge, outcome_of
from worker.compression.measure.verdict.verdict import verdict

HALF = Pair(before=1000, after=500, ratio=0.5)
TIMES = Percentiles(p50=1.0, p90=1.0, p95=1.0, p99=1.0, mean=1.0)


def latency(speedup: float, low: float, high: float) -> Latency:
    return Latency(
        batch_size=1,
        threads=1,
        rounds=9,
        provider="CPUExecutionProvider",
        shapes={"x": [1, 4]},
        baseline_ms=TIMES,
        candidate_ms=TIMES,
        baseline_samples_ms=[1.0],
        candidate_samples_ms=[1.0],
        baseline_throughput=1000.0,
        candidate_throughput=1000.0,
        speedup=speedup,
        speedup_interval=(low, high),
        sessions=1,
        speedup_per_round=[speedup],
        control_per_round=[1.0],
        others_share=0.01,
        untold=None,
    )


def quality(drop: float, low: float, high: float) -> Quality:
    return Quality(
        metric="top1",
        output="logits",
        samples=400,
        before=0.9,
        after=0.9 - drop,
        before_interval=(0.88, 0.92),
        after_interval=(0.87, 0.92),
        drop=drop,
        drop_interval=(low, high),
        held_out=True,
    )


def parity(output: str, cosine: float | None) -> Parity:
    return Parity(
        output=output,
        samples=16,
        data="random",
        cosine=cosine,
        snr_db=None,
        max_error=0.1,
        mean_error=0.01,
        max_relative_error=0.1,
        top1_agreement=None,
    )


def judged(require: Requirements, **found: object):
    given = {"quality": [], "latency": [], "parity": [], "size_bytes": HALF} | found
    (entry,) = (e for e in judge(require, **given) if e.name != "finite_outputs")
    return entry


def test_nothing_asked_is_nothing_to_judge() -> None:
    assert judge(Requirements(), quality=[], latency=[], parity=[], size_bytes=HALF) == []


def test_what_the_target_cannot_run_is_not_met_whatever_was_asked() -> None:
    entry = judged(Requirements(), refused="the target qnn cannot run the result")
    assert (entry.name, entry.met, entry.why) == (
        "runs_on_target", False, "The target qnn cannot run the result."
    )  # fmt: skip
    assert outcome_of(Requirements(), [entry]) == "requirements_not_met"


@pytest.mark.parametrize(("bound", "met"), [(0.009, True), (0.01, True), (0.011, False)])
def test_the_drop_is_judged_on_its_upper_bound(bound: float, met: bool) -> None:
    entry = judged(Requirements(max_metric_drop=0.01), quality=[quality(0.002, -0.001, bound)])
    assert (entry.met, entry.measured, entry.interval) == (met, 0.002, (-0.001, bound))
    assert (entry.why is None) == met
    assert met or "more evaluation samples" in entry.why


@pytest.mark.parametrize(("bound", "met"), [(1.6, True), (1.5, True), (1.4, False)])
def test_the_speed_up_is_judged_on_its_lower_bound_at_the_first_entry(bound: float, met: bool) -> None:
    entries = [latency(1.8, bound, 2.0), latency(0.1, 0.1, 0.1)]
    entry = judged(Requirements(min_speedup=1.5), latency=entries)
    assert (entry.met, entry.measured) == (met, 1.8)
    assert (entry.why is None) == met


@pytest.mark.parametrize(("asked", "met"), [(0.5, True), (0.499, False)])
def test_the_size_is_exact(asked: float, met: bool) -> None:
    entry = judged(Requirements(max_size_ratio=asked))
    assert (entry.met, entry.measured, entry.interval) == (met, 0.5, None)


@pytest.mark.parametrize(("asked", "met"), [(500, True), (499, False)])
def test_bytes_are_exact(asked: int, met: bool) -> None:
    for entry in (
        judged(Requirements(max_size_bytes=asked)),
        judged(Requirements(max_memory_bytes=asked), peak_rss_bytes=HALF),
    ):
        assert (entry.met, entry.measured, entry.interval) == (met, 500, None)
        assert (entry.why is None) == met


@pytest.mark.parametrize(("bound", "met"), [(0.0089, True), (0.0091, False)])
def test_a_relative_drop_is_a_share_of_what_the_original_reaches(bound: float, met: bool) -> None:
    entry = judged(Requirements(max_relative_drop=0.01), quality=[quality(0.0045, 0.0, bound)])
    assert entry.measured == pytest.approx(0.005)
    assert entry.interval == pytest.approx((0, bound / 0.9))
    assert (entry.met, entry.why is None) == (met, met)


def test_a_relative_drop_below_zero_is_one_of_the_size_of_the_metric() -> None:
    """An R² of -0.5 that falls to -0.6 lost a fifth; one of 0 has no share that could be told."""
    figures = {"metric": "r2", "before": -0.5, "after": -0.6, "drop": 0.1, "drop_interval": (0.05, 0.15)}
    negative = quality(0, 0, 0).model_copy(update=figures)
    entry = judged(Requirements(max_relative_drop=0.31), quality=[negative])
    assert entry.met
    assert entry.measured == pytest.approx(0.2)
    zero = negative.model_copy(update={"before": 0.0})
    assert judged(Requirements(max_relative_drop=0.5), quality=[zero]).measured is None


def test_the_latency_is_judged_on_the_upper_bound_of_its_median() -> None:
    """Nine rounds of three runs: the median is 2, and four of nine rounds took 3."""
    runs = [1.0] * 6 + [2.0] * 9 + [3.0] * 12
    p50 = TIMES.model_copy(update={"p50": 2.0})
    timed = latency(1, 1, 1).model_copy(update={"candidate_samples_ms": runs, "candidate_ms": p50})
    entry = judged(Requirements(max_latency_ms=2.5), latency=[timed])
    assert (entry.met, entry.measured, entry.interval) == (False, 2.0, (1.0, 3.0))
    assert judged(Requirements(max_latency_ms=3.0), latency=[timed]).met


@settings(max_examples=30)
@given(st.lists(st.floats(0.1, 10), min_size=9, max_size=15), st.integers(1, 5))
def test_the_interval_of_the_median_contains_it_and_lies_within_the_runs(
    rounds: list[float], runs: int
) -> None:
    times = [time for time in rounds for _ in range(runs)]
    p50 = TIMES.model_copy(update={"p50": float(np.median(times))})
    changes = {"candidate_samples_ms": times, "candidate_ms": p50, "rounds": len(rounds)}
    low, high = median_interval(latency(1, 1, 1).model_copy(update=changes))
    assert min(times) <= low <= p50.p50 <= high <= max(times)


def test_a_latency_of_a_busy_machine_is_not_met() -> None:
    timed = latency(1, 1, 1).model_copy(update={"speedup": None, "untold": "others were at work"})
    entry = judged(Requirements(max_latency_ms=1e6), latency=[timed])
    assert (entry.met, entry.measured) == (False, None)
    assert "others were at work" in entry.why


def test_the_worst_output_decides_the_signal_to_noise_ratio() -> None:
    noisy = [parity(name, 1.0).model_copy(update={"snr_db": db}) for name, db in (("a", 40.0), ("b", 25.0))]
    same = parity("c", 1.0).model_copy(update={"max_error": 0.0})
    entry = judged(Requirements(min_snr_db=30), parity=[*noisy, same])
    assert (entry.met, entry.measured) == (False, 25.0)
    assert "'b'" in entry.why
    assert judged(Requirements(min_snr_db=25), parity=[*noisy, same]).met


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({"max_error": 0.0}, True),
        ({"max_error": 0.1}, False),
        ({"max_error": None}, False),
        ({"max_error": MAX_FLOAT32, "snr_db": -300.0}, False),
    ],
)
def test_without_a_ratio_what_did_not_move_meets_any(changes: dict[str, float], met: bool) -> None:
    entry = judged(Requirements(min_snr_db=-1000), parity=[parity("a", 1.0).model_copy(update=changes)])
    assert (entry.met, entry.measured) == (met, None)
    assert (entry.why is None) == met


def test_an_output_that_is_gone_meets_no_ratio() -> None:
    same = parity("a", 1.0).model_copy(update={"max_error": 0.0})
    entry = judged(Requirements(min_snr_db=0), parity=[same], uncompared={"b": "it is gone"})
    assert (entry.met, entry.why) == (False, "Output 'b' could not be compared: it is gone.")
    assert not judged(Requirements(min_snr_db=0)).met


def test_the_worst_output_decides_the_cosine() -> None:
    found = [parity("a", 0.999), parity("b", 0.9), parity("c", None)]
    entry = judged(Requirements(min_cosine=0.95), parity=found)
    assert (entry.met, entry.measured) == (False, 0.9)
    assert "'b'" in entry.why


@pytest.mark.parametrize("asked", [0.95, 0.0, -1.0])
def test_an_output_that_is_broken_or_beyond_comparing_meets_no_cosine(asked: float) -> None:
    nan = dict.fromkeys(("max_error", "mean_error", "max_relative_error"))
    for bad, measured in (
        (
            parity("b", 0.0).model_copy(update={"max_error": MAX_FLOAT32, "max_relative_error": MAX_FLOAT32}),
            0.0,
        ),
        (parity("b", None).model_copy(update=nan), None),
    ):
        found = [parity("a", 0.999), bad]
        entry = judged(Requirements(min_cosine=asked), parity=found)
        assert (entry.met, entry.measured) == (False, measured)
        assert "'b'" in entry.why
        told = verdict(latency=[], quality=[quality(0, 0, 0)], parity=found, size_bytes=HALF).summary
        assert "'b'" in told[0], "whatever else was measured"
        alone = verdict(latency=[], quality=[], parity=[bad], size_bytes=HALF).summary
        assert not any("moved most" in line for line in alone)


@pytest.mark.parametrize(
    "require",
    [
        Requirements(max_metric_drop=1.0),
        Requirements(max_relative_drop=1.0),
        Requirements(min_speedup=0.1),
        Requirements(max_latency_ms=1e6),
        Requirements(max_memory_bytes=2**50),
        Requirements(min_cosine=-1),
        Requirements(min_snr_db=-1000),
    ],
)
def test_what_was_not_measured_is_not_met_and_says_so(require: Requirements) -> None:
    entry = judged(require, parity=[parity("a", None)])
    assert (entry.met, entry.measured) == (False, None)
    assert entry.why.endswith(".")


@pytest.mark.parametrize(
    ("low", "high", "faster", "told"),
    [
        (1.5, 1.7, True, "times as fast"),
        (0.5, 0.7, False, "Slower"),
        (0.9, 1.2, None, "Neither faster nor slower"),
        (1.003, 1.015, None, "Neither faster nor slower"),
    ],
)
def test_the_verdict_says_faster_only_where_it_can_be_told(
    low: float, high: float, faster: bool | None, told: str
) -> None:
    found = verdict(latency=[latency((low + high) / 2, low, high)], quality=[], parity=[], size_bytes=HALF)
    assert found.faster is faster
    assert any(told in line for line in found.summary)


def test_the_verdict_says_worse_better_and_larger_in_words() -> None:
    larger = Pair(before=500, after=1000, ratio=2.0)
    for drop, told in ((0.02, "Worse"), (-0.02, "Better")):
        found = verdict(
            latency=[], quality=[quality(drop, drop - 0.01, drop + 0.01)], parity=[], size_bytes=larger
        )
        assert (found.faster, found.smaller, found.worse_by) == (None, False, drop)
        assert any(line.startswith(told) for line in found.summary)
        assert any(line.startswith("Larger") for line in found.summary)
