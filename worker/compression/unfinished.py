"""What a step that takes long keeps on its way, so that the same step, run again, goes on there.

    folder/<key of the steps so far>-unfinished/{state, used}

It is replaced by each later one as a whole, and goes when the step is finished.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from worker.compression.bounded_folder import BoundedFolder

log = logging.getLogger(__name__)

Slot = Literal["finished", "unfinished"]
"""What a job goes on after: steps that are finished, and what was reached in the next."""
OnKept = Callable[[Slot, str], None]
"""Told of what was kept, by the name of its folder."""
STATE: Final = "state"
PARTIAL: Final = "state.partial"


def tell_nobody(slot: Slot, key: str) -> None: ...


class Unfinished:
    """The state of one step. Without a folder nothing is kept."""

    def __init__(
        self, folder: BoundedFolder | None = None, key: str = "", on_kept: OnKept = tell_nobody
    ) -> None:
        self._folder, self._key, self._on_kept = folder, f"{key}-unfinished", on_kept

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
        place = folder.hold(self._key)
        if place is None:
            folder.add(self._key, lambda place: write(place / STATE))
            return
        partial = place / PARTIAL
        write(partial)
        partial.replace(place / STATE)


NOT_KEPT: Final = Unfinished()
