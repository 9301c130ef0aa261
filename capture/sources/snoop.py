"""snoop, the capture format of Solaris (RFC 1761), and what Surveyor made of it.

All numbers are big-endian; records are padded, and say how many packets were dropped so far.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Damage, Interface
from netwatch.capture.sources.chain import walk_chain
from netwatch.capture.sources.records import Found, gather, largest_packet

__all__ = ["FILE_HEADER", "MAGIC", "VERSIONS", "SnoopParser"]

MAGIC: Final = b"snoop\0\0\0"
FILE_HEADER: Final = 16
VERSIONS: Final = range(2, 6)
"""RFC 1761 describes version 2; Surveyor's hardware wrote up to 5, with the same records."""

_HEADER: Final = 24
"""Bytes of a record header: original, included and record length, cumulative drops, seconds, microseconds."""
_PADDING: Final = 1 << 16
"""Bytes of padding that a record may have; four would do, but some writers hide their own words there."""
_SURVEYOR_TRAILER: Final = 16
"""Padding from which on it is Surveyor's, which gives link types beyond 9 meanings of its own."""

_UNKNOWN_LINK: Final = 0xFFFF
_ETHERNET, _TOKEN_RING, _FDDI, _NULL = 1, 6, 10, 0
_LINKTYPES: Final = {
    0: _ETHERNET,  # IEEE 802.3
    2: _TOKEN_RING,
    4: _ETHERNET,
    8: _FDDI,
    9: _NULL,  # "other": what loopback was before it had a number
    14: _NULL,
    16: 122,  # IP over Fibre Channel
    18: 123,  # ATM, with SunATM's header
    22: _ETHERNET,  # 100VG-AnyLAN
    24: _ETHERNET,
    25: _ETHERNET,  # 100BaseT
    0x80000005: 226,  # ipnet(7D)
}
"""Number in the IANA registry of snoop's datalink types -> LINKTYPE_ value."""
_SURVEYOR: Final = {
    **{number: _LINKTYPES[number] for number in (0, 2, 4, 8)},
    **dict.fromkeys((10, 12, 19), _ETHERNET),
    **dict.fromkeys((11, 13, 14), _TOKEN_RING),
}


class SnoopParser:
    """Records of a snoop capture whose file header is `head` (16 bytes, beginning with MAGIC)."""

    header = FILE_HEADER

    def __init__(self, head: bytes) -> None:
        _version, self._datalink = struct.unpack_from(">II", head, 8)
        self._linktype = _LINKTYPES.get(self._datalink, _UNKNOWN_LINK)
        self._largest = largest_packet(self._linktype)
        self._size = struct.Struct(">I")
        self._settled = False
        """Whether it is known whose capture it is."""
        self.interfaces = [Interface("", self._linktype, described=False)]
        self.lost = 0
        """See Parser: the drops of the last record, which are cumulative."""

    def parse(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> Found:
        """See Parser."""
        if not self._settled and end - start >= _HEADER:
            self._settle(raw, start)
        heads, stop = walk_chain(raw, start, end, size=self._size, field=8, header=_HEADER)
        if not len(heads):
            return Found.nothing(stop, *self._rest(raw, stop, end, at + stop - start))
        words = gather(raw, heads, _HEADER).view(">u4").astype(np.uint32)
        wirelen, caplen, size = words[:, 0], words[:, 1], words[:, 2].astype(np.int64)
        good = (caplen.astype(np.int64) + _HEADER <= size) & (wirelen <= self._largest) & (caplen <= self._largest)
        count = len(heads)
        if not good.all():
            count = int(np.argmin(good))
            stop = int(heads[count])
        need, damage = self._rest(raw, stop, end, at + stop - start)
        if count:
            self.lost = int(words[count - 1, 3])
        return Found(
            offsets=heads[:count] + _HEADER,
            caplen=caplen[:count],
            wirelen=wirelen[:count],
            ts=words[:count, 4].astype(np.int64) * 1_000_000_000 + words[:count, 5].astype(np.int64) * 1000,
            linktype=np.full(count, self._linktype, np.uint16),
            iface=np.zeros(count, np.uint16),
            marks=np.zeros(count, np.uint16),
            end=stop,
            need=need,
            damage=damage,
        )

    def _settle(self, raw: NDArray[np.uint8], start: int) -> None:
        """Surveyor's captures have no sign of their own, but pad their first record with a trailer."""
        self._settled = True
        _wirelen, caplen, size = struct.unpack_from(">III", raw.data, start)
        if _HEADER + caplen + _SURVEYOR_TRAILER <= size:
            self._linktype = self.interfaces[0].linktype = _SURVEYOR.get(self._datalink, _UNKNOWN_LINK)

    def _rest(self, raw: NDArray[np.uint8], stop: int, end: int, at: int) -> tuple[int, Damage | None]:
        """How many bytes the record at `stop` needs, or why it cannot be one."""
        if stop + _HEADER > end:
            return _HEADER, None
        wirelen, caplen, size = struct.unpack_from(">III", raw.data, stop)
        largest = max(wirelen, caplen)
        if largest > self._largest:
            words = f"a packet of {largest:,} bytes, more than the {self._largest:,} that one can have"
        elif _HEADER + caplen > size:
            words = f"a packet of {caplen:,} bytes in a record of {size:,}"
        elif size > _HEADER + caplen + _PADDING:
            words = f"a record of {size:,} bytes for a packet of {caplen:,}"
        else:
            return size, None
        return 0, Damage(at, words)
