"""Unpack ONNX with external data from a tar or zip, without trusting anything in it.

Names, sizes and places are as the strict readers of `winnow.contract` read them; the API has seen the same. Refused too
is what unpacks to more than allowed, and what holds no `.onnx`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import MAGIC, MAGIC_AT, BrokenTar, open_tar
from winnow.contract.strict_zip import BrokenZip, open_zip

TORCH_EXPORT: Final = frozenset({"archive_format", "serialized_exported_program.json"})
"""Members that torch.export writes into its archives, of today's format and of the one before."""

CHUNK: Final = 2**20
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


def is_archive(path: Path) -> bool:
    """Whether the bytes are a zip or a tar. The name is not looked at."""
    with path.open("rb") as file:
        start = file.read(MAGIC_AT + len(MAGIC))
    return start.startswith(ZIP) or start[MAGIC_AT:] == MAGIC


def unpack(path: Path, folder: Path, *, max_bytes: int) -> list[Path]:
    """Unpack into `folder` (made here) and return the files, some `.onnx` among them.

    Raises `Refusal` `unsafe_archive`, or `invalid_model` where there is no `.onnx`.
    """
    folder.mkdir(parents=True)
    files: list[Path] = []
    try:
        for name, chunks in _files(path, max_bytes):
            if not _is_litter(name):
                files.append(target := folder / name)
                _write(chunks, target)
    except (BrokenZip, BrokenTar) as error:
        detail = f"The archive cannot be read to its end: {error}. Pack it again and upload it whole."
        raise Refusal("unsafe_archive", detail) from error
    _check_models(files)
    return files


def models_of(files: list[Path]) -> list[Path]:
    """The `.onnx` among them."""
    return [file for file in files if file.suffix.lower() == ".onnx"]


def _files(path: Path, max_bytes: int) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield names and contents; a file is what it begins like, whatever it ends like."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            packed = open_zip(file, max_bytes=max_bytes)
            for name in packed.members:
                stream = packed.stream(name)
                yield name, iter(lambda stream=stream: stream.read(CHUNK), b"")  # type: ignore[misc]
        else:
            plain = open_tar(file, max_bytes=max_bytes)
            for name in plain.members:
                yield name, plain.chunks(name)


def _is_litter(name: str) -> bool:
    """Whether macOS added it to the archive."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"


def _write(chunks: Iterable[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)


def _check_models(files: list[Path]) -> None:
    if any(file.name in TORCH_EXPORT for file in files):
        raise Refusal(
            "invalid_model",
            "This is a torch.export program (.pt2), and ONNX was expected. The service and `python -m "
            "worker.compression` convert it; for `compress()` convert it with worker.compression.upload_gate.convert.",
        )
    if not models_of(files):
        raise Refusal(
            "invalid_model",
            "The archive should hold an .onnx file with its external data, or several that are one package; it holds "
            "none.",
        )
