"""Files on disk: how large, and what they hash to."""

import hashlib
from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_of(path: Path) -> int:
    """Bytes of an ONNX file with the external data that it names."""
    tensors = _get_all_tensors(onnx.load(str(path), load_external_data=False))
    beside = {str(ExternalDataInfo(tensor).location) for tensor in tensors if uses_external_data(tensor)}
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside)
