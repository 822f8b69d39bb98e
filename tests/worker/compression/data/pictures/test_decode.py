"""Pictures are decoded within bounds, in 8 bits and upright; what is none is a sentence."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pictures import encoded, noise
from worker.compression.data.pictures import decode
from worker.compression.data.pictures.decode import (
    BadPicture,
    check_picture,
    decoded,
    in_color,
    pixels,
    stored_size,
)
from worker.compression.ir.arrays import Array


def rgb(content: bytes) -> Array:
    return pixels(in_color(decoded(content), "RGB"), "RGB")


def bad(content: bytes) -> str:
    reasons = set()
    for read in (decoded, check_picture):
        with pytest.raises(BadPicture) as caught:
            read(content)
        reasons.add(str(caught.value).split("(")[0])
    assert len(reasons) == 1, "a check sees what decoding sees"
    return str(caught.value)


def huge_png(width: int, height: int) -> bytes:
    """A header that promises, and a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_give_the_pixels_that_were_written(format: str) -> None:
    picture = noise(5, 9) // 128 * 255
    np.testing.assert_array_equal(rgb(encoded(picture, format)), picture)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_formats_give_pixels_near_to_those_that_were_written(format: str) -> None:
    picture = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    assert np.abs(rgb(encoded(picture, format, quality=95)).astype(int) - picture).max() <= 4


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_pictures_stand_upright_and_their_size_is_known_from_the_header(format: str, turned: int) -> None:
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:4, :8] = 255
    exif = Image.Exif()
    exif[decode.ORIENTATION] = turned
    options = {"quality": 100} if format in ("JPEG", "WEBP") else {}
    content = encoded(stored, format, exif=exif, **options)
    expected = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored),
    }[turned]
    upright = rgb(content)
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).max() < 100
    assert stored_size(content) == check_picture(content) == expected.shape[:2]


def test_the_first_frame_of_an_animation_and_the_first_page_are_read() -> None:
    more = {"WEBP": {"lossless": True}}
    first, second = (Image.fromarray(np.full((4, 6, 3), shade, np.uint8)) for shade in (255, 0))
    for format in ("GIF", "TIFF", "WEBP", "PNG"):
        content = encoded(first, format, save_all=True, append_images=[second], **more.get(format, {}))
        assert rgb(content).min() == 255, format


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_stay(format: str) -> None:
    wide = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    assert rgb(encoded(wide, format))[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]


def test_alpha_is_dropped_not_blended() -> None:
    clear = np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8)
    np.testing.assert_array_equal(rgb(encoded(clear)), clear[:, :, :3])
    grey = np.array([[[10, 0], [20, 255]]], np.uint8)
    assert rgb(encoded(Image.fromarray(grey, "LA")))[0, :, 1].tolist() == [10, 20]


def test_colours_are_in_the_declared_order() -> None:
    picture = noise(3, 4)
    image = decoded(encoded(picture))
    np.testing.assert_array_equal(pixels(in_color(image, "BGR"), "BGR"), picture[:, :, ::-1])
    grey = pixels(in_color(image, "grey"), "grey")
    assert grey.shape == (3, 4, 1)
    luma = picture @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[:, :, 0] - luma).max() <= 1, "ITU-R 601, rounded"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_three_channels(mode: str) -> None:
    image = Image.fromarray(noise(4, 4)).convert(mode)
    content = encoded(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    np.testing.assert_array_equal(rgb(content), np.asarray(image.convert("RGB")))


def test_thirty_two_bits_are_refused_with_what_to_do() -> None:
    content = encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")
    for read in (rgb, check_picture):
        with pytest.raises(BadPicture, match="npz"):
            read(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JPEG, PNG"),
        (b"<svg></svg>", "no JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no JPEG, PNG"),
        (b"P6 2 2 255\n" + bytes(12), "no JPEG, PNG"),
        (huge_png(60_000, 60_000), "60000 × 60000 pixels, more than 64 million"),
        (huge_png(8001, 8000), "8001 × 8000"),
        (huge_png(2**31 - 1, 2**31 - 1), "pixels"),
        (huge_png(100, 100), "cannot be decoded"),
        (encoded(noise(64, 64), "JPEG")[:600], "header cannot be read"),
        (encoded(noise(64, 64), "JPEG")[:-400], "truncated"),
        (encoded(noise(64, 64), "PNG")[:-400], "cannot be decoded"),
        (encoded(noise(64, 64), "WEBP")[:-400], "cannot be"),
        (encoded(noise(64, 64), "GIF")[:-400], "cannot be decoded"),
        (encoded(noise(64, 64), "BMP")[:-400], "truncated"),
        (encoded(noise(64, 64), "TIFF")[:-9000], "cannot be"),
    ],
)
def test_what_is_no_picture_says_why(content: bytes, says: str) -> None:
    assert says in bad(content)


def test_a_tiff_that_promises_too_many_pixels_is_not_decoded() -> None:
    content = bytearray(encoded(Image.new("L", (16, 16)), "TIFF"))
    image = Image.open(io.BytesIO(bytes(content)))
    assert image.size == (16, 16)
    for tag in (256, 257):
        at = bytes(content).index(struct.pack("<HHI", tag, 4 if b"\x00\x01\x04\x00" in content else 3, 1))
        struct.pack_into("<I" if content[at + 2] == 4 else "<H", content, at + 8, 60_000)
    assert "60000 × 60000" in bad(bytes(content))


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None)
@given(
    format=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    at=st.integers(0, 2000),
    junk=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 300),
)
def test_a_check_finds_the_damage_that_decoding_finds_and_nothing_is_an_accident(
    format: str, at: int, junk: bytes, cut: int
) -> None:
    content = bytearray(encoded(noise(24, 24), format))
    at %= len(content)
    content[at : at + len(junk)] = junk
    damaged = bytes(content[: len(content) - cut])
    assert is_bad(check_picture, damaged) == is_bad(rgb, damaged)
    is_bad(stored_size, damaged)


def is_bad(read: Callable[[bytes], object], content: bytes) -> bool:
    try:
        read(content)
    except BadPicture:
        return True
    return False


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_exif_leaves_the_picture_as_it_is() -> None:
    content = encoded(noise(4, 6), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff junk")
    assert stored_size(content) == rgb(content).shape[:2] == (4, 6)
