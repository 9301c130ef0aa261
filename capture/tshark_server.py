"""The process that asks tshark: a program of its own, so that it has nothing of netwatch's memory.

Run as `python -I -S tshark_server.py TSHARK`, with a socket as standard input. It gives up its rights, then takes one
packet at a time and answers with what `tshark -T pdml` prints of it. Imported are the standard library and the filter
on system calls.

    request   linktype, bytes on the wire, time, size (!IIqI), then the packet
    answer    1 or 0 (!B), size (!I), then PDML or one line that says what went wrong
"""

from __future__ import annotations

import ctypes
import os
import resource
import selectors
import struct
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))

from netwatch.capture.guard.seccomp import DENIED, deny_calls

REQUEST = struct.Struct("!IIqI")
ANSWER = struct.Struct("!BI")
LARGEST = 262_144
"""Bytes of a packet, as the snap length has it."""
LONGEST = 4 << 20
"""Bytes of an answer."""
PATIENCE = 5.0
"""Seconds for one packet."""

_NOBODY = 65_534
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_MOST_CAPABILITIES = 64
_CAPABILITY_VERSION = 0x20080522
_MEMORY = 2 << 30
_FILES = 64


def give_up_rights() -> None:
    """No network, no capability, no user of its own, nothing to be gained by running another program.

    namespaces(7), capabilities(7), prctl(2), seccomp(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        libc.unshare(_CLONE_NEWNET)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    else:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused by some kernels; what follows is not
    # What it may have been given (an ambient capability), and what comes with a user namespace.
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_MOST_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    deny_calls(name for name in DENIED if not name.startswith("exec"))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir("/")


def capture_of(linktype: int, wirelen: int, ts: int, data: bytes) -> bytes:
    """A capture file of one packet, times in nanoseconds (the pcap format, magic 0xa1b23c4d)."""
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, LARGEST, linktype)
    seconds, fraction = divmod(max(ts, 0), 1_000_000_000)
    return head + struct.pack("<IIII", seconds & 0xFFFFFFFF, fraction, len(data), max(wirelen, len(data))) + data


def ask(tshark: str, capture: bytes) -> tuple[bool, bytes]:
    """What tshark prints of the packet; or False and what went wrong."""
    deadline = time.monotonic() + PATIENCE
    with subprocess.Popen(
        [tshark, "-n", "-r", "-", "-T", "pdml"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = bytearray()
        try:
            with process.stdin as there:
                there.write(capture)
        except BrokenPipeError:
            pass
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while len(said) <= LONGEST:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    process.kill()
                    return False, b"tshark took longer than %d seconds" % PATIENCE
                got = os.read(process.stdout.fileno(), 1 << 16)
                if not got:
                    break
                said += got
        if len(said) > LONGEST:
            process.kill()
            return False, b"tshark says more than %d MiB of it" % (LONGEST >> 20)
        code = process.wait()
    return (True, bytes(said)) if code == 0 else (False, b"tshark ended with code %d" % code)


def read_all(fd: int, size: int) -> bytes | None:
    """`size` bytes; None at the end."""
    got = bytearray()
    while len(got) < size:
        some = os.read(fd, size - len(got))
        if not some:
            return None
        got += some
    return bytes(got)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def serve(tshark: str, fd: int) -> None:
    """Answer until the other end is closed."""
    while (head := read_all(fd, REQUEST.size)) is not None:
        linktype, wirelen, ts, size = REQUEST.unpack(head)
        data = read_all(fd, size) if size <= LARGEST else None
        if data is None:
            return
        try:
            good, said = ask(tshark, capture_of(linktype, wirelen, ts, data))
        except OSError as error:
            good, said = False, f"tshark does not start: {error.strerror}".encode()
        write_all(fd, ANSWER.pack(good, len(said)) + said)


if __name__ == "__main__":
    give_up_rights()
    serve(sys.argv[1], 0)
