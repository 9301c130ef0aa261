"""The demo capture as pcapng, written anew: only what the script says is in it, nothing that the machine says."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

__all__ = ["write_pcapng"]

NANOSECOND_PCAP: Final = 0xA1B23C4D
LINKTYPE_ETHERNET: Final = 1
INBOUND, OUTBOUND = 1, 2
SHB_USERAPPL, IF_NAME, IF_TSRESOL, EPB_FLAGS = 4, 2, 9, 2


def records(path: Path) -> list[tuple[int, int, bytes]]:
    """Time in nanoseconds, wire length and bytes of each packet of tcpdump's file (this machine's byte order).

    In the order of time: two processors may hand over frames of the same microsecond the other way round.
    """
    found = []
    data = path.read_bytes()
    magic, *_, linktype = struct.unpack_from("=IHHiIII", data)
    if (magic, linktype) != (NANOSECOND_PCAP, LINKTYPE_ETHERNET):
        raise ValueError(f"{path}: not a nanosecond pcap of Ethernet frames")
    at = 24
    while at < len(data):
        seconds, nanoseconds, captured, wire = struct.unpack_from("=4I", data, at)
        found.append((seconds * 1_000_000_000 + nanoseconds, wire, data[at + 16 : at + 16 + captured]))
        at += 16 + captured
    return sorted(found, key=lambda record: record[0])


def padded(data: bytes) -> bytes:
    """`data` filled with zeros to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)


def block(kind: int, body: bytes) -> bytes:
    """A pcapng block, little-endian (draft-ietf-opsawg-pcapng, section 3.1)."""
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def option(code: int, value: bytes) -> bytes:
    """A pcapng option (section 3.5)."""
    return struct.pack("<HH", code, len(value)) + padded(value)


def write_pcapng(
    source: Path, target: Path, *, application: str, interface: str, mac: str, times: tuple[int, int]
) -> int:
    """Write what `source` holds from times[0] to times[1] (nanoseconds since 1970); returns how many packets.

    Frames that `mac` sent are marked outbound. One section header with `application`, one interface `interface`
    at nanosecond resolution, packets.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    end_of_options = option(0, b"")
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(SHB_USERAPPL, application.encode())
    described = struct.pack("<HHI", LINKTYPE_ETHERNET, 0, 0) + option(IF_NAME, interface.encode())
    written = 0
    with target.open("wb") as out:
        out.write(block(0x0A0D0D0A, section + end_of_options))
        out.write(block(1, described + option(IF_TSRESOL, b"\x09") + end_of_options))
        for ts, wire, frame in records(source):
            if not times[0] <= ts <= times[1]:
                continue
            head = struct.pack("<5I", 0, ts >> 32, ts & 0xFFFFFFFF, len(frame), wire)
            flags = option(EPB_FLAGS, struct.pack("<I", OUTBOUND if frame[6:12] == own else INBOUND))
            out.write(block(6, head + padded(frame) + flags + end_of_options))
            written += 1
    return written
