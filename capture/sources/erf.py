"""ERF, the Extensible Record Format of Endace's capture cards.

A file is records and nothing else: no magic, no header. Each begins with 16 bytes (the time as a little-endian 32.32
fixed-point number of seconds, the rest big-endian), then extension headers of 8 bytes as long as bit 7 of the type
before says so, then for some types a few bytes more, then the packet.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Damage, Interface
from netwatch.capture.sources.chain import walk_chain
from netwatch.capture.sources.records import Found, gather

__all__ = ["PROBED", "ErfParser", "looks_like_erf"]

_HEADER: Final = 16
_EXTENSION: Final = 8
_MORE: Final = 0x80
"""Bit of a type: an extension header follows."""
_MAX_EXTENSIONS: Final = (1 << 16) // _EXTENSION

_ETHERNET, _PPP, _CISCO_HDLC, _IPV4, _IPV6, _INFINIBAND = 1, 9, 104, 228, 229, 247
_OTHER: Final = 147
"""LINKTYPE_USER0: what no LINKTYPE_ stands for is listed as data, and tools that read what is written from it do the
same; a number that nobody knows would make them refuse the file."""
_HDLC: Final = 0
"""Cisco's HDLC or PPP: the record does not say, its first byte does."""


class _Type(NamedTuple):
    """What a type means for its records."""

    linktype: int = _OTHER
    before: int = 0
    """Bytes between the extension headers and the packet."""
    counts_loss: bool = True
    """The word behind the length counts packets lost since the record before; else it is a colour or a hash."""


_MULTICHANNEL: Final = _Type(before=4)
_TYPES: Final = {
    1: _Type(_HDLC),  # HDLC_POS
    2: _Type(_ETHERNET, 2),  # ETH: an offset and a reserved byte
    3: _Type(),  # ATM
    4: _Type(),  # AAL5
    5: _Type(_HDLC, 4),  # MC_HDLC
    6: _MULTICHANNEL,  # MC_RAW
    7: _MULTICHANNEL,  # MC_ATM
    8: _MULTICHANNEL,  # MC_RAW_CHANNEL
    9: _MULTICHANNEL,  # MC_AAL5
    10: _Type(_HDLC, 0, False),  # COLOR_HDLC_POS
    11: _Type(_ETHERNET, 2, False),  # COLOR_ETH
    12: _MULTICHANNEL,  # MC_AAL2
    13: _Type(),  # IP_COUNTER
    14: _Type(),  # TCP_FLOW_COUNTER
    15: _Type(_HDLC, 0, False),  # DSM_COLOR_HDLC_POS
    16: _Type(_ETHERNET, 2, False),  # DSM_COLOR_ETH
    17: _Type(_HDLC, 4, False),  # COLOR_MC_HDLC_POS
    18: _MULTICHANNEL,  # AAL2
    19: _Type(_HDLC, 0, False),  # COLOR_HASH_POS
    20: _Type(_ETHERNET, 2, False),  # COLOR_HASH_ETH
    21: _Type(_INFINIBAND),
    22: _Type(_IPV4),
    23: _Type(_IPV6),
    24: _Type(),  # RAW_LINK
    25: _Type(),  # INFINIBAND_LINK
    27: _Type(counts_loss=False),  # META: what the card and the host say of themselves
    28: _Type(),  # OPA_SNC
    29: _Type(),  # OPA_9B
}
_PAD: Final = 48
"""No packet: fills the card's memory up."""
_KNOWN: Final = frozenset({*_TYPES, _PAD})

_LINKTYPE: Final = np.array([_TYPES.get(number, _Type()).linktype for number in range(128)], np.uint16)
_BEFORE: Final = np.array([_TYPES.get(number, _Type()).before for number in range(128)], np.int64)
_COUNTS_LOSS: Final = np.array([number in _TYPES and _TYPES[number].counts_loss for number in range(128)])

_CHECKED: Final = 20
"""Records that must make sense for bytes without a magic to be ERF."""
_SUFFICES: Final = 3
"""Records that suffice if no more are there: by chance it is one file in a million."""
PROBED: Final = 1 << 18
"""Bytes within which that many lie."""
_BACK, _AHEAD = 1 << 32, 365 * 86400 << 32
"""How far a record's time may lie from the one before, in ERF's units: ports are not in strict order."""
_HEAD: Final = struct.Struct("<QBB")


def looks_like_erf(head: bytes, *, whole: bool) -> bool | None:
    """Whether `head` begins with a chain of records that make sense; None if more bytes are needed to tell.

    `whole`: there are no more.
    """
    at, time = 0, 0
    for number in range(_CHECKED):
        if whole and at == len(head):
            return number > 0
        if at + _HEADER > len(head):
            return number >= _SUFFICES if whole else (True if number >= _SUFFICES else None)
        ts, kind, _flags = _HEAD.unpack_from(head, at)
        (size,) = struct.unpack_from(">H", head, at + 10)
        if not _plausible(kind, size, ts, time) or (kind & 0x7F not in _KNOWN and number < _SUFFICES):
            return False
        if at + size > len(head):
            return True if number >= _SUFFICES else (False if whole else None)
        time = ts if kind & 0x7F != _PAD and ts else time
        at += size
    return True


