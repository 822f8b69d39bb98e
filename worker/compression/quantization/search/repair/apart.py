"""Keeps sentinels out of ranges: what computes or reads them stays float, where that was measured to help."""

import math
from collections.abc import Iterator

import onnx_ir as ir

from worker.compression.quantization.calibration.collect import collect_distributions
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.quantization.integer.eligibility import Selection
from worker.compression.quantization.integer.spared import Spared
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.repair.judge import MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.sentinels import LEAST, Sentinel, sentinel_in

REMEDY = "kept out of ranges, and passed exactly by what stays float"
MAX_SAMPLES = 32
"""For histograms of values of which only the extremes were measured."""


def keep_sentinels_apart(static: Static, judge: Judge) -> list[Repair]:
    """Name in `static.spared` what stays float for sentinels; nothing where the outputs do not gain by it.

    Without choice where a value is infinite: nothing in integers holds that.
    """
    sentinels = _name_float_nodes(static)
    if not sentinels or not static.quantizable():
        static.spared = static.spared if _is_infinite(sentinels) else Spared(static.spared.marked)
        return []
    spared, after, before = static.spared, judge.snr_db(static), None
    if not _is_infinite(sentinels):
        static.spared = Spared(spared.marked)
        before = judge.snr_db(static)
        if after < before + MIN_GAIN_DB:
            return []
    static.spared = spared
    return [Repair("sentinels", _plainest(sentinels).value, _cause(sentinels), REMEDY, before, after)]


def _is_infinite(sentinels: list[Sentinel]) -> bool:
    return any(math.isinf(sentinel.size) for sentinel in sentinels)


def _cause(sentinels: list[Sentinel]) -> str:
    more = f" (other values: {len(sentinels) - 1})" if len(sentinels) > 1 else ""
    return f"{_plainest(sentinels).words}{more}"


def _plainest(sentinels: list[Sentinel]) -> Sentinel:
    """The one beside the largest other values: a mask by itself has few."""
    return max(sentinels, key=lambda sentinel: sentinel.largest)


def _name_float_nodes(static: Static) -> list[Sentinel]:
    """Until no value that is quantized holds any: what reads a float node is quantized by a range of its own."""
    sentinels: dict[str, Sentinel] = {}
    while True:
        selection, known = static.selection(), len(static.spared.float_nodes)
        for value, seen in _suspects(static).items():
            name = str(value.name)
            sentinel = sentinel_in(name, seen, marked=name in static.spared.marked)
            if sentinel is not None:
                static.spared.sentinels.add(name)
                sentinels.setdefault(name, sentinel)
                reason = f"{sentinel.words}, which no range should have"
                for node in _touching(value, selection):
                    static.spared.float_nodes.setdefault(str(node.name), reason)
        if len(static.spared.float_nodes) == known:
            return list(sentinels.values())


def _suspects(static: Static) -> dict[ir.Value, Distribution]:
    """What was seen of values that have numbers as large as a sentinel."""
    seen = {
        value: distribution
        for value, distribution in static.sources().items()
        if max(-distribution.low, distribution.high) >= LEAST
    }
    if static.method != "minmax" or not seen:
        return seen
    names = [str(value.name) for value in seen]
    counted = collect_distributions(
        static.model,
        names,
        static.samples.take(MAX_SAMPLES),
        lambda _: None,
        infinite=static.spared.marked,
        shared=static.shared,
    )
    return {
        value: Distribution(whole.low, whole.high, counted[str(value.name)].counts)
        for value, whole in seen.items()
    }


def _touching(value: ir.Value, selection: Selection) -> Iterator[ir.Node]:
    """What is quantized and computes the value; what reads it, where it is computed by a layer or in float."""
    producer = value.producer()
    if producer is not None and producer in selection.nodes:
        yield producer
        if producer not in selection.weighted:
            return
    yield from (use.node for use in value.uses() if use.node in selection.nodes)
