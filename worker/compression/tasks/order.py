"""In which order the final judges its trials: the surest first, each next one less sure and cheaper.

It stands before anything is known of the final part of the data; a timing has no rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from winnow.contract.recipe import Recipe
from winnow.contract.requirements import SPEED
from winnow.contract.search import Objective
from worker.compression.materials import Materials
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.result.artifact import Artifact

TELLING: Final = 1.02
"""What costs less by a smaller factor is not worth a judgement; two timings of one file differ by as much."""

Tidied = Callable[[], Artifact]
"""The upload as it is handed over where nothing is better; made where it is asked for."""


@dataclass(frozen=True)
class Finalist:
    """A finished trial: its number, files, closed recipe, how likely it holds, and what it costs by the objective."""

    number: int
    artifact: Path
    report: Path
    recipe: Recipe
    chance: float
    cost: float | None


def in_order(
    finalists: Sequence[Finalist], objective: Objective, tidied: Tidied, materials: Materials
) -> list[Finalist]:
    """Those to be judged, in order. Timed where speed is wanted most, or where there are several and time is limited;
    what is too slow is not judged, unless all are.

    Empty where the upload is better, tidied: speed was wanted most, none is faster than both beyond doubt, and nothing
    required keeps it out.
    """
    by_time = objective == "latency"
    if not finalists or not (by_time or (len(finalists) > 1 and _limits_time(materials))):
        return _falling([(finalist, finalist.cost) for finalist in finalists])
    original, upload, *timed = _timed(finalists, tidied().candidate, materials)
    for finalist, entry in zip(finalists, timed, strict=True):
        result = entry.untold or f"{entry.speedup:.2f} times as fast as the original"
        materials.progress.log(f"Trial {finalist.number}: {result}.")
    if original.untold is not None:
        return [finalists[0]]
    both = list(zip(finalists, timed, strict=True))
    if by_time and _upload_will_do(upload, materials):
        both = [each for each in both if each[1].interval[0] > max(1.0, upload.interval[0])]
    both = [each for each in both if _is_enough(each[1], materials)] or both
    return _falling([(each, 1 / entry.interval[0] if by_time else each.cost) for each, entry in both])


def _falling(costs: Sequence[tuple[Finalist, float | None]]) -> list[Finalist]:
    """The surest first, of those equally sure the cheapest; then each that costs telling less than the one before."""
    order: list[Finalist] = []
    lowest = inf
    known = [(finalist, inf if cost is None else cost) for finalist, cost in costs]
    for finalist, cost in sorted(known, key=lambda each: (-each[0].chance, each[1])):
        if not order or cost * TELLING < lowest:
            order.append(finalist)
            lowest = cost
    return order


def _limits_time(materials: Materials) -> bool:
    return bool(SPEED & materials.options.require.stated)


def _is_enough(timed: Timed, materials: Materials) -> bool:
    require = materials.options.require
    in_time = require.max_latency_ms is None or timed.milliseconds <= require.max_latency_ms
    return in_time and (require.min_speedup is None or timed.interval[0] >= require.min_speedup)


def _upload_will_do(tidied: Timed, materials: Materials) -> bool:
    """Whether the upload, tidied, meets what is required of speed, size and memory; its outputs are its own."""
    unknown = materials.options.require.max_memory_bytes is not None
    return not unknown and is_small_enough(materials) and _is_enough(tidied, materials)


def is_small_enough(materials: Materials) -> bool:
    require, size = materials.options.require, materials.upload.size_bytes
    return (require.max_size_ratio or 1.0) >= 1 and (require.max_size_bytes or size) >= size


def _timed(finalists: Sequence[Finalist], tidied: Path, materials: Materials) -> list[Timed]:
    """The upload, the upload as tidied, and all finalists."""
    benchmark, upload = materials.options.benchmark, materials.upload
    paths = [upload.path, tidied, *(finalist.artifact for finalist in finalists)]
    names = [
        "the original model",
        "the original, tidied",
        *(f"trial {finalist.number}" for finalist in finalists),
    ]
    threads, target = benchmark.thread_counts[0], materials.options.target
    networks = [Network(path, threads, name, target=target) for path, name in zip(paths, names, strict=True)]
    for network in networks[1:]:
        networks[0].narrow(network.inputs)
    samples = materials.samples(materials.data.evaluation or materials.data.calibration)
    feed, _ = benchmark_feed(
        networks[0].inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, materials.options.seed
    )
    return time_candidates(networks, feed, materials.options.seed, materials.progress)
