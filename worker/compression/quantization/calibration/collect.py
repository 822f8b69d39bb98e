"""Distributions of activations from data, batch by batch, in one pass and constant memory.

The observed values become extra outputs of the graph.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.quantization.calibration.histogram import Distribution
from worker.compression.runtime.observe import Observer


def collect_distributions(
    model: ir.Model,
    values: Iterable[str],
    samples: Samples,
    report_progress: Callable[[float], None],
    *,
    histograms: bool = True,
    infinite: Collection[str] = (),
    shared: SharedArrays = UNSHARED,
) -> dict[str, Distribution]:
    """Collect the distribution of each of these float values over the samples, or take over what another trial did.

    Without `histograms` only `minmax` can be asked for. Values of `infinite` may be that. Raises `Refusal` `not_finite`
    naming the layer that gave NaN or infinity, `model_does_not_run`.
    """
    names = list(dict.fromkeys(values))
    if not names:
        return {}
    allowed = set(infinite) & set(names)
    distributions = shared.once(
        "distributions",
        model,
        samples,
        [names, histograms, *([sorted(allowed)] if allowed else [])],
        lambda: _collected(model, names, samples, report_progress, histograms, allowed),
        to_arrays=lambda distributions: _to_arrays(names, distributions),
        from_arrays=lambda arrays: _from_arrays(names, arrays),
    )
    report_progress(1.0)
    return distributions


def _to_arrays(names: Sequence[str], distributions: Mapping[str, Distribution]) -> dict[str, Array]:
    """Name them by number: names of values are any text. Most bins are empty."""
    ordered = [distributions[name] for name in names]
    arrays = {"extremes": np.array([[each.low, each.high] for each in ordered], np.float64)}
    for number, each in enumerate(ordered):
        bins = np.flatnonzero(each.counts)
        arrays[f"bins_{number}"], arrays[f"counts_{number}"] = bins.astype(np.uint32), each.counts[bins]
    return arrays


def _from_arrays(names: Sequence[str], arrays: Mapping[str, Array]) -> dict[str, Distribution]:
    distributions = {}
    for number, (name, (low, high)) in enumerate(zip(names, arrays["extremes"].tolist(), strict=True)):
        distribution = Distribution(low, high)
        bins, counts = arrays[f"bins_{number}"], arrays[f"counts_{number}"]
        if bins.shape != counts.shape or bins.dtype != np.uint32 or counts.dtype != distribution.counts.dtype:
            raise ValueError("bins and counts are not those of a histogram")
        if len(bins) and bins.max() >= len(distribution.counts):
            raise ValueError("a bin that no histogram has")
        distribution.counts[bins] = counts
        distributions[name] = distribution
    return distributions


def _collected(
    model: ir.Model,
    names: Sequence[str],
    samples: Samples,
    report_progress: Callable[[float], None],
    histograms: bool,
    infinite: Collection[str],
) -> dict[str, Distribution]:
    distributions, done = {name: Distribution() for name in names}, 0
    for batch in Observer(model, list(distributions)).run(samples, infinite=infinite):
        for seen, x, extremes in zip(distributions.values(), batch.values, batch.extremes, strict=True):
            seen.extend(*extremes)
            if histograms:
                seen.count(x, batch.rows / len(samples))
        done += batch.rows
        report_progress(min(1.0, done / len(samples)))
    return distributions