def _plausible(kind: int, size: int, ts: int, before: int) -> bool:
    """Whether a record header makes sense behind one of the time `before`; 0: there was none with a time."""
    if kind == _PAD:
        return size >= _HEADER
    least = _HEADER + (_EXTENSION if kind & _MORE else 0)
    if not kind & 0x7F or size <= least:
        return False
    # Records that the host adds may have no time.
    return not ts or not before or before - _BACK <= ts <= before + _AHEAD


class ErfParser:
    """Records of an ERF capture."""

    header = 0

    def __init__(self) -> None:
        self.interfaces: list[Interface] = []
        self.lost = 0
        """See Parser: the sum of the records' loss counters."""
        self._size = struct.Struct(">H")
        self._ports: dict[tuple[int, int], int] = {}
        """Link type and port -> index in `interfaces`."""

    def parse(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> Found:
        """See Parser."""
        heads, stop = walk_chain(raw, start, end, size=self._size, field=10, header=_HEADER)
        need, damage = self._rest(raw, stop, end, at + stop - start)
        if not len(heads):
            return Found.nothing(stop, need, damage)
        head = gather(raw, heads, _HEADER)
        halves = head[:, 10:].copy().view(">u2").astype(np.int64)
        size, loss, wirelen = halves[:, 0], halves[:, 1], halves[:, 2]
        inside = _extensions(raw, heads, size, head[:, 8])
        count = len(heads)
        if inside.min() < 0:
            count = int(np.argmax(inside < 0))
            stop = int(heads[count])
            need, damage = 0, Damage(at + stop - start, "extension headers that are longer than their record")
        if count < len(heads) or (head[:, 8] == _PAD).any():
            rows = np.flatnonzero(head[:count, 8] != _PAD)
            heads, head, inside = heads[rows], head[rows], inside[rows]
            size, loss, wirelen = size[rows], loss[rows], wirelen[rows]
        kind = (head[:, 8] & 0x7F).astype(np.uint8)
        self.lost += int(loss[_COUNTS_LOSS[kind]].sum())
        begins = np.minimum(inside + _BEFORE[kind], size)
        offsets, caplen = heads + begins, np.minimum(size - begins, wirelen)
        linktype = self._linktypes(raw, kind, offsets, caplen)
        return Found(
            offsets=offsets,
            caplen=caplen.astype(np.uint32),
            wirelen=wirelen.astype(np.uint32),
            ts=_nanoseconds(head[:, :8].copy().view("<u8")[:, 0]),
            linktype=linktype,
            iface=self._interfaces(linktype, head[:, 9]),
            marks=np.zeros(len(heads), np.uint16),
            end=stop,
            need=need,
            damage=damage,
        )

    def _rest(self, raw: NDArray[np.uint8], stop: int, end: int, at: int) -> tuple[int, Damage | None]:
        """How many bytes the record at `stop` needs, or why it cannot be one."""
        if stop + _HEADER > end:
            return _HEADER, None
        (size,) = self._size.unpack_from(raw.data, stop + 10)
        if size < _HEADER:
            return 0, Damage(at, f"a record of {size} bytes, less than its header has")
        return int(size), None

    @staticmethod
    def _linktypes(
        raw: NDArray[np.uint8], kind: NDArray[np.uint8], offsets: NDArray[np.int64], caplen: NDArray[np.int64]
    ) -> NDArray[np.uint16]:
        linktype = _LINKTYPE[kind]
        either = np.flatnonzero(linktype == _HDLC)
        if len(either):
            # Cisco's HDLC begins with its address, 0x0f or for broadcasts 0x8f; PPP with nothing like it.
            first = raw[offsets[either]] & 0x7F
            linktype[either] = np.where((first == 0x0F) & (caplen[either] > 0), _CISCO_HDLC, _PPP)
        return linktype

    def _interfaces(self, linktype: NDArray[np.uint16], flags: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Index in `interfaces` of each record; there is one for each link type of each port, as they turn up."""
        key = linktype.astype(np.int64) << 2 | flags & 3
        found, first, which = np.unique(key, return_index=True, return_inverse=True)
        at = np.zeros(len(found), np.uint16)
        for number in np.argsort(first).tolist():
            pair = int(found[number]) >> 2, int(found[number]) & 3
            if pair not in self._ports:
                self._ports[pair] = len(self.interfaces)
                self.interfaces.append(Interface(f"port {pair[1]}", pair[0]))
            at[number] = self._ports[pair]
        return at[which]


def _extensions(
    raw: NDArray[np.uint8], heads: NDArray[np.int64], size: NDArray[np.int64], kind: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Bytes of header and extension headers, shape (n,); -1 where they are longer than the record."""
    inside = np.full(len(heads), _HEADER, np.int64)
    rows = np.flatnonzero(kind & _MORE)
    for _ in range(_MAX_EXTENSIONS):
        if not len(rows):
            break
        short = inside[rows] + _EXTENSION > size[rows]
        inside[rows[short]] = -1
        rows = rows[~short]
        more = raw[heads[rows] + inside[rows]] & _MORE != 0
        inside[rows] += _EXTENSION
        rows = rows[more]
    return inside


def _nanoseconds(ts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """32.32 fixed-point seconds since 1970, shape (n,) -> int64, rounded to the nearest."""
    fraction = (ts & np.uint64(0xFFFFFFFF)) * np.uint64(1_000_000_000) + np.uint64(1 << 31) >> np.uint64(32)
    return (ts >> np.uint64(32)).astype(np.int64) * 1_000_000_000 + fraction.astype(np.int64)
