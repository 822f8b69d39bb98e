"""The filter's program for both architectures, run here by hand; `test_shut_in` has the kernel run it."""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.child.layers import available_layers
from worker.child.seccomp import (
    ALLOW,
    JUMP_ANY_BIT,
    JUMP_EQUAL,
    JUMP_GREATER,
    JUMP_GREATER_EQUAL,
    KEEP_BITS,
    KILL_PROCESS,
    LOAD,
    REFUSE,
    RETURN,
    UNKNOWN,
    Instruction,
    assembled,
    filter_of,
)
from worker.child.syscalls import AUDIT_ARCH, CHECKED, LAST_REVIEWED, REFUSED, numbers

OWN = 4711
MACHINES = list(AUDIT_ARCH)
FORK, THREAD = 17, 0x3D0F00
OLDEST_HEADERS_END = 450
"""Of Linux 6.1, which Debian 12 has: later system calls are not in its headers."""
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def run(program: list[Instruction], machine: str, number: int, *arguments: int) -> int:
    """What the kernel answers to this system call."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, AUDIT_ARCH[machine], 0, *padded)
    accumulator = position = 0
    while True:
        code, true, false, constant = program[position]
        position += 1
        if code == RETURN:
            return constant
        if code == LOAD:
            (accumulator,) = struct.unpack_from("=I", data, constant)
            continue
        if code == KEEP_BITS:
            accumulator &= constant
            continue
        holds = {
            JUMP_EQUAL: accumulator == constant,
            JUMP_GREATER: accumulator > constant,
            JUMP_GREATER_EQUAL: accumulator >= constant,
            JUMP_ANY_BIT: bool(accumulator & constant),
        }[code]
        position += true if holds else false


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_refused_allowed_or_unknown_as_the_table_says(machine: str) -> None:
    program, refused = filter_of(machine, OWN), set(numbers(machine, REFUSED).values())
    checked = set(numbers(machine, CHECKED).values())
    for number in set(range(600)) - checked:
        expected = REFUSE if number in refused else UNKNOWN if number > LAST_REVIEWED else ALLOW
        assert run(program, machine, number) == expected, number


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(LAST_REVIEWED + 1, 2**32 - 1))
def test_what_is_newer_and_what_is_x32s_is_unknown(machine: str, number: int) -> None:
    assert run(filter_of(machine, OWN), machine, number) == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_ends_the_process(machine: str) -> None:
    other = MACHINES[1 - MACHINES.index(machine)]
    assert run(filter_of(machine, OWN), other, 0) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
@given(value=st.integers(0, 2**64 - 1))
def test_arguments_decide_about_threads_signals_and_limits(machine: str, value: int) -> None:
    program, number = filter_of(machine, OWN), numbers(machine, CHECKED)
    low = value & 0xFFFFFFFF
    own = ALLOW if low == OWN else REFUSE
    assert run(program, machine, number["kill"], value) == own
    assert run(program, machine, number["tgkill"], value) == own
    assert run(program, machine, number["prlimit64"], value) == (ALLOW if low in (0, OWN) else REFUSE)
    thread = low & 0x10000 and not low & 0x7E020000
    assert run(program, machine, number["clone"], value) == (ALLOW if thread else REFUSE)
    assert run(program, machine, number["clone3"], value) == UNKNOWN
    assert run(program, machine, number["openat2"], value) == UNKNOWN
    assert run(program, machine, number["fcntl"], 0, value) == (REFUSE if low in (8, 10, 15) else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
@given(flags=st.integers(0, 2**32 - 1))
def test_a_file_is_opened_for_reading_or_writing_and_emptied_only_for_writing(
    machine: str, flags: int
) -> None:
    mode = flags & os.O_ACCMODE
    writing = mode in (os.O_WRONLY, os.O_RDWR)
    passes = writing or (mode == os.O_RDONLY and not flags & os.O_TRUNC)
    program, number = filter_of(machine, OWN), numbers(machine, CHECKED)
    for name, before in (("open", 1), ("openat", 2)):
        if name in number:
            answer = run(program, machine, number[name], *[0] * before, flags)
            assert answer == (ALLOW if passes else REFUSE)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_file_keeps_its_flags_whoever_can_read_it(machine: str) -> None:
    program, number = filter_of(machine, OWN), numbers(machine, CHECKED)["ioctl"]
    for change in (0x40086602, 0x40087602, 0x401C5820, 0x40806685):
        assert run(program, machine, number, 3, change) == REFUSE
    for harmless in (0x5401, 0x80086601, 0xC00846D6):  # TCGETS, FS_IOC_GETFLAGS, one of NVIDIA's
        assert run(program, machine, number, 3, harmless) == ALLOW


OTHER_THREAD = """
import ctypes, struct, threading, time
from worker.child import kernel, seccomp
from worker.child.syscalls import SECCOMP, machine

def own_filter():
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    program = seccomp.assembled([(seccomp.RETURN, 0, 0, seccomp.ALLOW)])
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
    kernel.system_call(SECCOMP[machine()], ctypes.c_uint(1), ctypes.c_uint(0), ctypes.c_char_p(header))
    ready.set()
    time.sleep(60)

ready = threading.Event()
threading.Thread(target=own_filter, daemon=True).start()
ready.wait(10)
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
try:
    seccomp.install()
except OSError as error:
    print(error.strerror)
"""


def test_a_filter_that_not_every_thread_gets_does_not_count_as_one() -> None:
    if not available_layers().get("seccomp"):
        pytest.skip("no filter on system calls here")
    entered = subprocess.run(
        [sys.executable, "-c", OTHER_THREAD], cwd=Path.cwd(), capture_output=True, text=True
    )
    assert entered.stdout == "a thread has a filter of its own\n", entered.stderr


FILTER_ALONE = """
import json, sys
from tests.support.hostile import ATTEMPTS, FILTER, outcome
from worker.child import kernel, seccomp

victim = {"input": sys.argv[1], "database": sys.argv[1]}
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install()
of_files = {name: attempt for name, (layers, attempt) in ATTEMPTS.items() if layers == FILTER and name.endswith(
    ("its input", "the database", "reads it", "nor to write"))}
print(json.dumps({name: outcome(attempt, victim) for name, attempt in of_files.items()}))
"""


def test_what_landlock_lets_pass_the_filter_refuses_by_itself(tmp_path: Path) -> None:
    if not available_layers().get("seccomp"):
        pytest.skip("no filter on system calls here")
    file = tmp_path / "winnow.db"
    file.write_bytes(b"before")
    command = [sys.executable, "-c", FILTER_ALONE, str(file)]
    tried = json.loads(subprocess.run(command, cwd=Path.cwd(), capture_output=True, check=True).stdout)
    assert len(tried) >= 9
    assert {name: told for name, told in tried.items() if "refused: [Errno 1]" not in told} == {}
    assert file.read_bytes() == b"before"


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_as_libc_makes_them_and_signals_to_oneself_pass(machine: str) -> None:
    program, number = filter_of(machine, OWN), numbers(machine, CHECKED)
    assert run(program, machine, number["clone"], THREAD) == ALLOW
    assert run(program, machine, number["clone"], FORK) == REFUSE
    assert run(program, machine, number["tgkill"], OWN) == ALLOW
    assert run(program, machine, number["kill"], OWN) == ALLOW
    assert len(assembled(program)) == 8 * len(program) < 8 * 4096


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"no {HEADERS[machine]}")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    for name, number in numbers(machine, REFUSED | CHECKED).items():
        assert defined.get(name) == str(number) or number > OLDEST_HEADERS_END, name
