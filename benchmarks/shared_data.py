"""Data that fits each model of ../shared: its own where there is some, else CIFAR images enlarged, else a signal.

Random noise misleads calibration and parity alike, so it is never used. Synthetic signals are labelled as such.
"""

import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import zoom

SHARED = Path(__file__).resolve().parents[2] / "shared"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
UNIT = {"scale": 1 / 255}
CIFAR_PIXELS = {"array": "x", "layout": "NHWC->NCHW", **UNIT, **IMAGENET}
ENLARGED = 192
"""Images enlarged for a model without labels: two thirds calibrate, one third is held out."""

ENLARGED_AT_ONCE = 250
CALIBRATION = 1000


@dataclass(frozen=True)
class Prepared:
    """Arrays, how a model reads them, which rows calibrate, train and are held out, and where they come from."""

    origin: str
    arrays: dict[str, np.ndarray]
    declaration: dict[str, Any]
    calibration: tuple[int, int]
    evaluation: tuple[int, int]
    metric: str | None = None
    shapes: dict[str, list[int]] = field(default_factory=dict)
    training: tuple[int, int] | None = None


def shared_or_exit() -> Path:
    """The folder, or a sentence and exit status 0: it may be absent."""
    if not (SHARED / "models").is_dir():
        print(f"{SHARED} is not here: nothing to measure.")
        sys.exit(0)
    return SHARED


def prepare(model: str, enlarged: int = ENLARGED, training: int = CALIBRATION) -> Prepared:
    """What fits the model file of that name; `enlarged` images, where it takes these, and so many to train on, where
    there are some. Raises `KeyError` for a name that is not known."""
    stem = model.split(".")[0] if not model.startswith("squeezenet") else "squeezenet"
    match stem:
        case "lenet5-mnist":
            return _mnist(training)
        case "resnet20-cifar10":
            return _cifar("input", training)
        case "resnet20-cifar10-jpeg":
            return _cifar("x", training)
        case "dscnn-kws":
            return _keywords()
        case "squeezenet":
            return _images(enlarged, {"data": ((224, 224), {**UNIT, **IMAGENET})})
        case "yolox_nano":
            return _images(enlarged, {"images": ((416, 416), {})})
        case "ppocrv3-det":
            return _images(
                enlarged, {"x": ((320, 320), {**UNIT, **IMAGENET})}, shapes={"x": [1, 3, 320, 320]}
            )
        case "ultraface-rfb-320":
            return _images(
                enlarged, {"input": ((240, 320), {"scale": 1.0, "mean": [127.0] * 3, "std": [128.0] * 3})}
            )
        case "vittracker":
            pixels = {**UNIT, **IMAGENET}
            return _images(enlarged, {"template": ((128, 128), pixels), "search": ((256, 256), pixels)})
        case "super-resolution":
            return _luminance(enlarged)
        case "silero-vad-op18":
            return _speech_windows()
        case "dtln-1":
            return _spectra()
    raise KeyError(f"no data is known for {model}")


@cache
def _archive(name: str) -> dict[str, np.ndarray]:
    with np.load(SHARED / "data" / name) as archive:
        return {key: archive[key] for key in archive.files}


def _mnist(training: int) -> Prepared:
    return _trained_and_tested(
        "MNIST", "mnist.npz", {"image": {"array": "x", "add_axis": 1, **UNIT}}, training
    )


def _cifar(input_name: str, training: int) -> Prepared:
    return _trained_and_tested("CIFAR-10 subset", "cifar10_subset.npz", {input_name: CIFAR_PIXELS}, training)


def _trained_and_tested(origin: str, archive: str, inputs: dict[str, Any], training: int) -> Prepared:
    """The first images of the training set, of which the first 1,000 calibrate, and the whole test set."""
    arrays = _archive(archive)
    train = len(arrays["x_train"][:training])
    images, labels = (
        np.concatenate([arrays[f"{kind}_train"][:training], arrays[f"{kind}_test"]]) for kind in "xy"
    )
    return Prepared(
        origin=origin,
        arrays={"x": images, "y": labels},
        declaration={"inputs": inputs, "targets": {"array": "y"}},
        calibration=(0, CALIBRATION),
        evaluation=(train, len(images)),
        metric="top1",
        training=(0, train),
    )


