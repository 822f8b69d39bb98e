"""Pictures become an input as the arrays of their pixels would."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.pictures import encoded, noise, tar_of, zip_of
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.suspicious import stretched_pictures
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

CAP = 1 << 30


def opened(
    path: Path, how: dict[str, Any], shape: list[int | str | None], dtype: str = "float32", **more: Any
) -> Samples:
    declaration = Declaration.model_validate({"inputs": {"x": how}, **more})
    spec = TensorSpec(name="x", dtype=dtype, shape=shape, batch_axis=0)
    return open_samples(Source(path, declaration), [spec], path.parent / "scratch", max_unpacked_bytes=CAP)


def fed(path: Path, how: dict[str, Any], shape: list[int | str | None], dtype: str = "float32") -> Any:
    return np.concatenate([feed["x"] for feed in opened(path, how, shape, dtype).batches(4)])


def parquet_of(path: Path, files: dict[str, bytes]) -> Path:
    """Pictures as Hugging Face's datasets has them."""
    images = [{"bytes": content, "path": name} for name, content in files.items()]
    pq.write_table(pa.table({"image": images}), path, row_group_size=4)
    return path


@pytest.mark.parametrize("pack", [zip_of, tar_of, parquet_of])
def test_pngs_give_the_tensors_of_the_same_npz_bit_for_bit(pack: Any, tmp_path: Path) -> None:
    pictures = np.stack([noise(9, 7, seed=i) for i in range(6)])
    archive = pack(tmp_path / "a", {f"{i}.png": encoded(picture) for i, picture in enumerate(pictures)})
    np.savez(tmp_path / "a.npz", x=pictures)
    numbers = {"scale": 0.01, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.7, 0.9], "layout": "NHWC->NCHW"}
    shape = ["N", 3, 9, 7]
    np.testing.assert_array_equal(
        fed(archive, {"from": "image"} | numbers, shape),
        fed(tmp_path / "a.npz", {"array": "x"} | numbers, shape),
    )


def test_npz_images_resized_by_pillow_are_what_the_reader_makes(tmp_path: Path) -> None:
    """torchvision's way: `convert("RGB")`, resize the shorter side, crop the middle, scale, mean, std."""
    path = zip_of(tmp_path / "a", {"1.jpg": encoded(noise(40, 30), "JPEG")})
    image = Image.open(io.BytesIO(encoded(noise(40, 30), "JPEG"))).convert("RGB")
    image = image.resize((256, int(256 * 40 / 30)), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)[round((341 - 224) / 2) :][:224, 16:240]
    made = fed(path, {"from": "image", "preset": "imagenet"}, ["N", 3, 224, 224])
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        made[0], expected.transpose(2, 0, 1), rtol=0, atol=2e-6
    )  # float32 against float64


def test_layouts_colours_and_whole_numbers_go_to_models_that_take_them(tmp_path: Path) -> None:
    picture = noise(4, 5)
    path = zip_of(tmp_path / "a", {"1.png": encoded(picture)})
    behind = fed(path, {"from": "image", "layout": None, "color": "BGR"}, ["N", 4, 5, 3], "uint8")
    np.testing.assert_array_equal(behind[0], picture[:, :, ::-1])
    grey = fed(path, {"from": "image", "color": "grey", "mean": [1.0]}, ["N", 1, 4, 5])
    assert grey.shape == (1, 1, 4, 5)


def test_pictures_of_any_size_are_batched_by_equal_shape_for_a_model_that_takes_them(tmp_path: Path) -> None:
    sizes = [(8, 6), (8, 6), (5, 9), (8, 6)]
    files = {f"{i}.png": encoded(noise(*size, seed=i)) for i, size in enumerate(sizes)}
    samples = opened(zip_of(tmp_path / "a", files), {"from": "image"}, ["N", 3, "h", "w"])
    assert [feed["x"].shape for feed in samples.batches(4)] == [(1, 3, 5, 9), (3, 3, 8, 6)]


