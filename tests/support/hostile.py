"""A child that has been taken over, in the real guard and sandbox: it tries all that it should not be able to do.

`ATTEMPTS` has for each attempt the layers, any of which has to refuse it, and the attempt: a function that raises
`OSError` when it is refused. What it needs to know of its victim lies beside it as `victim.json`: `pid` of the worker,
`database`, `other` (a blob), `input` (its own), `folder` (the data folder).
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.child import FACTS
from winnow.contract.errors import Refusal
from worker.child import __main__ as entry
from worker.child import kernel
from worker.child.protocol import Measure
from worker.child.seccomp import FS_IOC_SETFLAGS
from worker.child.spec import InspectDataset, LoadModel, Task
from worker.child.syscalls import CHECKED, REFUSED, machine, numbers
from worker.compression.measure.apart.parent import PR_SET_PDEATHSIG

libc = ctypes.CDLL(None, use_errno=True)
Victim = dict[str, Any]
Attempt = Callable[[Victim], object]
SIGCHLD_ONLY, PTRACE_ATTACH = 17, 16


def system_call(name: str, *arguments: int) -> int:
    number = numbers(machine() or "x86_64", REFUSED | CHECKED)[name]
    return kernel.system_call(number, *map(ctypes.c_long, arguments))


def read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(16)


def names(path: Path | str) -> list[Path]:
    return list(Path(path).iterdir())


def write(path: Path | str) -> None:
    Path(path).write_bytes(b"hostile")


def started(process: int) -> None:
    """Of a fork that was allowed: the new one goes at once."""
    if process == 0:
        os._exit(0)


def own_signals(_: Victim) -> None:
    with Path(os.devnull).open() as file:
        fcntl.fcntl(file, fcntl.F_SETOWN, os.getppid())


def memory_of(process: int) -> int:
    buffer = ctypes.create_string_buffer(8)
    here = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    return system_call("process_vm_readv", process, ctypes.addressof(here), 1, ctypes.addressof(here), 1, 0)


def mapped(victim: Victim) -> None:
    with Path(victim["input"]).open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[:1] = b"x"


def flags(victim: Victim) -> None:
    with Path(victim["input"]).open("rb") as file:
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("Q", 0x80))


def shell(_: Victim) -> None:
    if os.system("true") != 0:
        raise PermissionError(errno.EPERM, "the shell did not start")


REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EXDEV)
FILTER, FILES, ANY = ("seccomp",), ("landlock",), ("seccomp", "landlock")
ATTEMPTS: dict[str, tuple[tuple[str, ...], Attempt]] = {
    "an internet socket": (FILTER, lambda _: socket.socket().close()),
    "a Unix socket": (FILTER, lambda _: socket.socket(socket.AF_UNIX).close()),
    "a netlink socket": (FILTER, lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    "a pair of sockets": (FILTER, lambda _: socket.socketpair()),
    "fork": (FILTER, lambda _: started(os.fork())),
    "clone of a process": (FILTER, lambda _: started(system_call("clone", SIGCHLD_ONLY, 0, 0, 0, 0))),
    "clone with a namespace": (FILTER, lambda _: started(system_call("clone", 0x10010000, 0, 0, 0, 0))),
    "clone3": (FILTER, lambda _: system_call("clone3", 0, 0)),
    "posix_spawn": (FILTER, lambda _: os.posix_spawn("/bin/true", ["true"], {})),
    "subprocess": (FILTER, lambda _: subprocess.run(["true"], check=True)),
    "system": (FILTER, shell),
    "exec": (FILTER, lambda _: os.execv("/bin/true", ["true"])),
    "exec of a descriptor": (FILTER, lambda _: system_call("execveat", 0, 0, 0, 0, 0)),
    "a session of its own": (FILTER, lambda _: os.setsid()),
    "a group of its own": (FILTER, lambda _: os.setpgid(0, 0)),
    "ptrace of the worker": (FILTER, lambda v: system_call("ptrace", PTRACE_ATTACH, v["pid"], 0, 0)),
    "ptrace of the guard": (FILTER, lambda _: system_call("ptrace", PTRACE_ATTACH, os.getppid(), 0, 0)),
    "reading the worker's memory": (FILTER, lambda v: memory_of(v["pid"])),
    "a signal to the worker": (ANY, lambda v: os.kill(v["pid"], 0)),
    "a signal to the guard": (ANY, lambda _: os.kill(os.getppid(), signal.SIGCONT)),
    "a signal to everybody": (FILTER, lambda _: os.kill(-1, 0)),
    "a signal to its group": (FILTER, lambda _: os.killpg(0, signal.SIGCONT)),
    "a signal to a thread": (FILTER, lambda v: system_call("tgkill", v["pid"], v["pid"], 0)),
    "a signal with a value": (FILTER, lambda v: system_call("rt_sigqueueinfo", v["pid"], 0, 0)),
    "signals by way of a file": (FILTER, own_signals),
    "a descriptor of the worker": (FILTER, lambda v: os.pidfd_open(v["pid"])),
    "the worker's limits": (FILTER, lambda v: resource.prlimit(v["pid"], resource.RLIMIT_NOFILE, (9, 9))),
    "the worker's cores": (FILTER, lambda v: os.sched_setaffinity(v["pid"], {0})),
    "the worker's priority": (FILTER, lambda v: os.setpriority(os.PRIO_PROCESS, v["pid"], 19)),
    "shared memory of System V": (FILTER, lambda _: system_call("shmget", 0, 4096, 0o1600)),
    "a message queue": (FILTER, lambda _: system_call("mq_open", 0, 0, 0, 0)),
    "unshare": (FILTER, lambda _: system_call("unshare", kernel.CLONE_NEWUSER)),
    "mount": (FILTER, lambda _: system_call("mount", 0, 0, 0, 0, 0)),
    "chroot": (FILTER, lambda _: os.chroot(".")),
    "io_uring": (FILTER, lambda _: system_call("io_uring_setup", 1, 0)),
    "bpf": (FILTER, lambda _: system_call("bpf", 0, 0, 0)),
    "performance counters": (FILTER, lambda _: system_call("perf_event_open", 0, 0, 0, 0, 0)),
    "userfaultfd": (FILTER, lambda _: system_call("userfaultfd", 1)),
    "keys": (FILTER, lambda _: system_call("keyctl", 0, 0, 0, 0, 0)),
    "a file in memory": (FILTER, lambda _: os.memfd_create("x")),
    "another filter": (FILTER, lambda _: system_call("seccomp", 2, 0, 0)),
    "a system call newer than our table": (FILTER, lambda _: kernel.system_call(468)),
    "a system call of x32": (FILTER, lambda _: kernel.system_call(0x40000000 | 39)),
    "mode of its input": (FILTER, lambda v: Path(v["input"]).chmod(0o777)),
    "mode of the database": (FILTER, lambda v: Path(v["database"]).chmod(0)),
    "owner of its input": (FILTER, lambda v: os.chown(v["input"], os.getuid(), os.getgid())),
    "times of its input": (FILTER, lambda v: os.utime(v["input"], (0, 0))),
    "attributes of its input": (FILTER, lambda v: os.setxattr(v["input"], "user.x", b"x")),
    "a handle of a file": (FILTER, lambda _: system_call("name_to_handle_at", -100, 0, 0, 0, 0)),
    "the database": (FILES, lambda v: read(v["database"])),
    "the database through a link": (FILES, lambda _: read("link to the database")),
    "another upload": (FILES, lambda v: read(v["other"])),
    "the names of all uploads": (FILES, lambda v: names(Path(v["other"]).parent)),
    "the names in the data folder": (FILES, lambda v: names(v["folder"])),
    "/etc/passwd": (FILES, lambda _: read("/etc/passwd")),
    "/etc/shadow": (FILES, lambda _: read("/etc/shadow")),
    "the root folder": (FILES, lambda _: names("/")),
    "what lies beside the data folder": (FILES, lambda v: names(Path(v["folder"]).parent)),
    "our other files": (FILES, lambda _: read(str(Path(entry.__file__).parents[2] / "pyproject.toml"))),
    "the worker's environment": (FILES, lambda v: read(f"/proc/{v['pid']}/environ")),
    "the worker's memory as a file": (FILES, lambda v: read(f"/proc/{v['pid']}/mem")),
    "the worker's map": (FILES, lambda v: read(f"/proc/{v['pid']}/maps")),
    "the worker's descriptors": (FILES, lambda v: Path(f"/proc/{v['pid']}/fd/0").readlink()),
    "the worker's root": (FILES, lambda v: read(f"/proc/{v['pid']}/root/etc/passwd")),
    "the guard's environment": (FILES, lambda _: read(f"/proc/{os.getppid()}/environ")),
    "a file in the data folder": (FILES, lambda v: write(Path(v["folder"]) / "new")),
    "a file beside its folder": (FILES, lambda _: write(Path.cwd().parent / "new")),
    "a folder beside its folder": (FILES, lambda _: (Path.cwd().parent / "new").mkdir()),
    "a file in /tmp": (FILES, lambda _: write("/tmp/winnow-hostile")),
    "a file in /dev/shm": (FILES, lambda _: write("/dev/shm/winnow-hostile")),
    "a module in our code": (FILES, lambda _: write(Path(entry.__file__).parent / "hostile.py")),
    "a module among the libraries": (FILES, lambda _: write(Path(json.__file__).parent / "hostile.py")),
    "writing to its input": (FILES, lambda v: write(v["input"])),
    "truncating its input": (FILTER, lambda v: os.truncate(v["input"], 0)),
    "emptying its input as it reads it": (FILTER, lambda v: os.open(v["input"], os.O_RDONLY | os.O_TRUNC)),
    "the database, neither to read nor to write": (FILTER, lambda v: os.open(v["database"], 3)),
    "opening by a struct": (FILTER, lambda _: system_call("openat2", -100, 0, 0, 0)),
    "flags of its input": (FILTER, flags),
    "a writable map of its input": (FILES, mapped),
    "deleting its input": (FILES, lambda v: Path(v["input"]).unlink()),
    "renaming its input": (FILES, lambda v: Path(v["input"]).rename("mine")),
    "a second name for its input": (FILES, lambda v: Path("mine").hardlink_to(v["input"])),
    "a second name for the database": (FILES, lambda v: Path("mine").hardlink_to(v["database"])),
    "a symbolic link": (FILES, lambda _: Path("other").symlink_to("/")),
    "a pipe with a name": (ANY, lambda _: os.mkfifo("pipe")),
    "its kernel's settings": (FILES, lambda _: write("/proc/sys/kernel/core_pattern")),
    "its own memory's limit": (FILES, lambda _: write("/proc/self/oom_score_adj")),
}


def allowed(victim: Victim) -> dict[str, Any]:
    """What an honest child does: all of it has to work."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").write_bytes(b"x")
        (Path(folder) / "a").rename(Path(folder) / "b")
    os.kill(os.getpid(), 0)
    import numpy
    import onnxruntime

    return {
        "input": read(victim["input"]).decode(),
        "status": Path("/proc/self/status").read_text().startswith("Name:"),
        "numpy": float(numpy.ones(3).sum()),
        "onnxruntime": onnxruntime.get_available_providers()[-1],
    }


