"""Write a package: a zip of the layout that it came in, in which weights that graphs share are stored once.

They lie in `shared.weights` beside the graphs, as ONNX's external data, whose offsets are multiples of 64 bytes. All
else of a graph is in its own file. The archive is the same for the same graphs: nothing in it tells when it was made.
"""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import onnx

from winnow.contract.graph_hash import graph_sha256
from worker.compression.onnx_files.model_files import PREFIX as OURS
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
    """`shared_bytes` are those of weights that stand in more than one graph."""

    graphs: Sequence[WrittenGraph]
    shared_bytes: int

    @property
    def files(self) -> list[Path]:
        """The graphs', beside the weights that they share."""
        return [graph.path for graph in self.graphs]


def write_package(whole: Path, package: Package, folder: Path, target: Path) -> WrittenPackage:
    """Split the one graph into the package's, write them into `folder`, which is made here, and all of it as the zip
    `target`."""
    folder.mkdir()
    model = onnx.load(str(whole), load_external_data=False)
    weights = _taken_out(model)
    parts = {graph: split(model, graph) for graph in package.graphs}
    with (folder / SHARED).open("wb") as file:
        places = _store_shared([*parts.values()], weights, file)
    written = []
    for graph in package.graphs:  # the weights of one at a time
        part = parts.pop(graph)
        _put_back(part, weights, places)
        written.append(_written(part, folder / graph.path.name, graph, model))
    shared = (folder / SHARED).stat().st_size
    if not shared:
        (folder / SHARED).unlink()
    files = [file.path for file in written]
    members = [*files, *([folder / SHARED] if shared else []), *package.texts]
    _zip(members, package.folder, target)
    return WrittenPackage(written, shared)


def _taken_out(model: onnx.ModelProto) -> dict[str, bytes]:
    """Take the large weights out, each once, and leave the SHA-256 of their bytes in their place."""
    weights: dict[str, bytes] = {}
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= MIN_SHARED_BYTES:
            digest = hashlib.sha256(tensor.raw_data).hexdigest()
            weights.setdefault(digest, tensor.raw_data)
            _refer(tensor, location=digest)
    return weights


def _store_shared(
    models: Sequence[onnx.ModelProto], weights: Mapping[str, bytes], file: IO[bytes]
) -> dict[str, int]:
    """Write weights that stand more than once into the file, once each. Returns where each is."""
    counts = Counter(digest for model in models for _, digest in _weights(model))
    places: dict[str, int] = {}
    for digest in (digest for digest, count in counts.items() if count > 1):
        file.write(bytes(-file.tell() % ALIGNMENT))
        places[digest] = file.tell()
        file.write(weights[digest])
    return places


def _put_back(model: onnx.ModelProto, weights: Mapping[str, bytes], places: Mapping[str, int]) -> None:
    """Put weights into the model again, or where they are in the file that graphs share."""
    for tensor, digest in _weights(model):
        content = weights[digest]
        if digest in places:
            _refer(tensor, location=SHARED, offset=places[digest], length=len(content))
        else:
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            tensor.raw_data = content


def _weights(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, str]]:
    """The weights that were taken out, and their hashes."""
    for tensor in model.graph.initializer:
        if tensor.external_data:
            yield tensor, tensor.external_data[0].value


def _refer(tensor: onnx.TensorProto, **where: object) -> None:
    tensor.ClearField("raw_data")
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in where.items():
        tensor.external_data.add(key=key, value=str(value))


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
