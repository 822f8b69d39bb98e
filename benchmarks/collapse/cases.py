"""The models, and for each the samples that calibrate and those that judge."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from benchmarks.collapse import made, trained
from benchmarks.peers.cases import IMAGES, MINILM, Case, image_case, minilm_case, opened
from benchmarks.shared_data import SHARED
from worker.compression.data.source import Source

FILES: Final = (
    *IMAGES,
    "lenet5-mnist.onnx",
    "resnet20-cifar10-jpeg.onnx",
    "super-resolution.onnx",
    "dtln-1.onnx",
)
MADE: Final[dict[str, tuple[str, Callable[[onnx.ModelProto], onnx.ModelProto]]]] = {
    "yolox, decoded": ("yolox_nano.onnx", made.decoded),
    "ultraface, joined": ("ultraface-rfb-320.onnx", made.joined),
    "dscnn, uneven": ("dscnn-kws.onnx", made.uneven),
    "resnet20, uneven": ("resnet20-cifar10.onnx", made.uneven),
    "lenet5, uneven": ("lenet5-mnist.onnx", made.uneven),
    "minilm, values": (MINILM, made.uneven_values),
}
TRAINED: Final = ("mobilenetv3", "detr")
NAMES: Final = (*FILES, MINILM, *MADE, *TRAINED)
CALIBRATED, JUDGED = 256, 1000


def cases(names: list[str], folder: Path) -> Iterator[Case]:
    for name in names or NAMES:
        place = folder / name.replace(", ", "-").removesuffix(".onnx")
        place.mkdir(parents=True, exist_ok=True)
        yield _case(name, place)


def _case(name: str, folder: Path) -> Case:
    if name in MADE:
        base, change = MADE[name]
        case, path = _case(base, folder), folder / "model.onnx"
        onnx.save(change(onnx.load(str(case.model))), path)
        return replace(case, name=name, model=path)
    if name in TRAINED:
        return {"mobilenetv3": _mobilenetv3, "detr": _detr}[name](folder)
    return minilm_case(folder) if name == MINILM else image_case(name, folder)


def _mobilenetv3(folder: Path) -> Case:
    path = folder / "model.onnx"
    if not path.exists():
        trained.mobilenetv3(path)
    with np.load(SHARED / "data" / "cifar10_subset.npz") as archive:
        calibrated, judged = (
            {
                "x": trained.cifar_pixels(archive[f"x_{part}"][:count]).numpy(),
                "labels": archive[f"y_{part}"][:count],
            }
            for part, count in (("train", CALIBRATED), ("test", JUDGED))
        )
    return _archived("mobilenetv3", path, calibrated, judged, "CIFAR-10 subset", folder)


def _detr(folder: Path) -> Case:
    path = folder / "model.onnx"
    if not path.exists():
        trained.detr(path)
    calibrated, judged = (
        {"image": trained.canvases(part, count)[0].astype(np.float32) / 255}
        for part, count in (("train", CALIBRATED), ("test", JUDGED))
    )
    return _archived("detr", path, calibrated, judged, "digits on canvases", folder)


def _archived(
    name: str,
    path: Path,
    calibrated: dict[str, np.ndarray],
    judged: dict[str, np.ndarray],
    origin: str,
    folder: Path,
) -> Case:
    """Arrays under the names of the model's only input, and `labels`."""
    (own,) = (value.name for value in onnx.load(str(path)).graph.input)
    (given,) = (key for key in judged if key != "labels")
    np.savez(folder / "calibration.npz", **{own: calibrated[given]})  # type: ignore[arg-type]
    renamed = {own if key == given else key: array for key, array in judged.items()}
    np.savez(folder / "judged.npz", **renamed)  # type: ignore[arg-type]
    samples = opened(path, folder, Source(folder / "judged.npz"))
    return Case(name, path, folder / "calibration.npz", samples, origin, transformer=name == "detr")
