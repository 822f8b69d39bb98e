"""Open the graphs of an archive as one graph, each checked by itself first."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from winnow.contract.errors import Refusal
from worker.compression.onnx_files.signature import check_types
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.packages.layout import Package, PackagedFile, package_in
from worker.compression.packages.merge import merged
from worker.compression.upload_gate import check

log = logging.getLogger(__name__)


def open_package(files: list[Path], root: Path, folder: Path, *, max_bytes: int) -> tuple[Path, Package]:
    """Check each graph of a package, and make them one `.onnx` in `folder`, which is made here.

    Raises `Refusal` as for a model alone, naming the graph; `invalid_model` for what is no package,
    `model_too_complex` where the graphs are so together, or have weights of more than `max_bytes`.
    """
    package = package_in(files, root)
    for graph in package.graphs:
        with naming(graph):
            check.check_onnx(graph.path, external=graph.path.parent)
            check_types(without_raw_data(graph.path))
    folder.mkdir()
    path = folder / "package.onnx"
    shared = _merged(package, path, max_bytes)
    check.check_onnx(path, external=folder)
    uploaded = bytes_of(*(graph.path for graph in package.graphs))
    return path, replace(package, uploaded_bytes=uploaded, shared_bytes=shared)


def _merged(package: Package, path: Path, max_bytes: int) -> int:
    try:
        return merged(package, path, max_bytes=max_bytes)
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        log.info("merging failed", exc_info=True)
        detail = f"The graphs of the package cannot be read as ONNX: {' '.join(str(error).split())[:300]}"
        raise Refusal("invalid_model", detail) from error


@contextmanager
def naming(graph: PackagedFile) -> Iterator[None]:
    """Say of which graph of a package a refusal is."""
    try:
        yield
    except Refusal as refusal:
        said = refusal.problem
        layer = said.layer and graph.prefix + said.layer
        raise Refusal(said.code, f"In {graph.path.name}: {said.detail}", layer=layer) from refusal
