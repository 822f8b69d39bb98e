"""How long each layer takes before and after, by ONNX Runtime's own profile on one thread of the CPU."""

from collections import defaultdict
from typing import Any, Final

import onnx_ir as ir

from worker.compression.graph.facts import cost
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.timing.quiet import Patience, usual_wait
from worker.compression.quantization.search.layer_profile import layer_times
from worker.compression.result.page.looking.pair import Pair, Unseen
from worker.compression.result.page.seen import Times
from worker.compression.runtime.node_times import RUNS

MAX_SECONDS: Final = 15.0
"""For the runs of both models."""
QUIET_SECONDS: Final = 3.0
LOCK_SECONDS: Final = 10.0
BUSY: Final = "The machine was too busy to tell."


def timed(pair: Pair) -> dict[str, Any]:
    """Raises `Unseen`."""
    _check_time(pair)
    patience = Patience(pair.materials.progress, min(QUIET_SECONDS, usual_wait()), LOCK_SECONDS)
    before = _times(pair, pair.before, patience)
    if not before:
        raise Unseen(BUSY)
    after: defaultdict[str, float] = defaultdict(float)
    for part, milliseconds in _times(pair, pair.after, patience).items():
        after[pair.layer_of(part)] += milliseconds
    if not after:
        raise Unseen(BUSY)
    return {"times": Times(before, dict(after))}


def _check_time(pair: Pair) -> None:
    latency = pair.report.latency
    if not latency:
        raise Unseen("Nothing was timed.")
    first = latency[0]
    if RUNS * (first.baseline_ms.p50 + first.candidate_ms.p50) / 1000 > MAX_SECONDS:
        raise Unseen("A run takes too long to be timed layer by layer.")


def _times(pair: Pair, graph: ir.Model, patience: Patience) -> dict[str, float]:
    materials, network = pair.materials, pair.networks[0]
    benchmark, seed = materials.options.benchmark, materials.options.seed
    data = materials.data.evaluation or materials.data.calibration
    samples = None if data is None else pair.samples
    feed, _ = benchmark_feed(network.inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, seed)
    own = pair.networks[0 if graph is pair.before else 1]
    names = [layer.name for layer in cost.layer_table(graph)]
    return layer_times(graph, own.fit(feed), names, materials.scratch, patience)
