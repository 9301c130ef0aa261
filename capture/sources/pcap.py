"""pcap, the classic capture format (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html).

Read in all its dress: microseconds and nanoseconds, both byte orders, the longer record header of patched libpcaps
of the nineties (magic 0xa1b2cd34), the two lengths in the order of versions before 2.3, Ixia's with one word more in
the file header, AIX's with nanoseconds and link types of its own. Some writers made record headers longer than their
magic says: these are told by the first records.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Damage, Interface
from netwatch.capture.sources.lanes import Layout, walk_lanes
from netwatch.capture.sources.records import LARGEST_LENGTH, Found, gather, largest_packet

__all__ = ["FILE_HEADER", "MAGICS", "PcapParser"]

FILE_HEADER: Final = 24


class _Dress(NamedTuple):
    """What the first four bytes say."""

    order: str
    """Byte order, as struct and numpy write it."""
    scale: int
    """Nanoseconds of one unit of the second time word."""
    header: int
    """Bytes of a record header."""
    before: int = FILE_HEADER
    """Bytes of the file header."""


_PLAIN, _MODIFIED = 16, 24
_IXIA: Final = FILE_HEADER + 4
"""The size of all records follows the file header."""
_LONGER: Final = {_PLAIN: (20, 24), _MODIFIED: (28,)}
"""Record headers of Nokia's and Red Hat 6.1's tcpdump under the plain magic, of SuSE 6.3's under the modified one."""

MAGICS: Final = {
    bytes.fromhex("d4c3b2a1"): _Dress("<", 1000, _PLAIN),
    bytes.fromhex("a1b2c3d4"): _Dress(">", 1000, _PLAIN),
    bytes.fromhex("4d3cb2a1"): _Dress("<", 1, _PLAIN),
    bytes.fromhex("a1b23c4d"): _Dress(">", 1, _PLAIN),
    bytes.fromhex("34cdb2a1"): _Dress("<", 1000, _MODIFIED),
    bytes.fromhex("a1b2cd34"): _Dress(">", 1000, _MODIFIED),
    # Ixia's hardware and software
    bytes.fromhex("ac01001c"): _Dress("<", 1000, _PLAIN, _IXIA),
    bytes.fromhex("1c0001ac"): _Dress(">", 1000, _PLAIN, _IXIA),
    bytes.fromhex("ab01001c"): _Dress("<", 1000, _PLAIN, _IXIA),
    bytes.fromhex("1c0001ab"): _Dress(">", 1000, _PLAIN, _IXIA),
}
"""First four bytes of the file -> how to read the rest."""

_WORTH_LANES: Final = 1 << 18
"""Bytes from which on walking lanes is quicker than walking one by one."""

_PROBED: Final = 4
"""First records that are looked at to tell a longer header."""
_SPAN: Final = 1 << 26
"""Seconds, two years, within which the first records of a capture lie."""

_UNKNOWN_LINK: Final = 0xFFFF
_AIX: Final = {6: 1, 9: 6, 15: 10, 24: 0}
"""Interface types of RFC 1573, which AIX writes in files of version 2.2 -> LINKTYPE_ values."""


