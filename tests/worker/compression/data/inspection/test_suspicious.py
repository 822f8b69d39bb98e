"""Data that looks wrong."""

from pathlib import Path

import numpy as np

from winnow.contract.declaration import Declaration
from worker.compression.data.inspection.inspect import inspect_dataset

SCALED = Declaration.model_validate({"inputs": {"x": {"array": "x", "scale": 1 / 255}}})


def notes(folder: Path, declaration: Declaration | None = None, **arrays: np.ndarray) -> list[str]:
    np.savez(folder / "a.npz", **arrays)
    asked = declaration or Declaration()
    return inspect_dataset(folder / "a.npz", asked, folder, max_unpacked_bytes=1 << 20).notes


def test_inspection_tells_what_looks_wrong(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    assert "uint8 numbers from" in notes(tmp_path, x=pixels)[0]
    assert "bool numbers from" in notes(tmp_path, x=pixels > 99)[0]
    assert "look like pixels" in notes(tmp_path, x=pixels.astype(np.float32))[0]
    assert "All labels" in notes(tmp_path, x=pixels / 255.0, labels=np.zeros(4, np.int64))[0]


def test_channels_behind_the_pixels_are_told_unless_they_are_moved(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3)).astype(np.uint8)
    assert "from [9, 9, 3] a sample, channels behind the pixels" in notes(tmp_path, SCALED, x=pixels)[0]
    moved = {"inputs": {"x": {"array": "x", "scale": 1 / 255, "layout": "NHWC->NCHW"}}}
    assert notes(tmp_path, Declaration.model_validate(moved), x=pixels) == []


def test_what_was_scaled_or_is_real_passes_in_silence(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    assert notes(tmp_path, SCALED, x=pixels) == []
    assert notes(tmp_path, x=pixels / 255.0, labels=np.arange(4)) == []
