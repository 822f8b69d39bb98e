"""How much memory this process may still take."""

import os
from pathlib import Path
from typing import Final

import psutil

MEMORY_VARIABLE: Final = "WINNOW_MEMORY_BYTES"
"""How much this process was given."""
STATUS: Final = Path("/proc/self/status")


def free_bytes() -> int:
    """What the machine has free, or less where this process was given less, at least 0."""
    free = psutil.virtual_memory().available
    limit = os.environ.get(MEMORY_VARIABLE, "")
    return max(0, min(free, int(limit) - _own_bytes()) if limit.isdecimal() else free)


def _own_bytes() -> int:
    """Anonymous memory, which is what counts."""
    if not STATUS.exists():
        return psutil.Process().memory_info().rss
    lines = (
        line.split() for line in STATUS.read_text().splitlines() if line.startswith(("RssAnon:", "RssShmem:"))
    )
    return sum(int(kib) for _, kib, _ in lines) * 1024
