"""Random boxes, encoded by the family's published formula (cited in the decoders), decode back: within a hundredth of a
pixel (outputs are float32). Then the decoders at their edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from winnow.contract.decoding import Decode
from winnow.contract.errors import Refusal
from worker.compression.measure.quality.decode.decoder import decoder_for
from worker.compression.measure.quality.decode.detections import Detections
from worker.compression.measure.quality.decode.priors import retinaface_priors, ssd_priors

Array = np.ndarray[Any, Any]
HEIGHT, WIDTH = 160, 224
FEED = {"images": np.zeros((1, 3, HEIGHT, WIDTH), np.float32)}
CLASSES = 4
ADAPTER: TypeAdapter[Decode] = TypeAdapter(Decode)
STRIDES = (8, 16, 32)
LOW = -12.0
"""A logit of next to nothing."""


def settings_of(kind: str, **values: Any) -> Any:
    return ADAPTER.validate_python({"kind": kind, **values})


def decoded(
    outputs: dict[str, Array], kind: str, rows: int = 1, feed: Any = None, **values: Any
) -> list[Detections]:
    heads = {name: np.asarray(x, np.float32) for name, x in outputs.items()}
    decoder = decoder_for("detection", settings_of(kind, **values), heads, next(iter(heads)))
    return decoder([heads[name] for name in decoder.outputs], feed or FEED, rows)


def logit(share: Array) -> Array:
    return np.log(share / (1 - share))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    """Up to five boxes [k, 4] in pixels whose centres lie in different cells of 32 pixels, their scores and classes."""
    count = draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    cells = rng.choice((HEIGHT // 32) * (WIDTH // 32), count, replace=False)
    corner = np.stack([cells % (WIDTH // 32), cells // (WIDTH // 32)], axis=1) * 32.0
    centre = corner + rng.uniform(0.5, 31.5, (count, 2))
    size = rng.uniform(9, 100, (count, 2))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    scores = np.sort(rng.permutation(np.arange(50, 95))[:count] / 100.0)[::-1]
    return boxes, scores, rng.integers(0, CLASSES, count)


def centres(boxes: Array) -> tuple[Array, Array]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def same(result: Detections, scene: tuple[Array, Array, Array], pixels: float = 1e-2) -> None:
    boxes, scores, classes = scene
    assert len(result) == len(boxes)
    np.testing.assert_allclose(result.boxes, boxes, atol=pixels)
    np.testing.assert_allclose(result.scores, scores, atol=1e-4)
    np.testing.assert_array_equal(result.classes, classes)


def stride_of(index: int) -> int:
    return STRIDES[index % 3]


def encode_yolox(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    maps = [np.zeros((HEIGHT // s, WIDTH // s, 5 + CLASSES)) for s in STRIDES]
    centre, size = centres(scene[0])
    for i, (c, wh, score, number) in enumerate(zip(centre, size, *scene[1:], strict=True)):
        stride = stride_of(i)
        column, row = (c // stride).astype(int)
        cell = maps[i % 3][row, column]
        cell[:4] = [*(c / stride - (column, row)), *np.log(wh / stride)]
        cell[4], cell[5 + number] = 1.0, score
    return {"output": np.concatenate([m.reshape(-1, 5 + CLASSES) for m in maps])[None]}


ANCHORS = [[[10, 13], [40, 60]], [[30, 61], [60, 45]], [[116, 90], [50, 50]]]


def encode_yolov5(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    """σ has to reach 2σ − ½ of the cell and √(size / anchor) / 2."""
    heads = [np.full((1, 2, HEIGHT // s, WIDTH // s, 5 + CLASSES), LOW) for s in STRIDES]
    centre, size = centres(scene[0])
    for i, (c, wh, score, number) in enumerate(zip(centre, size, *scene[1:], strict=True)):
        stride, level = stride_of(i), i % 3
        column, row = (c // stride).astype(int)
        fits = [(np.sqrt(wh / anchor) / 2).max() for anchor in ANCHORS[level]]
        anchor = int(np.argmin(fits))
        assume(fits[anchor] < 1)  # larger than four times an anchor
        cell = heads[level][0, anchor, row, column]
        cell[:2] = logit((c / stride - (column, row) + 0.5) / 2)
        cell[2:4] = logit(np.sqrt(wh / ANCHORS[level][anchor]) / 2)
        cell[4], cell[5 + number] = 20.0, logit(score)
    return {f"p{s}": head for s, head in zip(STRIDES, heads, strict=True)}


def encode_yolov8_decoded(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    output = np.zeros((1, 4 + CLASSES, 735))
    centre, size = centres(scene[0])
    for i, (c, wh, score, number) in enumerate(zip(centre, size, *scene[1:], strict=True)):
        output[0, :4, 10 * i] = [*c, *wh]
        output[0, 4 + number, 10 * i] = score
    return {"output0": output}


def encode_yolov8(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    """Distances in cells between two bins: their logits are the logarithms of the shares."""
    bins = 16
    heads = [np.full((1, 4 * bins + CLASSES, HEIGHT // s, WIDTH // s), LOW) for s in STRIDES]
    for i, (box, score, number) in enumerate(zip(*scene, strict=True)):
        stride = stride_of(i + 1)
        column, row = (((box[:2] + box[2:]) / 2) // stride).astype(int)
        centre = np.array([column + 0.5, row + 0.5])
        sides = np.concatenate([centre - box[:2] / stride, box[2:] / stride - centre])
        assume(sides.min() >= 0 and sides.max() < bins - 1)
        head = heads[(i + 1) % 3][0]
        for side, distance in enumerate(sides):
            low = int(distance)
            logits = np.full(bins, -40.0)
            logits[low], logits[low + 1] = (
                np.log(1 - (distance - low) + 1e-12),
                np.log(distance - low + 1e-12),
            )
            head[side * bins : (side + 1) * bins, row, column] = logits
        head[4 * bins + number, row, column] = logit(score)
    return {f"p{s}": head for s, head in zip(STRIDES, heads, strict=True)}


def from_priors(priors: Array, scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    """The nearest free prior for each: (g − c) / (s v₀), log(g / s) / v₁; class 0 of the scores is background."""
    offsets, scores = np.zeros((1, len(priors), 4)), np.zeros((1, len(priors), 1 + CLASSES))
    scores[..., 0] = 1
    centre, size = centres(scene[0] / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    for c, wh, score, number in zip(centre, size, *scene[1:], strict=True):
        distance = np.abs(priors[:, :2] - c).sum(axis=1) + 9 * (scores[0, :, 0] < 1)
        place = int(distance.argmin())
        offsets[0, place] = [
            *((c - priors[place, :2]) / priors[place, 2:] / 0.1),
            *(np.log(wh / priors[place, 2:]) / 0.2),
        ]
        scores[0, place] = 0
        scores[0, place, [0, 1 + number]] = 1 - score, score
    return {"loc": offsets, "conf": scores}


SSD = {
    "maps": [20, 10],
    "steps": [8, 16],
    "min_sizes": [30, 60],
    "max_sizes": [60, 111],
    "aspect_ratios": [[2], [2, 3]],
}


def encode_ssd(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    return from_priors(ssd_priors(settings_of("ssd", **SSD), (HEIGHT, WIDTH)), scene)


def encode_retinaface(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    outputs = from_priors(retinaface_priors(settings_of("retinaface"), (HEIGHT, WIDTH)), scene)
    return outputs | {"landms": np.zeros((1, outputs["loc"].shape[1], 10))}


def encode_scrfd(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    outputs: dict[str, Array] = {}
    for s in STRIDES:
        cells = (HEIGHT // s) * (WIDTH // s) * 2
        widths = {"score": 1, "bbox": 4, "kps": 10}
        outputs |= {f"{kind}_{s}": np.zeros((cells, width)) for kind, width in widths.items()}
    for i, (box, score) in enumerate(zip(*scene[:2], strict=True)):
        stride = stride_of(i)
        column, row = (((box[:2] + box[2:]) / 2) // stride).astype(int)
        place = (row * (WIDTH // stride) + column) * 2 + i % 2
        point = np.array([column, row]) * stride
        outputs[f"bbox_{stride}"][place] = np.concatenate([point - box[:2], box[2:] - point]) / stride
        outputs[f"score_{stride}"][place] = score
    return outputs


def encode_centernet(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    rows, columns = HEIGHT // 4, WIDTH // 4
    heat, wh, reg = (np.zeros((1, n, rows, columns)) for n in (CLASSES, 2, 2))
    heat[:] = LOW
    centre, size = centres(scene[0])
    for c, side, score, number in zip(centre, size, *scene[1:], strict=True):
        column, row = (c // 4).astype(int)
        heat[0, number, row, column] = logit(score)
        wh[0, :, row, column], reg[0, :, row, column] = side / 4, c / 4 - (column, row)
    return {"hm": heat, "wh": wh, "reg": reg}


def encode_yunet(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    kinds = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    outputs: dict[str, Array] = {}
    for s in STRIDES:
        cells = (HEIGHT // s) * (WIDTH // s)
        outputs |= {f"{kind}_{s}": np.zeros((1, cells, width)) for kind, width in kinds.items()}
    centre, size = centres(scene[0])
    for i, (c, wh, score) in enumerate(zip(centre, size, scene[1], strict=True)):
        stride = stride_of(i)
        column, row = (c // stride).astype(int)
        place = row * (WIDTH // stride) + column
        outputs[f"bbox_{stride}"][0, place] = [*(c / stride - (column, row)), *np.log(wh / stride)]
        outputs[f"cls_{stride}"][0, place], outputs[f"obj_{stride}"][0, place] = score**2 / 0.98, 0.98
    return outputs


def encode_detr(scene: tuple[Array, Array, Array]) -> dict[str, Array]:
    logits, boxes = np.zeros((1, 20, CLASSES + 1)), np.full((1, 20, 4), 0.5)
    logits[..., -1] = 20
    centre, size = centres(scene[0] / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    for i, (c, wh, score, number) in enumerate(zip(centre, size, *scene[1:], strict=True)):
        boxes[0, i] = [*c, *wh]
        logits[0, i] = -40
        logits[0, i, number], logits[0, i, -1] = np.log(score), np.log(1 - score)
    return {"logits": logits, "pred_boxes": boxes}


FAMILIES: dict[str, tuple[Callable[[Any], dict[str, Array]], dict[str, Any], bool]] = {
    "yolox": (encode_yolox, {}, True),
    "yolov5": (encode_yolov5, {"anchors": [[*small, *large] for small, large in ANCHORS]}, True),
    "yolov8": (encode_yolov8, {}, True),
    "yolov8 decoded": (encode_yolov8_decoded, {}, True),
    "ssd": (encode_ssd, SSD, True),
    "retinaface": (encode_retinaface, {}, True),
    "scrfd": (encode_scrfd, {}, False),
    "centernet": (encode_centernet, {}, True),
    "centernet yunet": (encode_yunet, {"variant": "yunet", "nms": 1.0}, False),
    "detr": (encode_detr, {}, True),
}
"""Family → encoder, settings besides the defaults, and whether it has classes."""


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=40)
@given(scene=scenes())
def test_what_is_encoded_by_the_published_formula_decodes_back(
    family: str, scene: tuple[Array, Array, Array]
) -> None:
    encode, values, classed = FAMILIES[family]
    if not classed:
        scene = (scene[0], scene[1], np.zeros_like(scene[2]))
    values = {"score_threshold": 0.3, "nms": 1.0, **values} if family != "detr" else {"score_threshold": 0.3}
    (result,) = decoded(encode(scene), family.split()[0], **values)
    same(result, scene)


def cxcywh(boxes: Array) -> Array:
    return np.concatenate(centres(boxes), axis=1)


FORMATS: dict[str, Callable[[Array], Array]] = {
    "xyxy": lambda b: b,
    "yxyx": lambda b: b[:, [1, 0, 3, 2]],
    "cxcywh": cxcywh,
    "xywh": lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("units", ["pixels", "normalized"])
@settings(deadline=None, max_examples=20)
@given(scene=scenes())
def test_decoded_boxes_in_every_format(form: str, units: str, scene: tuple[Array, Array, Array]) -> None:
    scale = [WIDTH, HEIGHT, WIDTH, HEIGHT] if units == "normalized" else [1, 1, 1, 1]
    boxes = FORMATS[form](scene[0] / scale)
    outputs = {"boxes": boxes[None], "scores": scene[1][None], "labels": scene[2][None] + 1}
    (result,) = decoded(outputs, "boxes", format=form, units=units, first_class=1)
    same(result, scene)


def test_rows_of_any_number_after_nms_in_the_graph() -> None:
    """torchvision: boxes [k, 4], scores [k], labels [k] of the only sample; also none at all."""
    for count in (0, 1, 3):
        boxes = np.arange(4.0 * count).reshape(count, 4) + np.array([0, 0, 30, 30])
        outputs = {"boxes": boxes, "scores": np.linspace(0.9, 0.5, count), "labels": np.arange(count)}
        (result,) = decoded(outputs, "boxes", units="pixels")
        same(result, (boxes, np.linspace(0.9, 0.5, count), np.arange(count)))


def test_one_output_of_six_columns_and_one_of_seven() -> None:
    rows = np.array([[10, 20, 30, 40, 0.9, 2], [11, 21, 31, 41, 0.8, 0]])
    (single,) = decoded({"detections": rows[None]}, "boxes")
    same(single, (rows[:, :4], rows[:, 4], rows[:, 5]))
    several = np.column_stack([[1, 0], rows[:, :4], rows[:, 5], rows[:, 4]])
    feed = {"images": np.zeros((2, 3, HEIGHT, WIDTH))}
    first, second = decoded({"output": several}, "boxes", 2, feed)
    same(first, (rows[1:, :4], rows[1:, 4], rows[1:, 5]))
    same(second, (rows[:1, :4], rows[:1, 4], rows[:1, 5]))


def test_scores_by_class_with_a_background_and_with_classes_in_front() -> None:
    boxes = np.array([[[0.0, 0, 50, 50], [60, 60, 90, 90]]])
    shares = np.array([[[0.2, 0.8, 0.0], [0.1, 0.3, 0.6]]])
    (result,) = decoded({"boxes": boxes, "scores": shares}, "boxes", background=0)
    same(result, (boxes[0], np.array([0.8, 0.6]), np.array([0, 1])))
    (turned,) = decoded({"boxes": boxes, "scores": shares.swapaxes(1, 2)[:, :, [1, 0]]}, "boxes")
    assert turned.scores.tolist() == pytest.approx([0.8, 0.6])


def test_of_boxes_that_overlap_in_one_class_the_best_stays() -> None:
    boxes = np.array([[[0, 0, 100, 100], [4, 4, 100, 100], [4, 4, 100, 100], [0, 0, 100, 40]]], np.float32)
    scores, labels = np.array([[0.7, 0.9, 0.8, 0.6]]), np.array([[1, 1, 2, 1]])
    (result,) = decoded({"boxes": boxes, "scores": scores, "labels": labels}, "boxes", nms=0.5)
    assert list(zip(result.scores.round(1).tolist(), result.classes.tolist(), strict=True)) == [
        (0.9, 1),
        (0.8, 2),
        (0.6, 1),
    ]
    (every,) = decoded(
        {"boxes": boxes, "scores": scores, "labels": labels}, "boxes", nms=None, max_detections=3
    )
    assert every.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_what_is_no_number_is_no_box_and_what_is_huge_stays_finite() -> None:
    scene = (np.array([[40.0, 40, 80, 80]]), np.array([0.9]), np.array([1]))
    output = encode_yolox(scene)["output"]
    output[0, 5, 4:] = 1.0
    output[0, 5, 0] = np.nan
    output[0, 6, 2:6] = [5000, 5000, 1, 1]
    (result,) = decoded({"output": output}, "yolox", score_threshold=0.3)
    assert len(result) == 2
    assert np.isfinite(result.boxes).all()


@pytest.mark.parametrize(
    ("outputs", "kind", "says"),
    [
        ({"output": np.zeros((1, 99, 9))}, "yolox", "735, 5 \\+ classes"),
        ({"output": np.zeros((1, 9))}, "yolov5", "5 \\+ classes"),
        ({"output": np.zeros((1, 4, 99))}, "yolov8", "4 \\+ classes"),
        ({"loc": np.zeros((1, 9, 4)), "conf": np.zeros((1, 9, 2))}, "ssd", "make 8732 priors"),
        ({"loc": np.zeros((1, 9, 4))}, "retinaface", "offsets"),
        ({"a": np.zeros((9, 1)), "b": np.zeros((9, 4))}, "scrfd", "3 outputs of 1 column"),
        ({"hm": np.zeros((1, 3, 4, 4))}, "centernet", "one of sizes"),
        ({"cls": np.zeros((1, 3, 1))}, "detr", "logits"),
        ({"boxes": np.zeros((1, 3, 5))}, "boxes", "4\\] and one of scores"),
    ],
)
def test_outputs_that_are_not_of_the_family_are_refused_by_what_they_are(
    outputs: dict[str, Array], kind: str, says: str
) -> None:
    with pytest.raises(Refusal, match=says) as refused:
        decoded(outputs, kind)
    assert (refused.value.problem.code, refused.value.problem.field) == (
        "outputs_do_not_fit",
        "evaluation.decode",
    )
