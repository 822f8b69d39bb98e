"""Which trial wins. One order for all of them, the upload included:

    what it violates, what it harms, what it costs by the objective, its size, its steps, its number

`harm` counts only where nothing is required of the quality. Nothing is handed over that is worse than the upload: where
that meets everything itself, a trial has to meet it too, and to be better.

Of those that meet what is required on the selection part the one goes first that is worth most, since the final may
refuse it, and then the upload is what is left:

    worth = chance that the final confirms it · ln(cost of the upload / its cost)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf
from statistics import median
from typing import Final, Literal

from app.storage.records import Trial
from winnow.contract.recipe import MetricBounds, Requirements
from worker.search.measured import Result, chance, cost, gain, harm, is_sure, speedup_interval, violation
from worker.search.plan import Plan
from worker.search.rows import complete, trials

MOST_FINALISTS: Final = 3
TELLING_SPEEDUP: Final = 1.02
"""Two sessions of one file differ by up to 2 %."""
TELLING_CHANCE: Final = 0.05

UNHARMED: Final = frozenset(
    {"max_metric_drop", "max_relative_drop", "min_cosine", "min_snr_db", "min_agreement"}
)
"""What the upload meets, being the measure of it."""

Key = tuple[float, float, float, float, int, int]


@dataclass(frozen=True)
class Choice:
    """`best` meets everything, `closest` does not and nothing does, `upload`: nothing is better. `finalists` are the
    trials that the final compares, the first the one worth most; none where it is the upload."""

    kind: Literal["best", "closest", "upload"]
    finalists: list[Trial]


def choose(plan: Plan, rows: Iterable[Trial]) -> Choice:
    """Choose what goes into the final."""
    ranked = rank(plan, complete(trials(rows)))
    meeting = _by_worth(plan, [row for row in ranked if violation(_result(row)) == 0])
    if upload_meets(plan, ranked):
        better = [row for row in meeting if is_better_than_upload(plan, _result(row))]
        return Choice("best", _finalists(plan, better)) if better else Choice("upload", [])
    if meeting:
        return Choice("best", _finalists(plan, meeting))
    return Choice("closest", ranked[:1]) if ranked else Choice("upload", [])


def _by_worth(plan: Plan, ranked: list[Trial]) -> list[Trial]:
    """Of those that harm equally little. Where the upload costs more than can be told, or misses something itself, the
    dearest stands for it, and to be accepted at all counts as much as e times less."""
    if plan.objective == "quality":
        return ranked
    prices = {row.id: key_of(plan, row)[2] for row in ranked}
    known = _upload_cost(plan, map(_result, ranked)) if upload_meets(plan, ranked) else None
    upload = known or exp(1) * max((price for price in prices.values() if price < inf), default=1.0)

    def place(row: Trial) -> tuple[float, float]:
        return harm_of(plan, _result(row)), -chance(_result(row)) * gain(upload, prices[row.id])

    return sorted(ranked, key=place)


def best_cost(plan: Plan, rows: Iterable[Trial]) -> float | None:
    """What the best so far costs that surely meets everything and harms nothing, the upload included; None without
    any."""
    ended = complete(trials(rows))
    sure = [row for row in ended if is_sure(_result(row)) and harm_of(plan, _result(row)) == 0]
    costs = [price for row in sure if (price := cost(_result(row), plan.objective)) is not None]
    upload = _upload_cost(plan, map(_result, ended)) if upload_meets(plan, ended) else None
    return min([*costs, *([] if upload is None else [upload])], default=None)


def _upload_cost(plan: Plan, results: Iterable[Result]) -> float | None:
    """Its memory is what was measured of it beside the trials; None where its cost is not known."""
    match plan.objective:
        case "latency":
            return 1.0
        case "size":
            return float(plan.size_bytes)
        case "macs":
            return None if plan.macs is None else float(plan.macs)
        case "memory":
            measured = [float(memory) for each in results if (memory := each.get("memory_before_bytes"))]
            return median(measured) if measured else None
        case _:
            return None


def rank(plan: Plan, rows: Iterable[Trial]) -> list[Trial]:
    """Sort finished trials, the best first."""
    return sorted(rows, key=lambda row: key_of(plan, row))


def key_of(plan: Plan, row: Trial) -> Key:
    result = _result(row)
    price = cost(result, plan.objective)
    steps = len((row.recipe or {"steps": []})["steps"])
    return (
        violation(result),
        harm_of(plan, result),
        inf if price is None else price,
        float(result["size_bytes"]),
        steps,
        row.number,
    )


def harm_of(plan: Plan, result: Result) -> float:
    return 0.0 if plan.asks_for_quality or plan.objective == "quality" else harm(result)


def upload_meets(plan: Plan, rows: Iterable[Trial]) -> bool:
    """Whether the upload, tidied, meets all that is required; not where that is not known."""
    results = [_result(row) for row in rows]
    return all(_upload_meets(name, plan, results) for name in plan.required - UNHARMED)


def _upload_meets(name: str, plan: Plan, results: list[Result]) -> bool:
    require = plan.require
    match name:
        case "max_size_ratio":
            return bool(require.max_size_ratio is not None and require.max_size_ratio >= 1)
        case "max_size_bytes":
            return bool(require.max_size_bytes is not None and plan.size_bytes <= require.max_size_bytes)
        case "min_speedup":
            return bool(require.min_speedup is not None and require.min_speedup <= 1)
        case "max_latency_ms":
            return any(_meets_before(result) for result in results)
        case "metrics":
            return _metrics_before_meet(require, results)
        case _:
            return False


def _meets_before(result: Result) -> bool:
    """Whether the upload was fast enough: the candidate's time by its speed-up is the upload's."""
    speedup = (result.get("speedup") or {}).get("value")
    for entry in result.get("requirements") or []:
        if entry["name"] == "max_latency_ms" and entry["measured"] is not None and speedup is not None:
            return bool(entry["measured"] * speedup <= entry["asked"])
    return False


def _metrics_before_meet(require: Requirements, results: list[Result]) -> bool:
    return all(_before_meets(name, bounds, results) for name, bounds in require.metrics.items())


def _before_meets(name: str, bounds: MetricBounds, results: list[Result]) -> bool:
    if bounds.min is None and bounds.max is None:
        return True
    for result in results:
        if name in (result.get("metrics") or {}):
            before = float(result["metrics"][name]["before"])
            return (bounds.min is None or before >= bounds.min) and (
                bounds.max is None or before <= bounds.max
            )
    return False


def is_better_than_upload(plan: Plan, result: Result) -> bool:
    """Whether it is better by the objective, and harms nothing."""
    if harm_of(plan, result) > 0:
        return False
    price = cost(result, plan.objective)
    match plan.objective:
        case "latency":
            return price is not None and 1 / price > TELLING_SPEEDUP
        case "quality":
            return any(measured["interval"][1] < 0 for measured in (result.get("metrics") or {}).values())
        case "size" | "macs" | "memory":
            upload = _upload_cost(plan, [result])
            return price is not None and (upload is None or price < upload)


def _finalists(plan: Plan, ranked: list[Trial]) -> list[Trial]:
    """The best alone, or where time counts, those that a longer timing may put before it. Each graph once."""
    best = _result(ranked[0])
    equals = [
        row
        for row in ranked
        if harm_of(plan, _result(row)) <= harm_of(plan, best)
        and chance(_result(row)) >= chance(best) - TELLING_CHANCE
    ]
    if not plan.asks_for_time:
        return equals[:1]
    if plan.objective == "latency":
        equals = [row for row in equals if row is ranked[0] or _overlap(_result(row), best)]
    graphs = {row.graph_sha256 or row.id: row for row in reversed(equals)}
    return [row for row in equals if graphs[row.graph_sha256 or row.id] is row][:MOST_FINALISTS]


def _overlap(result: Result, best: Result) -> bool:
    mine, its = speedup_interval(result), speedup_interval(best)
    return mine is not None and its is not None and mine[1] >= its[0]


def _result(row: Trial) -> Result:
    return row.result or {}
