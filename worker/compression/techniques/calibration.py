"""Ranges of activations from data, batch by batch, in constant memory.

The observed values become extra outputs of the graph. One pass finds the extremes; `percentile` and `entropy` take
a second one that counts into a histogram of that fixed range, so no histogram is ever merged or stretched.

    minmax       [min, max]
    percentile   cuts (100 − p)/2 percent of the values off either end
    entropy      the threshold T with the least KL divergence between the histogram clipped at T and its
                 quantized form (Migacz 2017, "8-bit inference with TensorRT")
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from app.contract.errors import Refusal
from worker.compression.data.samples import Samples
from worker.compression.progress import Progress
from worker.compression.techniques.entropy import threshold
from worker.compression.techniques.ranges import Array, Range

log = logging.getLogger(__name__)

Method = Literal["minmax", "percentile", "entropy"]

BINS = 2048
BATCH = 32
BATCH_BYTES = 256 << 20
"""Observed values of one batch, at most; the batch shrinks where single samples are large."""
COUNTED = 1 << 18
"""Values of one activation and batch that enter its histogram; of more, every k-th does."""


TINY = float(np.finfo(np.float32).tiny)


@dataclass
class _Seen:
    """Extremes of one activation, and its histogram over them in the second pass."""

    low: float = np.inf
    high: float = -np.inf
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def extend(self, x: Array) -> None:
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def count(self, x: Array) -> None:
        flat = x.reshape(-1)
        flat = flat[:: max(1, flat.size // COUNTED) | 1]
        bins = (flat - self.low) * (BINS / max(self.high - self.low, TINY))
        self.counts += np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int32), minlength=BINS)


def calibrate(
    model: ir.Model,
    values: list[str],
    samples: Samples,
    method: Method,
    percentile: float,
    progress: Progress,
) -> dict[str, Range]:
    """The range of each of these float values over the samples.

    Raises `Refusal` `not_finite` naming the layer that gave NaN or infinity, `model_does_not_run`.
    """
    seen = {name: _Seen() for name in values}
    session = _observing(model, values)
    passes = 1 if method == "minmax" else 2
    size = _batch_size(session, values, samples)
    for number in range(passes):
        done = 0
        for batch, observed in _run(session, values, samples.batches(size)):
            for name, x in zip(values, observed, strict=True):
                if x.size:
                    _check_finite(model, name, x)
                    seen[name].count(x) if number else seen[name].extend(x)
            done += batch
            progress.advance((number + min(1.0, done / len(samples))) / passes)
    return {name: _chosen(stats, method, percentile) for name, stats in seen.items()}


def _chosen(seen: _Seen, method: Method, percentile: float) -> Range:
    if seen.low > seen.high:
        return Range(0.0, 0.0)
    match method:
        case "minmax":
            return Range(seen.low, seen.high)
        case "percentile":
            return _percentile(seen, percentile)
        case "entropy":
            limit = threshold(seen.counts, seen.low, seen.high)
            return Range(max(seen.low, -limit), min(seen.high, limit))


def _percentile(seen: _Seen, percentile: float) -> Range:
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    cut = (100 - percentile) / 200
    first, last = int(np.searchsorted(share, cut, "right")), int(np.searchsorted(share, 1 - cut, "left"))
    return Range(float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))


def _observing(model: ir.Model, values: list[str]) -> ort.InferenceSession:
    proto = ir.to_proto(model)
    there = {output.name for output in proto.graph.output}
    typed = {value.name: value for value in proto.graph.value_info}
    for name in values:
        if name not in there and name not in {i.name for i in proto.graph.input}:
            known = typed.get(name) or onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            proto.graph.output.append(known)
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own types, which have no common base
        raise _broken(error) from error


def _broken(error: Exception) -> Refusal:
    return Refusal(
        "model_does_not_run", f"ONNX Runtime cannot run the model on the calibration data: {error}"
    )


def _batch_size(session: ort.InferenceSession, values: list[str], samples: Samples) -> int:
    _, observed = next(_run(session, values, samples.take(1).batches(1)))
    return int(np.clip(BATCH_BYTES // max(1, sum(x.nbytes for x in observed)), 1, BATCH))


def _run(
    session: ort.InferenceSession, values: list[str], batches: Iterable[dict[str, Array]]
) -> Iterator[tuple[int, list[Array]]]:
    """Rows in the batch, and the observed values in order; graph inputs are taken from the feeds."""
    for feeds in batches:
        asked = [name for name in values if name not in feeds]
        try:
            answers = session.run(asked, feeds) if asked else []  # asked for nothing, it gives everything
        except Exception as error:  # ONNX Runtime's own types, which have no common base
            raise _broken(error) from error
        given = feeds | dict(zip(asked, answers, strict=True))
        yield len(next(iter(feeds.values()))), [given[name] for name in values]


def _check_finite(model: ir.Model, name: str, x: Array) -> None:
    if np.isfinite(x.min()) and np.isfinite(x.max()):
        return
    value = next((v for node in model.graph for v in node.outputs if v.name == name), None)
    producer = value.producer() if value is not None else None
    raise Refusal(
        "not_finite",
        f"Value {name!r} became NaN or infinity on the calibration data. Check the data's scale, mean and std, "
        "or exclude what overflows.",
        layer=producer.name if producer is not None else None,
    )
