"""Pictures lie in their frame where torchvision, YOLOX and ultralytics put them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.pictures import noise
from winnow.contract.declaration import ImageInput, Letterbox
from winnow.contract.model import TensorSpec
from worker.compression.data.pictures.decode import BadPicture
from worker.compression.data.pictures.framing import placed_pixels
from worker.compression.data.pictures.geometry import Placement, geometry_of, placement
from worker.compression.data.pictures.presets import PRESETS, spelled_out

SIDES = st.integers(1, 700)


def placed(stored: tuple[int, int], **how: Any) -> Placement:
    declared = ImageInput.model_validate({"from": "image", **how})
    return placement(stored, geometry_of(declared))


@given(height=SIDES, width=SIDES, size=st.integers(1, 300))
def test_resizing_the_shorter_side_is_torchvisions(height: int, width: int, size: int) -> None:
    short, long = sorted((height, width))
    other = int(size * long / short)
    expected = (size, other) if height <= width else (other, size)
    assert placed((height, width), resize={"size": size}).resized == expected
    longer = placed((height, width), resize={"size": size, "mode": "longer"}).resized
    assert max(longer) == size
    assert min(longer) == max(1, int(size * short / long))


@given(height=SIDES, width=SIDES, crop=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_cropping_is_torchvisions_center_crop(height: int, width: int, crop: tuple[int, int]) -> None:
    """Its own two steps: zeros around what is smaller, then a cut with rounded beginnings."""
    pixels = np.arange(height * width, dtype=np.int64).reshape(height, width) % 255 + 1
    (rows, columns), padded = crop, pixels
    if columns > width or rows > height:
        left = (columns - width) // 2 if columns > width else 0
        top = (rows - height) // 2 if rows > height else 0
        right = (columns - width + 1) // 2 if columns > width else 0
        bottom = (rows - height + 1) // 2 if rows > height else 0
        padded = np.pad(pixels, ((top, bottom), (left, right)))
    top, left = round((padded.shape[0] - rows) / 2.0), round((padded.shape[1] - columns) / 2.0)
    expected = padded[top : top + rows, left : left + columns]
    how = geometry_of(ImageInput.model_validate({"from": "image", "crop": crop}))
    made = placed_pixels(Image.fromarray(pixels.astype(np.uint8)), how, "grey")
    np.testing.assert_array_equal(made[:, :, 0], expected)


@given(height=SIDES, width=SIDES, size=st.integers(32, 640))
def test_letterboxes_are_those_of_yolox_and_ultralytics(height: int, width: int, size: int) -> None:
    ratio = min(size / height, size / width)
    corner = placed((height, width), letterbox={"size": size, "place": "corner"})
    assert corner.resized == (max(1, int(height * ratio)), max(1, int(width * ratio)))
    assert corner.offset == (0, 0)
    center = placed((height, width), letterbox=size)
    high, wide = max(1, round(height * ratio)), max(1, round(width * ratio))
    assert center.resized == (high, wide)
    assert center.offset == (round((size - high) / 2 - 0.1), round((size - wide) / 2 - 0.1))
    assert center.frame == (size, size)


def test_a_letterbox_is_filled_around_the_picture_in_every_channel() -> None:
    how = geometry_of(ImageInput.model_validate({"from": "image", "letterbox": {"size": [6, 4], "fill": 7}}))
    picture = noise(4, 4)
    made = placed_pixels(Image.fromarray(picture), how, "RGB")
    np.testing.assert_array_equal(made[1:5], picture)
    assert (made[[0, 5]] == 7).all()


def test_a_strip_that_would_become_huge_is_a_bad_picture() -> None:
    how = geometry_of(ImageInput.model_validate({"from": "image", "resize": {"size": 256}, "crop": 224}))
    with pytest.raises(BadPicture, match="resized to 4194304 × 256"):
        placed_pixels(Image.new("L", (16_384, 1)), how, "grey")


def spec(*shape: int | str | None) -> TensorSpec:
    return TensorSpec(name="x", dtype="float32", shape=list(shape), batch_axis=0)


def spelled(model: TensorSpec | None = None, **how: Any) -> ImageInput:
    return spelled_out(ImageInput.model_validate({"from": "image", **how}), model)


def test_presets_have_the_published_numbers() -> None:
    """torchvision 0.29 `transforms._presets.ImageClassification`; timm 1.0 `data.constants`."""
    imagenet = spelled(preset="imagenet")
    assert imagenet.resize is not None
    assert (imagenet.resize.mode, imagenet.resize.size, imagenet.resize.filter) == (
        "shorter",
        256,
        "bilinear",
    )
    assert (imagenet.crop, imagenet.mean, imagenet.std) == (224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    clip = spelled(preset="clip")
    assert clip.resize is not None
    assert (clip.resize.size, clip.resize.filter, clip.crop) == (224, "bicubic", 224)
    assert clip.mean == [0.48145466, 0.4578275, 0.40821073]
    assert clip.std == [0.26862954, 0.26130258, 0.27577711]
    inception = spelled(preset="imagenet_inception")
    assert (inception.mean, inception.std) == ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert {preset["scale"] for preset in PRESETS.values()} == {1 / 255}


def test_what_is_said_beside_a_preset_stands() -> None:
    how = spelled(preset="imagenet", crop=200, scale=1.0)
    assert (how.crop, how.scale, how.mean) == (200, 1.0, [0.485, 0.456, 0.406])
    assert how.resize is not None
    boxed = spelled(preset="imagenet", letterbox=64)
    assert (boxed.resize, boxed.crop, boxed.letterbox) == (None, None, 64)
    assert len(spelled(preset="clip", color="grey").mean or []) == 1


@pytest.mark.parametrize(
    ("model", "size"), [(spec("N", 3, 320, 416), (320, 416)), (spec("N", 3, None, "w"), 640), (None, None)]
)
def test_yolo_takes_the_size_of_the_model(model: TensorSpec | None, size: Any) -> None:
    assert spelled(model, preset="yolo").letterbox == (size and Letterbox(size=size))


def test_without_a_geometry_pictures_become_the_size_that_the_model_fixes() -> None:
    how = spelled(spec("N", 3, 32, 48))
    assert how.resize is not None
    assert (how.resize.mode, how.resize.size) == ("exact", (32, 48))
    behind = spelled(spec("N", 32, 48, 3), layout=None)
    assert behind.resize is not None
    assert behind.resize.size == (32, 48)
    assert spelled(spec("N", 3, None, 48)).resize is None
    assert spelled(spec("N", 3, 32, 48), crop=16).resize is None