def _keywords() -> Prepared:
    archive = _archive("kws01_test.npz")
    return Prepared(
        origin="keyword MFCC",
        arrays={"x": archive["x"], "y": archive["y"]},
        declaration={"inputs": {"mfcc": {"array": "x"}}, "targets": {"array": "y"}},
        calibration=(0, 200),
        evaluation=(200, 1000),
        metric="top1",
    )


def _enlarge(count: int, height: int, width: int) -> np.ndarray:
    """CIFAR test images, at most 4,000, bilinear, as uint8 [count, height, width, 3]."""
    images = _archive("cifar10_subset.npz")["x_test"][:count].astype(np.float32)
    factors = (1, height / 32, width / 32, 1)
    parts = (images[start : start + ENLARGED_AT_ONCE] for start in range(0, len(images), ENLARGED_AT_ONCE))
    return np.concatenate(
        [zoom(part, factors, order=1).round().clip(0, 255).astype(np.uint8) for part in parts]
    )


def _images(
    count: int,
    inputs: dict[str, tuple[tuple[int, int], dict[str, Any]]],
    shapes: dict[str, list[int]] | None = None,
) -> Prepared:
    declared = {
        name: {"array": name, "layout": "NHWC->NCHW", **pixels} for name, (_, pixels) in inputs.items()
    }
    return _held_out(
        "enlarged CIFAR images",
        {name: _enlarge(count, *size) for name, (size, _) in inputs.items()},
        {"inputs": declared},
        shapes,
    )


def _luminance(count: int) -> Prepared:
    gray = _enlarge(count, 224, 224).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    arrays = {"y": gray.round().astype(np.uint8)}
    return _held_out(
        "enlarged CIFAR images (luminance)",
        arrays,
        {"inputs": {"input": {"array": "y", "add_axis": 1, **UNIT}}},
    )


def _speech_windows() -> Prepared:
    """576 samples at 16 kHz a window, the recurrent state zero."""
    windows = _signal(ENLARGED * 576).reshape(ENLARGED, 576)
    state = np.zeros((ENLARGED, 2, 1, 128), np.float32)
    return _held_out(
        "synthetic signal",
        {"audio": windows, "state": state},
        {
            "inputs": {"input": {"array": "audio"}, "state": {"array": "state"}},
            "constants": {"sr": 16000},
        },
        {"input": [1, 576]},
    )


def _spectra() -> Prepared:
    """Magnitudes of 512-sample windows, the recurrent state zero."""
    windows = _signal(ENLARGED * 512).reshape(ENLARGED, 512)
    magnitudes = np.abs(np.fft.rfft(windows, axis=1)).astype(np.float32)
    return _held_out(
        "synthetic signal",
        {"magnitude": magnitudes[:, None, :], "state": np.zeros((ENLARGED, 2, 128, 2), np.float32)},
        {"inputs": {"input_2": {"array": "magnitude"}, "input_3": {"array": "state"}}},
    )


def _signal(samples: int) -> np.ndarray:
    """A voiced-like sound: harmonics of a gliding pitch under a syllable-rate envelope, a little noise, 16 kHz."""
    t = np.arange(samples) / 16000
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t)) / 16000
    voice = sum(np.sin(k * pitch) / k for k in range(1, 12))
    envelope = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    noise = np.random.default_rng(0).standard_normal(samples)
    return (0.2 * voice * envelope + 0.005 * noise).astype(np.float32)


def _held_out(
    origin: str,
    arrays: dict[str, np.ndarray],
    declaration: dict[str, Any],
    shapes: dict[str, list[int]] | None = None,
) -> Prepared:
    rows = len(next(iter(arrays.values())))
    cut = rows * 2 // 3
    return Prepared(origin, arrays, declaration, (0, cut), (cut, rows), None, shapes or {})
