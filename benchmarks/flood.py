"""Packets at line rate, made by the kernel: `python -m benchmarks.flood IFACE FILE SECONDS`.

What limits a sender in user space is the way of each packet through its socket: 0.4 M packets/s are left beside a
receiver. Here a small program in the kernel copies them out of a mapped table and redirects them to the interface
(BPF_PROG_TEST_RUN with live frames, Documentation/bpf/bpf_prog_run.rst; Linux 5.18). A veth's other end must take
frames in bulk, which it does while a program is attached to it: `python -m benchmarks.flood --open IFACE`, until
its standard input is closed.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.sender import LARGEST, fitting

__all__ = ["Flood", "let_in"]

SLOTS: Final = 1 << 15
"""Packets in the table, a power of two."""
SLOT: Final = 2048
"""Bytes of each: its length, then the packet."""
CALL: Final = 500_000
"""Packets of one system call."""
BATCH: Final = 64
"""Frames that are handed over at once: the receiving end has room for 256."""

_SYSCALL: Final = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _PROG_LOAD, _TEST_RUN, _LINK_CREATE = 0, 5, 10, 28
_ARRAY, _MAPPABLE = 2, 1 << 10
_XDP_TYPE, _XDP_ATTACH = 6, 37
_LIVE_FRAMES: Final = 2
_LOOKUP, _REDIRECT, _ADJUST_TAIL, _STORE_BYTES = 1, 23, 65, 190
"""Helpers (bpf-helpers(7))."""
_LOG: Final = 1 << 16

_INSTRUCTION: Final = struct.Struct("<BBhi")
_LOAD_MAP, _LOAD, _STORE, _STORE_VALUE, _COPY, _SET = 0x18, 0x61, 0x63, 0x62, 0xBF, 0xB7
_ADD, _AND, _MINUS, _CALL, _EXIT = 0x07, 0x57, 0x1F, 0x85, 0x95
_IF_ZERO, _IF_NOT_ZERO, _IF_ABOVE, _IF_BELOW = 0x15, 0x55, 0x25, 0xA5
_JUMPS: Final = (_IF_ZERO, _IF_NOT_ZERO, _IF_ABOVE, _IF_BELOW)
_FRAME: Final = 10
"""The register that holds the stack's end."""
_DROP, _PASS = 1, 2

Instruction = tuple[int, int, int, int, int]
"""Code, destination, source, offset, value. Jumps go to the last two instructions, which drop the frame."""


def sending(counter: int, table: int, interface: int) -> list[Instruction]:
    """The program: fill the frame (a context of 1,514 bytes in r1) with the next packet and redirect it."""

    def find(fd: int) -> list[Instruction]:
        """r0 = where the entry lies whose number is on the stack."""
        return [
            (_LOAD_MAP, 1, 1, 0, fd),
            (0, 0, 0, 0, 0),
            (_COPY, 2, _FRAME, 0, 0),
            (_ADD, 2, 0, 0, -4),
            (_CALL, 0, 0, 0, _LOOKUP),
            (_IF_ZERO, 0, 0, 0, 0),
        ]

    return [
        (_COPY, 6, 1, 0, 0),
        (_STORE_VALUE, _FRAME, 0, -4, 0),
        *find(counter),
        # The number of the packet goes to the stack, the next one into the counter.
        (_LOAD, 1, 0, 0, 0),
        (_STORE, _FRAME, 1, -4, 0),
        (_ADD, 1, 0, 0, 1),
        (_AND, 1, 0, 0, SLOTS - 1),
        (_STORE, 0, 1, 0, 0),
        *find(table),
        (_COPY, 8, 0, 0, 0),
        # Its length, which the verifier wants to see bounded.
        (_LOAD, 9, 8, 0, 0),
        (_IF_ABOVE, 9, 0, 0, LARGEST),
        (_IF_BELOW, 9, 0, 0, 14),
        # The frame is cut to it: r2 = r9 - (data_end - data)
        (_LOAD, 3, 6, 4, 0),
        (_LOAD, 4, 6, 0, 0),
        (_MINUS, 3, 4, 0, 0),
        (_COPY, 2, 9, 0, 0),
        (_MINUS, 2, 3, 0, 0),
        (_COPY, 1, 6, 0, 0),
        (_CALL, 0, 0, 0, _ADJUST_TAIL),
        (_IF_NOT_ZERO, 0, 0, 0, 0),
        (_COPY, 1, 6, 0, 0),
        (_SET, 2, 0, 0, 0),
        (_COPY, 3, 8, 0, 0),
        (_ADD, 3, 0, 0, 4),
        (_COPY, 4, 9, 0, 0),
        (_CALL, 0, 0, 0, _STORE_BYTES),
        (_IF_NOT_ZERO, 0, 0, 0, 0),
        (_SET, 1, 0, 0, interface),
        (_SET, 2, 0, 0, 0),
        (_CALL, 0, 0, 0, _REDIRECT),
        (_EXIT, 0, 0, 0, 0),
        (_SET, 0, 0, 0, _DROP),
        (_EXIT, 0, 0, 0, 0),
    ]