def test_pictures_of_other_sizes_become_the_size_that_the_model_fixes(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {"1.png": encoded(noise(8, 6)), "2.png": encoded(noise(7, 4))})
    assert fed(path, {"from": "image"}, ["N", 3, 5, 4]).shape == (2, 3, 5, 4)
    (note,) = stretched_pictures(opened(path, {"from": "image"}, ["N", 3, 5, 4]))
    assert "stretched to the 4 × 5 pixels" in note
    assert "has 6 × 8" in note
    for how, shape in (({"crop": [5, 4]}, ["N", 3, 5, 4]), ({}, ["N", 3, 4, 3]), ({}, ["N", 3, "h", "w"])):
        assert stretched_pictures(opened(path, {"from": "image", **how}, shape)) == []


def test_rows_are_decoded_once_and_read_from_scratch_then(tmp_path: Path) -> None:
    files = {f"{i}.png": encoded(noise(9, 9, seed=i)) for i in range(3)}
    path = zip_of(tmp_path / "a", files)
    how = {"from": "image", "crop": 8}
    first = fed(path, how, ["N", 3, 8, 8])
    (kept,) = (tmp_path / "scratch").glob("*.rows")
    assert kept.stat().st_size == 3 + 3 * 8 * 8 * 3
    content = bytearray(kept.read_bytes())
    content[3] ^= 1
    kept.write_bytes(content)
    again = fed(path, how, ["N", 3, 8, 8])
    assert np.argwhere(again != first).tolist() == [[0, 0, 0, 0]]
    other = fed(path, how | {"color": "BGR"}, ["N", 3, 8, 8])
    np.testing.assert_array_equal(other, first[:, ::-1])


def test_rows_are_decoded_again_where_there_is_no_room(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {f"{i}.png": encoded(noise(4, 4, seed=i)) for i in range(3)})
    declaration = Declaration.model_validate({"inputs": {"x": {"from": "image", "crop": 64}}})
    spec = TensorSpec(name="x", dtype="float32", shape=["N", 3, 64, 64], batch_axis=0)
    samples = open_samples(Source(path, declaration), [spec], tmp_path / "scratch", max_unpacked_bytes=20_000)
    assert len(list(samples.batches(2))) == 2
    assert not list((tmp_path / "scratch").glob("*.rows"))


def test_a_picture_that_cannot_be_decoded_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {"a.png": encoded(noise(4, 4)), "b.png": encoded(noise(4, 4))[:40]})
    with pytest.raises(Refusal) as caught:
        fed(path, {"from": "image"}, ["N", 3, 4, 4])
    assert caught.value.problem.code == "invalid_dataset"
    assert "'b.png' (row 1)" in caught.value.problem.detail


@pytest.mark.parametrize(
    ("how", "says", "field"),
    [
        ({"mean": [1.0, 2.0]}, "mean has 2 numbers, but RGB has 3 channels", "inputs.x.mean"),
        ({"std": [1.0, 2.0, 3.0], "color": "grey"}, "std has 3 numbers, but grey has 1", "inputs.x.std"),
        ({"column": "photo"}, "column 'photo' of images", "inputs.x.column"),
    ],
)
def test_a_declaration_that_fits_no_picture_is_refused(
    how: dict[str, Any], says: str, field: str, tmp_path: Path
) -> None:
    path = zip_of(tmp_path / "a", {"a.png": encoded(noise(4, 4))})
    with pytest.raises(Refusal) as caught:
        fed(path, {"from": "image"} | how, ["N", 3, 4, 4])
    assert caught.value.problem.code == "invalid_declaration"
    assert says in caught.value.problem.detail
    assert caught.value.problem.field == f"declaration.{field}"


def test_bytes_of_the_archive_that_changed_are_a_refusal(tmp_path: Path) -> None:
    content = encoded(noise(4, 4))
    path = zip_of(tmp_path / "a", {"a.png": content})
    damaged = path.read_bytes().replace(content, content[:50] + b"\0" + content[51:])
    path.write_bytes(damaged)
    with pytest.raises(Refusal, match="damaged"):
        fed(path, {"from": "image"}, ["N", 3, 4, 4])
