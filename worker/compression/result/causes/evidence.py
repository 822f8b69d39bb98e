"""What a cause is read from: the report, and two measurements that only a result which misses something needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from winnow.contract.recipe import AnyStep
from winnow.contract.report import LayerReport, Report, RequirementResult, StepReport
from winnow.contract.requirements import QUALITY


def is_quality(name: str) -> bool:
    """Whether an entry of a report is about quality: one of a metric is called `metrics.NAME.BOUND`."""
    return name == "finite_outputs" or name.partition(".")[0] in QUALITY


@dataclass(frozen=True)
class Evidence:
    """`steps` are the recipe's. `snr_db`: of the worst output after each step, empty where it was not measured.
    `shares`: of the original's time by layer that the steps did not change or by operator, empty where not measured."""

    report: Report
    steps: Sequence[AnyStep]
    snr_db: Sequence[float] = ()
    untouched: dict[str, float] = field(default_factory=dict)

    @cached_property
    def changed(self) -> list[tuple[AnyStep, StepReport]]:
        """The steps that changed something, with their reports."""
        pairs = zip(self.steps, self.report.steps, strict=True)
        return [(step, report) for step, report in pairs if report.changed]

    @cached_property
    def untouched_layers(self) -> list[LayerReport]:
        """The layers that are as they were, in type and numbers."""
        return [layer for layer in self.report.layers if is_untouched(layer)]

    def unmet(self) -> Iterator[RequirementResult]:
        return (entry for entry in self.report.requirements if not entry.met)

    def place(self, step: StepReport) -> str:
        """`step 2 of 3 (int8_static)`, counted from 1."""
        return f"step {step.index + 1} of {len(self.steps)} ({step.kind})"


def is_untouched(layer: LayerReport) -> bool:
    return layer.before_dtype == layer.after_dtype and layer.parameters.before == layer.parameters.after
