"""Counts what a target is about, and the share of it that a cut leaves: 1 is the network before the step.

`latency` is measured: cut and whole network are timed in turns, at the job's first batch size and thread count. Where
the machine is too busy for that it raises `TimeNotMeasurable`, and multiply-accumulates stand in, or parameters where
they cannot be counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, assert_never

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Cuttable, Forecast, Group
from worker.compression.graph.facts.cost import macs, parameters
from worker.compression.ir.arrays import Array
from worker.compression.measure.feeds import BenchmarkData
from worker.compression.measure.timing.latency import measure_latencies
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files import model_files
from worker.compression.progress import Progress
from worker.compression.steps.context import Context


@dataclass(frozen=True)
class Bench:
    """What costs are measured on: the job's benchmark, data to time with, a folder, the seed; `shapes` of the inputs,
    as far as the job says them; the runtime that times."""

    benchmark: Benchmark
    samples: Samples | None
    scratch: Path
    seed: int
    progress: Progress
    shapes: dict[str, list[int]]
    target: Target = DEFAULT_TARGET
    _macs: dict[ir.Model, int | None] = field(default_factory=dict)

    @classmethod
    def of(cls, context: Context) -> "Bench":
        """What the job that the step belongs to says of it."""
        return cls(
            context.benchmark,
            context.calibration or context.sized,
            context.scratch,
            context.seed,
            context.progress,
            context.shapes,
            context.target,
        )

    def macs(self, model: ir.Model) -> int | None:
        """Count multiply-accumulates for these shapes; None where one is unknown. Counted once."""
        if model not in self._macs:
            self._macs[model] = macs(model, self.shapes)
        return self._macs[model]


Forecaster = Callable[[Sequence[Array]], float]
"""The share of the cost that remains when of each group these channels go."""


@dataclass(frozen=True)
class RemainingCost:
    """The share of a cost that a cut leaves. `of`: that of the cut network and the channel counts of its groups.
    `forecast`: the same before the network is built; None where it has to be measured. `timed`: no two measurements of
    one network are the same."""

    of: Callable[[ir.Model, Sequence[int]], float]
    forecast: Callable[[ir.Model, Sequence[Group], Cuttable], Forecaster] | None = None
    timed: bool = False


def share_just_left(before: int, after: int) -> float:
    """What a cut from `before` to `after` leaves, and no smaller cut: a billionth more, since shares are rounded."""
    return after / before * (1 + 1e-9)


class TimeNotMeasurable(Exception):
    """The machine was too busy to measure a time. The message is a clause that says why."""


def remaining_cost(
    model: ir.Model, target: Literal["parameters", "macs", "latency"], bench: Bench
) -> RemainingCost:
    """Choose how a step's target is counted.

    Raises `Refusal` `shape_needed` where the cost depends on unknown shapes; its `of` raises, for latency, what
    `measure_latencies` raises.
    """
    match target:
        case "parameters":
            return _remaining_parameters(model)
        case "macs":
            return _remaining_macs(model, bench)
        case "latency":
            return RemainingCost(_timed(model, bench), timed=True)
    assert_never(target)


def remaining_cost_without_time(
    model: ir.Model, bench: Bench, reason: TimeNotMeasurable
) -> tuple[RemainingCost, str]:
    """Choose what stands in for a latency that cannot be measured, and say so in a note."""
    if bench.macs(model):
        cost, substitute = _remaining_macs(model, bench), "multiply-accumulates"
    else:
        cost, substitute = _remaining_parameters(model), "parameters"
    return cost, f"No time could be told: {reason}. The {substitute} decided in its place."


def _remaining_parameters(model: ir.Model) -> RemainingCost:
    whole = parameters(model)
    return RemainingCost(lambda cut, _: parameters(cut) / whole, partial(_parameters_after, whole))


def _remaining_macs(model: ir.Model, bench: Bench) -> RemainingCost:
    whole = _macs(model, bench)
    return RemainingCost(lambda cut, _: _macs(cut, bench) / whole, partial(_macs_after, whole, bench.shapes))


def _parameters_after(whole: int, model: ir.Model, groups: Sequence[Group], cuttable: Cuttable) -> Forecaster:
    forecast = Forecast(model, groups, cuttable=cuttable)
    return lambda pruned: forecast.parameters(pruned) / whole


def _macs_after(
    whole: int, shapes: dict[str, list[int]], model: ir.Model, groups: Sequence[Group], cuttable: Cuttable
) -> Forecaster:
    forecast = Forecast(model, groups, shapes, cuttable)
    return lambda pruned: (forecast.macs(pruned) or 0) / whole


def _macs(model: ir.Model, bench: Bench) -> int:
    count = bench.macs(model)
    if not count:
        raise Refusal(
            "shape_needed",
            "The multiply-accumulates cannot be counted, since the model leaves sizes open. Give benchmark.shapes or "
            "data, or choose the target parameters.",
            field="benchmark.shapes",
        )
    return count


def _timed(model: ir.Model, bench: Bench) -> Callable[[ir.Model, Sequence[int]], float]:
    job = bench.benchmark
    first = Benchmark(
        batch_sizes=job.batch_sizes[:1], threads=job.thread_counts[0], rounds=job.rounds, shapes=job.shapes
    )
    whole = _saved(model, bench.scratch / "whole.onnx")
    work, patience = BenchmarkData(first, bench.samples, bench.seed), Patience(bench.progress)

    def share_of_time(cut: ir.Model, _: Sequence[int]) -> float:
        path = _saved(cut, bench.scratch / "cut.onnx")
        with measuring(bench.progress):
            (timed,) = measure_latencies(whole, path, work, _ignore, patience, bench.target)
        if timed.latency.speedup is None:
            raise TimeNotMeasurable(timed.latency.untold)
        return 1 / timed.latency.speedup

    return share_of_time


def _saved(model: ir.Model, path: Path) -> Path:
    """Save the graph; external weights stay where they are."""
    model_files.save(model.clone(), path)
    return path


def _ignore(_: float) -> None: ...
