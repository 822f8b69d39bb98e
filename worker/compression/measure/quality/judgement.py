"""What a job is judged by, all of it decided: task, metrics, decoder, labels. Made of the request, of what the original
answers to a first batch, and of the labels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.contract.decoding import Ctc, Detector
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import AGREEMENT, TASK_METRICS, Evaluation, Metric, Task
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.by_task import measure_of
from worker.compression.measure.quality.decode.decoder import Decoder, decoder_for
from worker.compression.measure.quality.measure import Measure
from worker.compression.measure.quality.own_tokens import own_tokens
from worker.compression.measure.quality.proposal import FirstBatch, propose, usual_decode
from worker.compression.measure.quality.truth import Truth, truth_of


@dataclass(frozen=True)
class Judgement:
    """`measures` by metric, the one that decides first."""

    decoder: Decoder
    measures: dict[Metric, Measure]
    truth: Truth | None
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> Task:
        return self.decoder.task

    @property
    def output(self) -> str:
        """The output that is judged, or all of them in words."""
        return ", ".join(self.decoder.outputs)

    @property
    def labelled(self) -> dict[Metric, Measure]:
        """The metrics that compare with labels."""
        return {metric: measure for metric, measure in self.measures.items() if metric != AGREEMENT}

    def predictions(self, outputs: list[Array], feed: Feed, rows: int) -> Any:
        return self.decoder(outputs, feed, rows)

    def records(self, predictions: Any, start: int, rows: int) -> dict[Metric, Array]:
        """Make the records of a batch for the metrics that compare with labels."""
        if not self.labelled:
            return {}
        truth = None if self.truth is None else self.truth.batch(start, rows, predictions)
        return {metric: measure.record(predictions, truth) for metric, measure in self.labelled.items()}

    def batch_size(self, samples: Samples) -> int:
        return samples_at_once(self.task, samples)


def compares_with_labels(evaluation: Evaluation | None, samples: Samples) -> bool:
    """Whether there are labels, and a metric that is measured by them."""
    if evaluation is None or samples.targets is None:
        return False
    return evaluation.metric is None or any(metric != AGREEMENT for metric in evaluation.metrics)


def samples_at_once(task: Task, samples: Samples) -> int:
    """One where rows of boxes may be of any number, so that none is somebody else's."""
    return 1 if task == "detection" else batch_for(samples)


def judgement_of(evaluation: Evaluation, network: Network, samples: Samples | None) -> Judgement:
    """Decide what the request leaves open. Raises `Refusal` `unknown_output`, `missing_data`, `labels_do_not_fit`,
    `outputs_do_not_fit`."""
    output = chosen_output(network, evaluation)
    if samples is None:
        raise missing_labels(evaluation)
    first = first_batch(network, samples, output)
    task, notes = evaluation.named_task, []
    settings = evaluation.decode
    if task is None:
        task, settings = propose(first, settings)
        notes.append(
            f"The task was taken to be {task}{f', decoded as {settings.kind}' if settings else ''}, from the model's "
            f"outputs{'' if samples.targets is None else ' and the labels'}. Name it in evaluation.task if it "
            "is another."
        )
    elif settings is None:
        settings = usual_decode(task, first)
    if isinstance(settings, Detector) and samples.fixed_batch is None:
        first = first_batch(network, samples, output, 1)
    decoder = decoder_for(task, settings, first.heads, output)
    predictions = decoder([first.heads[name] for name in decoder.outputs], first.feed, first.rows)
    pairs = task == "embedding" and predictions.ndim == 3
    metrics = _metrics(evaluation, task, samples, pairs)
    classes = class_count(decoder, first.heads, predictions)
    truth = truth_of(samples, decoder, metrics, classes)
    measures = {metric: measure_of(metric, decoder, classes=classes, pairs=pairs) for metric in metrics}
    return Judgement(decoder, measures, truth, notes)


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


