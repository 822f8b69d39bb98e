"""How much a job has to do, part by part: what its time is told by, before it runs and when it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from winnow.contract.data_uses import DataUses
from winnow.contract.dataset import DatasetFacts
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import uses
from winnow.contract.recipe import AnyStep, StructuredPruning, Training, WeightOnly

MEASURE: Final = "measure"
"""The part behind the steps: opening the model, measuring, the report."""
SHARES: Final = {"calibration": 0.5, "training": 0.5, "evaluation": 0.25}
"""Of the only dataset, which is split."""
MAX_OPERATORS_CHARACTERS: Final = 400


@dataclass(frozen=True)
class Workload:
    """A part of a job: a step by its kind, or `measure`. `operators` are those of the model's layers; `samples` go
    through the model `epochs` times."""

    kind: str
    operators: str
    macs: int | None
    parameters: int
    samples: int
    epochs: float

    @property
    def amount(self) -> float:
        """What the time grows with: multiply-accumulates of all samples, and the weights themselves."""
        return (self.macs or self.parameters) * self.samples * self.epochs + self.parameters


def workloads(request: ClosedJob, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> list[Workload]:
    """Tell the parts of a job: each step of its recipe, then its measurements. `datasets` are facts by id."""
    rows = {role: _rows(request.data, role, datasets) for role in uses(request.data)}
    parts = [(_kind(step), *_passes(step, rows)) for step in request.recipe.steps]
    parts.append((MEASURE, rows.get("evaluation", 0), 1.0))
    operators = ",".join(sorted({layer.op for layer in model.layers}))[:MAX_OPERATORS_CHARACTERS]
    return [
        Workload(kind, operators, model.macs, model.parameters, samples, epochs)
        for kind, samples, epochs in parts
    ]


def _rows(data: DataUses, role: str, datasets: Mapping[str, DatasetFacts]) -> int:
    use = uses(data)[role]
    if use.dataset not in datasets:
        return 0
    samples = datasets[use.dataset].samples
    if data.whole is not None:
        return round(SHARES[role] * samples)
    start, stop = use.slice or (0, samples)
    return max(0, min(stop, samples) - start)


def _kind(step: AnyStep) -> str:
    """A step that trains in between is another kind of work."""
    recovery = step.recovery if isinstance(step, StructuredPruning) else None
    return step.kind if recovery is None else f"{step.kind}+{recovery.kind}"


def _passes(step: AnyStep, rows: Mapping[str, int]) -> tuple[int, float]:
    """Samples, and how often they go through the model."""
    if isinstance(step, Training):
        return _training_passes(step, rows.get("training", 0))
    if isinstance(step, StructuredPruning) and step.recovery is not None:
        samples, epochs = _training_passes(step.recovery, rows.get("training", 0))
        return samples, epochs * (step.rounds - 1)
    if isinstance(step, WeightOnly) and step.method not in ("gptq", "awq"):
        return 0, 1.0
    samples = min(getattr(step, "samples", 0), rows.get("calibration", 0))
    return samples, float(step.rounds) if isinstance(step, StructuredPruning) else 1.0


def _training_passes(step: Training, samples: int) -> tuple[int, float]:
    if step.steps is None or not samples:
        return samples, float(step.epochs)
    return samples, step.steps * step.batch_size / samples
