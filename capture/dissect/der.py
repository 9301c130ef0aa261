"""Elements of ASN.1 in its distinguished encoding (X.690): what certificates and their answers are made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from netwatch.capture.dissect.packet import Malformed, Packet

__all__ = [
    "BIT_STRING",
    "BOOLEAN",
    "GENERALIZED_TIME",
    "INTEGER",
    "NULL",
    "OCTET_STRING",
    "OID",
    "SEQUENCE",
    "SET",
    "STRINGS",
    "UTC_TIME",
    "Element",
    "element",
    "elements",
    "inside",
    "moment",
    "oid",
]

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

MAX_ARCS: Final = 64
"""Numbers of an object identifier; those in use have a dozen."""


class Element(NamedTuple):
    """One element: its tag, and where it lies."""

    tag: int
    at: int
    body: int
    end: int

    @property
    def size(self) -> int:
        """Bytes, tag and length included."""
        return self.end - self.at

    @property
    def length(self) -> int:
        """Bytes of its body."""
        return self.end - self.body

    def bytes(self, packet: Packet) -> bytes:
        """Its body."""
        return packet.data[self.body : self.end]

    def integer(self, packet: Packet) -> int:
        """Its body as a signed integer."""
        return int.from_bytes(packet.data[self.body : self.end], "big", signed=True)


def element(packet: Packet, at: int, end: int, tag: int = -1) -> Element:
    """The element at `at`. Raises Malformed unless all of it lies before `end`, and has that tag if one is given."""
    data = packet.data
    if at + 2 > end or end > len(data):
        raise Malformed("ASN.1: an element is missing", at)
    kind, length, body = data[at], data[at + 1], at + 2
    if kind & 0x1F == 0x1F:
        raise Malformed("ASN.1: a tag of several bytes", at)
    if length >= 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4 or body + width > end:
            raise Malformed("ASN.1: a length that cannot be", at)
        length = int.from_bytes(data[body : body + width], "big")
        body += width
    if body + length > end:
        raise Malformed("ASN.1: an element is longer than what holds it", at)
    if tag not in (-1, kind):
        raise Malformed(f"ASN.1: tag 0x{kind:02x} where 0x{tag:02x} belongs", at)
    return Element(kind, at, body, body + length)


def elements(packet: Packet, at: int, end: int) -> Iterator[Element]:
    """Elements one after the other."""
    while at < end:
        one = element(packet, at, end)
        yield one
        at = one.end


def inside(packet: Packet, outer: Element) -> Iterator[Element]:
    """The elements of a sequence or set."""
    return elements(packet, outer.body, outer.end)


def oid(raw: bytes) -> str:
    """`2.5.4.3` (X.690, 8.19)."""
    arcs: list[int] = []
    value = 0
    for byte in raw:
        value = (value << 7 | byte & 0x7F) & (1 << 128) - 1
        if byte & 0x80:
            continue
        if not arcs:
            first = min(value // 40, 2)
            arcs += [first, value - 40 * first]
        else:
            arcs.append(value)
        value = 0
        if len(arcs) > MAX_ARCS:
            break
    return ".".join(map(str, arcs))


def moment(tag: int, raw: bytes) -> str:
    """`2026-11-22 17:49:51 (UTC)`; what is no time as it stands (RFC 5280, 4.1.2.5)."""
    said = raw[:32].decode("ascii", "backslashreplace")
    form = "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    try:
        parsed = datetime.strptime(said, form).replace(tzinfo=UTC)
    except ValueError:
        return said
    if tag == UTC_TIME and parsed.year >= 2050:
        parsed = parsed.replace(year=parsed.year - 100)
    return f"{parsed:%Y-%m-%d %H:%M:%S} (UTC)"


STRINGS: Final = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
"""Tags of character strings, and how they are encoded."""
