"""Reads an archive of tables: files of one kind, which are one dataset, and perhaps the `tokenizer.json` of its
texts."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import BrokenTar, open_tar
from winnow.contract.strict_zip import BrokenZip, open_zip

TOKENIZER: Final = "tokenizer.json"
MAX_TOKENIZER_BYTES: Final = 2**26
CHUNK: Final = 2**20
KINDS: Final = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".npz": "npz", ".npy": "npy", ".wav": "audio", ".flac": "audio",
}  # fmt: skip


@dataclass(frozen=True)
class TableArchive:
    """`members` are the files of the one kind, in the order of their names."""

    kind: str
    members: list[str]
    tokenizer: str | None


def table_archive(path: Path, max_bytes: int) -> TableArchive:
    """Say what the archive holds. Refuses with `invalid_dataset`, `unsafe_archive`."""
    with _opened(path, max_bytes) as archive:
        names = sorted(name for name in archive.names if not is_litter(name))
    tables = {
        name: KINDS[suffix] for name in names if (suffix := PurePosixPath(name).suffix.lower()) in KINDS
    }
    tokenizers = [name for name in names if PurePosixPath(name).name == TOKENIZER]
    kinds = sorted(set(tables.values()))
    if len(kinds) != 1 or len(tokenizers) > 1:
        held = f"{' and '.join(kinds) or 'no table'}" + f", {len(tokenizers)} tokenizers" * (
            len(tokenizers) > 1
        )
        raise Refusal(
            "invalid_dataset",
            f"The archive should hold tables of one kind (CSV, JSONL, Parquet, .npz or .npy) or sounds (WAV, FLAC), "
            f"and one {TOKENIZER} at most; it holds {held}.",
        )
    return TableArchive(kinds[0], list(tables), tokenizers[0] if tokenizers else None)


def unpack_members(path: Path, names: list[str], folder: Path, max_bytes: int) -> list[Path]:
    """Unpack these members to `folder`, made here unless they lie there already; whole or absent."""
    targets = [folder / f"{number:05}-{PurePosixPath(name).name[-80:]}" for number, name in enumerate(names)]
    if folder.exists():
        return targets
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part, _opened(path, max_bytes) as archive:
        whole = Path(part) / "whole"
        whole.mkdir()
        for name, target in zip(names, targets, strict=True):
            with (whole / target.name).open("xb") as file:
                file.writelines(archive.chunks(name))
        whole.replace(folder)
    return targets


def read_tokenizer(path: Path, name: str, max_bytes: int) -> bytes:
    """Read the tokenizer's file. Refuses with `invalid_dataset` above `MAX_TOKENIZER_BYTES`."""
    content = bytearray()
    with _opened(path, max_bytes) as archive:
        for chunk in archive.chunks(name):
            content += chunk
            if len(content) > MAX_TOKENIZER_BYTES:
                raise Refusal(
                    "invalid_dataset",
                    f"{name[:80]!r} has more than {MAX_TOKENIZER_BYTES} bytes; no tokenizer has.",
                )
    return bytes(content)


def is_litter(name: str) -> bool:
    """Whether an operating system added the member to the archive."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(("._", ".DS_Store", "Thumbs.db"))


class _Archive:
    def __init__(self, file: object, path: Path, max_bytes: int) -> None:
        self._zip = self._tar = None
        assert hasattr(file, "read")
        if file.read(2) == b"PK":
            self._zip = open_zip(file, max_bytes=max_bytes)  # type: ignore[arg-type]
            self.names = list(self._zip.members)
        else:
            self._tar = open_tar(file, max_bytes=max_bytes)  # type: ignore[arg-type]
            self.names = list(self._tar.members)

    def chunks(self, name: str) -> Iterable[bytes]:
        if self._zip is not None:
            stream = self._zip.stream(name)
            return iter(lambda: stream.read(CHUNK), b"")
        assert self._tar is not None
        return self._tar.chunks(name)


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[_Archive]:
    try:
        with path.open("rb") as file:
            yield _Archive(file, path, max_bytes)
    except (BrokenZip, BrokenTar) as error:
        raise Refusal(
            "invalid_dataset", f"The archive cannot be read: {error}. Pack it again and upload it whole."
        ) from error
