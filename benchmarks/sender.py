"""Send a capture file at a rate: `python -m benchmarks.sender IFACE FILE RATE SECONDS`; RATE 0: as fast as it goes.

Many packets a system call (sendmmsg), past the queue (PACKET_QDISC_BYPASS), and asleep in between: what is not needed
for sending is left to the receiver.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.traffic import records

__all__ = ["LARGEST", "Sender", "fitting"]

LARGEST: Final = 1514
"""Bytes of a packet that an interface of the usual MTU takes."""
PACKETS: Final = 1 << 16
"""Of the file, sent in turn."""
AT_ONCE: Final = 1024
"""The kernel's UIO_MAXIOV."""
TICK: Final = 0.001
"""Seconds between two calls."""
_SOL_PACKET: Final = 263
_PACKET_QDISC_BYPASS: Final = 20


def fitting(path: Path, count: int) -> list[bytes]:
    """The first `count` packets of a capture file that are whole and fit the interface."""
    usable = (data for _, data, wire in records(path) if 14 <= len(data) == wire <= LARGEST)
    return list(islice(usable, count))


class Sender:
    """Packets in memory and the socket that they go to."""

    def __init__(self, interface: str, packets: list[bytes]) -> None:
        """Raises OSError."""
        self.count = len(packets)
        self._data = np.frombuffer(b"".join(packets), np.uint8)
        sizes = np.array([len(packet) for packet in packets], np.uint64)
        starts = np.cumsum(sizes) - sizes + np.uint64(self._data.ctypes.data)
        self._parts = np.column_stack([starts, sizes])
        # struct mmsghdr of 64-bit systems: eight words, of which the third is where the packet's iovec lies and the
        # fourth how many there are
        self._messages: NDArray[np.uint64] = np.zeros((self.count, 8), np.uint64)
        self._messages[:, 2] = self._parts.ctypes.data + 16 * np.arange(self.count, dtype=np.uint64)
        self._messages[:, 3] = 1
        self._next = 0
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._sock.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        self._sock.bind((interface, 0))
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]

    def send(self, count: int) -> int:
        """Up to `count` packets -> how many the kernel took. Raises OSError."""
        count = min(count, AT_ONCE, self.count - self._next)
        place = self._messages.ctypes.data + self._messages.strides[0] * self._next
        taken: int = self._sendmmsg(self._sock.fileno(), place, count, 0)
        if taken < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._next = (self._next + taken) % self.count
        return taken


def send(sender: Sender, rate: int, seconds: float) -> dict[str, float]:
    """Until the time is over or SIGTERM comes -> packets, seconds."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    sent, begun = 0, time.monotonic()
    while not ending and (spent := time.monotonic() - begun) < seconds:
        due = int(spent * rate) - sent if rate else AT_ONCE
        if due > 0:
            sent += sender.send(due)
        else:
            time.sleep(TICK)
    return {"sent": sent, "seconds": time.monotonic() - begun}


def main(interface: str, path: str, rate: str, seconds: str) -> None:
    """Send, and say how many packets in how many seconds."""
    print(json.dumps(send(Sender(interface, fitting(Path(path), PACKETS)), int(rate), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
