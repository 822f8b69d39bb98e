"""Check the original and its data before any work, and tell what people should know of them."""

from collections.abc import Iterable
from pathlib import Path

from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.data.inspection.suspicious import channels_behind, stretched_pictures, unscaled_inputs
from worker.compression.data.samples import Samples
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.quality.quality import check_quality, original_quality

ORIGINAL = "the original model"


def check_baseline(
    baseline: Path,
    evaluation: Samples | None,
    calibration: Samples | None,
    metric: Evaluation | None,
    benchmark: Benchmark,
    seed: int,
    target: Target = DEFAULT_TARGET,
    fixed: Iterable[TensorSpec] = (),
) -> list[str]:
    """Check the original and its data before any work; return what people should know, its own quality first. `fixed`
    are its inputs, as far as the job fixes sizes of them.

    Refuses what `compare` would refuse about the original, the data and the request.
    """
    original = Network(baseline, usable_threads(), ORIGINAL, target=target)
    original.narrow(fixed)
    check_measurable(original, evaluation, calibration, metric, benchmark)
    quality = [] if metric is None else original_quality(original, evaluation, metric, seed)
    return [*quality, *data_notes(evaluation if evaluation is not None else calibration)]


def check_measurable(
    original: Network,
    evaluation: Samples | None,
    calibration: Samples | None,
    metric: Evaluation | None,
    benchmark: Benchmark,
) -> dict[str, list[int]]:
    """Refuse what cannot be measured; return the shapes of the inputs at the first benchmark entry."""
    data = evaluation if evaluation is not None else calibration
    feeds = [benchmark_feed(original.inputs, n, benchmark.shapes, data, 0)[0] for n in benchmark.batch_sizes]
    original.run(feeds[0])
    if metric is not None:
        check_quality(original, evaluation, metric)
    return {name: list(x.shape) for name, x in feeds[0].items()}


def data_notes(data: Samples | None) -> list[str]:
    return [] if data is None else [*unscaled_inputs(data), *channels_behind(data), *stretched_pictures(data)]
