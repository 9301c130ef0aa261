"""Packets and captures around any bytes."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from netwatch.capture.block import Batch, CaptureError, Source
from netwatch.capture.decode import Decoder
from netwatch.capture.session import Session
from netwatch.capture.sources.files import READ_AHEAD, open_file
from netwatch.capture.stats import partial

__all__ = ["CLIENT", "SERVER", "Record", "cuts", "ingested", "memory_file", "pcap", "read", "segment"]

CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
CLIENT_PORT = 49152
SYN, FIN, ACK = 2, 1, 16
RAW = 101


class Record(NamedTuple):
    """A packet of a capture."""

    data: bytes
    linktype: int
    wirelen: int


def segment(payload: bytes, port: int, sequence: int, flags: int = ACK, *, back: bool = False) -> bytes:
    """A TCP segment in IPv4 of LINKTYPE_RAW; `back`: from the server."""
    ends = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    ports = (port, CLIENT_PORT) if back else (CLIENT_PORT, port)
    tcp = struct.pack("!2H2L4H", *ports, sequence % 2**32, 1, 0x5000 | flags, 64000, 0, 0) + payload
    return struct.pack("!2B3H2BH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, *ends) + tcp


RECOGNISED: Final = 64
"""Bytes of a first segment by which a protocol can be told that no port tells."""


def cuts(size: int, dice: random.Random) -> list[tuple[int, int]]:
    """`size` bytes cut into stretches, many of them tiny, but for the first."""
    most = dice.choice((1, 3, 20, 100, 1460))
    places = [0, min(size, RECOGNISED)]
    while places[-1] < size and len(places) < 200:
        places.append(min(size, places[-1] + dice.randint(1, most)))
    if places[-1] < size:
        places.append(size)
    return list(pairwise(places))


def pcap(packets: Sequence[bytes], linktype: int = RAW) -> bytes:
    """A capture of packets."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)]
    for number, packet in enumerate(packets):
        parts.append(struct.pack("<4I", 1_700_000_000, number, len(packet), len(packet)) + packet)
    return b"".join(parts)


def memory_file(content: bytes) -> tuple[int, str]:
    """A file without a disk: its descriptor, to be closed, and a path."""
    fd = os.memfd_create("fuzz")
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    return fd, f"/proc/self/fd/{fd}"


def read(path: str | Path, most: int, ahead: int = READ_AHEAD) -> Iterator[Record]:
    """The first packets of a capture; none where the file is refused."""
    try:
        source = open_file(path, ahead=ahead)
    except CaptureError:
        return
    try:
        while not source.exhausted and most > 0:
            block = source.next_block(0)
            if block is None:
                continue
            columns = (block.offsets, block.caplen, block.wirelen, block.linktype)
            for at, size, wire, link in zip(*(column[:most].tolist() for column in columns), strict=True):
                assert 0 <= at <= at + size <= len(block.raw)
                yield Record(block.raw[at : at + size].tobytes(), link, wire)
            most -= len(block)
    finally:
        source.close()


def ingested(source: Source) -> Session:
    """All of a file; its packets can be read again until it is closed."""
    session, decoder = Session(source, buffer=None), Decoder()
    while not source.exhausted:
        block = source.next_block(0.1)
        if block is not None:
            rows = decoder.decode(block).rows
            session.ingest(Batch(rows, block.raw if block.owned else None, partial(rows)))
    return session
