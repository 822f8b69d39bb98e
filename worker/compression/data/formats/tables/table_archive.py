"""Reads an archive of tables: files of one kind, which are one dataset, and perhaps the `tokenizer.json` of its
texts."""

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_zip.archive import MAX_MEMBERS
from winnow.contract.strict_zip.names import check_distinct, unsafe
from worker.compression.data.formats.archive import Archive

TOKENIZER: Final = "tokenizer.json"
MAX_TOKENIZER_BYTES: Final = 2**26
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


def table_archive(archive: Archive) -> TableArchive:
    """Say what the archive holds. Refuses with `invalid_dataset`, `unsafe_archive`."""
    names = archive.names
    if len(names) > MAX_MEMBERS:
        raise unsafe(f"it has {len(names)} members, more than {MAX_MEMBERS}")
    check_distinct(names, ignore_case=True)
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


def unpack_members(archive: Archive, names: list[str], folder: Path) -> list[Path]:
    """Unpack these members to `folder`, made here unless they lie there already; whole or absent."""
    targets = [folder / f"{number:05}-{PurePosixPath(name).name[-80:]}" for number, name in enumerate(names)]
    if folder.exists():
        return targets
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part:
        whole = Path(part) / "whole"
        whole.mkdir()
        for name, target in zip(names, targets, strict=True):
            with (whole / target.name).open("xb") as file:
                file.writelines(archive.chunks(archive.numbers[name]))
        whole.replace(folder)
    return targets


def read_tokenizer(archive: Archive, name: str) -> bytes:
    """Read the tokenizer's file. Refuses with `invalid_dataset` above `MAX_TOKENIZER_BYTES`."""
    number = archive.numbers[name]
    if archive.places[number][2] > MAX_TOKENIZER_BYTES:
        raise Refusal(
            "invalid_dataset",
            f"{name[:80]!r} has more than {MAX_TOKENIZER_BYTES} bytes; no tokenizer has.",
        )
    return archive.content(number)
