"""Choices for an input that is made of pictures: how they are placed, their colours, scale."""

from typing import Any, Final

from winnow.contract.declaration import ImageInput, Letterbox, Resize
from winnow.contract.model import ModelFacts, TensorSpec
from worker.compression.data.pictures.decode import BadPicture, stored_size
from worker.compression.data.table import Files
from worker.compression.proposal.choices.arrays import CHANNELS, LOOKED_AT, is_picture
from worker.compression.proposal.choices.choice import Choice, Reason
from worker.compression.proposal.choices.families import Family, family_of
from worker.compression.proposal.choices.scaling import PIXEL_MAX, scalings
from worker.compression.proposal.subject import spread

SHARE: Final = 0.875
"""Of the shorter side that a crop leaves: 224 of 256."""
USUAL_SIDE: Final = 224


def picture_choices(model: ModelFacts, spec: TensorSpec, name: str, files: Files) -> list[Choice]:
    """List the ways in which these pictures can be that input; none where it takes no pictures."""
    if not is_picture(spec):
        return []
    last = spec.shape[1] not in CHANNELS
    grey = (spec.shape[-1] if last else spec.shape[1]) == 1
    base: dict[str, Any] = {"source": "image", "column": name, "color": "grey" if grey else "RGB"}
    if last:
        base["layout"] = None
    where = Reason("", True, f"the only pictures, and {spec.name!r} takes pictures")
    family = family_of(model)
    if family is not None:
        return _of_family(spec, base, family, where)
    if not spec.dtype.startswith("float"):
        return [Choice(ImageInput(**base), "pixels as they are", 0, [where])]
    return [
        Choice(ImageInput(**base, **placing, **scaling.values), scaling.tells, usual, [where, *reasons])
        for placing, reasons in _placings(spec, files, last)
        for usual, scaling in enumerate(scalings(0, PIXEL_MAX, True, 1 if grey else 3))
    ]


def _of_family(spec: TensorSpec, base: dict[str, Any], family: Family, where: Reason) -> list[Choice]:
    height, width = _size(spec) or (640, 640)
    letterbox = Letterbox(size=(height, width), place=family.place)
    how = ImageInput(**{**base, "color": family.color}, letterbox=letterbox, scale=family.scale)
    reasons = [Reason(name, True, family.because) for name in ("letterbox", "color", "scale")]
    return [Choice(how, family.name, 0, [where, *reasons])]


def _size(spec: TensorSpec) -> tuple[int, int] | None:
    height, width = spec.shape[1:3] if spec.shape[1] not in CHANNELS else spec.shape[2:4]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _placings(spec: TensorSpec, files: Files, last: bool) -> list[tuple[dict[str, Any], list[Reason]]]:
    size = _size(spec)
    sizes = set()
    for row in spread(len(files), LOOKED_AT):
        try:
            sizes.add(stored_size(files.content(int(row))))
        except BadPicture:
            continue
    if size is not None and sizes == {size}:
        because = f"all pictures that were looked at are {size[0]} × {size[1]}, as the model takes them"
        return [({"resize": Resize(mode="exact", size=size)}, [Reason("resize", True, because)])]
    height, width = size or (USUAL_SIDE, USUAL_SIDE)
    because = "what is usual for pictures of other sizes" if size else "the model leaves the size open"
    exact = ({"resize": Resize(mode="exact", size=(height, width))}, [Reason("resize", False, because)])
    if height != width:
        return [exact]
    crop = {"resize": Resize(size=round(height / SHARE)), "crop": height}
    return [(crop, [Reason("resize", False, because), Reason("crop", False, because)]), exact]
