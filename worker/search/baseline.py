"""What a trial is compared with: what the upload costs, what it meets as it is, and what is better than it.

`harm` counts only where nothing is required of the quality.
"""

from collections.abc import Iterable
from statistics import median
from typing import Final

from app.storage.records import Trial
from winnow.contract.recipe import MetricBounds, Requirements
from worker.search.measured import Result, cost, harm
from worker.search.plan import Plan

TELLING_SPEEDUP: Final = 1.02
"""Two sessions of one file differ by up to 2 %."""

UNHARMED: Final = frozenset(
    {"max_metric_drop", "max_relative_drop", "min_cosine", "min_snr_db", "min_agreement"}
)
"""What the upload meets, being the measure of it."""


def upload_cost(plan: Plan, results: Iterable[Result]) -> float | None:
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


def harm_of(plan: Plan, result: Result) -> float:
    return 0.0 if plan.asks_for_quality or plan.objective == "quality" else harm(result)


def upload_meets(plan: Plan, rows: Iterable[Trial]) -> bool:
    """Whether the upload, tidied, meets all that is required; not where that is not known."""
    results = [row.result or {} for row in rows]
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
            upload = upload_cost(plan, [result])
            return price is not None and (upload is None or price < upload)
