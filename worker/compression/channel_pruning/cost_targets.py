"""What a target counts, and how much of it a cut leaves: 1 is the network as the step found it.

`latency` is measured: cut and whole network are timed in turns, at the job's first batch size and thread count. Where
the machine is too busy to tell it raises `TimeUntold`, and multiply-accumulates stand in, or parameters where they
cannot be counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import assert_never

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.recipe import ChannelPruning
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Forecast, Group
from worker.compression.graph.facts.cost import macs, parameters
from worker.compression.measure.timing.latency import measure_latencies
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files import model_files
from worker.compression.progress import Progress
from worker.compression.runtime.observe import Array


@dataclass(frozen=True)
class Bench:
    """What costs are measured on: the job's benchmark, data that is timed, a folder, the seed; `shapes` of the inputs,
    as far as the job says them."""

    benchmark: Benchmark
    samples: Samples | None
    scratch: Path
    seed: int
    progress: Progress
    shapes: dict[str, list[int]]
    _macs: dict[ir.Model, int | None] = field(default_factory=dict)

    def macs(self, model: ir.Model) -> int | None:
        """Multiply-accumulates for these shapes; None where one is unknown. Counted once: it infers all shapes."""
        if model not in self._macs:
            self._macs[model] = macs(model, self.shapes)
        return self._macs[model]


Forecaster = Callable[[Sequence[Array]], float]
"""The share that is left when of each group these channels go."""


@dataclass(frozen=True)
class Left:
    """`of`: the share that is left, of a network and what each of its groups keeps. `forecast`: the same of what a cut
    of a network would leave, without building it; None where it has to be measured. `timed`: no two answers of one
    network are the same."""

    of: Callable[[ir.Model, Sequence[int]], float]
    forecast: Callable[[ir.Model, Sequence[Group]], Forecaster] | None = None
    timed: bool = False


class TimeUntold(Exception):
    """The machine was too busy to tell a time. The message is a clause that says why."""


def left_of(model: ir.Model, step: ChannelPruning, bench: Bench, groups: Sequence[Group]) -> Left:
    """Raises `Refusal` `shape_needed` where the cost depends on shapes that nothing tells; asked for latency, what
    `measure_latencies` raises."""
    match step.target:
        case "channels":
            total = sum(len(group.channels) for group in groups)
            return Left(lambda _, kept: sum(kept) / total)
        case "parameters":
            return _parameters_left(model)
        case "macs":
            return _macs_left(model, bench)
        case "latency":
            return Left(_timed(model, bench), timed=True)
    assert_never(step.target)


def left_without_time(model: ir.Model, bench: Bench) -> tuple[Left, str]:
    """What stands in for a latency that cannot be told, and its name."""
    if bench.macs(model):
        return _macs_left(model, bench), "multiply-accumulates"
    return _parameters_left(model), "parameters"


def _parameters_left(model: ir.Model) -> Left:
    whole = parameters(model)
    return Left(lambda cut, _: parameters(cut) / whole, partial(_parameters_after, whole))


def _macs_left(model: ir.Model, bench: Bench) -> Left:
    whole = _macs(model, bench)
    return Left(lambda cut, _: _macs(cut, bench) / whole, partial(_macs_after, whole, bench.shapes))


def _parameters_after(whole: int, model: ir.Model, groups: Sequence[Group]) -> Forecaster:
    forecast = Forecast(model, groups)
    return lambda losers: forecast.parameters(losers) / whole


def _macs_after(
    whole: int, shapes: dict[str, list[int]], model: ir.Model, groups: Sequence[Group]
) -> Forecaster:
    forecast = Forecast(model, groups, shapes)
    return lambda losers: (forecast.macs(losers) or 0) / whole


def _macs(model: ir.Model, bench: Bench) -> int:
    found = bench.macs(model)
    if not found:
        raise Refusal(
            "shape_needed",
            "The multiply-accumulates cannot be counted, since the model leaves sizes open. Give benchmark.shapes or "
            "data, or choose the target parameters or channels.",
            field="benchmark.shapes",
        )
    return found


def _timed(model: ir.Model, bench: Bench) -> Callable[[ir.Model, Sequence[int]], float]:
    asked = bench.benchmark
    first = Benchmark(
        batch_sizes=asked.batch_sizes[:1],
        threads=asked.thread_counts[0],
        rounds=asked.rounds,
        shapes=asked.shapes,
    )
    whole = _saved(model, bench.scratch / "whole.onnx")
    patience = Patience(bench.progress)

    def left(cut: ir.Model, _: Sequence[int]) -> float:
        path = _saved(cut, bench.scratch / "cut.onnx")
        with measuring(bench.progress):
            (timed,) = measure_latencies(whole, path, first, bench.samples, bench.seed, _nobody, patience)
        if timed.latency.speedup is None:
            raise TimeUntold(timed.latency.untold)
        return 1 / timed.latency.speedup

    return left


def _saved(model: ir.Model, path: Path) -> Path:
    """External weights stay where they are."""
    model_files.save(model.clone(), path)
    return path


def _nobody(_: float) -> None: ...
