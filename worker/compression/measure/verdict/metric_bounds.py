"""Judge bounds of metrics by their name, each on the worse bound of its interval."""

from collections.abc import Iterator, Mapping

from winnow.contract.evaluation import Metric
from winnow.contract.recipe import MetricBounds
from winnow.contract.report import Quality, RequirementResult


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


def unmeasured(name: str, limit: float, reason: str) -> RequirementResult:
    return RequirementResult(
        name=name, asked=limit, measured=None, interval=None, met=False, why=f"{_capital(reason)}."
    )


def made_entry(
    name: str, limit: float, measured: float, interval: tuple[float, float] | None, met: bool, why: str
) -> RequirementResult:
    return RequirementResult(
        name=name,
        asked=limit,
        measured=measured,
        interval=interval,
        met=met,
        why=None if met else f"{_capital(why)}.",
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