class PcapParser:
    """Records of a pcap whose file header is `head` (24 bytes at least, its magic one of MAGICS)."""

    lost = 0
    """See Parser: a pcap says nothing of it."""

    def __init__(self, head: bytes) -> None:
        self._dress = _dress = MAGICS[head[:4]]
        self.header = _dress.before
        major, minor, _zone, _accuracy, snaplen, network = struct.unpack_from(f"{_dress.order}HHiIII", head, 4)
        if (major, minor) == (2, 2) and network in _AIX and _dress.before == FILE_HEADER and _dress.header == _PLAIN:
            network = _AIX[network]
            self._dress = _dress = _dress._replace(scale=1)
        # The upper six bits tell the length of the frame check sequence; link types have 16.
        network &= 0x03FFFFFF
        self._linktype = network if network < _UNKNOWN_LINK else _UNKNOWN_LINK
        self._largest = largest_packet(self._linktype)
        # Before 2.3 the wire length came first; in 2.3 it depends on who wrote the file.
        self._swapped = major == 2 and minor < 3
        self._doubtful = (major == 2 and minor == 3) or major == 543
        self._length = struct.Struct(f"{_dress.order}{'4x' if self._swapped else ''}I")
        self._lengths = struct.Struct(f"{_dress.order}II")
        self._words = np.dtype(f"{_dress.order}u4")
        self._layout = Layout(_dress.order, _dress.header, 1_000_000_000 // _dress.scale, self._largest)
        self._settled = self._swapped or self._doubtful or _dress.scale == 1
        """Whether it is known how long record headers are."""
        self.interfaces = [Interface("", self._linktype, snaplen, described=False)]

    def parse(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> Found:
        """See Parser."""
        if not self._settled:
            self._settle(raw, start, end)
        heads, stop = self._walk(raw, start, end)
        if not len(heads):
            return Found.nothing(stop, *self._rest(raw, stop, end, at + stop - start))
        words = gather(raw, heads, 16).view(self._words)
        first, second = words[:, 2].astype(np.uint32), words[:, 3].astype(np.uint32)
        if self._swapped:
            first, second = second, first
        elif self._doubtful:
            first, second = np.minimum(first, second), np.maximum(first, second)
        count = len(heads)
        if int(first.max()) > self._largest:
            count = int(np.argmax(first > self._largest))
            stop = int(heads[count])
        need, damage = self._rest(raw, stop, end, at + stop - start)
        return Found(
            offsets=heads[:count] + self._dress.header,
            caplen=first[:count],
            wirelen=np.minimum(second, LARGEST_LENGTH)[:count],
            ts=words[:count, 0].astype(np.int64) * 1_000_000_000
            + words[:count, 1].astype(np.int64) * self._dress.scale,
            linktype=np.full(count, self._linktype, np.uint16),
            iface=np.zeros(count, np.uint16),
            marks=np.zeros(count, np.uint16),
            end=stop,
            need=need,
            damage=damage,
        )

    def _settle(self, raw: NDArray[np.uint8], start: int, end: int) -> None:
        """Take longer record headers where the first records make no sense without them, and do with them."""
        if end - start < self._dress.header:
            return
        self._settled = True
        if self._sense(raw, start, end, self._dress.header) is not False:
            return
        for header in _LONGER[self._dress.header]:
            if self._sense(raw, start, end, header):
                self._dress = self._dress._replace(header=header)
                self._layout = self._layout._replace(header=header)
                return

    def _sense(self, raw: NDArray[np.uint8], start: int, end: int, header: int) -> bool | None:
        """Whether the first records look like such with headers of this length; None if there are too few to tell."""
        record = struct.Struct(f"{self._dress.order}IIII")
        at, begin = start, 0
        for number in range(_PROBED):
            if at + header > end:
                return True if at == end and number > 1 else None
            seconds, fraction, caplen, wirelen = record.unpack_from(raw.data, at)
            begin = begin or seconds
            if fraction >= self._layout.fraction or caplen > min(self._largest, wirelen) or not wirelen:
                return False
            if abs(seconds - begin) > _SPAN:
                return False
            at += header + caplen
        return True

    def _caplen(self, data: memoryview, head: int) -> int:
        if self._doubtful:
            first, second = self._lengths.unpack_from(data, head + 8)
            return min(int(first), int(second))
        (length,) = self._length.unpack_from(data, head + 8)
        return int(length)

    def _rest(self, raw: NDArray[np.uint8], stop: int, end: int, at: int) -> tuple[int, Damage | None]:
        """How many bytes the record at `stop` needs, or why it cannot be one."""
        header = self._dress.header
        if stop + header > end:
            return header, None
        caplen = self._caplen(raw.data, stop)
        if caplen > self._largest:
            return 0, Damage(at, f"a packet of {caplen:,} bytes, more than the {self._largest:,} that one can have")
        return header + caplen, None

    def _walk(self, raw: NDArray[np.uint8], start: int, end: int) -> tuple[NDArray[np.int64], int]:
        """Positions of the headers of whole records, and where the first that is not whole begins.

        The bound of a packet's length is not looked at here: one comparison over all of them afterwards is cheaper.
        """
        data, header = raw.data, self._dress.header
        heads: list[int] = []
        append = heads.append
        sure, at = self._lanes(raw, start, end)
        last = end - header
        if self._doubtful:
            while at <= last:
                after = at + header + self._caplen(data, at)
                if after > end:
                    break
                append(at)
                at = after
        else:
            unpack = self._length.unpack_from
            while at <= last:
                after = at + header + unpack(data, at + 8)[0]
                if after > end:
                    break
                append(at)
                at = after
        rest = np.array(heads, np.int64)
        return (np.concatenate([sure, rest]) if len(sure) else rest), at

    def _lanes(self, raw: NDArray[np.uint8], start: int, end: int) -> tuple[NDArray[np.int64], int]:
        """What walking many lanes at once makes sure of: positions of headers, and where to go on one by one."""
        if end - start < _WORTH_LANES or self._swapped or self._doubtful:
            return np.zeros(0, np.int64), start
        return walk_lanes(raw, start, end, self._layout)
