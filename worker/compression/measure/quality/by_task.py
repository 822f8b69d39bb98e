"""The metric of a task as its parts."""

from typing import assert_never

from winnow.contract.decoding import Classes, Ctc, Detector, Sigmoid
from winnow.contract.evaluation import Metric
from worker.compression.measure.quality.decode.decoder import Decoder
from worker.compression.measure.quality.measure import Measure
from worker.compression.measure.quality.metrics.anomaly import anomaly
from worker.compression.measure.quality.metrics.classification import classification
from worker.compression.measure.quality.metrics.detection import detection
from worker.compression.measure.quality.metrics.embedding import embedding
from worker.compression.measure.quality.metrics.language import language
from worker.compression.measure.quality.metrics.multilabel import multilabel
from worker.compression.measure.quality.metrics.regression import regression
from worker.compression.measure.quality.metrics.segmentation import segmentation
from worker.compression.measure.quality.metrics.sequence import sequence

USUAL_THRESHOLD = 0.5


def measure_of(metric: Metric, decoder: Decoder, *, classes: int | None, pairs: bool) -> Measure:
    """Make the parts of a metric. `classes`: how many the outputs have; `pairs`: two rows make a sample."""
    settings = decoder.settings
    match decoder.task:
        case "classification":
            logits = isinstance(settings, Classes) and settings.activation == "softmax"
            return classification(metric, logits=logits)
        case "multilabel":
            return multilabel(
                metric, settings.threshold if isinstance(settings, Sigmoid) else USUAL_THRESHOLD
            )
        case "regression":
            return regression(metric)
        case "embedding":
            return embedding(metric, pairs=pairs)
        case "segmentation":
            return segmentation(metric, classes or 2)
        case "detection":
            assert isinstance(settings, Detector)
            return detection(metric, settings.confident)
        case "language":
            return language(metric)
        case "sequence":
            return sequence(metric, settings.alphabet if isinstance(settings, Ctc) else None)
        case "anomaly":
            return anomaly(metric)
        case _:
            assert_never(decoder.task)
