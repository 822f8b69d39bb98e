"""Measure a candidate beside the model it was made from: speed, quality, outputs, memory."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from winnow.contract.arithmetic import Arithmetic
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.report import Pair, Parity, Quality
from winnow.contract.robustness import Robustness
from winnow.contract.shapes import input_shapes
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.data.samples import Fed, Samples
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.apart.memory import measure_fresh
from worker.compression.measure.apart.processes import Comparison, Loaded, MeasuringProcesses
from worker.compression.measure.arithmetic.measure import measure_arithmetic
from worker.compression.measure.baseline import ORIGINAL, check_measurable, data_notes
from worker.compression.measure.energy import measure_energy
from worker.compression.measure.environment import describe
from worker.compression.measure.extent import WHOLE, Extent
from worker.compression.measure.feeds import BenchmarkData, batch_for, random_feeds
from worker.compression.measure.network import Network
from worker.compression.measure.quality.parity import (
    MAX_COMPARED_SAMPLES,
    RANDOM_SAMPLES,
    DataName,
    compare_outputs,
)
from worker.compression.measure.quality.quality import measure_quality
from worker.compression.measure.robustness.robustness import measure_robustness
from worker.compression.measure.robustness.unseen import MOST_ROWS, UnseenRows
from worker.compression.measure.timing.latency import Timed, measure_latencies
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.progress import Progress

COMPRESSED = "the compressed model"


def compare(
    baseline: Path,
    candidate: Path,
    *,
    evaluation: Samples | None,
    calibration: Samples | None,
    overlap: bool,
    metric: Evaluation | None,
    benchmark: Benchmark,
    seed: int,
    progress: Progress,
    processes: MeasuringProcesses,
    extent: Extent = WHOLE,
    target: Target = DEFAULT_TARGET,
    remaining: Samples | None = None,
    split: bool = False,
) -> Comparison:
    """Measure both models; `overlap`: evaluation rows were also used for calibration or training, all but the
    `remaining` ones; `split`: they are a part of a split;
    `processes` start those in which each model is loaded once more. All on the `target`.

    What is timed or weighed waits for the machine's measuring lock; outputs and quality do not need it, and use
    all cores. Refuses with `model_does_not_run`, `shape_needed`, `batch_size_fixed`, `unknown_input`,
    `inputs_do_not_fit`, `unknown_output`, `labels_do_not_fit`, `missing_data` and `not_finite`.
    """
    data = evaluation if evaluation is not None else calibration
    work = BenchmarkData(benchmark, data, seed)
    original = Network(baseline, usable_threads(), ORIGINAL, target=target)
    pair = original, Network(candidate, usable_threads(), COMPRESSED, original.batch_axes, target)
    original.narrow(pair[1].inputs)
    shapes = check_measurable(pair[0], evaluation, calibration, metric, benchmark)
    tick = _parts(progress, [0.2, 0.3 if metric else 0.0, 0.4, 0.1])
    parity, uncompared, notes = _parity(pair, evaluation, calibration, benchmark, seed, next(tick))
    quality, quality_notes, nan_samples = _quality(pair, evaluation, metric, not overlap, seed, next(tick))
    timing, weighing = next(tick), next(tick)
    timed: list[Timed] = []
    with nullcontext() if extent.brief else measuring(progress):
        patience = Patience(progress, 0.0 if extent.brief else None)
        if extent.times:
            timed = list(
                measure_latencies(
                    baseline, candidate, work, timing, patience, target=target, brief=extent.brief
                )
            )
        fresh = _fresh((baseline, candidate), pair, work, processes, patience) if extent.weighs else []
        energy = None if extent.brief else measure_energy(pair, work.feed(original.inputs)[0])
    robustness: Robustness | None = None
    arithmetic: Arithmetic | None = None
    if not extent.brief:
        robustness = measure_robustness(
            pair,
            candidate,
            data,
            _data_name(evaluation, calibration),
            latency=[entry.latency for entry in timed],
            quality=quality,
            unseen=UnseenRows(split, overlap, _judge_of(pair, remaining, metric, seed)),
            benchmark=benchmark,
            seed=seed,
        )
        arithmetic = measure_arithmetic(pair, work)
    weighing(1.0)
    return Comparison(
        shapes=shapes,
        latency=[entry.latency for entry in timed],
        quality=quality,
        parity=parity,
        uncompared=uncompared,
        nan_samples=nan_samples,
        load_ms=pair_of(*(loaded.load_ms for loaded in fresh)) if fresh and not _disturbed(fresh) else None,
        peak_rss_bytes=pair_of(*(loaded.peak_rss_bytes for loaded in fresh)) if fresh else None,
        environment=describe(benchmark.thread_counts[0]),
        notes=[
            *quality_notes,
            *data_notes(data),
            *notes,
            *_timing_notes(timed),
            *_loading_notes(fresh),
        ],
        energy=energy,
        robustness=robustness,
        arithmetic=arithmetic,
    )


def pair_of(before: float, after: float) -> Pair:
    return Pair(before=before, after=after, ratio=after / before if before else None)


def _data_name(evaluation: Samples | None, calibration: Samples | None) -> DataName:
    if evaluation is not None:
        return "evaluation"
    return "random" if calibration is None else "calibration"


def _parity(
    pair: tuple[Network, Network],
    evaluation: Samples | None,
    calibration: Samples | None,
    benchmark: Benchmark,
    seed: int,
    tick: Callable[[float], None],
) -> tuple[list[Parity], dict[str, str], list[str]]:
    name = _data_name(evaluation, calibration)
    data = evaluation if evaluation is not None else calibration
    if data is not None:
        feeds, total = _sampled(data, seed), min(MAX_COMPARED_SAMPLES, len(data))
    else:
        batch = benchmark.batch_sizes[0]
        shapes = input_shapes(pair[0].inputs, batch, benchmark.shapes)
        count = max(1, RANDOM_SAMPLES // batch)
        feeds = (Fed(feed, batch) for feed in random_feeds(pair[0].inputs, shapes, count, seed))
        total = count * batch
    return compare_outputs(*pair, feeds, name, lambda done: tick(min(1.0, done / total)))


def _sampled(samples: Samples, seed: int) -> Iterator[Fed]:
    drawn = samples.draw(MAX_COMPARED_SAMPLES, seed).unpadded()
    return drawn.fed_batches(batch_for(drawn))


def _quality(
    pair: tuple[Network, Network],
    evaluation: Samples | None,
    metric: Evaluation | None,
    held_out: bool,
    seed: int,
    tick: Callable[[float], None],
) -> tuple[list[Quality], list[str], int]:
    if metric is None or evaluation is None:
        return [], [], 0
    return measure_quality(*pair, evaluation, metric, held_out=held_out, seed=seed, tick=tick)


def _judge_of(
    pair: tuple[Network, Network], remaining: Samples | None, metric: Evaluation | None, seed: int
) -> Callable[[], list[Quality]] | None:
    """What measures the metrics on some of the remaining rows; None where there are none."""
    if remaining is None or metric is None:
        return None
    some = remaining.draw(MOST_ROWS, seed)
    return lambda: measure_quality(*pair, some, metric, held_out=True, seed=seed, tick=lambda _: None)[0]


def _fresh(
    models: tuple[Path, Path],
    pair: tuple[Network, Network],
    work: BenchmarkData,
    processes: MeasuringProcesses,
    patience: Patience,
) -> list[Loaded]:
    """Load both models at the first benchmark entry, each in a process of its own."""
    feed, _ = work.feed(pair[0].inputs)
    loads = list(zip(models, pair, (ORIGINAL, COMPRESSED), strict=True))

    def loaded() -> list[Loaded]:
        return [
            measure_fresh(
                model, network.fit(feed), work.benchmark.thread_counts[0], role, processes, network.target
            )
            for model, network, role in loads
        ]

    return patience.until_quiet(loaded, _disturbed)


def _disturbed(fresh: list[Loaded]) -> str | None:
    """Why the load times tell nothing, as a clause; None where they do."""
    return next((loaded.untold for loaded in fresh if loaded.untold is not None), None)


def _loading_notes(fresh: list[Loaded]) -> list[str]:
    why = _disturbed(fresh)
    return [] if why is None else [f"How long the models take to load could not be told: {why}."]


def _timing_notes(timed: list[Timed]) -> list[str]:
    names = sorted({name for entry in timed for name in entry.substituted})
    notes = (
        [f"Timed with random numbers for {', '.join(map(repr, names))}: no data of that shape."]
        if names
        else []
    )
    return notes + [note for entry in timed for note in entry.notes]


def _parts(progress: Progress, weights: list[float]) -> Iterator[Callable[[float], None]]:
    """Yield a function per part: called with the fraction of its part, it advances the whole."""
    total, start = sum(weights), 0.0
    for weight in weights:
        yield lambda fraction, start=start, weight=weight: progress.advance(  # type: ignore[misc]
            (start + weight * fraction) / total
        )
        start += weight
