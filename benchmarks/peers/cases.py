"""The models, and for each the samples that calibrate and those that judge: the same arrays for everyone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.peers.quality import Detector
from benchmarks.shared_data import SHARED, prepare
from winnow.contract.declaration import Declaration
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files

IMAGES: Final = (
    "resnet20-cifar10.onnx",
    "squeezenet1.1.onnx",
    "yolox_nano.onnx",
    "dscnn-kws.onnx",
    "vittracker.onnx",
    "ultraface-rfb-320.onnx",
    "ppocrv3-det.onnx",
)
MINILM: Final = "minilm"
TRANSFORMERS: Final = frozenset({"vittracker.onnx", MINILM})
MOST_CALIBRATE, MOST_JUDGE = 300, 4000
SENTENCES_CALIBRATE = 64


@dataclass(frozen=True)
class Case:
    """`calibration` is an archive of arrays [n, …] under the names of the model's inputs; `judged` has the labels;
    `detector` is there where boxes are what counts."""

    name: str
    model: Path
    calibration: Path
    judged: Samples
    origin: str
    transformer: bool
    detector: Detector | None = None


def cases(names: list[str], folder: Path) -> Iterator[Case]:
    for name in names:
        place = folder / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        yield minilm_case(place) if name == MINILM else image_case(name, place)


def image_case(name: str, folder: Path) -> Case:
    model, prepared = SHARED / "models" / name, prepare(name)
    archive = folder / "all.npz"
    np.savez(archive, **prepared.arrays)  # type: ignore[arg-type]
    calibrate, judge = (
        opened(model, folder, Source(archive, Declaration.model_validate(prepared.declaration), rows))
        for rows in (prepared.calibration, prepared.evaluation)
    )
    _save(calibrate.draw(MOST_CALIBRATE, 0), folder / "calibration.npz")
    return Case(
        name,
        model,
        folder / "calibration.npz",
        judge.take(MOST_JUDGE),
        prepared.origin,
        name in TRANSFORMERS,
    )


def minilm_case(folder: Path) -> Case:
    from tests.support.minilm import encoded, minilm
    from tests.support.sentences import SENTENCES

    model, feeds = minilm(), encoded(SENTENCES)
    parts = {"calibration": slice(0, SENTENCES_CALIBRATE), "judged": slice(SENTENCES_CALIBRATE, None)}
    for part, rows in parts.items():
        np.savez(folder / f"{part}.npz", **{name: x[rows] for name, x in feeds.items()})  # type: ignore[arg-type]
    judged = opened(model, folder, Source(folder / "judged.npz"))
    return Case(MINILM, model, folder / "calibration.npz", judged, "sentences", True)


def opened(model: Path, folder: Path, source: Source) -> Samples:
    return open_samples(source, inputs_of(normalise(model_files.load(model))), folder)


def _save(samples: Samples, archive: Path) -> None:
    feeds: dict[str, list[Any]] = {name: [] for name in samples.names}
    for feed in samples.batches(32):
        for name, x in feed.items():
            feeds[name].append(x)
    np.savez(archive, **{name: np.concatenate(x) for name, x in feeds.items()})  # type: ignore[arg-type]
