"""Write a package: a zip of the layout that it came in, in which weights that graphs share are stored once.

They lie in `shared.weights` beside the graphs, as ONNX's external data, whose offsets are multiples of 64 bytes. All
else of a graph is in its own file. The archive is the same for the same graphs: nothing in it tells when it was made.
"""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import onnx

from winnow.contract.graph_hash import graph_sha256
from worker.compression.onnx_files.model_files import PREFIX as OURS
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.packages.layout import Package, PackagedFile
from worker.compression.packages.split import split

SHARED: Final = "shared.weights"
MIN_SHARED_BYTES: Final = 1024
"""Smaller constants are in every graph that reads them: runtimes want to know shapes and axes when they load it."""
ALIGNMENT: Final = 64
BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""Of time, in a zip."""


@dataclass(frozen=True)
class WrittenGraph:
    """`path` is the file beside its shared weights, `sha256` that of its graph without our metadata."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class WrittenPackage:
    """`size_bytes` are those of graphs and weights, which `shared_bytes` are a part of, those in more than one."""

    graphs: Sequence[WrittenGraph]
    size_bytes: int
    shared_bytes: int


def write_package(whole: Path, package: Package, folder: Path, target: Path) -> WrittenPackage:
    """Split the one graph into the package's, write them into `folder`, which is made here, and all of it as the zip
    `target`."""
    folder.mkdir()
    model = onnx.load(str(whole), load_external_data=False)
    parts = {graph: split(model, graph) for graph in package.graphs}
    with (folder / SHARED).open("wb") as file:
        _move_shared(list(parts.values()), file)
    written = [_written(part, folder / graph.path.name, graph, model) for graph, part in parts.items()]
    shared = (folder / SHARED).stat().st_size
    if not shared:
        (folder / SHARED).unlink()
    files = [file.path for file in written]
    members = [*files, *([folder / SHARED] if shared else []), *package.texts]
    _zip(members, package.folder, target)
    return WrittenPackage(written, bytes_of(*files), shared)


def _move_shared(models: Sequence[onnx.ModelProto], file: IO[bytes]) -> None:
    """Write weights that stand more than once into the file, once each, and leave where they are in their place."""
    counts = Counter(digest for model in models for _, digest in _weights(model))
    places: dict[bytes, int] = {}
    for model in models:
        for tensor, digest in _weights(model):
            if counts[digest] < 2:
                continue
            if digest not in places:
                file.write(bytes(-file.tell() % ALIGNMENT))
                places[digest] = file.tell()
                file.write(tensor.raw_data)
            _refer(tensor, places[digest])


def _weights(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, bytes]]:
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= MIN_SHARED_BYTES:
            yield tensor, hashlib.sha256(tensor.raw_data).digest()


def _refer(tensor: onnx.TensorProto, offset: int) -> None:
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", SHARED), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _written(part: onnx.ModelProto, path: Path, graph: PackagedFile, whole: onnx.ModelProto) -> WrittenGraph:
    """Write one graph with what the whole says of itself, and with the hash of its own graph."""
    path.write_bytes(part.SerializeToString())
    sha256 = graph_sha256(path)
    for entry in whole.metadata_props:
        if entry.key.startswith(OURS):
            value = sha256 if entry.key == f"{OURS}graph_sha256" else entry.value
            part.metadata_props.add(key=entry.key, value=value)
    path.write_bytes(part.SerializeToString())
    return WrittenGraph(graph.name, path, sha256)


def _zip(files: Sequence[Path], folder: str, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            name = f"{folder}/{file.name}" if folder else file.name
            with file.open("rb") as source, archive.open(zipfile.ZipInfo(name, BEGINNING), "w") as member:
                while chunk := source.read(2**20):
                    member.write(chunk)
