"""What is looked at for the page: detectors are told apart by what they find where, and drawn so."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asked import report
from tests.support.graphs import cnn, parse
from tests.support.tokenizer import archive, lines, tokenizer
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Recipe
from winnow.contract.report import LayerReport
from winnow.contract.report import Pair as Sizes
from worker.compression.data.source import Data, Source
from worker.compression.materials import Materials
from worker.compression.measure.quality.decode.detections import Detections
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.page.looking.answers import Answer, answers, same
from worker.compression.result.page.looking.differing import differing
from worker.compression.result.page.looking.moved import _Sides, moved
from worker.compression.result.page.looking.pair import Pair
from worker.compression.result.page.looking.worded import worded
from worker.compression.result.page.sections import samples
from worker.compression.result.page.seen import Seen
from worker.compression.result.page.subject import Subject
from worker.compression.upload.upload import open_upload

RECIPE = Recipe.model_validate({"steps": [{"kind": "weight_only"}]})
DECLARATION = Declaration.model_validate(
    {"inputs": {"image": {"array": "x", "layout": "NHWC->NCHW", "scale": 1 / 255}}}
)
PLACE = (2.0, 2.0, 8.0, 8.0)


def detector(path: Path, place: tuple[float, ...]) -> Path:
    """It finds one thing at this place, as surely as the picture is bright."""
    text = """(float[N,3,16,16] image) => (float[N,1,4] boxes, float[N,1] scores) {
        bright = ReduceMean <axes = [1, 2, 3], keepdims = 0> (image)
        scores = Unsqueeze (bright, one)
        each = Reshape (bright, shape)
        nothing = Mul (each, zero)
        boxes = Add (nothing, place)
    }"""
    weights = {
        "one": np.array([1]),
        "shape": np.array([-1, 1, 1]),
        "zero": np.zeros(1, np.float32),
        "place": np.array([[place]], np.float32),
    }
    onnx.save(parse(text, weights, opset=17, ir_version=8), path)
    return path


def looked_at(folder: Path, place: tuple[float, ...]) -> Seen:
    """On a bright picture and a dark one, after a compression that has moved the box here."""
    pixels = np.empty((2, 16, 16, 3), np.uint8)
    pixels[0], pixels[1] = 230, 20
    np.savez(folder / "data.npz", x=pixels)
    detector(folder / "model.onnx", PLACE)
    detector(folder / "artifact.onnx", place)
    data = Source(folder / "data.npz", DECLARATION)
    return looked(folder, data, task="detection", metric="agreement", decode={"kind": "boxes"})


def test_a_box_that_moved_away_is_another_answer_and_both_are_drawn_on_the_picture(tmp_path: Path) -> None:
    """What neither is confident of, on the dark picture, is none."""
    seen = looked_at(tmp_path, (8.0, 8.0, 14.0, 14.0))
    assert (seen.compared, seen.differing) == (2, 1)
    (sample,) = seen.samples
    assert (sample.row, sample.before, sample.after) == (0, "1 × class 0", "1 × class 0")
    assert sample.picture.startswith("data:image/png;base64,")
    assert sample.boxes_before == [(0.125, 0.125, 0.5, 0.5)]
    assert sample.boxes_after == [(0.5, 0.5, 0.875, 0.875)]
    section = samples.section(Subject(report(), tmp_path / "artifact.onnx", RECIPE, seen=seen))
    assert section is not None
    (card,) = section.blocks[-1].cards  # type: ignore[union-attr]
    assert card.drawing is not None
    assert [mark.kind for mark in card.drawing.marks] == ["box before", "box after"]


def test_a_box_that_still_overlaps_by_half_is_the_same_answer(tmp_path: Path) -> None:
    seen = looked_at(tmp_path, (2.5, 2.5, 8.5, 8.5))
    assert (seen.compared, seen.differing, seen.samples) == (2, 0, [])


def looked(folder: Path, data: Source, **evaluation: Any) -> Seen:
    """At `model.onnx` and `artifact.onnx` of the folder."""
    upload = open_upload(folder / "model.onnx", folder / "scratch", max_unpacked_bytes=2**30)
    options = Options(Evaluation.model_validate(evaluation))
    materials = Materials(
        upload, Data(evaluation=data), folder / "scratch", folder / "curves", Silent(), options
    )
    subject = Subject(report(), folder / "artifact.onnx", RECIPE, materials)
    return Seen(**differing(Pair.of(subject, materials)))


def masker(path: Path, level: float) -> None:
    """Class 0 where a pixel is brighter than this, else class 1."""
    text = """(float[N,1,16,16] image) => (float[N,2,16,16] y) {
        dark = Mul (image, zero)
        even = Add (dark, level)
        y = Concat <axis = 1> (image, even)
    }"""
    weights = {"zero": np.zeros(1, np.float32), "level": np.full(1, level, np.float32)}
    onnx.save(parse(text, weights, opset=17, ir_version=8), path)


def test_masks_differ_by_their_pixels_and_those_are_marked_on_the_picture(tmp_path: Path) -> None:
    """The first picture is bright on its right half, by which the result no longer goes; the second is dark."""
    pixels = np.full((2, 16, 16, 1), 50, np.uint8)
    pixels[0, :, 8:] = 200
    np.savez(tmp_path / "data.npz", x=pixels)
    masker(tmp_path / "model.onnx", 0.5)
    masker(tmp_path / "artifact.onnx", 0.9)
    seen = looked(
        tmp_path, Source(tmp_path / "data.npz", DECLARATION), task="segmentation", metric="agreement"
    )
    assert (seen.compared, seen.differing) == (2, 1)
    (sample,) = seen.samples
    assert (sample.before, sample.after) == ("class 0 50.0%, class 1 50.0%", "class 1 100.0%")
    assert sample.moved == [[0.0] * 8 + [1.0] * 8] * 16
    section = samples.section(Subject(report(), tmp_path / "artifact.onnx", RECIPE, seen=seen))
    assert section is not None
    (card,) = section.blocks[-1].cards  # type: ignore[union-attr]
    assert card.drawing is not None
    assert len(card.drawing.marks) == 8 * 16
    assert min(mark.x for mark in card.drawing.marks) == 50


def test_classes_have_the_names_that_the_declaration_numbers_them_by(tmp_path: Path) -> None:
    """Whatever order the data has them in: here that of the alphabet."""
    for name, weights in (("model", [[1.0, -1.0]]), ("artifact", [[-1.0, 1.0]])):
        text = "(float[N,1] x) => (float[N,2] y) { y = MatMul (x, w) }"
        graph = parse(text, {"w": np.array(weights, np.float32)}, opset=17, ir_version=8)
        onnx.save(graph, tmp_path / f"{name}.onnx")
    (tmp_path / "animals.csv").write_text("size,kind\n1,dog\n2,dog\n-3,cat\n")
    declaration = Declaration.model_validate(
        {
            "inputs": {"x": {"from": "table", "columns": ["size"]}},
            "targets": {"from": "column", "column": "kind", "classes": ["dog", "cat"]},
        }
    )
    data = Source(tmp_path / "animals.csv", declaration)
    seen = looked(tmp_path, data, task="classification", metric="top1")
    said = [(sample.before, sample.after, sample.truth) for sample in seen.samples]
    assert ("cat (3)", "dog (3)", "cat") in said
    assert seen.confusion is not None
    assert seen.confusion.classes == ["dog", "cat"]


def test_names_of_classes_are_no_longer_than_a_page_has_room_for(tmp_path: Path) -> None:
    """Words of a column are names of classes, and a word may be a whole text."""
    (tmp_path / "texts.csv").write_text(f"size,kind\n1,{'a' * 100_000}\n2,dog\n")
    graph = parse("(float[N,1] x) => (float[N,1] y) { y = Neg (x) }", {}, opset=17, ir_version=8)
    onnx.save(graph, tmp_path / "m.onnx")
    declaration = Declaration.model_validate(
        {
            "inputs": {"x": {"from": "table", "columns": ["size"]}},
            "targets": {"from": "column", "column": "kind"},
        }
    )
    upload = open_upload(tmp_path / "m.onnx", tmp_path / "scratch", max_unpacked_bytes=2**30)
    data = Data(evaluation=Source(tmp_path / "texts.csv", declaration))
    materials = Materials(upload, data, tmp_path / "scratch", tmp_path / "curves", Silent(), Options())
    names = Pair.of(Subject(report(), tmp_path / "m.onnx", RECIPE, materials), materials).classes
    assert (names[1], len(names[0]) <= 100) == ("dog", True)


def test_rows_of_a_table_are_shown_by_their_values(tmp_path: Path) -> None:
    for name, weight in (("model", 1.0), ("artifact", 2.0)):
        text = "(float[N,2] x) => (float[N,1] y) { y = MatMul (x, w) }"
        w = np.array([[weight], [0.0]], np.float32)
        onnx.save(parse(text, {"w": w}, opset=17, ir_version=8), tmp_path / f"{name}.onnx")
    (tmp_path / "people.csv").write_text("age,city,y\n0,Oslo,0\n3.5,Rome,3.5\n")
    columns = {"from": "table", "columns": ["age", "city"], "categories": {"city": ["Rome", "Oslo"]}}
    target = {"from": "column", "column": "y"}
    declaration = Declaration.model_validate({"inputs": {"x": columns}, "targets": target})
    seen = looked(tmp_path, Source(tmp_path / "people.csv", declaration), task="regression", metric="mae")
    (sample,) = seen.samples
    assert (sample.picture, sample.words) == ("", "age 3.5, city Rome")
    assert (sample.before, sample.after) == ("3.5", "7")


def test_texts_are_shown_as_they_are_as_far_as_there_is_room(tmp_path: Path) -> None:
    rows = [{"s": f"a {'b' * 300}", "t": "b", "y": 0}, {"s": "short", "t": "x", "y": 1}]
    path = archive(tmp_path / "data.zip", {"d.jsonl": lines(rows), "tokenizer.json": tokenizer()})
    texts = {"from": "text", "columns": ["s", "t"], "pair": "together"}
    declaration = Declaration.model_validate({"inputs": {"input_ids": texts}})
    upload = open_upload(
        detector(tmp_path / "model.onnx", PLACE), tmp_path / "scratch", max_unpacked_bytes=2**30
    )
    data = Data(evaluation=Source(path, declaration))
    materials = Materials(upload, data, tmp_path / "scratch", tmp_path / "curves", Silent(), Options())
    pair = Pair.of(Subject(report(), tmp_path / "model.onnx", RECIPE, materials), materials)
    assert worded(pair, 1) == "short | x"
    assert worded(pair, 0).startswith("a bbb")
    assert len(worded(pair, 0)) <= 200


def test_layers_that_were_cut_are_among_those_whose_numbers_are_shown(tmp_path: Path) -> None:
    """Half of the channels are gone: only the last layer's output can be compared number by number."""
    for name, channels in (("model", 8), ("artifact", 4)):
        onnx.save(cnn(channels=channels), tmp_path / f"{name}.onnx")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).integers(0, 255, (8, 8, 8, 3), np.uint8))
    size = Sizes(before=400, after=100, ratio=0.25)
    layers = [
        LayerReport(
            name=name, op="Conv", parameters=size, macs=size, size_bytes=size, before_dtype="float32",
            after_dtype="float32",
        )
        for name in ("conv1", "conv2", "fc")
    ]  # fmt: skip
    upload = open_upload(tmp_path / "model.onnx", tmp_path / "scratch", max_unpacked_bytes=2**30)
    data = Data(calibration=Source(tmp_path / "data.npz", DECLARATION))
    materials = Materials(upload, data, tmp_path / "scratch", tmp_path / "curves", Silent(), Options())
    told = report().model_copy(update={"layers": layers})
    seen = Seen(**moved(Pair.of(Subject(told, tmp_path / "artifact.onnx", RECIPE, materials), materials)))
    assert {*seen.snr_db} == {"fc"}
    assert seen.activations[0].layer == "fc"
    assert {spread.layer for spread in seen.activations} == {"conv1", "conv2", "fc"}
    assert {spread.layer for spread in seen.weights} == {"conv1", "conv2", "fc"}


