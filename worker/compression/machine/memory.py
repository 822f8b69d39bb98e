"""How much memory this process may still take, as Linux tells it. Light: whoever measures imports it, too."""

import os
import sys
from pathlib import Path
from typing import Final

LIMIT_VARIABLE: Final = "CHILD_MEMORY_BYTES"
"""How much this process was given."""
MACHINE, OWN = Path("/proc/meminfo"), Path("/proc/self/status")


def free_bytes() -> int:
    """What the machine has free, or less where this process was given less, at least 0; without /proc no limit."""
    free = _bytes(MACHINE, "MemAvailable:") if MACHINE.exists() else sys.maxsize
    limit = os.environ.get(LIMIT_VARIABLE, "")
    own = _bytes(OWN, "RssAnon:", "RssShmem:") if limit.isdecimal() and OWN.exists() else 0
    return max(0, min(free, int(limit) - own)) if limit.isdecimal() else free


def _bytes(file: Path, *names: str) -> int:
    lines = (line.split() for line in file.read_text().splitlines() if line.startswith(names))
    return sum(int(kib) for _, kib, _ in lines) * 1024
