"""Name the file of the machine's lock. Apart from `lock`, so that a guard that only passes it on stays small."""

import os
from pathlib import Path

PATH_VARIABLE = "WINNOW_MEASURE_LOCK"


def lock_path() -> Path:
    """Return the file that the variable names, as the service's workers set it; else one of this user's own."""
    return Path(os.environ.get(PATH_VARIABLE) or Path.home() / ".cache" / "winnow" / "measure.lock")
