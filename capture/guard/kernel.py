"""Calls that Python's standard library does not have: prctl(2), and system calls by number.

ctypes and not a binding from the index: pyseccomp is of 2021 and needs libseccomp, which a server may lack; the
Landlock ones are pre-releases that stop at ABI 3; python-prctl is of 2020 and has to be compiled. Some thirty
constants of the kernel's stable interface are less to trust than any of them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache
from typing import Final

__all__ = ["CAPABILITY_SETS", "capabilities", "prctl", "set_capabilities", "system_call"]

CAPABILITY_SETS: Final = struct.Struct("=6I")
"""Effective, permitted, inheritable: the lower 32 of each, then the upper ones."""
_CAPABILITY_HEADER: Final = struct.Struct("=Ii")
_VERSION_3: Final = 0x20080522


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2). Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc().prctl(option, *map(ctypes.c_ulong, padded)))


def system_call(number: int, *arguments: object) -> int:
    """syscall(2): integers, or what ctypes made to be pointed at. Raises OSError."""
    function = _libc().syscall
    function.restype = ctypes.c_long
    return _checked(
        function(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    )


def capabilities() -> bytes:
    """capget(2): what this thread has, as CAPABILITY_SETS. Raises OSError."""
    held = ctypes.create_string_buffer(CAPABILITY_SETS.size)
    _checked(_libc().capget(_header(), held))
    return held.raw


def set_capabilities(sets: bytes) -> None:
    """capset(2). Raises OSError."""
    _checked(_libc().capset(_header(), ctypes.create_string_buffer(sets, len(sets))))


def _header() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_CAPABILITY_HEADER.pack(_VERSION_3, 0), _CAPABILITY_HEADER.size)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EINVAL
        raise OSError(number, os.strerror(number))
    return result
