"""How outputs become predictions: a closed union, told apart by `kind`. Defaults are those of the published code."""

from typing import Annotated, Final, Literal

from pydantic import Field

from winnow.contract.base import RequestModel

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Pixels = Annotated[float, Field(gt=0, le=65536)]
Strides = Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1, max_length=8)]
Sizes = Annotated[
    list[Annotated[list[Pixels], Field(min_length=1, max_length=16)]], Field(min_length=1, max_length=8)
]

KIND: Final = "How the outputs are read."


class Classes(RequestModel):
    """One class a sample: the best of scores [samples, classes], or the class that the model itself answers."""

    kind: Literal["classes"] = Field(description=KIND)
    activation: Literal["softmax", "none"] | None = Field(
        default=None,
        description="What makes probabilities of the scores; null: softmax, unless they already are some.",
    )


class Sigmoid(RequestModel):
    """Independent labels: [samples, labels], or masks of two classes [samples, 1, height, width]."""

    kind: Literal["sigmoid"] = Field(description=KIND)
    activation: Literal["sigmoid", "none"] | None = Field(
        default=None,
        description="What makes probabilities of the scores; null: sigmoid, unless they already are some.",
    )
    threshold: Share = Field(default=0.5, description="From this probability on a label holds.")


class Argmax(RequestModel):
    """A class at every place: the best along an axis, or classes that the model itself answers."""

    kind: Literal["argmax"] = Field(description=KIND)
    axis: int | None = Field(
        default=None,
        ge=-32,
        le=32,
        description="The axis of the classes, the samples' axis counted; null: 1 for segmentation, else the last.",
    )
    shift: Annotated[int, Field(ge=0, le=16)] = Field(
        default=0,
        description="Of language: the output at a place is judged by the label so many places later; 1 where the "
        "labels are the inputs themselves.",
    )


class Pooled(RequestModel):
    """One vector a sample, of a vector for each token [samples, tokens, width], or of [samples, width] as it is."""

    kind: Literal["pooled"] = Field(description=KIND)
    pooling: Literal["mean", "first"] = Field(
        default="mean", description="Over the tokens of the mask, or the first token alone."
    )
    mask: Name | None = Field(
        default=None,
        description="The model's input that is 1 at tokens that count; null for `attention_mask`, where there is one.",
    )
    normalize: bool = Field(default=True, description="To length 1.")


class Detector(RequestModel):
    """What all decoders of boxes have."""

    score_threshold: Share = Field(default=0.01, description="Boxes of a lower score are left out.")
    max_detections: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100, description="The best boxes of a sample that count."
    )
    confident: Share = Field(
        default=0.3,
        description="Without labels: the original's boxes from this score on are what the result has to find.",
    )
    frame: tuple[Pixels, Pixels] | None = Field(
        default=None,
        description="Height and width of the model's input in pixels; null for those of its input of four axes.",
    )


class Suppressed(Detector):
    """Decoders whose boxes overlap."""

    nms: Share | None = Field(
        default=0.45,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "for all.",
    )


class Boxes(Suppressed):
    """Boxes that the model itself has decoded, [samples, boxes, 4], or [boxes, 4] of a single sample; or one output of
    6 columns (box, score, class), or of 7 (sample, box, class, score)."""

    kind: Literal["boxes"] = Field(description=KIND)
    boxes: Name | None = Field(default=None, description="The output of boxes; null for the one named so.")
    scores: Name | None = Field(
        default=None,
        description="The output of scores, one for each box or one for each box and class; null for the one named so.",
    )
    classes: Name | None = Field(
        default=None,
        description="The output of class numbers; null for `classes` or `labels`, where there is one.",
    )
    format: Literal["xyxy", "yxyx", "cxcywh", "xywh"] = Field(
        default="xyxy", description="Corners, centre and size, or corner and size."
    )
    units: Literal["pixels", "normalized"] | None = Field(
        default=None, description="Pixels of the frame, or shares of it; null: shares where none is above 2."
    )
    background: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None, description="The column of scores that is no object; null for none."
    )
    first_class: Annotated[int, Field(ge=0, le=1)] = Field(
        default=0, description="What the class numbers of `classes` begin with."
    )
    nms: Share | None = Field(
        default=None,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "where the model has done so.",
    )


class Yolox(Suppressed):
    """[samples, boxes, 5 + classes] before decoding, as YOLOX exports it."""

    kind: Literal["yolox"] = Field(description=KIND)
    strides: Strides = Field(default=[8, 16, 32], description="Pixels of a cell, map by map.")


class Yolov5(Suppressed):
    """YOLOv5 and YOLOv7: [samples, boxes, 5 + classes] decoded, or the heads [samples, anchors, rows, columns,
    5 + classes]."""

    kind: Literal["yolov5"] = Field(description=KIND)
    strides: Strides = Field(default=[8, 16, 32], description="Pixels of a cell, map by map.")
    anchors: Sizes = Field(
        default=[
            [10, 13, 16, 30, 33, 23],
            [30, 61, 62, 45, 59, 119],
            [116, 90, 156, 198, 373, 326],
        ],
        description="Width and height of each anchor in pixels, map by map; only for heads.",
    )


class Yolov8(Suppressed):
    """YOLOv8 and YOLO11: [samples, 4 + classes, boxes] decoded, or the heads [samples, 64 + classes, rows,
    columns]."""

    kind: Literal["yolov8"] = Field(description=KIND)
    strides: Strides = Field(default=[8, 16, 32], description="Pixels of a cell, map by map.")
    bins: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="Numbers for each side's distance; only for heads."
    )
    nms: Share | None = Field(
        default=0.7,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "for all.",
    )


