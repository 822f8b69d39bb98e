"""What a step that takes long keeps on its way, so that the same step, run again, goes on there.

    folder/<key of the steps so far>-unfinished/{state, seconds, used}

It is replaced by each later one as a whole, and goes when the step is finished.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from worker.compression.cache.bounded_folder import BoundedFolder

log = logging.getLogger(__name__)

Slot = Literal["finished", "unfinished"]
"""What a job goes on after: steps that are finished, and what was reached in the next."""
OnKept = Callable[[Slot, str], None]
"""Told of what was kept, by the name of its folder."""
MAX_CHECKPOINTS: Final = 64
MAX_BYTES: Final = 8 * 2**30
STATE: Final = "state"
PARTIAL: Final = "state.partial"
SECONDS: Final = "seconds"


def tell_nobody(slot: Slot, key: str) -> None: ...


def checkpoint_folder(folder: Path) -> BoundedFolder:
    """The folder of a job's checkpoints, or of all trials of a search."""
    return BoundedFolder(folder, max_entries=MAX_CHECKPOINTS, max_bytes=MAX_BYTES)


class Unfinished:
    """The state of one step, from its beginning on. Without a folder nothing is kept.

    `seconds_before` is what earlier attempts had spent on it when they kept the state that there is.
    """

    def __init__(
        self, folder: BoundedFolder | None = None, key: str = "", on_kept: OnKept = tell_nobody
    ) -> None:
        self._folder, self._key, self._on_kept = folder, f"{key}-unfinished", on_kept
        self._begun, self.seconds_before = time.monotonic(), self._seconds()

    @property
    def state(self) -> Path | None:
        """The file that was written last, in this attempt or an earlier one; None where there is none."""
        place = None if self._folder is None else self._folder.hold(self._key)
        return None if place is None or not (place / STATE).is_file() else place / STATE

    def write(self, write: Callable[[Path], None]) -> None:
        """Have `write` fill a file, and put it in the place of the one before. What cannot be kept is done without."""
        if self._folder is None:
            return
        try:
            self._replace(self._folder, write)
        except OSError as error:
            log.warning("the state of an unfinished step could not be kept: %s", error)
            return
        self._on_kept("unfinished", self._key)

    def remove(self) -> None:
        if self._folder is not None:
            self._folder.remove(self._key)

    def _replace(self, folder: BoundedFolder, write: Callable[[Path], None]) -> None:
        if (place := folder.hold(self._key)) is None:
            folder.add(self._key, lambda place: write(place / STATE))
            place = folder.hold(self._key)
        else:
            write(place / PARTIAL)
            (place / PARTIAL).replace(place / STATE)
        if place is not None:
            spent = self.seconds_before + time.monotonic() - self._begun
            (place / SECONDS).write_text(f"{spent:.3f}")

    def _seconds(self) -> float:
        if (state := self.state) is None:
            return 0.0
        try:
            return float(state.with_name(SECONDS).read_text())
        except (OSError, ValueError):
            return 0.0


NOT_KEPT: Final = Unfinished()