def first_batch(network: Network, samples: Samples, output: str, size: int | None = None) -> FirstBatch:
    feed, rows = next(samples.counted_batches(size or batch_for(samples)))
    heads = dict(zip(network.outputs, network.run(feed), strict=True))
    return FirstBatch(feed, rows, heads, output, samples)


def missing_labels(evaluation: Evaluation) -> Refusal:
    return Refusal(
        "missing_data",
        f"{', '.join(evaluation.metrics) or 'evaluation'} needs labels, and there are none to judge by. Give "
        "data.evaluation with an array 'labels', name one in the dataset's declaration under targets, or judge by the "
        "metric agreement, which needs none.",
        field="data.evaluation",
    )


def _metrics(evaluation: Evaluation, task: Task, samples: Samples, pairs: bool) -> tuple[Metric, ...]:
    """Those that are named, in front of them the usual one of the task where none is to decide."""
    named = (
        evaluation.metrics
        if evaluation.metric is not None
        else (_usual(task, samples, pairs), *evaluation.also)
    )
    metrics = tuple(dict.fromkeys(named))
    for metric in metrics:
        if metric not in TASK_METRICS[task]:
            raise Refusal(
                "labels_do_not_fit",
                f"The task was taken to be {task}, which is measured by {', '.join(TASK_METRICS[task])}, not by "
                f"{metric}. Name the task in evaluation.task.",
                field="evaluation.task",
            )
        if metric == "spearman" and task == "embedding" and not pairs:
            raise Refusal(
                "labels_do_not_fit",
                "spearman of embeddings compares pairs, and each sample is one vector. Declare the texts as a pair "
                "('apart'), or use recall_at_1 with class numbers.",
                field="evaluation.metric",
            )
        unlabelled = (
            metric == AGREEMENT
            or (pairs and metric.startswith("recall_at_"))
            or (task == "language" and own_tokens(samples, 0) is not None)
        )
        if samples.targets is None and not unlabelled:
            raise missing_labels(evaluation)
    return metrics


def _usual(task: Task, samples: Samples, pairs: bool) -> Metric:
    if samples.targets is None:
        return AGREEMENT
    return "recall_at_1" if task == "embedding" and not pairs else TASK_METRICS[task][0]


def class_count(decoder: Decoder, heads: dict[str, Array], predictions: Any) -> int | None:
    """Return how many classes the outputs tell apart; None where they do not say."""
    task, settings = decoder.task, decoder.settings
    x = heads[decoder.outputs[0]]
    match task:
        case "classification":
            return int(predictions.shape[1]) if predictions.ndim == 2 else None
        case "segmentation" | "language" | "sequence":
            if isinstance(settings, Ctc) or not isinstance(predictions, np.ndarray):
                return None
            if predictions.dtype.kind == "f":
                return int(predictions.shape[-1])
            binary = settings is not None and settings.kind == "sigmoid"
            return 2 if binary else _from_answers(predictions) if task == "segmentation" else None
        case "detection":
            return _of_detector(settings, x, [heads[name] for name in decoder.outputs])
        case _:
            return None


def _from_answers(predictions: Array) -> int:
    """A model that answers class numbers tells no number of classes; masks have at most as many as a byte."""
    return max(256, int(predictions.max()) + 1)


def _of_detector(settings: Any, x: Array, outputs: list[Array]) -> int | None:
    match settings.kind:
        case "yolox" | "yolov5":
            return int(x.shape[-1]) - 5
        case "yolov8":
            return int(x.shape[1]) - (4 if x.ndim == 3 else 4 * settings.bins)
        case "ssd" | "retinaface":
            return int(outputs[1].shape[-1]) - 1
        case "centernet":
            return 1 if settings.variant == "yunet" else int(x.shape[1])
        case "detr":
            return int(x.shape[-1]) - int(settings.activation == "softmax")
        case "scrfd":
            return 1
        case _:
            return None
