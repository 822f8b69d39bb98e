"""Boxes and masks lie in the model's input where their pictures do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pictures import encoded, noise, zip_of
from winnow.contract.declaration import Declaration, ImageInput
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.pictures.framing import framed
from worker.compression.data.pictures.geometry import geometry_of, placement
from worker.compression.data.pictures.masks import decoded_mask
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.data.targets.placed import place_boxes

GEOMETRIES: list[dict[str, Any]] = [
    {"resize": {"size": 24}},
    {"resize": {"size": 24}, "crop": 20},
    {"crop": [60, 20]},
    {"resize": {"mode": "exact", "size": [33, 44]}},
    {"letterbox": 48},
    {"letterbox": {"size": [30, 50], "place": "corner"}},
]


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from(GEOMETRIES),
    height=st.integers(30, 60),
    width=st.integers(30, 60),
    left=st.integers(0, 20),
    top=st.integers(0, 20),
)
def test_a_box_surrounds_what_it_surrounded_before(
    how: dict[str, Any], height: int, width: int, left: int, top: int
) -> None:
    """A drawn rectangle, moved by the mask's geometry, has the moved box as its bounds within a pixel and a half:
    nearest pixels are rounded, box corners are not."""
    drawn = np.zeros((height, width), np.uint8)
    drawn[top : top + 10, left : left + 9] = 1
    place = placement((height, width), geometry_of(ImageInput.model_validate({"from": "image", **how})))
    mask = np.asarray(framed(decoded_mask(encoded(drawn)), place, "nearest", 0))
    boxes = place_boxes(np.array([[3, left, top, left + 9, top + 10]], np.float32), place)
    rows, columns = np.nonzero(mask)
    if len(rows) and len(boxes):
        bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(boxes[0, 1:] - bounds).max() <= 1.5
        assert boxes[0, 0] == 3
    else:
        assert len(rows) <= 1.5 * max(mask.shape)


def opened(folder: Path, files: dict[str, bytes], how: dict[str, Any], targets: dict[str, Any]) -> Samples:
    declaration = Declaration.model_validate({"inputs": {"x": {"from": "image", **how}}, "targets": targets})
    spec = TensorSpec(name="x", dtype="float32", shape=["N", 3, "h", "w"], batch_axis=0)
    return open_samples(Source(zip_of(folder / "a", files), declaration), [spec], folder / "scratch")


def coco(*boxes: list[float]) -> bytes:
    annotations = [{"image_id": 1, "category_id": 5 + i, "bbox": box} for i, box in enumerate(boxes)]
    categories = [{"id": 5 + i, "name": name} for i, name in enumerate("abc")]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def test_boxes_are_in_pixels_of_the_input_cut_at_its_sides_and_dropped_outside(tmp_path: Path) -> None:
    files = {name: encoded(noise(10, 20)) for name in ("a.png", "b.png")}
    files["coco.json"] = coco([0, 0, 20, 10], [5, 2, 10, 4], [0, 0, 4, 10])
    samples = opened(tmp_path, files, {"crop": 10}, {"from": "coco", "classes": ["c", "b", "a"]})
    labels = samples.labels
    assert labels is not None
    assert (labels.dtype, labels.shape) == (object, (2,))
    assert labels[0].dtype == np.float32
    assert labels[0].tolist() == [[2, 0, 0, 10, 10], [1, 0, 2, 10, 6]]
    assert labels[1].shape == (0, 5)
    fed, chosen = samples.at(np.array([1]))
    assert chosen is not None
    assert (fed.feeds["x"].shape, len(chosen)) == ((1, 3, 10, 10), 1)


def test_masks_are_resampled_by_the_nearest_and_ignored_around(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    files = {"images/a.png": encoded(noise(3, 4)), "masks/a.png": encoded(numbers)}
    for ignore, around in ((255, 255), (None, 0)):
        samples = opened(
            tmp_path, files, {"letterbox": 8}, {"from": "masks", "ignore": ignore}
        ).with_class_numbers()
        labels = samples.labels
        assert labels is not None
        assert (labels.dtype, labels.shape) == (np.uint8, (1, 8, 8))
        np.testing.assert_array_equal(labels[0, 1:7], numbers.repeat(2, 0).repeat(2, 1))
        assert (labels[0, [0, 7]] == around).all()


def test_masks_of_pictures_of_any_size_are_one_object_each(tmp_path: Path) -> None:
    files = {f"images/{name}.png": encoded(noise(size, 4)) for name, size in (("a", 3), ("b", 5))}
    files |= {f"masks/{name}.png": encoded(noise(size, 4, 1)) for name, size in (("a", 3), ("b", 5))}
    labels = opened(tmp_path, files, {}, {"from": "masks"}).labels
    assert labels is not None
    assert [mask.shape for mask in labels] == [(3, 4), (5, 4)]


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (encoded(noise(3, 5, 1)), "5 × 3 pixels, its picture 4 × 3"),
        (encoded(noise(3, 4)), "one class number a pixel"),
        (encoded(np.full((3, 4), 256, np.uint16)), "from 0 to 255"),
        (b"", "no JPEG"),
    ],
)
def test_a_mask_that_fits_no_picture_is_named(mask: bytes, says: str, tmp_path: Path) -> None:
    files = {"images/a.png": encoded(noise(3, 4)), "masks/a.png": mask}
    with pytest.raises(Refusal) as caught:
        _ = opened(tmp_path, files, {"crop": 4}, {"from": "masks"}).labels
    assert "'masks/a.png' (row 0)" in caught.value.problem.detail
    assert says in caught.value.problem.detail


def test_classes_by_folder_are_numbered_as_declared(tmp_path: Path) -> None:
    files = {f"{name}/1.png": encoded(noise(4, 4)) for name in "abc"}
    samples = opened(tmp_path, files, {}, {"from": "folder", "classes": ["c", "x", "a", "b"]})
    assert samples.labels is not None
    assert samples.labels.tolist() == [2, 3, 0]


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ({"from": "coco"}, "takes labels from 'coco', but the dataset has labels from 'folder'"),
        ({"from": "masks"}, "takes labels from 'masks'"),
        ({"from": "folder", "classes": ["a", "b"]}, "'c'"),
    ],
)
def test_labels_that_are_not_there_are_refused(targets: dict[str, Any], says: str, tmp_path: Path) -> None:
    files = {f"{name}/1.png": encoded(noise(4, 4)) for name in "abc"}
    with pytest.raises(Refusal) as caught:
        opened(tmp_path, files, {}, targets)
    assert caught.value.problem.code == "invalid_declaration"
    assert says in caught.value.problem.detail


def test_words_of_a_table_are_numbered_as_declared(tmp_path: Path) -> None:
    files = {"labels.csv": b"file,label\n1.png,cat\n2.png,dog\n", "1.png": encoded(noise(4, 4))}
    files["2.png"] = files["1.png"]
    for classes, numbers in ((None, [0, 1]), (["dog", "fox", "cat"], [2, 0])):
        targets = {"from": "column", "column": "label", "classes": classes}
        labels = opened(tmp_path, files, {}, targets).labels
        assert labels is not None
        assert labels.tolist() == numbers
