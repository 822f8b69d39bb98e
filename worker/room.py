"""Whether this host's disk has room for work.

Work that met a full disk says nothing about itself: it is done again, here or on a host that has room. So that a full
host does not go through all that waits, one failure after the other, it takes nothing more until its reserve is free.
"""

import logging
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

DISK_FULL: Final = "disk_full"
"""The code of the problem that work ends with."""
LEAST_BYTES: Final = 2**20
"""With less no work is begun, whoever of a host's workers met the full disk."""


class Room:
    """Of the disk that `folder` lies on; `reserve` are the bytes that are free again when all is well."""

    def __init__(self, folder: Path, reserve: int) -> None:
        self._folder, self._reserve = folder, reserve
        self._ran_out = self._told = False

    def ran_out(self) -> None:
        """To be told when work met a full disk."""
        self._ran_out = True

    def is_there(self) -> bool:
        """Whether work can be taken; also where there is no such folder yet."""
        try:
            free = shutil.disk_usage(self._folder).free
        except FileNotFoundError:
            return True
        self._ran_out = self._ran_out and free < self._reserve
        needed = self._reserve if self._ran_out else min(LEAST_BYTES, self._reserve)
        if free < needed and not self._told:
            log.warning(
                "the disk has %d bytes left: nothing is taken until %d are free (WINNOW_KEEP_FREE_BYTES is %d)",
                free,
                needed,
                self._reserve,
            )
        self._told = free < needed
        return free >= needed
