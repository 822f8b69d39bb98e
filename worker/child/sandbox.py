"""What the kernel does for us: limits, no new privileges, no network, death with the parent.

Called before anything heavy is imported, while the process has one thread. All of it is a second line: the first
are the checks of `worker.compression` before a library opens a file.
"""

import contextlib
import ctypes
import logging
import os
import resource
import signal
from pathlib import Path

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
OPEN_FILES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signum: signal.Signals, parent: int) -> None:
    """Ask the kernel for `signum` when the thread that started this process ends.

    The parent may have died before the call: then exit here. A change of credentials clears the wish, so `enter`
    repeats it.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def enter(*, memory_bytes: int, mapped_bytes: int, file_bytes: int) -> None:
    """Shut the door behind us. No RLIMIT_NPROC: it counts all the user's threads on the machine, not ours."""
    guard = os.getppid()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    if not _on_cuda():
        _limit(resource.RLIMIT_AS, memory_bytes + mapped_bytes)
    _leave_network()
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    die_with_parent(signal.SIGKILL, guard)


def _limit(what: int, value: int) -> None:
    """Lower a limit, never raise it."""
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


def _on_cuda() -> bool:
    """CUDA maps the memory of every device into the address space: RLIMIT_AS would stop it at the start."""
    return Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")


def _leave_network() -> None:
    """A network namespace of our own, without interfaces. Many containers forbid it; they end the network outside."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        log.info("no network namespace: %s", os.strerror(ctypes.get_errno()))
        return
    with contextlib.suppress(OSError):  # keep our own name: without a map we would be `nobody`
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
