"""The hash of an ONNX file without what Winnow wrote about it: `python -m winnow.contract.graph_hash FILE.onnx`.

`graph_sha256` is the SHA-256 of the file's bytes, less each top-level field `metadata_props` (number 14 of ModelProto,
with its tag and length) whose key begins with `winnow.`. Those tell measured times, which differ from run to run; the
rest follows from model, recipe, data and seed. Fields count as they lie in the file, nothing is written anew.

Of a package (a zip of several graphs) it is the SHA-256 of a line for each file in it, in the order of their names: the
hash of its bytes, of an `.onnx` as above, two blanks, its name. `sha256sum` writes such lines.
"""

import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

METADATA, KEY = 14, 1
"""Numbers of the fields in ModelProto and StringStringEntryProto."""
BYTES: Final = 2
FIXED: Final = {1: 8, 5: 4}
OURS: Final = b"winnow."
ZIP: Final = b"PK"
CHUNK_BYTES: Final = 2**20


def graph_sha256(path: Path) -> str:
    """The hash, in hexadecimal. Raises `ValueError` where the file is no protobuf message, nor a zip of such."""
    with path.open("rb") as file:
        if file.read(2) == ZIP:
            return _of_package(file)
        file.seek(0)
        return _digest(_without_ours(file))


def chunks_without_ours(path: Path) -> Iterator[bytes]:
    """The bytes that are hashed, in pieces: the file itself without what Winnow wrote about it. Raises as above."""
    with path.open("rb") as file:
        yield from _without_ours(file)


def _of_package(file: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            lines = [f"{_of_member(archive, name)}  {name}\n" for name in sorted(archive.namelist())]
    except zipfile.BadZipFile as error:
        raise ValueError(f"no package: {error}") from error
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _of_member(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        if name.lower().endswith(".onnx"):
            return _digest(_without_ours(member))
        return _digest(iter(lambda: member.read(CHUNK_BYTES), b""))


def _digest(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _without_ours(file: IO[bytes]) -> Iterator[bytes]:
    while head := _varint(file):
        tag, written = head
        number, wire = tag >> 3, tag & 7
        if wire == BYTES:
            length, more = _needed(file)
            if number == METADATA:
                entry = _read(file, length)
                yield b"" if _is_ours(entry) else written + more + entry
            else:
                yield written + more
                yield from _poured(file, length)
        elif wire in FIXED:
            yield written + _read(file, FIXED[wire])
        elif wire == 0:
            yield written + _needed(file)[1]
        else:
            raise ValueError(f"no ONNX file: it has a field of wire type {wire}")


def _is_ours(entry: bytes) -> bool:
    """Whether its key begins with `winnow.`; the key is written first."""
    inside = io.BytesIO(entry)
    head = _varint(inside)
    if head is None or head[0] != KEY << 3 | BYTES:
        return False
    length, _ = _needed(inside)
    return inside.read(length).startswith(OURS)


def _varint(file: IO[bytes]) -> tuple[int, bytes] | None:
    """A number and its bytes; None at the end of the file."""
    value, written = 0, b""
    while byte := file.read(1):
        written += byte
        value |= (byte[0] & 127) << 7 * (len(written) - 1)
        if byte[0] < 128:
            return value, written
        if len(written) == 10:
            break
    if written:
        raise ValueError("no ONNX file: a number in it has no end")
    return None


def _needed(file: IO[bytes]) -> tuple[int, bytes]:
    if (found := _varint(file)) is None:
        raise ValueError("no ONNX file: it ends within a field")
    return found


def _read(file: IO[bytes], length: int) -> bytes:
    if len(content := file.read(length)) != length:
        raise ValueError("no ONNX file: it ends within a field")
    return content


def _poured(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length:
        chunk = _read(file, min(length, CHUNK_BYTES))
        yield chunk
        length -= len(chunk)


if __name__ == "__main__":
    print(graph_sha256(Path(sys.argv[1])))
