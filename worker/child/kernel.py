"""System calls that Python's `os` lacks. All raise `OSError` where the kernel, or a container, refuses."""

import ctypes
import os

PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_CAPABILITIES_VERSION_3 = 0x20080522


def system_call(number: int, *arguments: object) -> int:
    """The result of the system call with this number."""
    return _checked(int(_libc.syscall(ctypes.c_long(number), *arguments)))


def prctl(option: int, value: int) -> int:
    """Change an attribute of this process."""
    unused = ctypes.c_ulong(0)
    return _checked(int(_libc.prctl(option, ctypes.c_ulong(value), unused, unused, unused)))


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked(int(_libc.unshare(flags)))


def drop_capabilities() -> None:
    """Give up every capability that this process holds or could pass on."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(int(_libc.capset(header, nothing)))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
