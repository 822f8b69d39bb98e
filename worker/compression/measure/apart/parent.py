"""End with the process that started this one. Imports nothing: `fresh` measures its memory, the guard stays small."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(signum: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel (Linux) for `signum` when the thread that started this process ends.

    The parent may have died before the call: then exit here. A change of credentials clears the wish, so whoever
    makes one repeats it.
    """
    expected = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signum))
    if os.getppid() != expected:
        os._exit(1)
