"""Name the files of the machine's lock. Apart from `lock`, so that who only passes them on, or asks, stays small."""

import fcntl
import os
import struct
from pathlib import Path

PATH_VARIABLE = "WINNOW_MEASURE_LOCK"
FLOCK = "hhqqi0q"
"""`struct flock`: type, whence, start, length, process."""

_alone = False


def lock_path() -> Path:
    """Return the file that the variable names, as the service's workers set it; else one of this user's own."""
    return Path(os.environ.get(PATH_VARIABLE) or Path.home() / ".cache" / "winnow" / "measure.lock")


def alone_path() -> Path:
    """Return the file that is locked by whoever is timed alone."""
    return lock_path().with_name(f"{lock_path().name}.alone")


def time_alone() -> None:
    """Have all that this process is going to time timed alone."""
    global _alone
    _alone = True


def times_alone() -> bool:
    return _alone


def process_timed_alone() -> int | None:
    """Tell which process is timed alone on this machine; asks, and takes no lock."""
    try:
        with alone_path().open("rb") as file:
            wish = struct.pack(FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, process = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wish))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else int(process)
