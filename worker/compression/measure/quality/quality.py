"""Measure the metrics of a task, before and after, with the bootstrap interval of what was lost.

Data goes through both models batch by batch and once for all metrics; what is kept of a sample are its records (see
`measure`). The interval of a drop resamples samples, each with both of its records. Without labels the original's
predictions are the truth: `agreement`.
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import AGREEMENT, ERRORS, Evaluation, Metric
from winnow.contract.report import ClassQuality, Quality
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.bootstrap import paired_intervals, single_interval
from worker.compression.measure.quality.chance import original_notes
from worker.compression.measure.quality.judgement import Judgement, judgement_of
from worker.compression.measure.quality.measure import Measure, Value

RULE_OF_THREE = 3
"""Of n samples without a change, up to 3/n may change unseen (95 %)."""
MIN_SAMPLES_WITHOUT_NOTE = 300
MAX_ORIGINAL_SAMPLES = 500
"""Rows that the original is judged on before any work."""
MAX_CLASSES = 1000
"""Whose values are kept one by one."""

Records = dict[Metric, Array]


def measure_quality(
    before: Network,
    after: Network,
    samples: Samples,
    evaluation: Evaluation,
    *,
    held_out: bool,
    seed: int,
    tick: Callable[[float], None],
) -> tuple[list[Quality], list[str], int]:
    """Measure the metrics over all samples, the one that decides first; return them, notes, and how many samples have
    NaN in the candidate alone.

    Refuses `unknown_output`, `labels_do_not_fit`, `outputs_do_not_fit`, `missing_data`.
    """
    judgement = judgement_of(evaluation, before, samples)
    names, done, unusable = list(judgement.decoder.outputs), 0, np.zeros(3, np.int64)
    parts: list[tuple[Records, Records]] = []
    for feed, rows in samples.counted_batches(judgement.batch_size(samples)):
        outputs = before.run(feed, names), after.run(feed, names)
        parts.append(_both_records(judgement, outputs, feed, rows, done))
        nan = [_has_nan(side, rows) for side in outputs]
        unusable += [int(mask.sum()) for mask in (*nan, nan[1] & ~nan[0])]
        done += rows
        tick(done / len(samples))
    records = joined([side for side, _ in parts]), joined([side for _, side in parts])
    entries = [
        judge(metric, measure, records[0].get(metric), records[1][metric], judgement, held_out, seed)
        for metric, measure in judgement.measures.items()
    ]
    notes = [*judgement.notes, *_original_notes(judgement, entries, records[0])]
    return (
        entries,
        [*notes, *_notes(entries[0]), *_nan_notes(entries[0], *unusable[:2].tolist())],
        int(unusable[2]),
    )


def _both_records(
    judgement: Judgement, outputs: tuple[list[Array], list[Array]], feed: Feed, rows: int, start: int
) -> tuple[Records, Records]:
    first, second = (judgement.predictions(side, feed, rows) for side in outputs)
    records = judgement.records(first, start, rows), judgement.records(second, start, rows)
    if AGREEMENT in judgement.measures:
        records[1][AGREEMENT] = judgement.measures[AGREEMENT].record(second, first)
    return records


def original_quality(
    network: Network, samples: Samples | None, evaluation: Evaluation, seed: int
) -> list[str]:
    """Measure the original's own quality on some of the rows before any work; return notes on what is wrong with it,
    its value first.

    Call after `check_quality`. Refuses what `measure_quality` would refuse of these rows.
    """
    assert samples is not None
    judgement = judgement_of(evaluation, network, some := samples.draw(MAX_ORIGINAL_SAMPLES, seed))
    if not judgement.labelled:
        return [*_agreement_notes(some), *judgement.notes]
    records = original_records(judgement, network, some)
    metric = next(iter(judgement.labelled))
    measure, own = judgement.measures[metric], records[metric]
    quality = judge(metric, measure, own, own, judgement, True, seed)
    return [*original_notes(metric, measure, quality, own, judgement.task), *judgement.notes]


def original_records(judgement: Judgement, network: Network, samples: Samples) -> Records:
    """Make the records of one model against the labels."""
    names, done, parts = list(judgement.decoder.outputs), 0, []
    for feed, rows in samples.counted_batches(judgement.batch_size(samples)):
        predictions = judgement.predictions(network.run(feed, names), feed, rows)
        parts.append(judgement.records(predictions, done, rows))
        done += rows
    return joined(parts)


def check_quality(network: Network, samples: Samples | None, evaluation: Evaluation) -> None:
    """Refuse what `measure_quality` would: one batch is run, all labels in memory are looked at."""
    size = judgement_of(evaluation, network, samples).batch_size(samples) if samples is not None else 1
    first = None if samples is None else samples.take(size)
    judgement = judgement_of(evaluation, network, first)
    assert first is not None
    original_records(judgement, network, first)


def joined(parts: list[Records]) -> Records:
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def judge(
    metric: Metric,
    measure: Measure,
    before: Array | None,
    after: Array,
    judgement: Judgement,
    held_out: bool,
    seed: int,
) -> Quality:
    """Compute the metric and its intervals from the records of both models; `before` is None for agreement, which the
    original has with itself in full."""
    rows = measure.gather(after)
    changed, work = measure.value(rows), measure.work(rows)
    if before is None:
        value = Value(1.0, dict.fromkeys(changed.per_class, 1.0))
        low, high = single_interval(rows, measure.statistic, changed.value, seed, work)
        intervals = (1.0, 1.0), (low, high), (1.0 - high, 1.0 - low)
    else:
        own = measure.gather(before)
        value = measure.value(own)
        estimates = value.value, changed.value
        intervals = paired_intervals(own, rows, measure.statistic, estimates, seed, work)
    drop, drop_interval = value.value - changed.value, intervals[2]
    if metric in ERRORS:
        drop, drop_interval = -drop, (-drop_interval[1], -drop_interval[0])
    return Quality(
        metric=metric,
        task=judgement.task,
        output=judgement.output,
        samples=len(after),
        before=value.value,
        after=changed.value,
        before_interval=intervals[0],
        after_interval=intervals[1],
        drop=drop,
        drop_interval=drop_interval,
        held_out=held_out,
        per_class=_per_class(value, changed),
    )


def _per_class(before: Value, after: Value) -> list[ClassQuality] | None:
    numbers = sorted(before.per_class.keys() & after.per_class.keys())
    if not numbers or len(numbers) > MAX_CLASSES:
        return None
    return [ClassQuality(number=n, before=before.per_class[n], after=after.per_class[n]) for n in numbers]


def _has_nan(outputs: list[Array], rows: int) -> Array:
    """Whether each sample has NaN in one of the outputs; all of a batch where the rows are not the samples'."""
    masks = [_nan_rows(x, rows) for x in outputs if x.dtype.kind == "f"]
    somewhere: Array = np.logical_or.reduce([*masks, np.zeros(rows, bool)])
    return somewhere


