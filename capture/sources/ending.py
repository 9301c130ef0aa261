"""When a capture file ends: the time of its last packet, found from the end without reading what lies before.

Nothing depends on it but the scale of a line of time, so where the end makes no sense it is left open.
"""

from __future__ import annotations

import os
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.sources.pcap import FILE_HEADER, MAGICS, PcapParser
from netwatch.capture.sources.pcapng import ENHANCED_PACKET, SECTION_HEADER, PcapngParser
from netwatch.capture.sources.records import SLACK, Parser

__all__ = ["last_time"]

_TAIL: Final = 1 << 18
"""Bytes looked at: several packets even where they are of 64 KiB."""
_CHAIN: Final = 3
"""Records in a row that end exactly where the file does, from which on they are believed."""
_WALKED: Final = 64
"""Blocks of a pcapng that are walked back over: statistics, names."""
_HEAD: Final = 1 << 16
"""Bytes in which a pcapng describes its interfaces."""
_SPAN: Final = 1 << 26
"""Seconds, two years, within which a record's time is like its neighbour's."""


def last_time(path: str | os.PathLike[str]) -> int | None:
    """Nanoseconds since 1970 of the last packet in a pcap or pcapng; None if that is not told cheaply."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            start = max(file.seek(0, os.SEEK_END) - _TAIL, 0)
            file.seek(start)
            tail = file.read(_TAIL)
    except (OSError, ValueError):
        return None
    if head[:4] in MAGICS and len(head) >= FILE_HEADER:
        return _of_pcap(head[:FILE_HEADER], tail[FILE_HEADER:] if start == 0 else tail)
    if head[:4] == struct.pack("<I", SECTION_HEADER):
        return _of_pcapng(head, tail)
    return None


def _of_pcap(head: bytes, tail: bytes) -> int | None:
    """Places that look like record headers, linked by their lengths: the longest chain that ends with the file."""
    dress = MAGICS[head[:4]]
    size = len(tail)
    count = size - dress.header + 1
    if count <= 0:
        return None
    padded = np.frombuffer(tail + bytes(SLACK), np.uint8)
    words: NDArray[np.uint32] = np.ndarray((size + 16,), f"{dress.order}u4", buffer=padded.data, strides=(1,))
    at = np.arange(count)
    caplen, wirelen = words[at + 8].astype(np.int64), words[at + 12].astype(np.int64)
    after = at + dress.header + caplen
    looks = (words[at + 4] < 1_000_000_000 // dress.scale) & (caplen <= wirelen) & (wirelen > 0) & (after <= size)
    # From the back: the length of the chain from a place to the end, and its last record.
    chains: dict[int, tuple[int, int]] = {size: (0, size)}
    seconds = words[at]
    for place in np.flatnonzero(looks)[::-1].tolist():
        following = int(after[place])
        if following not in chains:
            continue
        length, last = chains[following]
        if length and abs(int(seconds[place]) - int(seconds[following])) > _SPAN:
            continue
        chains[place] = (length + 1, last if length else place)
    length, last = max(chains.values())
    return _parsed(PcapParser(head), tail[last:]) if length >= _CHAIN else None


def _of_pcapng(head: bytes, tail: bytes) -> int | None:
    """The last packet block, walking back by the length that ends each block, read with the descriptions that the
    file begins with. A file of several sections may describe its interfaces elsewhere."""
    order = "<" if head[8:12] == bytes.fromhex("4d3c2b1a") else ">"
    pair = struct.Struct(f"{order}II")
    described, at = b"", 0
    while at + 12 <= len(head):
        kind, size = pair.unpack_from(head, at)
        if size < 12 or size & 3 or at + size > len(head) or kind == ENHANCED_PACKET:
            break
        described += head[at : at + size]
        at += size
    end = len(tail)
    for _ in range(_WALKED):
        if end < 12:
            return None
        (size,) = struct.unpack_from(f"{order}I", tail, end - 4)
        if size < 12 or size & 3 or size > end:
            return None
        kind, length = pair.unpack_from(tail, end - size)
        if length != size or kind == SECTION_HEADER:
            return None
        if kind == ENHANCED_PACKET:
            return _parsed(PcapngParser(), described + tail[end - size : end])
        end -= size
    return None


def _parsed(parser: Parser, data: bytes) -> int | None:
    """Time of the last packet in `data`."""
    found = parser.parse(np.frombuffer(data + bytes(SLACK), np.uint8), 0, len(data), 0)
    return None if found.damage is not None or not len(found) else int(found.ts[-1])
