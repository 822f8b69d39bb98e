"""Measure a metric on labelled data, before and after, with the bootstrap interval of what was lost.

Data goes through both models batch by batch; what is kept of a sample is its *outcome*: the predicted class (top1,
precision, recall), whether the label is among the five best (top5), or its mean squared error (mse). The interval
of the drop resamples samples, each with both of its outcomes.
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.base import Interval
from winnow.contract.errors import Refusal
from winnow.contract.job import ERRORS, Evaluation, Metric
from winnow.contract.report import Quality
from worker.compression.data.labels import class_numbers
from worker.compression.data.samples import Samples
from worker.compression.ir.values import Array
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.network import Network
from worker.compression.measure.quality.bootstrap import paired_mean_intervals
from worker.compression.measure.quality.chance import original_notes
from worker.compression.measure.quality.metrics import check_labels, macro_intervals, metric_value, outcomes

RULE_OF_THREE = 3
"""Of n samples without a change, up to 3/n may change unseen (95 %)."""
MIN_SAMPLES_WITHOUT_NOTE = 300
MAX_ORIGINAL_SAMPLES = 500
"""Rows that the original is judged on before any work."""


def measure_quality(
    before: Network,
    after: Network,
    samples: Samples,
    evaluation: Evaluation,
    *,
    held_out: bool,
    seed: int,
    tick: Callable[[float], None],
) -> tuple[Quality, list[str], int]:
    """Measure the metric over all samples; return it, notes, and how many samples have NaN in the candidate alone.

    Refuses `unknown_output`, `labels_do_not_fit`, `missing_data`.
    """
    output, (_, labels) = chosen_output(before, evaluation), labelled(samples, evaluation.metric)
    both, done, unusable = [], 0, np.zeros(3, np.int64)
    for feed, rows in samples.counted_batches(batch_for(samples)):
        outputs = (before.run(feed, [output])[0], after.run(feed, [output])[0])
        truth = labels[done : done + rows]
        both.append(np.stack([outcomes(evaluation.metric, scores, truth) for scores in outputs], axis=1))
        nan = [np.isnan(x.reshape(rows, -1)).any(axis=1) for x in outputs]
        unusable += [int(mask.sum()) for mask in (*nan, nan[1] & ~nan[0])]
        done += rows
        tick(done / len(samples))
    both_outcomes = np.concatenate(both)
    quality = judge(evaluation.metric, labels, both_outcomes, output, held_out=held_out, seed=seed)
    original = original_notes(evaluation.metric, quality, labels, both_outcomes[:, 0])
    notes = [*original, *_notes(quality), *_nan_notes(quality, *unusable[:2].tolist())]
    return quality, notes, int(unusable[2])


def original_quality(
    network: Network, samples: Samples | None, evaluation: Evaluation, seed: int
) -> list[str]:
    """Measure the original's own quality on some of the rows before any work; return notes on what is wrong with it.

    Call after `check_quality`.
    """
    labelled_samples, _ = labelled(samples, evaluation.metric)
    some, labels = labelled(labelled_samples.draw(MAX_ORIGINAL_SAMPLES, seed), evaluation.metric)
    output, batches, done = chosen_output(network, evaluation), [], 0
    for feed, rows in some.counted_batches(batch_for(some)):
        scores = network.run(feed, [output])[0]
        batches.append(outcomes(evaluation.metric, scores, labels[done : done + rows]))
        done += rows
    own = np.concatenate(batches)
    both = np.stack([own, own], axis=1)
    quality = judge(evaluation.metric, labels, both, output, held_out=True, seed=seed)
    return original_notes(evaluation.metric, quality, labels, own)


def check_quality(network: Network, samples: Samples | None, evaluation: Evaluation) -> None:
    """Refuse what `measure_quality` would: one batch is run, all labels are looked at."""
    output = chosen_output(network, evaluation)
    labelled_samples, labels = labelled(samples, evaluation.metric)
    feed, rows = next(labelled_samples.counted_batches(batch_for(labelled_samples)))
    scores = network.run(feed, [output])[0]
    outcomes(evaluation.metric, scores, labels[:rows])
    check_labels(evaluation.metric, scores, labels)


def chosen_output(network: Network, evaluation: Evaluation) -> str:
    """Return the requested output, or the model's first."""
    if evaluation.output is None:
        return network.outputs[0]
    if evaluation.output not in network.outputs:
        raise Refusal(
            "unknown_output",
            f"The model has no output {evaluation.output!r}; it has {', '.join(map(repr, network.outputs))}.",
            field="evaluation.output",
        )
    return evaluation.output


def labelled(samples: Samples | None, metric: Metric) -> tuple[Samples, Array]:
    """Return the samples and their labels: class numbers but for `mse`. Raises `Refusal` `missing_data`."""
    if samples is None or samples.labels is None:
        raise Refusal(
            "missing_data",
            "evaluation.metric needs labels, and there are none to judge by. Give data.evaluation with an array "
            "'labels', or name one in the dataset's declaration under targets.",
            field="data.evaluation",
        )
    labels = np.asarray(samples.labels)
    return samples, labels if metric in ERRORS else class_numbers(labels)


def judge(
    metric: Metric, labels: Array, both_outcomes: Array, output: str, *, held_out: bool, seed: int
) -> Quality:
    """Compute the metric and its intervals from `both_outcomes` [n, 2]: of each sample before and after."""
    before, after = (
        metric_value(metric, labels, both_outcomes[:, 0]),
        metric_value(metric, labels, both_outcomes[:, 1]),
    )
    intervals = _intervals(metric, labels, both_outcomes, seed)
    return Quality(
        metric=metric,
        output=output,
        samples=len(both_outcomes),
        before=before,
        after=after,
        before_interval=intervals[0],
        after_interval=intervals[1],
        drop=after - before if metric in ERRORS else before - after,
        drop_interval=intervals[2],
        held_out=held_out,
    )


def _intervals(metric: Metric, labels: Array, both_outcomes: Array, seed: int) -> list[Interval]:
    """Compute intervals of the value before, of the value after, and of the drop."""
    match metric:
        case "precision" | "recall":
            return macro_intervals(metric, labels, both_outcomes, seed)
        case "top1":
            scores = (both_outcomes == labels.reshape(-1, 1)).astype(np.float64)
        case _:
            scores = both_outcomes.astype(np.float64)
    before, after, (low, high) = paired_mean_intervals(scores, seed)
    return [before, after, (-high, -low) if metric in ERRORS else (low, high)]


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
