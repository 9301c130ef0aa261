"""pcapng (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html).

Several sections, each in its byte order and with its interfaces; enhanced, simple and the obsolete packet blocks.
Block types that are not known are skipped, as the draft asks. The walk from block to block is plain Python; what the
packet blocks say is read for all of them at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Damage, Interface
from netwatch.capture.columns import INCOMING, OUTGOING, UNTIMED
from netwatch.capture.sources.records import LARGEST_LENGTH, Found, gather, largest_packet
from netwatch.capture.sources.ticks import LATEST, Clock

__all__ = [
    "BYTE_ORDER",
    "ENHANCED_PACKET",
    "IF_NAME",
    "IF_TSRESOL",
    "INTERFACE",
    "PACKET_FLAGS",
    "SECTION_HEADER",
    "PcapngParser",
]

SECTION_HEADER: Final = 0x0A0D0D0A
"""Reads the same in both byte orders."""
INTERFACE: Final = 1
OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6

BYTE_ORDER: Final = 0x1A2B3C4D

_PACKET_BLOCKS: Final = frozenset({OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET})
_LEAST: Final = {
    SECTION_HEADER: 28,
    INTERFACE: 20,
    OBSOLETE_PACKET: 32,
    SIMPLE_PACKET: 16,
    STATISTICS: 24,
    ENHANCED_PACKET: 32,
}
"""Bytes of a block that has nothing in it."""
_LARGEST_BLOCK: Final = (1 << 27) + (1 << 17)
"""The largest packet, with room for options."""
_MAX_INTERFACES: Final = 0xFFFF
"""Entries of Source.interfaces, which packets name in 16 bits …"""
_RESERVED: Final = 1024
"""… the last of which are for link types that have none yet: where all others are taken, interfaces share them."""
_MAX_DESCRIBED: Final = 1 << 20
"""Interfaces of a section, and of those that differ in how packets are read."""
_MAX_OPTIONS: Final = 64
"""Options of one packet looked through for its direction."""
_NAME_LENGTH: Final = 256

IF_NAME, IF_TSRESOL, IF_TSOFFSET = 2, 9, 14
PACKET_FLAGS: Final = 2
_DROPS: Final = {5: 0, 7: 1}
"""isb_ifdrop and isb_osdrop, what the interface dropped and what the system did -> where it is kept."""
_DIRECTION: Final = np.array([0, INCOMING, OUTGOING, 0], np.uint16)
"""The lowest two bits of a packet's flags word -> marks (section 4.3.1 of the draft)."""


@dataclass(slots=True)
class _Scope:
    """What interface numbers mean from one packet of a run on."""

    record: int
    """Index in the run of the first packet that it holds for."""
    base: int
    """Where the section's interface 0 stands among those that the run knows."""
    count: int
    """Interfaces that the section has so far."""


