"""Who made a network card, by the first bits of its MAC address: the IEEE's lists, in one small file.

A vendor gets a block of 24 bits (MA-L), 28 (MA-M) or 36 (MA-S); the smallest block that holds an address tells whose
it is. `scripts/make_vendors.py` makes the file:

    heading      three lines of text: what it is, whose it is, of when
    zlib stream  for each of WIDTHS: how many blocks (u32), then their prefixes, sorted, all first bytes, all second
                 bytes and so on, then for each block the number of its name (u16); how many names (u32), then the
                 length of each (u8), then their letters. Little-endian.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Final

__all__ = ["HEADING", "WIDTHS", "Vendors", "known_vendors", "pack", "short_name"]

Table = tuple["array[int]", "array[int]"]

WIDTHS: Final = (24, 28, 36)
"""Bits of the blocks."""
HEADING: Final = (
    "netwatch vendors 1: {count} blocks of MAC addresses, assigned by the IEEE Registration Authority up to {date}\n"
    "The IEEE asserts no copyright in the list and does not restrict its distribution; standards-oui.ieee.org\n"
    "made by scripts/make_vendors.py\n"
)
_LINES: Final = 3
_FILE: Final = Path(__file__).with_name("data") / "vendors.bin"
_COUNT: Final = struct.Struct("<I")
_OCTETS: Final = {24: 3, 28: 4, 36: 5}
"""Bytes of a prefix."""
_MOST_BYTES: Final = 8 << 20
"""Of what the file unpacks to."""

_BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
_GROUP, _LOCAL = 1, 2
"""Bits of the first octet: for a group, and not the IEEE's (IEEE 802, 8.2)."""
_GROUPS: Final = (
    ("01:00:5e:", "IPv4mcast", "IPv4 multicast"),  # RFC 1112, 6.4
    ("33:33:", "IPv6mcast", "IPv6 multicast"),  # RFC 2464, 7
    ("01:80:c2:00:00:00", "STP", "bridges: spanning tree"),  # IEEE 802.1Q, table 8-1
    ("01:80:c2:00:00:01", "Pause", "Ethernet flow control"),
    ("01:80:c2:00:00:02", "SlowProto", "slow protocols: link aggregation"),
    ("01:80:c2:00:00:03", "PAE", "port access, LLDP to the nearest bridge but relays"),
    ("01:80:c2:00:00:0e", "LLDP", "LLDP to the nearest neighbour"),
    ("01:00:0c:cc:cc:cc", "CDP", "Cisco: CDP, VTP"),
    ("01:00:0c:cc:cc:cd", "PVST", "Cisco: spanning tree per VLAN"),
)
"""Groups that have a meaning: how they begin, short and in words."""
_BY_HABIT: Final = (("52:54:00:", "QEMU", "QEMU/KVM, by habit"), ("02:42:", "Docker", "Docker, by habit"))
"""Not assigned to anybody: what programs begin the addresses with that they make up."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILLERS: Final = _words(
    "and the of for telecom telecommunication telecommunications technology technologies tech electronics electronic"
    " electric international systems system communications communication networks network networking computer"
    " computers corporate corporation company group holding holdings industries industrial industry enterprise"
    " enterprises products manufacturing precision ind mobile trading solutions devices equipment software"
    " semiconductor semiconductors microelectronics information digital co inc ltd"
)
"""What follows the name of many."""
_PLACES: Final = _words(
    "shenzhen beijing shanghai guangzhou guangdong hangzhou zhejiang dongguan xiamen nanjing wuhan chengdu sichuan"
    " suzhou jiangsu ningbo fujian qingdao tianjin zhuhai hong kong taiwan tokyo national american china"
)
"""Where many are: they are told apart by the word behind."""
_SHORT: Final = 12
"""Characters of a short name at most."""
_SHOUTED: Final = 5
"""Letters from which on a word in capitals is a name, not an abbreviation."""


class Vendors:
    """Vendors of MAC addresses."""

    def __init__(self, tables: Sequence[Table], ends: array[int], letters: bytes) -> None:
        """`tables`: for each of WIDTHS sorted prefixes, and which name each has; the names are `letters`, and where
        each ends is in `ends`: thirty thousand strings would take two megabytes."""
        self._tables = list(zip(WIDTHS, tables, strict=True))
        self._ends = ends
        self._letters = letters
        self.organisation = lru_cache(4096)(self._organisation)
        self.label = lru_cache(4096)(self._label)

    def __len__(self) -> int:
        return sum(len(prefixes) for _, (prefixes, _) in self._tables)

    @classmethod
    def none(cls) -> Vendors:
        """Who knows of no block."""
        return cls([(array("Q"), array("H")) for _ in WIDTHS], array("I"), b"")

    @classmethod
    def load(cls, path: Path = _FILE) -> Vendors:
        """Of the file that comes with netwatch; nobody is known where it cannot be read or is another."""
        try:
            data = path.read_bytes()
            *_, packed = data.split(b"\n", _LINES)
            return cls(*_unpack(zlib.decompressobj().decompress(packed, _MOST_BYTES)))
        except (OSError, ValueError, struct.error, zlib.error):
            return cls.none()

    def _organisation(self, mac: str) -> str:
        """Whose address `02:00:5e:10:00:01` is, in words; empty where nobody knows."""
        found = self._find(mac)
        if found:
            return found
        special = _special(mac)
        if special is not None:
            return special[1]
        first = int(mac[:2], 16)
        if first & _GROUP:
            return "a group"
        # Telephones make up a new one for each network; so do containers and virtual machines.
        return "locally administered: random, or given by software" if first & _LOCAL else ""

    def _label(self, mac: str) -> str:
        """Short name for a place in a list: `Intel_12:34:56`, `IPv4mcast_00:00:fb`, `Broadcast`; empty for none."""
        if mac == _BROADCAST:
            return "Broadcast"
        found = self._find(mac)
        special = _special(mac) if not found else None
        short = short_name(found) if found else special[0] if special is not None else ""
        return f"{short}_{mac[9:]}" if short else ""

    def _find(self, mac: str) -> str:
        number = int(mac.replace(":", ""), 16)
        if not number:
            return ""  # nobody's, though its block is Xerox's
        for width, (prefixes, owners) in reversed(self._tables):
            wanted = number >> 48 - width
            at = bisect_left(prefixes, wanted)
            if at < len(prefixes) and prefixes[at] == wanted:
                owner = owners[at]
                start = self._ends[owner - 1] if owner else 0
                return self._letters[start : self._ends[owner]].decode("ascii")
        return ""


@lru_cache(1)
def known_vendors() -> Vendors:
    """Those of the file that comes with netwatch, read once: later it may not be allowed."""
    return Vendors.load()


def _special(mac: str) -> tuple[str, str] | None:
    if mac == _BROADCAST:
        return "Broadcast", "everybody"
    for begins, short, words in (*_GROUPS, *_BY_HABIT):
        if mac.startswith(begins):
            return short, words
    return None


@lru_cache(1024)
def short_name(organisation: str) -> str:
    """The words by which one knows a vendor, joined: `Raspberry Pi Trading` → `RaspberryPi`."""
    words = [word for word in re.split(r"[^\w&+-]+", organisation) if word]
    while len(words) > 1 and words[0].lower() in _PLACES and words[1].lower() not in _FILLERS:
        del words[0]
    kept = words[:1]
    for word in words[1:]:
        if word.lower() in _FILLERS or sum(map(len, kept)) + len(word) > _SHORT:
            break
        kept.append(word)
    return "".join([_cased(word) for word in kept])[:_SHORT]


def _cased(word: str) -> str:
    if word.isupper() and sum(map(str.isalpha, word)) >= _SHOUTED:
        return "-".join([part.capitalize() if len(part) > 2 else part for part in word.split("-")])
    return word[:1].upper() + word[1:]


def pack(tables: Sequence[Table], names: Sequence[str]) -> bytes:
    """What `Vendors.load` unpacks."""
    pieces = []
    for width, (prefixes, owners) in zip(WIDTHS, tables, strict=True):
        planes = [bytes(prefix >> 8 * plane & 0xFF for prefix in prefixes) for plane in range(_OCTETS[width])]
        pieces += [_COUNT.pack(len(prefixes)), *planes, _little(owners).tobytes()]
    return b"".join([*pieces, _COUNT.pack(len(names)), bytes(map(len, names)), "".join(names).encode("ascii")])


def _unpack(data: bytes) -> tuple[list[Table], array[int], bytes]:
    tables, at = [], 0
    for width in WIDTHS:
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        octets = bytearray(8 * count)
        for plane in range(_OCTETS[width]):
            octets[plane::8] = data[at : at + count]  # ValueError where the file ends too early
            at += count
        prefixes, owners = array("Q", bytes(octets)), array("H", data[at : at + 2 * count])
        at += 2 * count
        tables.append((_little(prefixes), _little(owners)))
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    ends = array("I", accumulate(data[at : at + count]))
    letters = data[at + count :]
    if (
        len(ends) != count
        or (ends and ends[-1] != len(letters))
        or any(max(table[1], default=-1) >= count for table in tables)
    ):
        raise ValueError("names that are not there")
    return tables, ends, letters


def _little(numbers: array[int]) -> array[int]:
    """From this machine's byte order to the file's, or back."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers
