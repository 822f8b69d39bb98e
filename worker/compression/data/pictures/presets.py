"""Spell out an image declaration: what its preset sets, and the size that the model itself asks for.

`imagenet`            torchvision's `ImageClassification`: 256, crop 224, ImageNet's mean and standard deviation
`imagenet_inception`  timm's `IMAGENET_INCEPTION_MEAN`, `_STD`: the same pixels, from -1 to 1
`clip`                OpenAI's CLIP: 224 bicubic, crop 224, its mean and standard deviation
`yolo`                ultralytics' `LetterBox`: the model's size, filled with 114, from 0 to 1
"""

from typing import Any, Final

from winnow.contract.declaration import ImageInput, Letterbox, Preset, Resize, Size
from winnow.contract.model import TensorSpec

PIXEL: Final = 1 / 255
YOLO_SIZE: Final = 640
"""Where the model leaves it open."""

_CROPPED: Final = {"resize": Resize(size=256), "crop": 224, "scale": PIXEL}
PRESETS: Final[dict[Preset, dict[str, Any]]] = {
    "imagenet": {**_CROPPED, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "imagenet_inception": {**_CROPPED, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    "clip": {
        **_CROPPED,
        "resize": Resize(size=224, filter="bicubic"),
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    },
    "yolo": {"scale": PIXEL},
}
_GEOMETRY: Final = ("resize", "crop", "letterbox")


def spelled_out(how: ImageInput, spec: TensorSpec | None) -> ImageInput:
    """Return the declaration without a preset, its geometry complete as far as it does not depend on a picture."""
    preset = PRESETS[how.preset] if how.preset else {}
    said = {name for name in ("scale", "mean", "std", *_GEOMETRY) if getattr(how, name) is not None}
    if "letterbox" in said:
        said |= {"resize", "crop"}
    values = {name: value for name, value in preset.items() if name not in said}
    size = _model_size(how, spec)
    if not said.intersection(_GEOMETRY) and not set(values).intersection(_GEOMETRY):
        if how.preset == "yolo" and spec is not None:
            values["letterbox"] = Letterbox(size=size or YOLO_SIZE)
        elif size is not None:
            values["resize"] = Resize(mode="exact", size=size)
    if how.color == "grey":
        values.update({name: _grey(values[name]) for name in ("mean", "std") if name in values})
    return how.model_copy(update=values | {"preset": None})


def _grey(channels: list[float]) -> list[float]:
    """One number for the only channel: the mean of the three."""
    return [sum(channels) / len(channels)]


def _model_size(how: ImageInput, spec: TensorSpec | None) -> Size | None:
    """Height and width that the model fixes; None where it leaves either open."""
    if spec is None or len(spec.shape) < 3:
        return None
    height, width = spec.shape[-2:] if how.layout else spec.shape[-3:-1]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
