"""ONNX with external data as a tar or zip, unpacked without trusting anything in it.

Refused are links and special files, `..`, absolute paths, sparse and encrypted members, more than `MAX_MEMBERS`
members, more than `MAX_RATIO` times the archive's size, and anything but exactly one `.onnx`.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from app.contract.errors import Refusal

MAX_RATIO: Final = 100
MAX_MEMBERS: Final = 10_000
CHUNK: Final = 2**20
COMPRESSED: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


def is_archive(path: Path) -> bool:
    """Whether the bytes are a zip, a tar, or a tar compressed by gzip, bzip2 or xz. The name is not looked at."""
    with path.open("rb") as file:
        start = file.read(262)
    return start.startswith(COMPRESSED) or start[257:262] == b"ustar"


def unpack(path: Path, folder: Path, *, max_bytes: int) -> Path:
    """Unpack into `folder` (made here) and answer the path of its one `.onnx`.

    Raises `Refusal` `unsafe_archive`, or `invalid_model` when there is not exactly one `.onnx`.
    """
    folder.mkdir(parents=True)
    room = min(max_bytes, MAX_RATIO * path.stat().st_size)
    files: list[Path] = []
    try:
        for number, (name, content) in enumerate(_members(path), 1):
            if number > MAX_MEMBERS:
                raise Refusal("unsafe_archive", f"The archive has more than {MAX_MEMBERS} members.")
            if not _is_litter(name):
                files.append(target := folder / _safe(name))
                room -= _copy(content, target, room)
    except BROKEN as error:
        raise Refusal("unsafe_archive", f"The archive cannot be read to its end: {error}") from error
    return _the_model(files, folder)


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents; a file is what it begins like, whatever it ends like."""
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    return _zip_members(path) if is_zip else _tar_members(path)


def _zip_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1:
                raise Refusal("unsafe_archive", f"{info.filename!r} is a link, a special file or encrypted.")
            if not info.is_dir():
                with archive.open(info) as content:
                    yield info.filename, content


def _tar_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise Refusal("unsafe_archive", f"{member.name!r} is a link or a special file.")
            content = archive.extractfile(member)
            assert content is not None
            yield member.name, content


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or any(c in name for c in "\\:\0"):
        raise Refusal("unsafe_archive", f"{name!r} would lie outside the folder it is unpacked to.")
    return path


def _is_litter(name: str) -> bool:
    """What macOS adds to archives."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"


def _copy(content: IO[bytes], target: Path, room: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := content.read(CHUNK):
            written += len(chunk)
            if written > room:
                raise Refusal(
                    "unsafe_archive",
                    f"The archive unpacks to more than {MAX_RATIO} times its size, or more than this service allows.",
                )
            file.write(chunk)
    return written


def _the_model(files: list[Path], folder: Path) -> Path:
    models = [file for file in files if file.suffix.lower() == ".onnx"]
    if len(models) != 1:
        found = ", ".join(sorted(str(file.relative_to(folder)) for file in models)[:5]) or "none"
        raise Refusal(
            "invalid_model",
            f"The archive should hold exactly one .onnx file with its external data; it holds {found}.",
        )
    return models[0]
