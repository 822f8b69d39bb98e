"""A folder, or several files, as one tar that is made while it is sent: the same files give the same bytes."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from winnow.client.errors import UnusableFile
from winnow.client.files import CHUNK, OnProgress, check_readable

MAX_FILES: Final = 1_000_000
BLOCK: Final = tarfile.BLOCKSIZE
END: Final = bytes(2 * BLOCK)


class PackedBody:
    """What httpx needs of a file for a form: it can be read from the start again, and says how long it is.

    Files whose names begin with a dot are left out. Raises `UnusableFile` for links, folders without files, files that
    cannot be read or change meanwhile, and names twice.
    """

    def __init__(self, paths: Sequence[Path], on_progress: OnProgress | None = None) -> None:
        self.path, self._on_progress = paths[0], on_progress
        self._members = _members(paths)
        self.size = sum(len(_header(name, size)) + _padded(size) for name, _, size in self._members) + len(
            END
        )
        self.seek(0)

    @contextmanager
    def counted(self) -> Iterator["PackedBody"]:
        """Itself, as `FileBody` gives an open file."""
        yield self

    @property
    def sha256(self) -> str:
        """Of what was read since the start."""
        return self._digest.hexdigest()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to the start or to the end: nothing else is asked for."""
        self._chunks, self._rest, self._digest = filter(None, self._bytes()), b"", hashlib.sha256()
        self._position = self.size if whence == io.SEEK_END else 0
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        parts, wanted = [], self.size if count < 0 else count
        while wanted:
            self._rest = self._rest or next(self._chunks, b"")
            if not self._rest:
                break
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        chunk = b"".join(parts)
        self._digest.update(chunk)
        self._position += len(chunk)
        if self._on_progress is not None:
            self._on_progress(self._position, self.size)
        return chunk

    def since(self, offset: int) -> Iterator[bytes]:
        """All from this byte on; what is before it is made again, to be hashed."""
        self.seek(0)
        while self._position < offset:
            self.read(min(offset - self._position, CHUNK))
        while chunk := self.read(CHUNK):
            yield chunk

    def _bytes(self) -> Iterator[bytes]:
        for name, path, size in self._members:
            yield _header(name, size)
            yield from _content(path, size)
            yield bytes(_padded(size) - size)
        yield END


def is_packed(paths: Sequence[Path]) -> bool:
    """Whether these paths are sent as an archive: a folder is, and so are several files."""
    return len(paths) > 1 or paths[0].is_dir()


def _members(paths: Sequence[Path]) -> list[tuple[str, Path, int]]:
    """Name in the archive, file and size, ordered by name."""
    named: dict[str, Path] = {}
    for path in paths:
        for name, file in _files(path):
            if named.setdefault(name, file) != file:
                raise UnusableFile(
                    f"{named[name]} and {file} would both be {name} in one archive; rename one"
                )
            if len(named) > MAX_FILES:
                raise UnusableFile(
                    f"{path} has more than {MAX_FILES:,} files; pack them into an archive yourself"
                )
    if not named:
        raise UnusableFile(f"{paths[0]} has no files in it")
    return [(name, named[name], named[name].stat().st_size) for name in sorted(named)]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        check_readable(path)
        yield path.name, path
        return
    for file in path.rglob("*"):
        inside = file.relative_to(path)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if file.is_symlink():
            raise UnusableFile(f"{file} is a link; put the file itself there, or leave it out")
        if file.is_file():
            yield inside.as_posix(), file
        elif not file.is_dir():
            raise UnusableFile(f"{file} is neither a file nor a folder")


def _header(name: str, size: int) -> bytes:
    """Without owner and time: what is in a file decides, not when it was copied."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnusableFile(f"the name {name!r} is no text; rename the file") from error
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _content(path: Path, size: int) -> Iterator[bytes]:
    done = 0
    try:
        with path.open("rb") as file:
            while done < size and (chunk := file.read(min(CHUNK, size - done))):
                done += len(chunk)
                yield chunk
            if done != size or file.read(1):
                raise UnusableFile(f"{path} changed while it was sent; try again when it is complete")
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror or error}") from error
