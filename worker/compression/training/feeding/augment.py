"""Simple augmentation of images, [N, C, H, W] or [N, H, W, C], one draw a sample; all image inputs of a sample get the
same.

horizontal_flip    left and right exchanged, for every other sample
padded_crop        shifted by up to an eighth of height and width; what comes in is the border mirrored
"""

from collections.abc import Iterable

import torch
from torch.nn import functional

from winnow.contract.declaration import Augmentation

CROP = 8
"""An image is shifted by at most 1/CROP of its size: 4 pixels of 32."""
IMAGE_AXES = 4
COLOURS = (1, 3, 4)
"""Channels that an image has: what tells the two layouts apart."""


def augmented(
    feeds: dict[str, torch.Tensor], kinds: Iterable[Augmentation], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Change every image of float numbers; other feeds stay as they are."""
    kinds = tuple(kinds)
    images = [x for x in feeds.values() if x.ndim == IMAGE_AXES and x.is_floating_point()]
    if not kinds or not images:
        return feeds
    n = len(images[0])
    flips = torch.rand(n, generator=generator) < 0.5
    shifts = torch.rand(2, n, generator=generator)
    return {
        name: _changed(x, kinds, flips, shifts) if any(x is image for image in images) else x
        for name, x in feeds.items()
    }


def _changed(
    x: torch.Tensor, kinds: tuple[Augmentation, ...], flips: torch.Tensor, shifts: torch.Tensor
) -> torch.Tensor:
    if x.shape[3] in COLOURS and x.shape[1] not in COLOURS:
        return _changed(x.movedim(3, 1), kinds, flips, shifts).movedim(1, 3)
    if "padded_crop" in kinds:
        x = _shifted(x, shifts)
    if "horizontal_flip" in kinds:
        x = torch.where(flips.view(-1, 1, 1, 1), x.flip(3), x)
    return x


def _shifted(x: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    n, _, height, width = x.shape
    top, left = height // CROP, width // CROP
    wide = functional.pad(x, (left, left, top, top), mode="reflect")
    rows = (shifts[0] * (2 * top + 1)).long().view(-1, 1) + torch.arange(height)
    columns = (shifts[1] * (2 * left + 1)).long().view(-1, 1) + torch.arange(width)
    sample = torch.arange(n).view(-1, 1, 1)
    return wide.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
