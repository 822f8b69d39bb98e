"""Files on disk: how large, and what they hash to."""

import hashlib
from pathlib import Path

from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

from worker.compression.graph.one_file import without_raw_data


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_of(path: Path) -> int:
    """Bytes of an ONNX file with the external data that it names."""
    tensors = _get_all_tensors(without_raw_data(path))
    beside = {str(ExternalDataInfo(tensor).location) for tensor in tensors if uses_external_data(tensor)}
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside)
