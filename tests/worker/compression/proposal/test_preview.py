"""What is shown is what is fed."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.digits import DECLARATION, digits
from tests.support.pictures import encoded, zip_of
from tests.worker.compression.proposal.test_propose import CAP, saved
from winnow.contract.declaration import Declaration
from worker.compression.data.source import Source
from worker.compression.proposal.preview import preview


def decoded(picture: str) -> np.ndarray:
    content = base64.b64decode(picture.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


def test_rows_are_spread_and_described_as_they_are_fed(tmp_path: Path) -> None:
    files = digits(tmp_path)
    shown = preview(Source(files.data, DECLARATION), files.model, 4, tmp_path, max_unpacked_bytes=CAP)
    with np.load(files.data) as archive:
        images, labels = archive["images"][shown.rows], archive["labels"][shown.rows]
    assert (shown.samples, shown.rows[0], shown.rows[-1]) == (1797, 0, 1796)
    assert shown.labels == [float(label) for label in labels]
    fed = shown.inputs["image"]
    assert (fed.dtype, fed.shape) == ("float32", [1, 8, 8])
    scaled = images / 16
    assert (fed.min, fed.max) == (scaled.min(), scaled.max())
    assert fed.mean == pytest.approx(scaled.mean(), abs=1e-6)
    assert fed.std == pytest.approx(scaled.std(), abs=1e-6)
    assert [decoded(picture).tolist() for picture in fed.pictures] == images.tolist()
    assert shown.notes == []


def test_pictures_come_back_from_their_normalisation_with_the_names_of_their_classes(tmp_path: Path) -> None:
    """Bit for bit: what mean, std, scale, layout and BGR made of the pixels is taken back."""
    model = saved(tmp_path / "m.onnx", ["N", 3, 6, 5], [1, 4])
    pixels = {
        name: np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
        for seed, name in enumerate(("cat/0.png", "dog/1.png"))
    }
    data = zip_of(tmp_path / "p.zip", {name: encoded(image) for name, image in pixels.items()})
    how = {
        "from": "image",
        "preset": "imagenet_inception",
        "color": "BGR",
        "resize": {"mode": "exact", "size": [6, 5]},
    }
    declaration = Declaration.model_validate({"inputs": {"anything": {**how, "crop": [6, 5]}}})
    shown = preview(Source(data, declaration), model, 2, tmp_path, max_unpacked_bytes=CAP)
    assert shown.labels == ["cat", "dog"]
    assert [decoded(picture).tolist() for picture in shown.inputs["x"].pictures] == [
        image.tolist() for image in pixels.values()
    ]
    assert -1 <= shown.inputs["x"].min < shown.inputs["x"].max <= 1


def test_labels_have_the_names_that_the_declaration_numbers_them_by(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", ["N", 3, 6, 5], [1, 4])
    blank = encoded(np.zeros((6, 5, 3), np.uint8))
    data = zip_of(tmp_path / "p.zip", {"cat/0.png": blank, "dog/1.png": blank})
    declaration = Declaration.model_validate(
        {
            "inputs": {"x": {"from": "image", "crop": [6, 5]}},
            "targets": {"from": "folder", "classes": ["dog", "fox", "cat"]},
        }
    )
    shown = preview(Source(data, declaration), model, 2, tmp_path, max_unpacked_bytes=CAP)
    assert shown.labels == ["cat", "dog"]


def test_numbers_that_look_unprepared_are_noted(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", ["N", "C", "H", "W"], [1, 4])
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 9, 9, 3), np.uint8))
    shown = preview(Source(tmp_path / "d.npz"), model, 2, tmp_path, max_unpacked_bytes=CAP)
    assert [note.split(":")[0] for note in shown.notes] == [
        "Input 'x' takes float32, and is given the uint8 numbers of 'x' as they are",
        "Input 'x' gets [9, 9, 3] a sample",
    ]
