"""In processes of their own: what `enter` takes away does not come back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ENTER = """
import os, resource, socket, sys
from worker.child import sandbox
from worker.child.landlock import Reach
sandbox.enter(memory_bytes=1 << 30, mapped_bytes=1 << 30, file_bytes=1 << 20, reach=Reach(), filtered=False)
"""

GUARDED = """
import os, subprocess, sys, time
from worker.child.guard import fork_under_guard
fork_under_guard(os.getppid())
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("begun", flush=True)
time.sleep(600)
"""

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {guarded!r}], start_new_session=True)
time.sleep(600)
"""


def in_sandbox(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTER + code], cwd=Path.cwd(), capture_output=True, text=True
    )


def test_an_allocation_beyond_the_limits_is_an_error_and_no_kill() -> None:
    done = in_sandbox("try: bytearray(4 << 30)\nexcept MemoryError: print('refused')")
    assert done.stdout == "refused\n", done.stderr


def test_a_file_beyond_the_limit_is_an_error(tmp_path: Path) -> None:
    code = (
        f"try: open({str(tmp_path / 'f')!r}, 'wb').write(bytes(2 << 20))\nexcept OSError as e: print(e.errno)"
    )
    assert in_sandbox(code).stdout == "27\n"


def test_there_are_no_core_dumps_and_no_new_privileges() -> None:
    code = "print(resource.getrlimit(resource.RLIMIT_CORE)); print(open('/proc/self/status').read())"
    out = in_sandbox(code).stdout
    assert out.startswith("(0, 0)\n")
    assert "NoNewPrivs:\t1" in out


def test_there_is_no_network_where_the_kernel_lets_us_leave_it() -> None:
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    code = "print([name for _, name in socket.if_nameindex()], os.getuid(), sep=';')"
    assert in_sandbox(code).stdout == f"['lo'];{os.getuid()}\n"


@pytest.mark.parametrize("which", ["guard", "parent", "term"])
def test_whoever_dies_the_whole_group_dies(which: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(guarded=GUARDED)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    guard, work, measuring = family = _family(parent.pid)
    assert (work.ppid(), measuring.ppid()) == (guard.pid, work.pid)
    match which:
        case "parent":
            parent.kill()
        case "term":
            guard.send_signal(signal.SIGTERM)
        case "guard":  # then its work dies; what the work had started is the supervisor's to kill
            guard.kill()
            family = family[:2]
    gone = _gone(family)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if measuring.is_running():
        measuring.kill()
    assert gone


def _family(parent: int) -> list[psutil.Process]:
    (guard,) = psutil.Process(parent).children()
    return [guard, *guard.children(recursive=True)]


def _gone(processes: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 5
    while any(map(_alive, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
