"""Landlock: of the file system, only what is named here; of other processes, nothing (Linux 5.13; more in later ABIs).

Reading a directory means all below it. What the kernel's ABI does not know yet is left out. Not covered by any ABI
are changes of mode, owner, times and flags, and by older ones truncating: `seccomp` refuses these.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.child import kernel
from worker.child.syscalls import LANDLOCK

WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
MAKE_SOCK, MAKE_FIFO, MAKE_SYM, REFER = 1 << 9, 1 << 10, 1 << 12, 1 << 13
OF_FILES: Final = 1 | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
KNOWN: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""ABI → all rights on files that it knows."""

READ: Final = READ_FILE | READ_DIR
CHANGE: Final = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER
REWRITE: Final = READ_FILE | WRITE_FILE | TRUNCATE
DEVICE: Final = READ | WRITE_FILE | IOCTL_DEV

NETWORK: Final = 0b11
"""Bind and connect TCP (ABI 4)."""
SCOPES: Final = 0b11
"""No abstract Unix sockets of others, no signals to others (ABI 6)."""
VERSION, PATH_BENEATH = 1, 1


@dataclass(frozen=True)
class Reach:
    """The files that a process may open. What is not there is passed over.

    `readable`: files, and folders with all below them; `changeable`: folders in which files may come and go;
    `rewritable`: single files; `devices`: also controlled by ioctl.
    """

    readable: tuple[Path, ...] = ()
    changeable: tuple[Path, ...] = ()
    rewritable: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()

    def joined(self, other: "Reach") -> "Reach":
        return Reach(
            self.readable + other.readable,
            self.changeable + other.changeable,
            self.rewritable + other.rewritable,
            self.devices + other.devices,
        )


def abi() -> int:
    """The version of Landlock's interface in this kernel; 0 where it has none."""
    try:
        return kernel.system_call(
            LANDLOCK["create_ruleset"], None, ctypes.c_size_t(0), ctypes.c_uint(VERSION)
        )
    except OSError:
        return 0


def restrict(reach: Reach) -> None:
    """Leave this process, and whatever it starts, nothing but `reach`. Cannot be undone.

    Needs `no_new_privs`. Raises `OSError` where the kernel has no Landlock.
    """
    version = abi()
    rights = max((known, all) for known, all in KNOWN.items() if known <= max(version, 1))[1]
    ruleset = _ruleset(version, rights)
    try:
        for paths, wanted in (
            (reach.readable, READ),
            (reach.changeable, CHANGE),
            (reach.rewritable, REWRITE),
            (reach.devices, DEVICE),
        ):
            _allow(ruleset, paths, wanted & rights)
        kernel.system_call(LANDLOCK["restrict_self"], ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


def _ruleset(version: int, rights: int) -> int:
    """A descriptor of a ruleset under which everything that is not allowed is refused."""
    fields = [rights, NETWORK, SCOPES][: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return kernel.system_call(
        LANDLOCK["create_ruleset"],
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint(0),
    )


def _allow(ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            of_this = rights if stat.S_ISDIR(os.fstat(handle).st_mode) else rights & OF_FILES
            rule = ctypes.c_char_p(struct.pack("=Qi", of_this, handle))
            arguments = (ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint(0))
            kernel.system_call(LANDLOCK["add_rule"], *arguments)
        finally:
            os.close(handle)