def outcome(attempt: Attempt, victim: Victim) -> str:
    try:
        attempt(victim)
    except OSError as error:
        return f"refused: {error}" if error.errno in REFUSALS else f"failed otherwise: {error!r}"
    except Exception as error:
        return f"failed otherwise: {error!r}"
    return "done"


def perform(task: Task, messages: Any) -> dict[str, Any]:
    assert isinstance(task, InspectDataset)
    victim = json.loads(Path("victim.json").read_text())
    match next(iter(task.declaration.constants)):
        case "everything":
            told = {name: outcome(attempt, victim) for name, (_, attempt) in ATTEMPTS.items()}
            messages.log("attempts", **told)
            messages.log("allowed", **allowed(victim))
        case "another architecture":
            i386_getpid()
        case "stray":
            start_stray(Path("stray"))
        case "stray, then crash":
            start_stray(Path("stray"))
            os.kill(os.getpid(), signal.SIGSEGV)
        case "stray, then hang":
            start_stray(Path("stray"))
            messages.log("hanging")
            time.sleep(600)
        case "stray, then refuse":
            start_stray(Path("stray"))
            raise Refusal("invalid_dataset", "no")
        case "stray, then kill the guard":
            libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
            start_stray(Path("stray"))
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        case "measure what is not its own":
            messages.send(
                Measure(
                    task=LoadModel(
                        kind="load_model", model=victim["database"], feed=victim["database"], threads=1
                    )
                )
            )
            messages.log("answer", line=sys.stdin.buffer.readline().decode())
        case "ask and never read":
            model = Path(victim["database"])
            for _ in range(100_000):
                messages.send(Measure(task=LoadModel(kind="load_model", model=model, feed=model, threads=1)))
        case other:
            raise AssertionError(other)
    return {"facts": FACTS}


def start_stray(name: Path) -> None:
    """In a session of its own, its parent dead, with children of its own; its number goes into a file."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            name.write_text(str(os.getpid()))
            os.fork()
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not name.exists() or not name.read_text():
        time.sleep(0.01)


def i386_getpid() -> None:
    """mov eax, 20; int 0x80; ret"""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


if __name__ == "__main__":
    entry.main(perform)
