"""Photographs that come with scikit-image and scikit-learn, in crops: nothing is downloaded."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

FILES: Final = {
    "skimage": (
        "data",
        "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
        "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
        "retina.jpg", "rocket.jpg",
    ),
    "sklearn": ("datasets/images", "china.jpg", "flower.jpg"),
}  # fmt: skip
"""Package → a folder of it, and files there: not drawings and texts, nor the right one of a stereo pair."""
EVERY: Final = 3
"""One photograph of so many is for testing, in the order of names."""
SMALLEST, STRETCH = 0.4, 1.2
"""Of a crop: its share of the photograph's shorter side; how much longer one of its sides may be."""


def photographs() -> tuple[list[Path], list[Path]]:
    """For training and for testing; none where scikit-image is missing."""
    files = sorted((path for package in FILES for path in _files(package)), key=lambda path: path.name)
    tested = files[::EVERY]
    return [path for path in files if path not in tested], tested


def _files(package: str) -> Iterator[Path]:
    spec, (folder, *names) = find_spec(package), FILES[package]
    if spec is not None and spec.origin is not None:
        yield from (Path(spec.origin).parent / folder / name for name in names)


def crops(paths: list[Path], each: int, side: int, seed: int) -> np.ndarray:
    """So many of each photograph, uint8 [n, side, side, 3]: blue, green, red."""
    random = np.random.default_rng(seed)
    made = [_crop(picture, side, random) for picture in map(_opened, paths) for _ in range(each)]
    return np.stack(made)[..., ::-1]


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")


def _crop(picture: Image.Image, side: int, random: np.random.Generator) -> np.ndarray:
    """A rectangle anywhere, made a square; every other one mirrored."""
    stretch = STRETCH ** random.uniform(-0.5, 0.5)
    share = random.uniform(SMALLEST, 1) * min(picture.size) / max(stretch, 1 / stretch)
    width, height = share * stretch, share / stretch
    left, top = random.uniform(0, picture.width - width), random.uniform(0, picture.height - height)
    square = picture.resize(
        (side, side), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    pixels = np.asarray(square)
    return pixels[:, ::-1] if random.random() < 0.5 else pixels