def _nan_rows(x: Array, rows: int) -> Array:
    if x.shape[:1] == (rows,):
        return np.asarray([np.isnan(row).any() for row in x], bool)
    return np.full(rows, bool(np.isnan(x).any()))


def _original_notes(judgement: Judgement, entries: list[Quality], records: Records) -> list[str]:
    return [
        note
        for metric, quality in zip(judgement.measures, entries, strict=True)
        if metric in records
        for note in original_notes(
            metric, judgement.measures[metric], quality, records[metric], judgement.task
        )
    ]


def _agreement_notes(samples: Samples) -> list[str]:
    return [
        "There are no labels to judge by: the result is compared with what the original answers on "
        f"{len(samples)} samples."
    ]


def _notes(quality: Quality) -> list[str]:
    notes = []
    if not quality.held_out:
        notes.append(
            "Evaluation shares samples with calibration or training: the quality is not that on unseen data."
        )
    if quality.samples < MIN_SAMPLES_WITHOUT_NOTE:
        notes.append(
            f"{quality.samples} evaluation samples: changes to fewer than 1 in "
            f"{max(1, quality.samples // RULE_OF_THREE)} samples can go unseen."
        )
    return notes


def _nan_notes(quality: Quality, before: int, after: int) -> list[str]:
    if not before and not after:
        return []
    return [
        f"Output {quality.output!r} has NaN for {before} of {quality.samples} samples in the original and for {after} "
        "in the compressed model: none of these counts in its favour."
    ]