class PcapngParser:
    """Packets of a pcapng, all sections one after the other."""

    header = 0

    def __init__(self) -> None:
        self.interfaces: list[Interface] = []
        self._clocks: dict[Clock, int] = {}
        self._order = "<"
        self._described: list[tuple[int, int]] = []
        """By the numbers of this section, and of those before it in this run: reading and index in `interfaces`."""
        self._base = 0
        """Where this section's begin."""
        self._readings: dict[tuple[int, int, Clock], int] = {}
        """Link type, snap length and clock -> where packets find what follows from them."""
        self._indices: dict[tuple[str, int], int] = {}
        """Name and reading -> index in `interfaces`: those that are alike, in all sections, are one."""
        self._newest: dict[int, int] = {}
        """Link type -> index of its last interface."""
        self._shared = False
        # What packets look up, by reading; the pages of what is never used are never touched.
        self._linktype = np.zeros(_MAX_DESCRIBED, np.uint16)
        self._largest = np.zeros(_MAX_DESCRIBED, np.uint32)
        self._snaplen = np.zeros(_MAX_DESCRIBED, np.uint32)
        self._clock = np.zeros(_MAX_DESCRIBED, np.uint32)
        self._blocks: dict[int, Callable[[bytes], str | None]] = {
            SECTION_HEADER: self._section,
            INTERFACE: self._interface,
            STATISTICS: self._statistics,
        }
        self._drops: dict[int, list[int]] = {}
        """By number in this section: the latest counts of what the interface and the system dropped."""
        self._lost_before = 0
        """The sum of those of earlier sections."""
        self._beyond = self._overrun = 0
        """Packets whose time nanoseconds cannot tell; blocks whose options do not end in them."""

    @property
    def lost(self) -> int:
        """See Parser."""
        return self._lost_before + sum(map(sum, self._drops.values()))

    @property
    def notes(self) -> list[str]:
        """See words.remarks."""
        notes = []
        if self._shared:
            most = _MAX_INTERFACES - _RESERVED
            notes.append(f"more than {most:,} different interfaces: packets of others stand under one of these")
        if self._beyond:
            notes.append(f"{self._beyond:,} packets claim a time beyond the years 1677 to 2262; the nearest is shown")
        if self._overrun:
            notes.append(f"the options of {self._overrun:,} blocks run past their end; the packets are shown")
        return notes

    def parse(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> Found:
        """See Parser."""
        parts: list[Found] = []
        here = start
        # Earlier sections are not asked for any more.
        del self._described[: self._base]
        self._base = 0
        while True:
            part, more = self._run(raw, here, end, at + here - start)
            parts.append(part)
            here = part.end
            if not more or part.damage is not None:
                return Found.concatenate(parts)

    def _run(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> tuple[Found, bool]:
        """Packets up to the end or to a section in the other byte order; True if there is one."""
        data = raw.data
        pair = struct.Struct(f"{self._order}II").unpack_from
        packets: list[int] = []
        append = packets.append
        scopes = [_Scope(0, self._base, len(self._described) - self._base)]
        here, need, message, turned = start, 12, None, ""
        while here + 12 <= end:
            kind, size = pair(data, here)
            if kind == ENHANCED_PACKET and 32 <= size <= end - here and not size & 3:
                # Nearly every block; the rest is for the others.
                append(here)
                here += size
                continue
            if kind == SECTION_HEADER:
                order = self._byte_order(data, here)
                if order is None:
                    message = "a section header whose byte-order magic is unknown"
                    break
                if order != self._order:
                    turned = order
                    break
            if size < 12 or size > _LARGEST_BLOCK or size & 3:
                message = f"a block that gives its length as {size:,} bytes"
                break
            after = here + size
            if after > end:
                need = size
                break
            if kind in _PACKET_BLOCKS:
                append(here)
            else:
                handle = self._blocks.get(kind)
                if pair(data, after - 8)[1] != size:
                    message = "a block that gives two different lengths"
                elif size < _LEAST.get(kind, 12):
                    message = f"a block too short for its type {kind}"
                elif handle is not None:
                    message = handle(data[here + 8 : after - 4].tobytes())
                    scopes.append(_Scope(len(packets), self._base, len(self._described) - self._base))
                if message is not None:
                    break
            here = after
            need = 12
        found = Found.nothing(here, need)
        if packets:
            found = self._read(raw, np.array(packets, np.int64), scopes, at - start)
        if found.damage is None:
            found.end, found.need = here, need
            found.damage = None if message is None else Damage(at + here - start, message)
        if turned:
            self._order = turned
        return found, bool(turned)

    @staticmethod
    def _byte_order(data: memoryview, here: int) -> str | None:
        for order in "<>":
            if struct.unpack_from(f"{order}I", data, here + 8)[0] == BYTE_ORDER:
                return order
        return None

    # The blocks that are no packets: each takes the body and gives None, or what is wrong with it.

    def _section(self, body: bytes) -> str | None:
        major, _minor = struct.unpack_from(f"{self._order}HH", body, 4)
        if major != 1:
            return f"a section of pcapng version {major}, which is not known"
        self._base = len(self._described)
        self._lost_before, self._drops = self.lost, {}
        for _ in self._options(body, 16):
            pass  # looked at for whether they end
        return None

    def _interface(self, body: bytes) -> str | None:
        if len(self._described) - self._base >= _MAX_DESCRIBED:
            return f"more than {_MAX_DESCRIBED:,} interfaces in a section"
        linktype, _reserved, snaplen = struct.unpack_from(f"{self._order}HHI", body)
        name, resolution, offset = "", 6, 0
        for code, value in self._options(body, 8):
            if code == IF_NAME:
                name = _printable(value)
            elif code == IF_TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                offset = struct.unpack(f"{self._order}q", value)[0]
        reading = self._reading(linktype, snaplen, Clock(resolution, offset))
        if reading is None:
            return f"more than {_MAX_DESCRIBED:,} different interfaces"
        index = self._indices.get((name, reading))
        if index is None:
            index = len(self.interfaces)
            if index >= _MAX_INTERFACES - _RESERVED and linktype in self._newest:
                index, self._shared = self._newest[linktype], True
            elif index == _MAX_INTERFACES:
                return f"more than {_MAX_INTERFACES:,} interfaces with a link type each"
            else:
                self.interfaces.append(Interface(name, linktype, snaplen))
                self._newest[linktype] = self._indices[name, reading] = index
        self._described.append((reading, index))
        return None

    def _reading(self, linktype: int, snaplen: int, clock: Clock) -> int | None:
        """Where packets of such interfaces find what they need; None: there are too many."""
        at = self._readings.setdefault((linktype, snaplen, clock), len(self._readings))
        if at == _MAX_DESCRIBED:
            return None
        self._linktype[at] = linktype
        self._largest[at] = largest_packet(linktype)
        self._snaplen[at] = snaplen or 0xFFFFFFFF
        self._clock[at] = self._clocks.setdefault(clock, len(self._clocks))
        return at

    def _statistics(self, body: bytes) -> str | None:
        (number,) = struct.unpack_from(f"{self._order}I", body)
        if number < len(self._described) - self._base:
            drops = self._drops.setdefault(number, [0, 0])
            for code, value in self._options(body, 12):
                if code in _DROPS and len(value) == 8:
                    drops[_DROPS[code]] = struct.unpack(f"{self._order}Q", value)[0]
        return None

    def _options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= len(body):
            code, size = struct.unpack_from(f"{self._order}HH", body, at)
            if code == 0:
                return
            if at + 4 + size > len(body):
                self._overrun += 1
                return
            yield code, body[at + 4 : at + 4 + size]
            at += 4 + size + (-size & 3)

    # Packet blocks, all of a run at once.

    def _read(self, raw: NDArray[np.uint8], at: NDArray[np.int64], scopes: list[_Scope], shift: int) -> Found:
        """The packets whose blocks begin at `at`, up to the first that is broken."""
        head = gather(raw, at, 28).view(f"{self._order}u4").astype(np.uint32)
        kind, size = head[:, 0], head[:, 1].astype(np.int64)
        iface, caplen, wirelen = head[:, 2], head[:, 5], head[:, 6]
        ticks = head[:, 3].astype(np.uint64) << np.uint64(32) | head[:, 4]
        start = np.full(len(at), 28, np.int64)
        obsolete = kind == OBSOLETE_PACKET
        if obsolete.any():
            # The number of the interface has 16 bits here; 16 of a drop counter follow.
            iface = np.where(obsolete, iface & 0xFFFF if self._order == "<" else iface >> 16, iface)
        scope = np.searchsorted([each.record for each in scopes], np.arange(len(at)), side="right") - 1
        base = np.array([each.base for each in scopes], np.int64)[scope]
        count = np.array([each.count for each in scopes], np.int64)[scope]
        simple = kind == SIMPLE_PACKET
        if simple.any():
            iface = np.where(simple, 0, iface)
        known = iface < count
        if not known.any():
            return Found.nothing(int(at[0]), 0, self._broken(raw, at, 0, shift, known))
        described = np.array(self._described, np.uint32)
        number = np.where(known, base + iface, 0)
        reading, index = described[:, 0].copy()[number], described[:, 1].astype(np.uint16)[number]
        if simple.any():
            length = np.minimum(head[:, 2], self._snaplen[reading])
            caplen, wirelen = np.where(simple, length, caplen), np.where(simple, head[:, 2], wirelen)
            ticks[simple] = 0
            start[simple] = 12
        padded = (caplen.astype(np.int64) + 3) & ~3
        trailer = gather(raw, at + size - 4, 4).view(f"{self._order}u4")[:, 0]
        good = known & (trailer == size) & (start + padded + 4 <= size) & (caplen <= self._largest[reading])
        options = start + padded
        marks = simple * np.uint16(UNTIMED)
        n = len(at) if good.all() else int(np.argmin(good))
        several = np.flatnonzero((options + 8 <= size)[:n] & ~simple[:n])
        if len(several):
            marks[several] = self._directions(raw, (at + options)[several], (at + size - 4)[several])
        return Found(
            offsets=(at + start)[:n],
            caplen=caplen[:n],
            wirelen=np.minimum(wirelen, LARGEST_LENGTH)[:n],
            ts=self._times(ticks[:n], reading[:n], simple[:n]),
            linktype=self._linktype[reading[:n]],
            iface=index[:n],
            marks=marks[:n],
            end=int(at[n]) if n < len(at) else 0,
            need=0,
            damage=self._broken(raw, at, n, shift, known) if n < len(at) else None,
        )

    def _broken(
        self, raw: NDArray[np.uint8], at: NDArray[np.int64], n: int, shift: int, known: NDArray[np.bool_]
    ) -> Damage:
        """What is wrong with packet block `n`."""
        here = int(at[n])
        kind, size, third, _high, _low, sixth = struct.unpack_from(f"{self._order}6I", raw.data, here)
        length, least = (third, 16) if kind == SIMPLE_PACKET else (sixth, 32)
        if not known[n]:
            message = "a packet of an interface that was not described"
        elif struct.unpack_from(f"{self._order}I", raw.data, here + size - 4)[0] != size:
            message = "a block that gives two different lengths"
        elif length + least > size:
            message = f"a packet of {length:,} bytes in a block of {size:,}"
        else:
            message = f"a packet of {length:,} bytes, larger than one can be"
        return Damage(here + shift, message)

    def _times(
        self, ticks: NDArray[np.uint64], reading: NDArray[np.uint32], simple: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Nanoseconds since 1970; 0 for a simple packet, which has no time."""
        clocks = list(self._clocks)
        if len(clocks) == 1:
            times = clocks[0].nanoseconds(ticks)
        else:
            which = self._clock[reading]
            rows = np.argsort(which, kind="stable")
            used, first = np.unique(which[rows], return_index=True)
            times = np.zeros(len(ticks), np.int64)
            for clock, mine in zip(used.tolist(), np.split(rows, first[1:]), strict=False):
                times[mine] = clocks[clock].nanoseconds(ticks[mine])
        times[simple] = 0
        if len(times) and max(times.max(), -times.min()) == LATEST:
            self._beyond += int(np.count_nonzero(np.abs(times) == LATEST))
        return times

    def _directions(
        self, raw: NDArray[np.uint8], at: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.uint16]:
        """Marks from the options of packets that lie between `at` and `end`, both shape (n,)."""
        marks = np.zeros(len(at), np.uint16)
        rows = np.arange(len(at))
        for _ in range(_MAX_OPTIONS):
            more = at + 4 <= end
            rows, at, end = rows[more], at[more], end[more]
            if not len(rows):
                break
            # The flags word may end where the memory does: SLACK makes the wide read safe.
            words = gather(raw, at, 8)
            option = words[:, :4].copy().view(f"{self._order}u2").astype(np.int64)
            code, size = option[:, 0], option[:, 1]
            flags = words[:, 4:].copy().view(f"{self._order}u4")[:, 0]
            self._overrun += int(np.count_nonzero((code != 0) & (at + 4 + size > end)))
            mine = (code == PACKET_FLAGS) & (size == 4) & (at + 8 <= end)
            marks[rows[mine]] = _DIRECTION[flags[mine] & 3]
            more = (code != 0) & ~mine
            rows, end = rows[more], end[more]
            at = at[more] + 4 + ((size[more] + 3) & ~3)
        return marks


def _printable(value: bytes) -> str:
    """A name that a file gives, fit for one line."""
    text = value[:_NAME_LENGTH].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in text)
