"""MMS (ISO 9506-2): which service of an industrial device, of which objects."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.ber import integer, tlv
from netwatch.capture.dissect.kit import Header, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.dissect.tpkt import elements
from netwatch.capture.text import escape

PDUS: Final = {
    0xA0: "confirmed-RequestPDU",
    0xA1: "confirmed-ResponsePDU",
    0xA2: "confirmed-ErrorPDU",
    0xA3: "unconfirmed-PDU",
    0xA4: "rejectPDU",
    0x85: "cancel-RequestPDU",
    0x86: "cancel-ResponsePDU",
    0xA7: "cancel-ErrorPDU",
    0xA8: "initiate-RequestPDU",
    0xA9: "initiate-ResponsePDU",
    0xAA: "initiate-ErrorPDU",
    0x8B: "conclude-RequestPDU",
    0x8C: "conclude-ResponsePDU",
    0xAD: "conclude-ErrorPDU",
}
MMS: Final = Header("mms", "MMS", ())
PDU: Final = number("", "MMSpdu", {tag & 0x1F: name for tag, name in PDUS.items()})
INVOKE: Final = number("mms.invokeID", "invokeID")
NAME: Final = text("mms.itemId", "itemId")
BODY: Final = octets("", "Body")
VISIBLE: Final = 0x1A
CONSTRUCTED: Final = 0x20
MAX_NAMES: Final = 16
MAX_DEPTH: Final = 12


@on("pres.mms", 0)
def mms(packet: Packet, at: int, limit: int) -> Step | None:
    """A choice of PDUs; those that ask and answer have a number."""
    packet.column("mms")
    kind, start, end = tlv(packet, at, limit)
    name = PDUS.get(kind, f"Unknown (0x{kind:02x})")
    layer = packet.layer(MMS.field, at, end - at, name)
    packet.add(layer, PDU, kind & 0x1F, at, 1)
    words: list[str] = []
    for tag, first, last in elements(packet, start, end):
        if kind in (0xA0, 0xA1, 0xA2) and tag in (0x02, 0x80) and not words:
            words.append(str(integer(packet, first, last)))
            packet.add(layer, INVOKE, integer(packet, first, last), first, last - first)
    words.append(name)
    if kind == 0xA0:
        for where, size in _names(packet, start, end, 0)[:MAX_NAMES]:
            raw = packet.data[where : where + size]
            packet.add(layer, NAME, raw, where, size)
            words.append(escape(raw))
    elif end > start:
        packet.add(layer, BODY, packet.data[start:end], start, end - start)
    packet.info = " ".join(words)
    return None


def _names(packet: Packet, at: int, end: int, depth: int) -> list[tuple[int, int]]:
    """Where the names of domains and objects stand."""
    found: list[tuple[int, int]] = []
    for tag, first, last in elements(packet, at, end):
        if tag == VISIBLE:
            found.append((first, last - first))
        elif tag & CONSTRUCTED and depth < MAX_DEPTH and len(found) < MAX_NAMES:
            found += _names(packet, first, last, depth + 1)
    return found
