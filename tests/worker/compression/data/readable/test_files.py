"""Bad pictures are found at inspection: named, or skipped up to the declared share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.pictures import encoded, noise, zip_of
from winnow.contract.dataset import DatasetFacts
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.readable import files as readable_files
from worker.compression.data.source import Source

GOOD = encoded(noise(4, 6))
BAD = GOOD[:60]


def inspected(path: Path, **declared: Any) -> DatasetFacts:
    declaration = Declaration.model_validate(declared)
    return inspect_dataset(path, declaration, path.parent / "scratch", max_unpacked_bytes=1 << 30)


def folder_of(tmp_path: Path, good: int, bad: int) -> Path:
    files = {f"{'ab'[i % 2]}/{i:02}.png": BAD if i < bad else GOOD for i in range(good + bad)}
    return zip_of(tmp_path / "a", files)


def test_inspection_tells_what_an_archive_of_pictures_holds(tmp_path: Path) -> None:
    facts = inspected(folder_of(tmp_path, 6, 0))
    assert (facts.samples, facts.target, facts.classes) == (6, "label", ["a", "b"])
    assert {name: (f.dtype, f.shape) for name, f in facts.arrays.items()} == {
        "image": ("image", [6, 4, 6, 3]),
        "file": ("text", [6]),
        "label": ("int64", [6]),
    }
    assert facts.inputs["image"].shape == [3, None, None]
    assert (facts.skipped, facts.arrays["label"].max) == (0, 1)


def test_sizes_that_differ_are_none(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {"1.png": GOOD, "2.png": encoded(noise(5, 5))})
    facts = inspected(path, inputs={"x": {"from": "image", "preset": "imagenet"}})
    assert facts.arrays["image"].shape == [2, None, None, 3]
    assert facts.inputs["x"].model_dump() == {"dtype": "float32", "shape": [3, 224, 224], "array": "image"}


def test_bad_pictures_refuse_the_dataset_and_the_first_ten_are_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        inspected(folder_of(tmp_path, 20, 12))
    problem = caught.value.problem
    assert problem.code == "invalid_dataset"
    assert "12 of 32 rows" in problem.detail
    assert problem.detail.count("cannot be decoded") == 10
    assert "row 0: a/00.png: it cannot be decoded" in problem.detail
    with pytest.raises(Refusal):
        inspected(folder_of(tmp_path, 20, 12), skip_bad=0.3)


def test_bad_pictures_are_skipped_up_to_the_declared_share_and_counted(tmp_path: Path) -> None:
    path = folder_of(tmp_path, 9, 3)
    facts = inspected(path, skip_bad=0.25)
    assert (facts.samples, facts.skipped, facts.arrays["label"].shape) == (9, 3, [12])
    declaration = Declaration.model_validate(
        {"inputs": {"x": {"from": "image"}}, "targets": {"from": "folder"}, "skip_bad": 0.25}
    )
    spec = TensorSpec(name="x", dtype="uint8", shape=["N", 3, 4, 6], batch_axis=0)
    for _ in range(2):
        samples = open_samples(Source(path, declaration), [spec], tmp_path / "jobs")
        assert len(samples) == 9
        (feed,) = samples.batches(9)
        np.testing.assert_array_equal(feed["x"], np.stack([noise(4, 6).transpose(2, 0, 1)] * 9))
        assert samples.labels is not None
        assert samples.labels.tolist() == [0] * 4 + [1] * 5


def test_annotations_that_fit_nothing_count_as_bad_samples(tmp_path: Path) -> None:
    files = {"labels.csv": b"file,label\n1.png,0\nno.png,1\n", "1.png": GOOD}
    with pytest.raises(Refusal, match=r"labels\.csv row 1"):
        inspected(zip_of(tmp_path / "a", files))
    assert inspected(zip_of(tmp_path / "a", files), skip_bad=0.5).skipped == 1


def test_beyond_its_time_a_check_looks_at_headers_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readable_files, "CHECK_SECONDS", -1)
    facts = inspected(folder_of(tmp_path, 1, 1))
    assert facts.notes[0].endswith("2 pictures were left that were checked by their headers, not decoded.")


def test_masks_are_checked_as_masks(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {"images/1.png": GOOD, "masks/1.png": GOOD})
    with pytest.raises(Refusal, match=r"row 0: masks/1\.png: its pixels are RGB"):
        inspected(path)
