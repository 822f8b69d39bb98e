"""A folder of finished things that several processes share: each is a folder of its own, by its key.

    folder/<key>/{…, used}

What is added is written beside its place and renamed into it, so it is whole or not there. Beyond the bounds the least
recently used go, but for those that a living process holds: a memory-mapped file must not vanish from under it.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

USED: Final = "used"
"""Written to when its folder is used, which a child may do where it may not set times; locked while it is held."""


class BoundedFolder:
    """`max_bytes` of all files, `max_entries` folders; what was added last always stays."""

    def __init__(self, folder: Path, *, max_entries: int, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_entries, self._max_bytes = folder, max_entries, max_bytes
        self._held: dict[str, int] = {}

    def hold(self, key: str) -> Path | None:
        """Return the folder of this key, which stays for as long as this process lives; None where there is none."""
        place = self._folder / key
        if key not in self._held:
            try:
                descriptor = os.open(place / USED, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # it is being removed, perhaps by a process that is paused
                os.close(descriptor)
                return None
            self._held[key] = descriptor
        os.pwrite(self._held[key], b"\n", 0)
        return place if place.is_dir() else None

    def add(self, key: str, write: Callable[[Path], None]) -> None:
        """Have `write` fill a folder and put it in the place of `key`, unless another process was faster."""
        partial = Path(tempfile.mkdtemp(dir=self._folder, prefix="partial-"))
        try:
            write(partial)
            (partial / USED).write_bytes(b"\n")
            _rename_first(partial, self._folder / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self.shrink(key)

    def let_go(self) -> None:
        """Hold nothing any more."""
        while self._held:
            os.close(self._held.popitem()[1])

    def remove(self, key: str) -> None:
        """Take away what cannot be read, so that it can be made again."""
        if (descriptor := self._held.pop(key, None)) is not None:
            os.close(descriptor)
        self._discard(self._folder / key)

    def shrink(self, newest: str = "") -> None:
        """Remove what is beyond the bounds, but for the `newest`: also after something has grown."""
        places = [place for place in self._folder.iterdir() if not place.name.startswith("partial-")]
        sizes = {place: _bytes_of(place) for place in places}
        total = sum(sizes.values())
        for place in sorted(places, key=_last_used):
            if len(sizes) <= self._max_entries and total <= self._max_bytes:
                return
            if place.name != newest and self._discard_unheld(place):
                total -= sizes.pop(place)

    def _discard_unheld(self, place: Path) -> bool:
        try:
            descriptor = os.open(place / USED, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._discard(place)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _discard(self, place: Path) -> None:
        """Rename it first: nobody meets half of it."""
        gone = Path(tempfile.mkdtemp(dir=self._folder, prefix="partial-"))
        try:
            place.rename(gone / "gone")
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        shutil.rmtree(gone, ignore_errors=True)


def _rename_first(partial: Path, place: Path) -> None:
    """Or leave it, when another process put its own there meanwhile."""
    try:
        partial.rename(place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _last_used(place: Path) -> float:
    try:
        return (place / USED).stat().st_mtime
    except OSError:
        return 0.0


def _bytes_of(place: Path) -> int:
    total = 0
    for file in place.glob("*"):
        try:
            facts = file.lstat()
            total += min(facts.st_size, 512 * facts.st_blocks)  # less than its size where it has holes
        except OSError:
            continue
    return total
