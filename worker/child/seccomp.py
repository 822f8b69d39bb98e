"""The filter on system calls: what no library of ours needs is refused.

    no sockets · no exec, no process beside this one, threads only · nothing that reaches another process (signals,
    memory, scheduling, shared memory of System V) · no change of owner, mode, times or attributes of a file, no file
    emptied that was not opened for writing · no namespaces, mounts, keys, modules, io_uring, bpf, performance counters

Refused calls fail with EPERM, because libraries try some of them and go on without. clone3 and openat2, whose flags a
filter cannot see, and whatever is newer than our table fail with ENOSYS, so that libc falls back to what it can do
without. A call of another architecture ends the process.
"""

import ctypes
import errno
import os
import struct
from itertools import pairwise
from typing import Final

from worker.child import kernel
from worker.child.syscalls import AUDIT_ARCH, CHECKED, LAST_REVIEWED, REFUSED, SECCOMP, machine, numbers

SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
KEEP_BITS = 0x54
NUMBER_OFFSET, ARCH_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

CLONE_THREAD: Final = 0x00010000
CLONE_NAMESPACES: Final = 0x7E020000
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
FS_IOC_SETFLAGS, FS_IOC_SETVERSION, FS_IOC_FSSETXATTR = 0x40086602, 0x40087602, 0x401C5820
FS_IOC_ENABLE_VERITY: Final = 0x40806685
O_NEITHER: Final = 3
"""Neither for reading nor for writing: Landlock has no right for it; ioctl, and O_TRUNC, take such a file."""

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant), as `struct sock_filter` has them."""


def install() -> None:
    """Put this process, all its threads and whatever they start under the filter. Cannot be undone.

    Needs `no_new_privs`. Raises `OSError`: ENOSYS on an architecture whose system calls we have no table of, EINVAL
    where the kernel has no filters, ESRCH where a thread cannot be put under it.
    """
    name = machine()
    if name is None:
        raise OSError(errno.ENOSYS, "no table of system calls for this architecture")
    program = assembled(filter_of(name, os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    arguments = (SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC)
    if kernel.system_call(SECCOMP[name], *map(ctypes.c_uint, arguments), ctypes.c_char_p(header)) != 0:
        raise OSError(errno.ESRCH, "a thread has a filter of its own")  # the result is its number


def filter_of(machine: str, own: int) -> list[Instruction]:
    """The program for this architecture and the process with the number `own`."""
    return [
        (LOAD, 0, 0, ARCH_OFFSET),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
        (JUMP_GREATER, 0, 1, LAST_REVIEWED),  # x32's numbers too: they begin at 2^30
        (RETURN, 0, 0, UNKNOWN),
        *_refused(sorted(numbers(machine, REFUSED).values())),
        *_checked(numbers(machine, CHECKED), own),
        (RETURN, 0, 0, ALLOW),
    ]


def assembled(program: list[Instruction]) -> bytes:
    """As the kernel reads it."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _refused(refused: list[int]) -> list[Instruction]:
    """One test for each run of neighbouring numbers."""
    program: list[Instruction] = []
    for first, last in _runs(refused):
        program += [
            (JUMP_GREATER_EQUAL, 0, 2, first),
            (JUMP_GREATER, 1, 0, last),
            (RETURN, 0, 0, REFUSE),
        ]
    return program


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    starts, ends = [0, *breaks], [*breaks, len(numbers)]
    return [(numbers[start], numbers[end - 1]) for start, end in zip(starts, ends, strict=True)]


def _checked(number: dict[str, int], own: int) -> list[Instruction]:
    """Threads yes, processes no; signals and limits only for this process; no signals by way of a file.

    Files as they are opened for reading or for writing, and emptied only when for writing: the rest Landlock lets
    pass, all of it or before its version 3.
    """
    attributes = [FS_IOC_SETFLAGS, FS_IOC_SETVERSION, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY]
    return [
        *_when(number["clone3"], [(RETURN, 0, 0, UNKNOWN)]),
        *_when(number["openat2"], [(RETURN, 0, 0, UNKNOWN)]),
        *_when(
            number["clone"],
            [
                _argument(0),
                (JUMP_ANY_BIT, 1, 0, CLONE_NAMESPACES),
                (JUMP_ANY_BIT, 1, 0, CLONE_THREAD),
                (RETURN, 0, 0, REFUSE),
                (RETURN, 0, 0, ALLOW),
            ],
        ),
        *_when(number["kill"], _only(0, [own])),
        *_when(number["tgkill"], _only(0, [own])),
        *_when(number["prlimit64"], _only(0, [0, own])),
        *_when(number["fcntl"], _all_but(1, [F_SETOWN, F_SETSIG, F_SETOWN_EX])),
        *_when(number["ioctl"], _all_but(1, attributes)),
        *(_when(number["open"], _opened(1)) if "open" in number else []),
        *_when(number["openat"], _opened(2)),
    ]


def _opened(flags: int) -> list[Instruction]:
    refused = [O_NEITHER, O_NEITHER | os.O_TRUNC, os.O_RDONLY | os.O_TRUNC]
    bits = (KEEP_BITS, 0, 0, os.O_ACCMODE | os.O_TRUNC)
    return [_argument(flags), bits, *_choose(refused, REFUSE), (RETURN, 0, 0, ALLOW)]


def _when(number: int, then: list[Instruction]) -> list[Instruction]:
    """`then` ends with a RETURN on every way; behind it the number has to be in the accumulator again."""
    return [(JUMP_EQUAL, 0, len(then), number), *then]


def _argument(index: int) -> Instruction:
    """The lower half of the argument: all of these are 32 bits wide for the kernel."""
    return (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * index)


def _only(argument: int, allowed: list[int]) -> list[Instruction]:
    return [_argument(argument), *_choose(allowed, ALLOW), (RETURN, 0, 0, REFUSE)]


def _all_but(argument: int, refused: list[int]) -> list[Instruction]:
    return [_argument(argument), *_choose(refused, REFUSE), (RETURN, 0, 0, ALLOW)]


def _choose(values: list[int], action: int) -> list[Instruction]:
    return [part for value in values for part in ((JUMP_EQUAL, 0, 1, value), (RETURN, 0, 0, action))]
