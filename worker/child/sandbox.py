"""What the kernel does for us: limits, no privileges, no network, few files and system calls, death with the parent.

Called before anything heavy is imported, while the process has one thread. All of it is a second line: the first
are the checks of `worker.compression` before a library opens a file. A layer that the kernel or a container refuses
is told in the log and in the record of the worker, and left out: the others hold without it.
"""

import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from worker.child import kernel, landlock, seccomp
from worker.child.landlock import Reach
from worker.compression.measure.apart.parent import die_with_parent

log = logging.getLogger(__name__)

OPEN_FILES = 4096
MAX_LIMIT = 2**63 - 1
"""The largest number that the kernel takes for a limit."""

Layers = dict[str, bool | int]
"""Which layers hold: {"network_namespace": true, "no_capabilities": true, "no_new_privileges": true, "landlock": the
ABI or 0, "seccomp": true}."""


def enter(
    *, memory_bytes: int, mapped_bytes: int, file_bytes: int, reach: Reach, filtered: bool = True
) -> Layers:
    """Shut the door behind us; answer what holds it. No RLIMIT_NPROC: it counts all the user's threads, not ours.

    Without `filtered` there is neither Landlock nor a filter on system calls.
    """
    parent = os.getppid()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    if not on_cuda():
        _limit(resource.RLIMIT_AS, memory_bytes + mapped_bytes)
    layers: Layers = {
        "network_namespace": holds("network namespace", _leave_network),
        "no_capabilities": holds("dropping of capabilities", kernel.drop_capabilities),
        "no_new_privileges": holds("no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)),
    }
    die_with_parent(signal.SIGKILL, parent)
    if not filtered:
        return layers | {"landlock": 0, "seccomp": False}
    layers["landlock"] = landlock.abi() if holds("Landlock", lambda: landlock.restrict(reach)) else 0
    layers["seccomp"] = holds("filter on system calls", seccomp.install)
    return layers


def holds(what: str, layer: Callable[[], object]) -> bool:
    try:
        layer()
    except OSError as error:
        log.info("no %s: %s", what, error.strerror)
        return False
    return True


def _limit(what: int, value: int) -> None:
    """Lower a limit, never raise it."""
    _, hard = resource.getrlimit(what)
    value = min(value, MAX_LIMIT if hard == resource.RLIM_INFINITY else hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


def on_cuda() -> bool:
    """CUDA maps the memory of every device into the address space: RLIMIT_AS would stop it at the start."""
    return Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")


def _leave_network() -> None:
    """A network namespace of our own, without interfaces. Many containers forbid it; they end the network outside."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
    with contextlib.suppress(OSError):  # keep our own name: without a map we would be `nobody`
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
