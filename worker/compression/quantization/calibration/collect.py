"""Distributions of activations from data, batch by batch, in one pass and constant memory.

The observed values become extra outputs of the graph.
"""

from collections.abc import Callable, Iterable

import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.runtime.observe import Observer


def collect_distributions(
    model: ir.Model,
    values: Iterable[str],
    samples: Samples,
    report_progress: Callable[[float], None],
    *,
    histograms: bool = True,
) -> dict[str, Distribution]:
    """Collect the distribution of each of these float values over the samples.

    Without `histograms` only `minmax` can be asked for. Raises `Refusal` `not_finite` naming the layer that gave NaN or
    infinity, `model_does_not_run`.
    """
    distributions = {name: Distribution() for name in values}
    if not distributions:
        return distributions
    done = 0
    for batch in Observer(model, list(distributions)).run(samples):
        for seen, x, extremes in zip(distributions.values(), batch.values, batch.extremes, strict=True):
            seen.extend(*extremes)
            if histograms:
                seen.count(x, batch.rows / len(samples))
        done += batch.rows
        report_progress(min(1.0, done / len(samples)))
    return distributions
