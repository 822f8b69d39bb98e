"""Decode a picture that nobody vouches for: bounds first, then its pixels in 8 bits, turned as its EXIF says.

The first frame of an animation, the first page of a TIFF. Alpha is dropped, not blended: what `convert("RGB")` does,
and with it torchvision's and timm's loaders. Of 16 bits the upper 8 stay.
"""

import io
from typing import Final, Literal

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from worker.compression.ir.arrays import Array

Color = Literal["RGB", "BGR", "grey"]

MAX_PIXELS: Final = 64_000_000
FORMATS: Final = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
MAX_SHRINKING: Final = 8
"""Of a JPEG that is read only to see whether it can be: all its bits are decoded, an eighth of its pixels is made."""

ORIENTATION: Final = 0x0112
_TURNED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = None  # bounded here, with a sentence that says what came


class BadPicture(ValueError):
    """The bytes are no picture that is read here. The message says why, without a full stop."""


def decoded(content: bytes) -> Image.Image:
    """Decode a picture in full. Raises `BadPicture`."""
    image = _opened(content)
    method = _TURNED.get(
        _orientation(image)
    )  # before loading: a PNG may say it behind its pixels, too late for us
    return _loaded(image) if method is None else _loaded(image).transpose(method)


def check_picture(content: bytes) -> tuple[int, int]:
    """Decode a picture for nothing but its faults, and return height and width. Raises `BadPicture`."""
    image = _opened(content)
    size = _stored_size(image)
    if image.format == "JPEG":
        image.draft(None, (image.width // MAX_SHRINKING, image.height // MAX_SHRINKING))
    in_color(_loaded(image).crop((0, 0, 1, 1)), "RGB")
    return size


def stored_size(content: bytes) -> tuple[int, int]:
    """Read height and width, after EXIF orientation, from the header alone. Raises `BadPicture`."""
    return _stored_size(_opened(content))


def _stored_size(image: Image.Image) -> tuple[int, int]:
    sideways = _orientation(image) in (5, 6, 7, 8)
    return (image.width, image.height) if sideways else (image.height, image.width)


def in_color(image: Image.Image, color: Color) -> Image.Image:
    """Convert to three channels (for BGR, too: the pixels are swapped later), or one. Raises `BadPicture`."""
    mode = "L" if color == "grey" else "RGB"
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise BadPicture("its pixels have 32 bits a channel; 8 and 16 are read, others as arrays of an .npz")
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        raise BadPicture(f"its colours ({image.mode}) cannot be converted") from error


def pixels(image: Image.Image, color: Color) -> Array:
    """Return what is in these colours as uint8 [height, width, channels]."""
    array = np.asarray(image)
    if color == "grey":
        return array[:, :, None]
    return array[:, :, ::-1] if color == "BGR" else array


def _opened(content: bytes) -> Image.Image:
    """Read the header, and nothing more where that already says too much."""
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadPicture("it is no JPEG, PNG, WebP, BMP, GIF or TIFF") from error
    except Exception as error:  # Pillow's parsers raise whatever comes up
        raise BadPicture(f"its header cannot be read ({error})") from error
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture(
            f"it is {image.width} × {image.height} pixels, more than {MAX_PIXELS // 1_000_000} million"
        )
    return image


def _loaded(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # as above; MemoryError too, which is of this picture's making
        raise BadPicture(f"it cannot be decoded ({error})") from error
    return image


def _orientation(image: Image.Image) -> int:
    """What the header says of turning. 1 where it says nothing, or what cannot be read (viewers show such pictures as
    they are), and for a TIFF, which Pillow itself turns."""
    if image.format == "TIFF":
        return 1
    try:
        return int(Image.Image.getexif(image).get(ORIENTATION, 1))  # that of a PNG would decode it
    except Exception:
        return 1
