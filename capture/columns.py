"""The columns kept of each packet: one numpy array a column, a row a packet.

Separate arrays and not one structured array: a filter over one million rows touches only the columns that it names
(2 MB for a port instead of 73 MB), and the decoder's results are kept as they are computed, without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EVENT",
    "FRAGMENT",
    "INCOMING",
    "KIND_IPV4",
    "KIND_IPV6",
    "KIND_MAC",
    "KIND_NONE",
    "MALFORMED",
    "NO_VLAN",
    "OUTGOING",
    "PORTS",
    "REASSEMBLED",
    "ROW_BYTES",
    "TRUNCATED",
    "TUNNELLED",
    "UNTIMED",
    "Columns",
]

# Bits of Columns.marks
TRUNCATED: Final = 1 << 0
"""Cut by the snap length or a ring block: captured < wire."""
MALFORMED: Final = 1 << 1
"""Short header, length that lies, bad version or loop; never a mere cut (CONTRACT.md)."""
FRAGMENT: Final = 1 << 2
"""An IP fragment."""
REASSEMBLED: Final = 1 << 3
"""The fragment that completed a datagram: it shows what the datagram holds."""
TUNNELLED: Final = 1 << 4
"""A further network header inside: src and dst are the outermost."""
INCOMING: Final = 1 << 5
"""The source of the capture said that the packet came in."""
OUTGOING: Final = 1 << 6
"""The source of the capture said that the packet went out."""
EVENT: Final = 1 << 7
"""Not a packet: a message of the source ("eth0 is down"), its text in place of bytes."""
PORTS: Final = 1 << 8
"""sport and dport were read (both may be 0 on the wire)."""
UNTIMED: Final = 1 << 9
"""The capture does not say when; the time stamp is 0."""

# Values of Columns.kind
KIND_NONE: Final = 0
KIND_MAC: Final = 1
"""src_lo and dst_lo hold 48 bits."""
KIND_IPV4: Final = 4
"""src_lo and dst_lo hold 32 bits."""
KIND_IPV6: Final = 6
"""src_hi, src_lo: the address, most significant 64 bits first."""

NO_VLAN: Final = 0xFFFF


@dataclass(slots=True)
class Columns:
    """n packets. All arrays have shape (n,)."""

    ts: NDArray[np.int64]
    """Nanoseconds since 1970, the kernel's or the file's."""
    pos: NDArray[np.int64]
    """Where the packet's bytes start: in the file, or in the raw memory that is kept with the rows."""
    caplen: NDArray[np.uint32]
    wirelen: NDArray[np.uint32]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    """What src and dst are: KIND_*; of the outermost IP header, else of the Ethernet header."""
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    tcp_flags: NDArray[np.uint16]
    """12 bits; 0 where there is no TCP header."""
    ip_proto: NDArray[np.uint8]
    """Protocol of the outermost IPv4 header; 0 where there is none."""
    icmp_type: NDArray[np.uint8]
    """Type of the ICMP or ICMPv6 header; 0 where there is none."""
    vlan: NDArray[np.uint16]
    """Id of the outermost 802.1Q tag; NO_VLAN where there is none."""
    path: NDArray[np.uint16]
    """Protocol path: an id of paths.PATHS."""
    iface: NDArray[np.uint16]
    """Index into the source's list of interfaces."""
    marks: NDArray[np.uint16]
    """Bits: TRUNCATED, MALFORMED, ..."""

    def __len__(self) -> int:
        return len(self.ts)

    def arrays(self) -> Iterator[NDArray[Any]]:
        """The arrays in the order of NAMES."""
        for name in NAMES:
            yield getattr(self, name)

    def take(self, index: slice | NDArray[Any] | Sequence[int]) -> Self:
        """The rows that a slice (views), a mask or row numbers (copies) select."""
        return type(self)(*(array[index] for array in self.arrays()))

    def copy(self, n: int) -> Self:
        """The first `n` rows, in memory of their own."""
        made = type(self).empty(n)
        made.put(0, self.take(slice(n)))
        return made

    def put(self, at: int, rows: Columns) -> None:
        """Overwrite from row `at` on with `rows`; there must be room."""
        end = at + len(rows)
        for mine, theirs in zip(self.arrays(), rows.arrays(), strict=True):
            mine[at:end] = theirs

    @classmethod
    def zeros(cls, n: int) -> Self:
        """n rows of zeros (vlan: NO_VLAN)."""
        made = cls(*(np.zeros(n, dtype) for dtype in DTYPES))
        made.vlan.fill(NO_VLAN)
        return made

    @classmethod
    def empty(cls, n: int) -> Self:
        """n rows of whatever the memory held, in one piece that goes back to the system as such: for put()."""
        memory = np.empty(n * ROW_BYTES, np.uint8)
        arrays: dict[str, NDArray[Any]] = {}
        at = 0
        # The widest first, so that each is aligned.
        for name, dtype in sorted(zip(NAMES, DTYPES, strict=True), key=lambda column: -column[1].itemsize):
            end = at + n * dtype.itemsize
            arrays[name] = memory[at:end].view(dtype)
            at = end
        return cls(**arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Self:
        """One after the other; at least one part."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*(p.arrays() for p in parts), strict=True)))


NAMES: Final = tuple(field.name for field in fields(Columns))
DTYPES: Final[tuple[np.dtype[Any], ...]] = tuple(
    np.dtype(get_args(get_args(hint)[1])[0]) for hint in get_type_hints(Columns).values()
)
ROW_BYTES: Final = sum(dtype.itemsize for dtype in DTYPES)
"""Memory that the columns of one packet take."""
