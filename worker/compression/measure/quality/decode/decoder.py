"""The decoder of a job: which outputs it reads, and what it makes of them. What its settings leave open is fixed by the
original's first batch, so that both models are read alike."""

from dataclasses import dataclass
from typing import Any, assert_never

from winnow.contract.decoding import (
    Argmax,
    Boxes,
    Centernet,
    Classes,
    Ctc,
    Decode,
    Detector,
    DetectorDecode,
    Detr,
    Pooled,
    Retinaface,
    Scrfd,
    Sigmoid,
    Ssd,
    Yolov5,
    Yolov8,
    Yolox,
)
from winnow.contract.evaluation import Task
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode import plain, points, priors, yolo
from worker.compression.measure.quality.decode.boxes import box_outputs, decoded_boxes, units_of
from worker.compression.measure.quality.decode.ctc import best_paths
from worker.compression.measure.quality.decode.detections import Detections
from worker.compression.measure.quality.decode.detr import detr, detr_outputs
from worker.compression.measure.quality.decode.heads import (
    Frame,
    Heads,
    are_probabilities,
    are_shares,
    frame_of,
)
from worker.compression.measure.quality.decode.pooled import pooled


@dataclass(frozen=True)
class Decoder:
    """`outputs`: names of those that it reads, in its order. `settings` is None where values are taken as they are."""

    task: Task
    settings: Decode | None
    outputs: tuple[str, ...]

    def __call__(self, arrays: list[Array], feed: Heads, rows: int) -> Any:
        """Make the predictions of `rows` samples of the outputs for this feed."""
        match self.settings:
            case None if self.task == "anomaly":
                return plain.anomaly_scores(arrays[0], rows, _pictured(feed))
            case None:
                return arrays[0]
            case Classes():
                return plain.class_scores(arrays[0], rows)
            case Sigmoid() if self.task == "segmentation":
                return plain.binary_masks(arrays[0], self.settings)
            case Sigmoid() if self.task == "anomaly":
                return plain.label_scores(arrays[0], self.settings, rows).max(axis=1)
            case Sigmoid():
                return plain.label_scores(arrays[0], self.settings, rows)
            case Argmax() if self.task == "sequence":
                places = plain.class_axis_last(arrays[0], self.settings, self.task)
                return [tuple(row.tolist()) for row in plain.classes_at(places)]
            case Argmax():
                return plain.class_axis_last(arrays[0], self.settings, self.task)
            case Pooled():
                return pooled(arrays[0], self.settings, feed, rows)
            case Ctc():
                return best_paths(arrays[0], self.settings)
            case _:
                return boxes_of(self.settings, arrays, feed, rows)


def boxes_of(settings: DetectorDecode, arrays: list[Array], feed: Heads, rows: int) -> list[Detections]:
    """Make the detections of each sample."""

    def frame() -> Frame:
        return frame_of(feed, settings.frame)

    match settings:
        case Boxes():
            size = frame() if settings.units == "normalized" else (1.0, 1.0)
            return decoded_boxes(arrays, settings, rows, size)
        case Yolox():
            return yolo.yolox(arrays[0], settings, frame())
        case Yolov5():
            return yolo.yolov5(arrays, settings)
        case Yolov8():
            return yolo.yolov8(arrays, settings)
        case Ssd() | Retinaface():
            return priors.from_priors(arrays, settings, frame())
        case Scrfd():
            return points.scrfd(arrays, settings, rows, frame())
        case Centernet(variant="yunet"):
            return points.yunet(arrays, settings, rows, frame())
        case Centernet():
            return points.centernet(arrays, settings)
        case Detr():
            return detr(arrays, settings, frame())
        case _:
            assert_never(settings)


def decoder_for(task: Task, settings: Decode | None, heads: Heads, output: str) -> Decoder:
    """Make the decoder of outputs like these of a first batch; `output` is the one that is judged alone."""
    match settings:
        case Classes(activation=None):
            shares = heads[output].dtype.kind == "f" and are_probabilities(_two_axes(heads[output]))
            settings = settings.model_copy(update={"activation": "none" if shares else "softmax"})
        case Sigmoid(activation=None):
            shares = are_shares(heads[output])
            settings = settings.model_copy(update={"activation": "none" if shares else "sigmoid"})
        case Boxes():
            settings = units_of(heads, settings)
        case Ssd() | Retinaface():
            settings = priors.activation_of(heads, settings)
        case Centernet():
            settings = points.heat_activation(heads, settings)
        case _:
            pass
    names = box_heads(settings, heads, output) if isinstance(settings, Detector) else [output]
    return Decoder(task, settings, tuple(names))


def box_heads(settings: Detector, heads: Heads, output: str) -> list[str]:
    """Choose the outputs that a detector's boxes are made of, in the order that its decoder takes."""
    match settings:
        case Boxes():
            return box_outputs(heads, settings)
        case Yolov5():
            return _largest_first(heads, 5) or [output]
        case Yolov8():
            return _largest_first(heads, 4) or [output]
        case Ssd() | Retinaface():
            return priors.prior_outputs(heads, settings)
        case Scrfd():
            return points.scrfd_outputs(heads, settings)
        case Centernet():
            return points.centernet_outputs(heads, settings)
        case Detr():
            return detr_outputs(heads, settings)
        case _:
            return [output]


def _largest_first(heads: Heads, axes: int) -> list[str]:
    names = [name for name, x in heads.items() if x.ndim == axes]
    return sorted(names, key=lambda name: -heads[name].size)


def _two_axes(scores: Array) -> Array:
    return scores.reshape(len(scores), -1) if scores.ndim > 1 else scores


def _pictured(feed: Heads) -> Array | None:
    """The only input that is more than one number a sample; None where there are several."""
    large = [x for x in feed.values() if x.ndim > 1]
    return large[0] if len(large) == 1 else None
