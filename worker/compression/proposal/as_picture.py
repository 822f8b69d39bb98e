"""Show the numbers that a model is fed with as the picture that they are."""

import base64
import io
from typing import Any, Final, TypeGuard

import numpy as np
from PIL import Image

from winnow.contract.declaration import ImageInput, Scaled
from winnow.contract.model import TensorSpec
from worker.compression.data.pictures.presets import spelled_out
from worker.compression.ir.arrays import Array
from worker.compression.proposal.choices.arrays import CHANNELS, is_picture

MAX_SIDE: Final = 512
"""Pixels of a shown picture; larger ones are shown with every second, third, … pixel."""
PIXEL_MAX: Final = 255


def is_shown(how: Any, spec: TensorSpec) -> TypeGuard[Scaled]:
    """Whether what is declared so for this input is a picture."""
    return isinstance(how, ImageInput) or (is_picture(spec) and isinstance(how, Scaled))


def as_picture(
    x: Array, how: Scaled, spec: TensorSpec, most: int = MAX_SIDE, *, brightest: bool = False
) -> str:
    """The tensor of one sample with its std, mean and scale taken back, as a PNG in a data URI. `brightest`: numbers
    that come from no picture, and may be of any range, are stretched to be seen."""
    full = spelled_out(how, spec) if isinstance(how, ImageInput) else how
    pixels = x.astype(np.float32)
    first = pixels.shape[0] in CHANNELS
    if first:
        pixels = np.moveaxis(pixels, 0, -1)
    if full.std is not None:
        pixels = pixels * np.asarray(full.std, np.float32)
    if full.mean is not None:
        pixels = pixels + np.asarray(full.mean, np.float32)
    if full.scale is not None:
        pixels = pixels / np.float32(full.scale)
    elif float(pixels.max(initial=0)) <= 1:
        pixels = pixels * PIXEL_MAX
    if isinstance(full, ImageInput) and full.color == "BGR":
        pixels = pixels[..., ::-1]
    if brightest and not isinstance(full, ImageInput):
        pixels = PIXEL_MAX * (pixels - pixels.min()) / max(float(pixels.max() - pixels.min()), 1e-9)
    step = max(1, -(-max(pixels.shape[:2]) // most))
    octets = np.clip(np.round(pixels[::step, ::step]), 0, PIXEL_MAX).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(octets[..., 0] if octets.shape[-1] == 1 else octets).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
