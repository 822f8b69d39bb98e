"""What is drawn: the trials of a search, the losses of a training, jobs beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.pages import charts
from app.storage.records import Event
from winnow.contract import units
from winnow.contract.comparison import ComparedJob
from winnow.contract.recipe import AnyStep
from winnow.contract.steps.pruning import StructuredPruning
from winnow.contract.steps.taught import Trains
from winnow.contract.trial import Trial

LARGEST: Final = 1e100
LOSSES: Final = {"loss": "training loss", "validation_loss": "validation loss"}


@dataclass(frozen=True)
class Point:
    """A trial in a plot. `tone`: `chosen`, `front`, `missed` what is required, or `other`."""

    x: float
    y: float
    label: str
    tone: str


@dataclass(frozen=True)
class Scatter:
    title: str
    plot: charts.Plot
    points: list[Point]


@dataclass(frozen=True)
class Curves:
    """`lines`: the name of each, and its points as SVG has them."""

    plot: charts.Plot
    lines: list[tuple[str, str]]


@dataclass(frozen=True)
class Side:
    """One axis of a scatter plot: its name, how a trial's value is found (None for not at all) and written."""

    name: str
    value: Callable[[Trial], float | None]
    text: charts.Written
    base: int = 10


def _times(value: float) -> str:
    return f"{value:.4g}×"


SIZE: Final = Side("size", lambda trial: trial.size_bytes, units.size, 1024)
SPEED: Final = Side(
    "times as fast", lambda trial: None if trial.speedup is None else trial.speedup.value, _times
)


def scatter(trials: Sequence[Trial], chosen: int | None) -> list[Scatter]:
    """Size against quality and speed against quality; of trials without a metric size against speed."""
    finished = [trial for trial in trials if trial.state == "finished"]
    metric = next((name for trial in finished for name in trial.metrics), None)
    if metric is None:
        return _drawn("Size and speed of the trials", finished, chosen, SIZE, SPEED)
    loss = Side(
        f"{metric} lost",
        lambda trial: trial.metrics[metric].drop if metric in trial.metrics else None,
        lambda value: units.metric(metric, value),
    )
    return [
        *_drawn(f"Size of the trials, and what they lose of {metric}", finished, chosen, SIZE, loss),
        *_drawn(f"Speed of the trials, and what they lose of {metric}", finished, chosen, SPEED, loss),
    ]


def _drawn(title: str, trials: Sequence[Trial], chosen: int | None, x: Side, y: Side) -> list[Scatter]:
    placed = [
        (trial, x_value, y_value)
        for trial in trials
        if (x_value := _number(x.value(trial))) is not None
        and (y_value := _number(y.value(trial))) is not None
    ]
    if not placed:
        return []
    plot = charts.plot([(a, b) for _, a, b in placed], x.name, y.name, x.text, y.text, x.base)
    points = [
        Point(
            plot.x.place(a),
            plot.y.place(b),
            f"Trial {trial.number}: {x.text(a)}, {y.text(b)}",
            _tone(trial, chosen),
        )
        for trial, a, b in placed
    ]
    return [Scatter(title, plot, points)]


def _tone(trial: Trial, chosen: int | None) -> str:
    if trial.number == chosen:
        return "chosen"
    if trial.meets is False:
        return "missed"
    return "front" if trial.pareto else "other"


def trains(step: AnyStep) -> bool:
    """Whether the step says what it loses."""
    return isinstance(step, Trains) or (isinstance(step, StructuredPruning) and step.recovery is not None)


def training(events: Sequence[Event]) -> Curves | None:
    """The losses by steps, one training behind the other; None before there are two."""
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in LOSSES}
    begun = 0.0
    for run in _runs(events):
        for step, event in run:
            for name, points in lines.items():
                if (value := _number(event.values.get(name))) is not None:
                    points.append((begun + step, value))
        begun += run[-1][0]
    every = [point for points in lines.values() for point in points]
    if len({x for x, _ in every}) < 2:
        return None
    plot = charts.plot(every, "steps", "loss", "{:,.0f}".format)
    return Curves(
        plot, [(LOSSES[name], charts.path(plot, points)) for name, points in lines.items() if points]
    )


def _runs(events: Sequence[Event]) -> list[list[tuple[float, Event]]]:
    """Each training by its steps. Where another attempt goes on, what it does again is told by it alone."""
    runs: list[list[tuple[float, Event]]] = []
    for event in events:
        if (step := _number(event.values.get("step"))) is None:
            continue
        if runs and event.attempt != runs[-1][-1][1].attempt:
            runs = _not_done_again(runs, step, event)
        if not runs or event.step != runs[-1][-1][1].step or step < runs[-1][-1][0]:
            runs.append([])
        runs[-1].append((step, event))
    return runs


def _not_done_again(
    runs: list[list[tuple[float, Event]]], step: float, first: Event
) -> list[list[tuple[float, Event]]]:
    """Of an attempt that goes on with `first`, at this step of a training: all before the last one of that kind."""
    same = [at for at, run in enumerate(runs) if run[0][1].step == first.step]
    if not same:
        return runs
    before = [point for point in runs[same[-1]] if point[0] < step]
    return [*runs[: same[-1]], *([before] if before else [])]


def _number(value: object) -> float | None:
    """Of values that a child reported: whatever is no number, or cannot be drawn, is left out."""
    return float(value) if isinstance(value, int | float) and abs(value) < LARGEST else None


def comparison(jobs: Sequence[ComparedJob]) -> list[charts.Bars]:
    """Bars for each figure that all have: size, speed, and each metric's loss."""
    sizes = [
        (_name(job), float(job.size_bytes.after), None, units.size(job.size_bytes.after), _outcome(job))
        for job in jobs
    ]
    speeds = [
        (
            *(_name(job), job.speed.speedup, job.speed.interval),
            *(units.times(job.speed.speedup, job.speed.interval), _outcome(job)),
        )
        for job in jobs
        if job.speed is not None and job.speed.speedup is not None
    ]
    made = [charts.bars(sizes, "Size of the result", units.size, 1024)]
    made += [charts.bars(speeds, "Times as fast as the model as uploaded", _times)] if speeds else []
    for metric in dict.fromkeys(name for job in jobs for name in job.metrics):
        made.append(_losses(metric, jobs))
    return made


def _losses(metric: str, jobs: Sequence[ComparedJob]) -> charts.Bars:
    rows = [
        (
            *(_name(job), found.drop, found.interval),
            *(units.metric(metric, found.drop, found.interval), _outcome(job)),
        )
        for job in jobs
        if (found := job.metrics.get(metric)) is not None
    ]
    return charts.bars(rows, f"{metric} lost", lambda value: units.metric(metric, value))


def _name(job: ComparedJob) -> str:
    return job.name or " → ".join(job.recipe) or job.id


def _outcome(job: ComparedJob) -> str:
    return "missed" if job.outcome == "requirements_not_met" else "front"
