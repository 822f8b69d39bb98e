"""Distributions of activations from data, batch by batch, in one pass and constant memory.

The observed values become extra outputs of the graph.
"""

from collections.abc import Callable, Iterable

import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.runtime.observe import Observer


def distributions(
    model: ir.Model,
    values: Iterable[str],
    samples: Samples,
    told: Callable[[float], None],
    *,
    histograms: bool = True,
) -> dict[str, Distribution]:
    """Of each of these float values over the samples. `told` hears the share of the work that is done.

    Without `histograms` only `minmax` can be asked for. Raises `Refusal` `not_finite` naming the layer that gave NaN or
    infinity, `model_does_not_run`.
    """
    seen = {name: Distribution() for name in values}
    if not seen:
        return seen
    done = 0
    for batch in Observer(model, list(seen)).run(samples):
        for one, x, extremes in zip(seen.values(), batch.values, batch.extremes, strict=True):
            one.extend(*extremes)
            if histograms:
                one.count(x, batch.rows / len(samples))
        done += batch.rows
        told(min(1.0, done / len(samples)))
    return seen
