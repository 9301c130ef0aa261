"""A filter on system calls, for all threads: what netwatch never needs once it runs is refused (seccomp(2)).

What is not named stays allowed: Python, numpy and the C library use calls that change with their versions, and one
that was forgotten would end the program on somebody's server. Landlock and the lost capabilities bound the rest.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable
from typing import Final

from netwatch.capture.guard.kernel import system_call

__all__ = ["DENIED", "deny_calls", "program"]

DENIED: Final[dict[str, tuple[int, int]]] = {  # -1: not on that machine
    # other programs
    "execve": (59, 221),
    "execveat": (322, 281),
    # the network: sockets are open already, or come from the helper; socketpair(2) stays
    "socket": (41, 198),
    "connect": (42, 203),
    "listen": (50, 201),
    # a way around this filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other processes of the same user
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    # keys of the user's session
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # mounts, namespaces, files by another way than their names
    "mount": (165, 40),
    "umount2": (166, 39),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # what Landlock does not deny of files (kernel's userspace-api/landlock.rst, "current limitations")
    "truncate": (76, 45),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    # what processes share beyond files
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # large, and rarely without faults
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "personality": (135, 92),
    # the machine
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
}
"""Number by machine; each is refused with EPERM."""
_IOCTL: Final = (16, 29)
_DENIED_IOCTLS: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX (ioctl_tty(2)): they type into the terminal, for the shell that comes after."""
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By uname -m: its column above, and its AUDIT_ARCH_ value (linux/audit.h)."""
_SECCOMP: Final = (317, 277)

_SET_MODE_FILTER, _TSYNC = 1, 1
# linux/bpf_common.h; seccomp_data is read in words of 32 bits
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _SECOND_ARGUMENT_AT = 0, 4, 24
_X32_BIT: Final = 0x40000000
"""Marks calls of x86_64's ABI with short pointers: the same calls under other numbers."""
_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_REFUSE: Final = 0x00050000 | errno.EPERM


def deny_calls(names: Iterable[str] = DENIED) -> list[str]:
    """Those of DENIED, from now on, for good -> a line if that cannot be had."""
    machine = os.uname().machine
    if machine not in _MACHINES or sys.maxsize < 1 << 32:
        return [f"no seccomp: the numbers of system calls on {machine} are not known"]
    column = _MACHINES[machine][0]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program(machine, names))
    held = ctypes.create_string_buffer(code, len(code))
    filter_program = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
    try:
        stopped = system_call(_SECCOMP[column], _SET_MODE_FILTER, _TSYNC, filter_program)
    except OSError as error:
        return [f"no seccomp: {error.strerror}: a kernel without it, or a container that does not allow it"]
    return [f"no seccomp: thread {stopped} has a filter of its own"] if stopped else []


def program(machine: str, names: Iterable[str] = DENIED) -> list[tuple[int, int, int, int]]:
    """Classic BPF: (code, jump if true, jump if false, k), as capture/kernel/bpf.py has it."""
    column, architecture = _MACHINES[machine]
    numbers = sorted(number for name in names if (number := DENIED[name][column]) >= 0)
    x32 = machine == "x86_64"
    # From the last instruction to the first: how far away the refusal is, is then known.
    made = [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]

    def refuse_if(code: int, k: int) -> None:
        made.append((code, len(made) - 1, 0, k))

    for request in _DENIED_IOCTLS:
        refuse_if(_JUMP_EQUAL, request)
    made.append((_LOAD, 0, 0, _SECOND_ARGUMENT_AT))
    made.append((_JUMP_EQUAL, 0, len(made) - 2, _IOCTL[column]))
    for number in numbers:
        refuse_if(_JUMP_EQUAL, number)
    if x32:
        refuse_if(_JUMP_AT_LEAST, _X32_BIT)
    made.append((_LOAD, 0, 0, _NUMBER_AT))
    made.append((_RETURN, 0, 0, _KILL_PROCESS))
    made.append((_JUMP_EQUAL, 1, 0, architecture))
    made.append((_LOAD, 0, 0, _ARCHITECTURE_AT))
    return made[::-1]
