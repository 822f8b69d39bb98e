"""Those of ../shared, and networks of the field as both of torch's exporters write them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.shared_data import SHARED, prepare
from benchmarks.students.sweep import NETWORKS
from tests.support.onnx_export import EXPORTERS, export_onnx
from tests.support.transformers import STYLES, exported
from winnow.contract.declaration import Declaration
from winnow.contract.job import Benchmark
from worker.compression.data.source import Data, Source

SAMPLES = 2
"""Of the inputs that a network is exported with."""


@dataclass(frozen=True)
class File:
    """A model, and what fits it where that is known."""

    name: str
    path: Path
    data: Data
    benchmark: Benchmark


def of_shared(folder: Path) -> Iterator[File]:
    for path in sorted((SHARED / "models").glob("*.onnx")):
        data, benchmark = _known(path.name, folder / f"{path.stem}.npz")
        yield File(path.name, path, data, benchmark)


def of_exporters(folder: Path) -> Iterator[File]:
    """68: 21 networks, 13 ways of writing attention, by both exporters, with random weights."""
    for make, inputs, _ in NETWORKS:
        for exporter in EXPORTERS:
            torch.manual_seed(0)
            examples = [example()[:SAMPLES] for example in inputs]
            yield _exported(
                f"{make.__name__} {exporter}", export_onnx(make().eval(), examples, exporter), folder
            )
    for style in STYLES:
        for exporter in EXPORTERS:
            yield _exported(f"attention {style} {exporter}", exported(style, exporter), folder)


def _exported(name: str, model: onnx.ModelProto, folder: Path) -> File:
    path = folder / f"{name.replace(' ', '-')}.onnx"
    onnx.save(model, path)
    return File(name, path, Data(), Benchmark())


def _known(name: str, path: Path) -> tuple[Data, Benchmark]:
    try:
        prepared = prepare(name, enlarged=6)
    except KeyError:
        return Data(), Benchmark()
    arrays: dict[str, Any] = dict(prepared.arrays)
    np.savez(path, **arrays)
    declaration = Declaration.model_validate(prepared.declaration)
    data = Data(calibration=Source(path, declaration, (0, 4)))
    return data, Benchmark(shapes=prepared.shapes)
