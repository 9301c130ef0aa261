"""What the parsers of capture formats share: records found in a piece of memory, and the bounds they keep.

A parser never reads by itself. A source, be it a file or a stream, holds a buffer and shows the parser what lies in
it; so there is one parser a format and it does not know where the bytes come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block, Damage, Interface

__all__ = [
    "HEAD_BYTES",
    "LARGEST_LENGTH",
    "MAX_BLOCK_RECORDS",
    "SLACK",
    "Found",
    "Parser",
    "gather",
    "largest_packet",
]

HEAD_BYTES: Final = 128
"""First bytes of a packet of which a source may make a copy (Block.heads)."""
SLACK: Final = HEAD_BYTES
"""Readable bytes that follow `end` in the memory given to a parser: headers are gathered with a fixed width."""

MAX_BLOCK_RECORDS: Final = 32768
"""Records of a Block at most, so that what the decoder allocates for one stays small."""

LARGEST_LENGTH: Final = np.uint32((1 << 31) - 1)
"""Wire lengths beyond this are shown as this, as tshark does."""

_LARGEST: Final = 262144
"""The largest packet that Wireshark takes for a packet, and tcpdump's largest snap length."""

_LARGEST_OF: Final = {231: 1 << 27, 249: 1 << 27, 279: 1 << 23}
"""LINKTYPE_DBUS, USBPCAP and EBHSCR carry messages and not frames."""


def largest_packet(linktype: int) -> int:
    """Captured bytes above which a record is damage and not a packet."""
    return _LARGEST_OF.get(linktype, _LARGEST)


def gather(raw: NDArray[np.uint8], at: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """shape (n, size), uint8: `size` bytes of `raw` from each position of `at` on; all of them must lie inside."""
    windows: NDArray[np.void] = np.ndarray((len(raw) - size + 1,), f"V{size}", buffer=raw.data, strides=(1,))
    return windows[at].view(np.uint8).reshape(len(at), size)


@dataclass(slots=True)
class Found:
    """Whole records in a piece of memory. The arrays have shape (n,) and mean what Block's do."""

    offsets: NDArray[np.int64]
    caplen: NDArray[np.uint32]
    wirelen: NDArray[np.uint32]
    ts: NDArray[np.int64]
    linktype: NDArray[np.uint16]
    iface: NDArray[np.uint16]
    marks: NDArray[np.uint16]
    end: int
    """Index after the last byte that was understood; what follows is to be shown again with more behind it."""
    need: int
    """Bytes from `end` on without which the next record cannot be read; a lower bound."""
    damage: Damage | None = None
    heads: tuple[NDArray[np.uint8], ...] = ()
    """See Block."""

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def nothing(cls, end: int, need: int, damage: Damage | None = None) -> Found:
        """No record."""
        words, halves = np.zeros(0, np.uint32), np.zeros(0, np.uint16)
        longs = np.zeros(0, np.int64)
        return cls(longs, words, words, longs, halves, halves, halves, end, need, damage)

    @classmethod
    def concatenate(cls, parts: list[Found]) -> Found:
        """One after the other; `end`, `need` and `damage` are the last one's. At least one part."""
        if len(parts) == 1:
            return parts[0]
        last = parts[-1]
        return cls(
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.caplen for part in parts]),
            np.concatenate([part.wirelen for part in parts]),
            np.concatenate([part.ts for part in parts]),
            np.concatenate([part.linktype for part in parts]),
            np.concatenate([part.iface for part in parts]),
            np.concatenate([part.marks for part in parts]),
            last.end,
            last.need,
            last.damage,
            tuple(head for part in parts for head in part.heads),
        )

    def block(self, first: int, last: int, raw: NDArray[np.uint8], shift: int, *, owned: bool) -> Block:
        """Records first <= i < last as a Block over `raw`; `shift` leads from its indices to positions in the file
        (not owned) or from the indices of these records to those of `raw` (owned)."""
        rows = slice(first, last)
        offsets = self.offsets[rows]
        if owned:
            offsets = offsets + shift
        return Block(
            raw=raw,
            offsets=offsets,
            caplen=self.caplen[rows],
            wirelen=self.wirelen[rows],
            ts=self.ts[rows],
            linktype=self.linktype[rows],
            iface=self.iface[rows],
            marks=self.marks[rows],
            pos=offsets if owned else offsets + shift,
            owned=owned,
            heads=_neighbours(self.heads, first, last),
        )


def _neighbours(parts: tuple[NDArray[np.uint8], ...], first: int, last: int) -> tuple[NDArray[np.uint8], ...]:
    """Rows first <= i < last of arrays that follow each other."""
    chosen, start = [], 0
    for part in parts:
        end = start + len(part)
        if start < last and first < end:
            chosen.append(part[max(first - start, 0) : last - start])
        start = end
    return tuple(chosen)


class Parser(Protocol):
    """One capture format."""

    interfaces: list[Interface]
    """Grows in place while a pcapng is read."""
    header: int
    """Bytes at the start of the file that parse() must not be shown."""

    @property
    def lost(self) -> int:
        """Packets lost when the capture was made, by its own count as far as it was read."""
        ...

    def parse(self, raw: NDArray[np.uint8], start: int, end: int, at: int) -> Found:
        """The whole records of raw[start:end]. `at`: position of raw[start] in the file. After damage: not again.

        `raw` is at least SLACK bytes longer than `end`.
        """
        ...
