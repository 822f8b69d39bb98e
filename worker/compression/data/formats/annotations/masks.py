"""Masks: a PNG of class numbers for each picture, of its name, in a folder beside the pictures'.

images/x.jpg  masks/x.png         JPEGImages/x.jpg  SegmentationClass/x.png
"""

from collections.abc import Sequence
from typing import Final

from worker.compression.data.formats.annotations.paths import counterparts

FOLDERS: Final = ("masks", "mask", "SegmentationClass", "annotations", "labels", "segmentations")


def masks_of(pictures: Sequence[str]) -> dict[str, str]:
    """Map pictures to their masks, by name."""
    pngs = {name for name in pictures if name.lower().endswith(".png")}
    return {
        picture: mask
        for picture in pictures
        for mask in counterparts(picture, FOLDERS, ".png")
        if mask in pngs and mask != picture
    }