def test_the_shift_of_numbers_is_in_standard_deviations() -> None:
    """The same numbers, moved by two of them; however many there are."""
    x = np.random.default_rng(0).normal(5, 3, 4000)
    sides = _Sides()
    sides.add(x, (x + 2 * x.std())[::2], 10**6)
    assert not sides.same_shape
    assert sides.shift == pytest.approx(2, rel=0.05)


SIDES = st.tuples(*[st.integers(0, 20), st.integers(0, 20), st.integers(1, 9), st.integers(1, 9)])
FINDS = st.lists(st.tuples(SIDES, st.integers(0, 2), st.sampled_from([0.1, 0.5, 0.9])), max_size=8)


def answer(finds: list[Any]) -> Answer:
    boxes = np.array([(x, y, x + w, y + h) for (x, y, w, h), _, _ in finds], float).reshape(-1, 4)
    classes = np.array([kind for _, kind, _ in finds], np.int64)
    found = Detections(boxes, np.array([score for _, _, score in finds], float), classes)
    (made,) = answers("detection", [found], 1, [], confident=0.3)
    return made


@given(FINDS, st.randoms(use_true_random=False))
def test_the_order_of_boxes_and_those_without_confidence_change_no_answer(
    finds: list[Any], random: Any
) -> None:
    shuffled = [find for find in finds if find[2] >= 0.3]
    random.shuffle(shuffled)
    assert same(answer(finds), answer(shuffled))
    assert same(answer(shuffled), answer(finds))


def test_of_many_boxes_none_is_left_out_of_the_comparison() -> None:
    """Pictures of crowds: the sixty boxes that both have do not make the answers the same."""
    crowd: list[Any] = [((20 * place, 0, 9, 9), 0, 0.9) for place in range(80)]
    assert answer(crowd).text == "80 × class 0"
    assert not same(answer(crowd[:60]), answer(crowd))


@given(FINDS)
def test_one_box_more_or_of_another_class_is_another_answer(finds: list[Any]) -> None:
    more = [*finds, ((0, 0, 5, 5), 1, 0.9)]
    other = [*finds, ((0, 0, 5, 5), 2, 0.9)]
    assert not same(answer(finds), answer(more))
    assert not same(answer(more), answer(other))


@pytest.mark.parametrize("names", [["cat", "dog"], []])
def test_answers_are_told_in_the_names_of_the_classes(names: list[str]) -> None:
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], float)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7]), np.array([1, 1, 0]))
    (made,) = answers("detection", [found], 1, names, confident=0.75)
    assert made.text == ("2 × dog" if names else "2 × class 1")
    assert made.boxes == [(0, 0, 1, 1), (2, 2, 3, 3)]