class Priors(Suppressed):
    """Offsets to boxes that lie fixed (priors)."""

    boxes: Name | None = Field(
        default=None, description="The output of offsets; null for the one of 4 columns."
    )
    scores: Name | None = Field(
        default=None,
        description="The output of scores; null for the one of as many rows, not 4 or 10 columns.",
    )
    variances: tuple[Pixels, Pixels] = Field(
        default=(0.1, 0.2), description="What offsets of centre and size are multiplied by."
    )
    activation: Literal["softmax", "none"] | None = Field(
        default=None,
        description="What makes probabilities of the scores; null: softmax, unless they already are some.",
    )


class Ssd(Priors):
    """SSD: offsets [samples, priors, 4], scores [samples, priors, classes], of which the first is background."""

    kind: Literal["ssd"] = Field(description=KIND)
    maps: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=8)] = Field(
        default=[38, 19, 10, 5, 3, 1], description="Rows and columns of the feature maps."
    )
    min_sizes: Annotated[list[Pixels], Field(min_length=1, max_length=8)] = Field(
        default=[30, 60, 111, 162, 213, 264], description="Side of the smaller square prior, map by map."
    )
    max_sizes: Annotated[list[Pixels], Field(min_length=1, max_length=8)] = Field(
        default=[60, 111, 162, 213, 264, 315], description="Side of the larger one: the root of both."
    )
    aspect_ratios: Annotated[
        list[Annotated[list[Pixels], Field(max_length=8)]], Field(min_length=1, max_length=8)
    ] = Field(
        default=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        description="Width over height of the other priors, each also turned, map by map.",
    )
    steps: Annotated[list[Pixels], Field(min_length=1, max_length=8)] = Field(
        default=[8, 16, 32, 64, 100, 300], description="Pixels of a cell, map by map."
    )
    clip: bool = Field(default=True, description="Whether priors are cut at the frame.")


class Retinaface(Priors):
    """RetinaFace and its kin: offsets [samples, priors, 4], scores [samples, priors, 2], landmarks left aside."""

    kind: Literal["retinaface"] = Field(description=KIND)
    strides: Strides = Field(default=[8, 16, 32], description="Pixels of a cell, map by map.")
    min_sizes: Sizes = Field(
        default=[[16, 32], [64, 128], [256, 512]], description="Sides of the square priors, map by map."
    )
    nms: Share | None = Field(
        default=0.4,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "for all.",
    )


class Scrfd(Suppressed):
    """SCRFD: for each stride scores [cells · anchors, 1] and distances [cells · anchors, 4]; points left aside."""

    kind: Literal["scrfd"] = Field(description=KIND)
    strides: Strides = Field(default=[8, 16, 32], description="Pixels of a cell, map by map.")
    anchors: Annotated[int, Field(ge=1, le=16)] = Field(default=2, description="Boxes of each cell.")
    nms: Share | None = Field(
        default=0.4,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "for all.",
    )


class Centernet(Suppressed):
    """Objects as points. `centernet`: heat [samples, classes, rows, columns], size and offset [samples, 2, rows,
    columns]. `yunet`: for each stride class, object and box of every cell."""

    kind: Literal["centernet"] = Field(description=KIND)
    variant: Literal["centernet", "yunet"] = Field(default="centernet", description="Which of both.")
    heat: Name | None = Field(
        default=None, description="The output of heat; null for that of most channels, or `hm`."
    )
    size: Name | None = Field(default=None, description="The output of sizes; null for `wh`, or the next.")
    offset: Name | None = Field(
        default=None, description="The output of offsets; null for `reg`, or the one after."
    )
    strides: Strides | None = Field(
        default=None, description="Pixels of a cell; null for 4, or 8, 16 and 32 of `yunet`."
    )
    activation: Literal["sigmoid", "none"] | None = Field(
        default=None, description="Of the heat; null: sigmoid, unless it lies between 0 and 1."
    )
    nms: Share | None = Field(
        default=None,
        description="Of boxes of one class that overlap by more (intersection over union) only the best stays; null "
        "for all, of `yunet` for 0.3.",
    )


class Detr(Detector):
    """DETR and its kin: logits [samples, queries, classes], boxes [samples, queries, 4] as shares of the frame, centre
    and size."""

    kind: Literal["detr"] = Field(description=KIND)
    logits: Name | None = Field(
        default=None, description="The output of logits; null for the one that has not 4 columns."
    )
    boxes: Name | None = Field(default=None, description="The output of boxes; null for the one of 4.")
    activation: Literal["softmax", "sigmoid"] = Field(
        default="softmax",
        description="`softmax`: the last class is no object (DETR); `sigmoid`: all are objects (Deformable, RT-DETR).",
    )


class Ctc(RequestModel):
    """Symbols along time [samples, time, symbols], the best at each, repeats and blanks taken out."""

    kind: Literal["ctc"] = Field(description=KIND)
    blank: Annotated[int, Field(ge=-1, le=1_000_000)] = Field(
        default=0, description="The number of the blank; -1 for the last symbol."
    )
    alphabet: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100_000)] | None = (
        Field(
            default=None,
            description="The symbols by their number, for labels that are texts and for `wer`; null for numbers alone.",
        )
    )


DetectorDecode = Boxes | Yolox | Yolov5 | Yolov8 | Ssd | Retinaface | Scrfd | Centernet | Detr
Decode = Classes | Sigmoid | Argmax | Pooled | DetectorDecode | Ctc
