"""Whether an artifact is as good as a report says: metric, size and speed, each within what is allowed.

A metric is worse only where that is beyond its noise: the lower end of how much worse it is has to be above the limit.
Beside the original of the report, losses are compared that were each found in pairs, on the same samples; alone, two
values with an interval each, which is the coarser test.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from winnow.contract.evaluation import ERRORS
from winnow.contract.measured import Measured
from winnow.contract.report import Quality, Report


@dataclass(frozen=True)
class Limits:
    """What is allowed: a loss of the first metric in its own unit, growth of the file as a share of it, and how many
    times as fast as the baseline it has to be; None is not checked."""

    max_metric_drop: float | None = None
    max_size_growth: float | None = None
    min_speedup: float | None = None


@dataclass(frozen=True)
class Check:
    """`then` stands in the report, `now` was measured; `why` says in a sentence what came of it."""

    name: str
    limit: float
    then: float | None
    now: float | None
    passed: bool
    why: str


def check_all(report: Report, measured: Measured, limits: Limits, *, beside_original: bool) -> list[Check]:
    """One for each limit. `beside_original`: it was measured beside a baseline, not alone."""
    checks: list[Check] = []
    if limits.max_metric_drop is not None:
        checks.append(_metric(report, measured, limits.max_metric_drop, beside_original))
    if limits.max_size_growth is not None:
        checks.append(_size(report, measured, limits.max_size_growth))
    if limits.min_speedup is not None:
        checks.append(_speed(report, measured, limits.min_speedup))
    return checks


def _metric(report: Report, measured: Measured, limit: float, beside_original: bool) -> Check:
    then = report.quality[0]
    now = next((entry for entry in measured.quality if entry.metric == then.metric), None)
    name = f"drop of {then.metric}"
    if now is None:
        return Check(name, limit, then.after, None, False, f"{then.metric} was not measured.")
    paired = beside_original and measured.original_sha256 == report.source_sha256
    worse, noise = _paired(then, now) if paired else _alone(then, now)
    low = worse - noise
    told = (
        f"{then.metric} is worse by {worse:.4f} ± {noise:.4f} ({'paired' if paired else 'not paired'}, 95 %)"
    )
    if low > limit:
        why = f"{told}: beyond noise more than {limit:g}."
    elif worse > limit:
        why = f"{told}: more than {limit:g}, but within noise."
    else:
        why = f"{told}: at most {limit:g} is allowed."
    return Check(name, limit, then.after, now.after, low <= limit, why)


def _paired(then: Quality, now: Quality) -> tuple[float, float]:
    """How much more is lost against the same original, and the noise of that towards less."""
    noise = math.hypot(now.drop - now.drop_interval[0], then.drop_interval[1] - then.drop)
    return now.drop - then.drop, noise


def _alone(then: Quality, now: Quality) -> tuple[float, float]:
    (then_low, then_high), (now_low, now_high) = then.after_interval, now.after_interval
    if then.metric in ERRORS:
        return now.after - then.after, math.hypot(now.after - now_low, then_high - then.after)
    return then.after - now.after, math.hypot(now_high - now.after, then.after - then_low)


def _size(report: Report, measured: Measured, limit: float) -> Check:
    then, now = report.size_bytes.after, measured.size_bytes.after
    growth = now / then - 1
    why = f"The file has {now:,} bytes, and had {then:,}: {growth:+.2%}, and at most {limit:+.2%} is allowed."
    return Check("size", limit, then, now, growth <= limit, why)


def _speed(report: Report, measured: Measured, limit: float) -> Check:
    """What cannot be told has not passed: it was asked to be fast."""
    then = report.latency[0].speedup if report.latency else None
    entry = measured.latency[0] if measured.latency else None
    if entry is None or entry.speedup is None or entry.speedup_interval is None:
        because = "it was not timed" if entry is None else entry.untold
        return Check("speedup", limit, then, None, False, f"No speed-up can be told: {because}.")
    low, high = entry.speedup_interval
    why = (
        f"It is {entry.speedup:.2f} times as fast as the baseline (95 %: {low:.2f} to {high:.2f}), and at least "
        f"{limit:g} is asked."
    )
    return Check("speedup", limit, then, entry.speedup, high >= limit, why)


def summary(checks: list[Check], artifact: str, report: str) -> str:
    """GitHub's Markdown, for the summary of a run."""
    verdict = "passed" if all(check.passed for check in checks) else "failed"
    lines = [
        f"### Winnow gate: {verdict}",
        "",
        f"`{_quoted(artifact)}` against `{_quoted(report)}`",
        "",
        "| check | in the report | now | allowed | |",
        "| --- | ---: | ---: | ---: | --- |",
        *_rows(checks),
        "",
        *(f"- {check.why}" for check in checks),
    ]
    return "\n".join(lines) + "\n"


def _rows(checks: list[Check]) -> Iterator[str]:
    for check in checks:
        cells = (check.name, number(check.then), number(check.now), number(check.limit))
        yield f"| {' | '.join(cells)} | {'✅' if check.passed else '❌'} |"


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _quoted(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