def assembled(program: list[Instruction]) -> bytes:
    """As the kernel wants it (Documentation/bpf/standardization/instruction-set.rst)."""
    end = len(program) - 2
    return b"".join(
        _INSTRUCTION.pack(code, source << 4 | target, end - at - 1 if code in _JUMPS else offset, value)
        for at, (code, target, source, offset, value) in enumerate(program)
    )


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    said: int = libc.syscall(_SYSCALL[platform.machine()], command, attributes, len(attributes))
    if said < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return said


def load(program: list[Instruction]) -> int:
    """Descriptor of a program for frames (XDP). Raises OSError with the verifier's last words."""
    code = ctypes.create_string_buffer(assembled(program))
    licence, log = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(_LOG)
    places = [ctypes.addressof(buffer) for buffer in (code, licence, log)]
    request = struct.pack("=IIQQIIQ", _XDP_TYPE, len(program), places[0], places[1], 1, _LOG, places[2])
    try:
        return bpf(_PROG_LOAD, request)
    except OSError as error:
        words = log.value.decode("utf-8", "replace").strip().splitlines()
        raise OSError(error.errno, f"{error.strerror}: {words[-1] if words else 'bpf'}") from error


def array(size: int, entries: int) -> int:
    """Descriptor of a table that can be mapped."""
    return bpf(_MAP_CREATE, struct.pack("=5I", _ARRAY, 4, size, entries, _MAPPABLE))


class Flood:
    """A table of packets and the program that sends them, again and again."""

    def __init__(self, interface: str, packets: list[bytes]) -> None:
        """Raises OSError: no permission, or a kernel that cannot."""
        table = array(SLOT, SLOTS)
        memory = mmap.mmap(table, SLOT * SLOTS)
        for slot in range(SLOTS):
            packet = packets[slot % len(packets)]
            entry = struct.pack("=I", len(packet)) + packet
            memory[slot * SLOT : slot * SLOT + len(entry)] = entry
        self._program = load(sending(array(8, 1), table, socket.if_nametoindex(interface)))
        self._frame = ctypes.create_string_buffer(LARGEST)

    def send(self, count: int) -> None:
        """Raises OSError."""
        place = ctypes.addressof(self._frame)
        # prog_fd, retval, data sizes in and out, data in and out, repeat, duration, sizes and places of the context
        # (none), flags, processor, batch_size, padding
        request = struct.pack(
            "=4I2Q4I2Q4I", self._program, 0, LARGEST, 0, place, 0, count, 0, 0, 0, 0, 0, _LIVE_FRAMES, 0, BATCH, 0
        )
        bpf(_TEST_RUN, request)


def let_in(interface: str) -> int:
    """Attach a program that lets every frame pass; it stays while the descriptor is open. Raises OSError."""
    program = load([(_SET, 0, 0, 0, _PASS), (_EXIT, 0, 0, 0, 0)])
    return bpf(_LINK_CREATE, struct.pack("=4I", program, socket.if_nametoindex(interface), _XDP_ATTACH, 0))


def main(arguments: list[str]) -> None:
    """Open an interface, or send for a while and say how many packets in how many seconds."""
    if arguments[0] == "--open":
        let_in(arguments[1])
        print("open", flush=True)
        sys.stdin.read()
        return
    interface, path, seconds = arguments
    flood = Flood(interface, fitting(Path(path), SLOTS))
    sent, begun = 0, time.monotonic()
    while (spent := time.monotonic() - begun) < float(seconds):
        flood.send(CALL)
        sent += CALL
    print(json.dumps({"sent": sent, "seconds": spent}))


if __name__ == "__main__":
    main(sys.argv[1:])
