"""Arrays that cost much and that the trials of a search have in common: computed once on a machine.

    folder/<name>-<key>/arrays.npz

The key is the SHA-256 of all that decides them: the source, data and seed (`base`), the graph, the rows and settings. A
file that cannot be read as what it should be is computed again; one that cannot be written is done without.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import onnx_ir as ir

from worker.compression.cache.bounded_folder import BoundedFolder
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import release
from worker.compression.onnx_files import model_files

log = logging.getLogger(__name__)

FILE: Final = "arrays.npz"
MAX_ENTRIES: Final = 512
MAX_BYTES: Final = 4 * 2**30
MAX_FILE_BYTES: Final = 2**30
"""Larger ones, unpacked, are not kept."""
MAX_HASHED_BYTES: Final = 2**29
"""Weights of a model beyond which nothing of it is kept: its bytes would be written out to be hashed."""

Arrays = dict[str, Array]
T = TypeVar("T")


class SharedArrays:
    """`base` is whatever, besides graph, rows and settings, decides the arrays. Without a folder nothing is shared."""

    def __init__(self, folder: Path | None = None, base: str = "") -> None:
        self._base = base
        self._folder = (
            None if folder is None else BoundedFolder(folder, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
        )

    def once(
        self,
        name: str,
        model: ir.Model,
        samples: Samples,
        settings: Sequence[object],
        compute: Callable[[], T],
        *,
        to_arrays: Callable[[T], Arrays],
        from_arrays: Callable[[Arrays], T],
    ) -> T:
        """Compute it, or read what an earlier call with the same name, graph, rows and settings computed.

        `from_arrays` raises `KeyError` or `ValueError` for what was not made by `to_arrays`.
        """
        if self._folder is None or model_files.weight_bytes(model) > MAX_HASHED_BYTES:
            return compute()
        key = f"{name}-{self._key(model, samples, settings)}"
        if (place := self._folder.hold(key)) is not None:
            try:
                return from_arrays(_read(place / FILE))
            except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
                log.warning("%s: computed again, what was there cannot be read: %s", key, error)
                self._folder.remove(key)
        value = compute()
        self._write(self._folder, key, to_arrays(value))
        return value

    def _key(self, model: ir.Model, samples: Samples, settings: Sequence[object]) -> str:
        digest = hashlib.sha256(json.dumps([self._base, *settings]).encode())
        digest.update(ir.to_proto(model).SerializeToString(deterministic=True))
        for graph in model.graphs():
            for value in graph.initializers.values():
                if isinstance(value.const_value, ir.ExternalTensor):  # the proto has its place, not its bytes
                    digest.update(value.const_value.tobytes())
                    release(value)
        digest.update(np.asarray(samples.rows, np.int64).tobytes())
        return digest.hexdigest()

    @staticmethod
    def _write(folder: BoundedFolder, key: str, arrays: Arrays) -> None:
        if sum(array.nbytes for array in arrays.values()) > MAX_FILE_BYTES:
            return
        try:
            folder.add(key, lambda place: np.savez(place / FILE, **arrays))  # type: ignore[arg-type]
        except OSError as error:
            log.warning("%s: not kept for other trials: %s", key, error)


UNSHARED: Final = SharedArrays()


def _read(path: Path) -> Arrays:
    """Read a file of another trial: numbers only, and no more of them than are written."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 2 * MAX_FILE_BYTES:
            raise ValueError("larger than what is written")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
