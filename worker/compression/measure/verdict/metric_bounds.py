"""Judge losses and bounds of metrics, each on the worse bound of its interval."""

from collections.abc import Iterator, Mapping

from winnow.contract.evaluation import AGREEMENT, Metric
from winnow.contract.report import Quality, RequirementResult
from winnow.contract.requirements import MetricBounds
from worker.compression.measure.verdict.entries import made_entry, unmeasured

NO_METRIC = "no metric was measured: give data.evaluation with labels, and evaluation.metric"
MORE_SAMPLES = "; more evaluation samples would narrow the interval"


def metric_drop(limit: float, quality: list[Quality]) -> RequirementResult:
    if not quality:
        return unmeasured("max_metric_drop", limit, NO_METRIC)
    measured = quality[0]
    met = measured.drop_interval[1] <= limit
    why = (
        f"{measured.metric} went from {measured.before:.4f} to {measured.after:.4f} on {measured.samples} samples: "
        f"a drop of {measured.drop:.4f}, which may be as much as {measured.drop_interval[1]:.4f} (95 %), and "
        f"at most {limit:g} was asked"
    )
    if not met and measured.drop <= limit:
        why += MORE_SAMPLES
    return made_entry("max_metric_drop", limit, measured.drop, measured.drop_interval, met, why)


def relative_drop(limit: float, quality: list[Quality]) -> RequirementResult:
    """Judge the drop as a share of what the original reaches on the same samples."""
    if not quality:
        return unmeasured("max_relative_drop", limit, NO_METRIC)
    measured = quality[0]
    scale = abs(measured.before)
    if scale == 0:
        reason = f"{measured.metric} of the original is 0, of which nothing is a share"
        return unmeasured("max_relative_drop", limit, reason)
    low, high = (bound / scale for bound in measured.drop_interval)
    share = measured.drop / scale
    why = (
        f"{measured.metric} went from {measured.before:.4f} to {measured.after:.4f} on {measured.samples} samples: "
        f"a drop of {share:.4f} of it, which may be as much as {high:.4f} (95 %), and at most {limit:g} was asked"
    )
    if high > limit >= share:
        why += MORE_SAMPLES
    return made_entry("max_relative_drop", limit, share, (low, high), high <= limit, why)


def agreement(limit: float, quality: list[Quality]) -> RequirementResult:
    measured = next((entry for entry in quality if entry.metric == AGREEMENT), None)
    if measured is None:
        reason = "the predictions were not compared: give data.evaluation and evaluation.task"
        return unmeasured("min_agreement", limit, reason)
    low, high = measured.after_interval
    why = (
        f"on {measured.samples} samples the predictions agree with the original's by {measured.after:.4f} "
        f"(95 %: {low:.4f} to {high:.4f}), and at least {limit:g} was asked"
    )
    if low < limit <= measured.after:
        why += MORE_SAMPLES
    return made_entry("min_agreement", limit, measured.after, (low, high), low >= limit, why)


def metric_bounds(
    bounds: Mapping[Metric, MetricBounds], quality: list[Quality]
) -> Iterator[RequirementResult]:
    """Yield one entry for each bound that is asked of a metric."""
    measured = {str(entry.metric): entry for entry in quality}
    for metric, asked in bounds.items():
        for kind in ("max_drop", "min", "max"):
            limit = getattr(asked, kind)
            if limit is not None:
                yield _bound(f"metrics.{metric}.{kind}", kind, limit, metric, measured.get(metric))


def _bound(name: str, kind: str, limit: float, metric: Metric, entry: Quality | None) -> RequirementResult:
    if entry is None:
        return unmeasured(name, limit, f"{metric} was not measured: give data.evaluation and evaluation")
    value, interval = (
        (entry.drop, entry.drop_interval) if kind == "max_drop" else (entry.after, entry.after_interval)
    )
    met = interval[0] >= limit if kind == "min" else interval[1] <= limit
    what = "the drop of " if kind == "max_drop" else ""
    why = (
        f"{what}{metric} is {value:.4f} on {entry.samples} samples (95 %: {interval[0]:.4f} to {interval[1]:.4f}), and "
        f"at {'least' if kind == 'min' else 'most'} {limit:g} was asked"
    )
    return made_entry(name, limit, value, interval, met, why)
