"""How much memory a piece of work takes, told by the kernel."""

import contextlib
from pathlib import Path

import psutil


def resident_bytes(group: int) -> int:
    """Resident memory of all below the guard, shared memory too. Pages of files are the page cache's; the guard has
    those of before the fork."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(group).children(recursive=True):
            total += _own_bytes(process.pid)
    return total


def _own_bytes(process: int) -> int:
    """0 when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:")))
    return sum(int(kib) for _, kib, _ in lines) * 1024
