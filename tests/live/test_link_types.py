"""Interfaces that are not Ethernet: raw IP as it is, what is unknown cooked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TUNSETIFF = 0x400454CA
TUNSETLINK = 0x400454CD
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
ARPHRD_PPP = 512

PACKET = (
    struct.pack(">BBHHHBBH", 0x45, 0, 28, 7, 0, 64, 17, 0)
    + bytes([10, 9, 0, 1, 10, 9, 0, 2, 0, 53, 0, 53])
    + bytes(4)
)


@contextlib.contextmanager
def tun(namespace: Any, name: str, hardware: int | None = None) -> Iterator[int]:
    """A tun interface that is up; what is written to the descriptor comes in there."""

    def make() -> int:
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        if hardware is not None:
            fcntl.ioctl(device, TUNSETLINK, hardware)
        return device

    device = namespace.call(make)
    try:
        namespace.silence(name)
        namespace.run("ip", "link", "set", name, "up")
        yield device
    finally:
        os.close(device)


@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")
@pytest.mark.parametrize(("hardware", "linktype"), [(None, 101), (ARPHRD_PPP, 276)], ids=["raw", "cooked"])
def test_tun(pair: Any, capturing: Any, hardware: int | None, linktype: int) -> None:
    with tun(pair.right, "t0", hardware) as device:
        with capturing(pair.right, "t0", capture_filter="udp port 53") as got:
            os.write(device, PACKET)
            os.write(device, PACKET.replace(bytes([0, 53, 0, 53]), bytes([0, 54, 0, 54])))
            time.sleep(0.05)
        assert got.column("linktype").tolist() == [linktype]
        assert got.frames[0][-28:] == PACKET
        assert got.column("wirelen").tolist() == [len(PACKET) + (20 if linktype == 276 else 0)]
