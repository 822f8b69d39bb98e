"""What a gate lets through: laws of its checks, on reports that are made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.openapi import corpus
from winnow.client.gating import Limits, check_all
from winnow.contract.measured import Measured
from winnow.contract.report import Quality, Report

REPORT = Report.model_validate(corpus()["Report"][0])
SHARES = st.integers(0, 1024).map(lambda count: count / 1024)
NOISE = st.integers(0, 200).map(lambda count: count / 1024)


def quality(after: float, noise: float, **changes: object) -> Quality:
    before = 0.875
    drop = before - after
    changed = {
        "after": after,
        "after_interval": (after - noise, after + noise),
        "drop": drop,
        "drop_interval": (drop - noise, drop + noise),
        **changes,
    }
    return REPORT.quality[0].model_copy(update=changed)


def measured(*qualities: Quality, original: str = REPORT.source_sha256, size: int = 0) -> Measured:
    pair = REPORT.size_bytes.model_copy(update={"after": size or REPORT.size_bytes.after})
    return Measured(
        original_sha256=original,
        size_bytes=pair,
        quality=[*qualities],
        latency=REPORT.latency,
        environment=REPORT.environment,
        notes=[],
    )


def drop_passes(then: Quality, now: Quality, limit: float, *, beside: bool) -> bool:
    report = REPORT.model_copy(update={"quality": [then]})
    (check,) = check_all(report, measured(now), Limits(max_metric_drop=limit), beside_original=beside)
    return check.passed


@given(SHARES, SHARES, NOISE, NOISE, NOISE)
def test_what_is_no_worse_than_allowed_passes_and_more_noise_never_fails_it(
    then: float, now: float, noise: float, more: float, limit: float
) -> None:
    for beside in (False, True):
        passed = drop_passes(quality(then, noise), quality(now, noise), limit, beside=beside)
        noisier = drop_passes(quality(then, noise), quality(now, noise + more), limit, beside=beside)
        assert passed or then - now > limit
        assert noisier or not passed


@given(SHARES, SHARES, NOISE)
def test_without_noise_the_limit_decides(then: float, now: float, limit: float) -> None:
    assert drop_passes(quality(then, 0), quality(now, 0), limit, beside=False) == (then - now <= limit)


@given(SHARES, SHARES, NOISE)
def test_of_errors_less_is_better(then: float, now: float, limit: float) -> None:
    names = {"metric": "rmse"}
    assert drop_passes(quality(then, 0, **names), quality(now, 0, **names), limit, beside=False) == (
        now - then <= limit
    )


def test_losses_are_paired_only_beside_the_reports_own_original() -> None:
    limits = Limits(max_metric_drop=0.01)
    for original, told in ((REPORT.source_sha256, "(paired"), ("0" * 64, "(not paired")):
        (check,) = check_all(
            REPORT, measured(*REPORT.quality, original=original), limits, beside_original=True
        )
        assert told in check.why


def test_a_file_grows_by_what_is_allowed_and_no_more() -> None:
    size = REPORT.size_bytes.after
    for limit, passes in ((0.1, True), (0.09, False)):
        (check,) = check_all(
            REPORT, measured(size=size + size // 10), Limits(max_size_growth=limit), beside_original=False
        )
        assert check.passed == passes


def test_a_speed_that_cannot_be_told_has_not_passed() -> None:
    untold = REPORT.latency[0].model_copy(
        update={"speedup": None, "speedup_interval": None, "untold": "the machine was busy"}
    )
    now = measured().model_copy(update={"latency": [untold]})
    (check,) = check_all(REPORT, now, Limits(min_speedup=0.1), beside_original=True)
    assert (check.passed, "the machine was busy" in check.why) == (False, True)


@pytest.mark.parametrize(("limit", "passes"), [(1.9, True), (2.1, True), (2.2, False)])
def test_a_speed_passes_where_its_interval_reaches_what_is_asked(limit: float, passes: bool) -> None:
    """2.1 is more than was measured, and within noise; 2.2 is beyond."""
    told = REPORT.latency[0].model_copy(
        update={"speedup": 2.0, "speedup_interval": (1.85, 2.15), "untold": None}
    )
    now = measured().model_copy(update={"latency": [told]})
    (check,) = check_all(REPORT, now, Limits(min_speedup=limit), beside_original=True)
    assert (check.passed, check.now, check.then) == (passes, 2.0, REPORT.latency[0].speedup)
    assert "2.00 times as fast as the baseline (95 %: 1.85 to 2.15)" in check.why
