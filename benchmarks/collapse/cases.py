"""The models, and for each the samples that calibrate and those that judge."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from benchmarks.collapse import made, trained, transformers
from benchmarks.collapse.detectors import DETECTORS, DIGITS
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
    "ultraface, uneven": ("ultraface-rfb-320.onnx", made.uneven),
    "super-resolution, uneven": ("super-resolution.onnx", made.uneven),
    "dscnn, uneven": ("dscnn-kws.onnx", made.uneven),
    "resnet20, uneven": ("resnet20-cifar10.onnx", made.uneven),
    "lenet5, uneven": ("lenet5-mnist.onnx", made.uneven),
    "minilm, values": (MINILM, made.uneven_values),
}
OF_IMAGES: Final = {
    "mobilenetv3": trained.mobilenetv3,
    "vit, outliers": transformers.vit,
}
"""Of CIFAR's, twice as large."""
TRAINED: Final = (*OF_IMAGES, "detr", "decoder, masked")
TRANSFORMERS: Final = ("vit, outliers", "detr", "decoder, masked")
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
        detector = case.detector
        if detector is not None and name in DETECTORS:
            detector = replace(DETECTORS[name][1], truth=detector.truth)
        return replace(case, name=name, model=path, detector=detector)
    if name in TRAINED:
        return _trained(name, folder)
    case = minilm_case(folder) if name == MINILM else image_case(name, folder)
    return _detecting(case, folder) if name in DETECTORS else case


def _detecting(case: Case, folder: Path) -> Case:
    """With what it detects in place of what all models of images are given."""
    (seen, detector), name = DETECTORS[case.name], case.judged.names[0]
    calibrated, judged, truth = seen()
    np.savez(folder / "calibration.npz", **{name: calibrated})  # type: ignore[arg-type]
    np.savez(folder / "judged.npz", **{name: judged})  # type: ignore[arg-type]
    samples = opened(case.model, folder, Source(folder / "judged.npz"))
    return replace(case, judged=samples, origin=seen.__name__, detector=replace(detector, truth=truth))


def _trained(name: str, folder: Path) -> Case:
    path = folder / "model.onnx"
    if name == "detr":
        return _detr(path, folder)
    if name == "decoder, masked":
        return _decoder(path, folder)
    if not path.exists():
        OF_IMAGES[name](path)
    with np.load(SHARED / "data" / "cifar10_subset.npz") as archive:
        calibrated, judged = (
            {
                "x": trained.cifar_pixels(archive[f"x_{part}"][:count]).numpy(),
                "labels": archive[f"y_{part}"][:count],
            }
            for part, count in (("train", CALIBRATED), ("test", JUDGED))
        )
    return _archived(name, path, calibrated, judged, "CIFAR-10 subset", folder)


def _decoder(path: Path, folder: Path) -> Case:
    if not path.exists():
        transformers.decoder(path)
    parts = (transformers.next_letters(*of) for of in (("train", CALIBRATED), ("test", JUDGED)))
    calibrated, judged = ({"letters": seen, "labels": following} for seen, following in parts)
    return _archived("decoder, masked", path, calibrated, judged, "letters of SST-2", folder)


def _detr(path: Path, folder: Path) -> Case:
    if not path.exists():
        trained.detr(path)
    drawn, _, _ = trained.canvases("train", CALIBRATED)
    seen, digits, boxes = trained.canvases("test", JUDGED)
    calibrated, judged = ({"image": images.astype(np.float32) / 255} for images in (drawn, seen))
    case = _archived("detr", path, calibrated, judged, "digits on canvases", folder)
    truth = np.concatenate([digits[..., None], boxes], 2)
    return replace(case, detector=replace(DIGITS, truth=list(truth)))


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
    return Case(name, path, folder / "calibration.npz", samples, origin, transformer=name in TRANSFORMERS)
