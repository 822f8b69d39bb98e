"""Decode a mask: one class number a pixel."""

import numpy as np
from PIL import Image

from worker.compression.data.pictures.decode import BadPicture, decoded

MAX_CLASS = 255


def decoded_mask(content: bytes) -> Image.Image:
    """Return the class numbers as a grey picture of 8 bits: of a palette its places, of black and white 0 and 1.

    Raises `BadPicture`.
    """
    image = decoded(content)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I;16"):
        raise BadPicture(
            f"its pixels are {image.mode}; a mask has one class number a pixel, grey or by palette"
        )
    numbers = np.asarray(image)
    if numbers.max(initial=0) > MAX_CLASS:
        raise BadPicture(f"it has the number {numbers.max()}; classes are from 0 to {MAX_CLASS}")
    return Image.fromarray(numbers.astype(np.uint8))
