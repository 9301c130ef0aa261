"""Teredo (RFC 4380): IPv6 over UDP, with what servers and relays put before it."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, Bytes, Field, Header, Item, group, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.text import ipv4


def _turned(value: int) -> str:
    """Every bit inverted, so that no translator on the way finds it (RFC 4380, 5.1.1)."""
    return str(value ^ 0xFFFF)


def _turned_address(value: bytes) -> str:
    return ipv4(bytes([byte ^ 0xFF for byte in value]))


TEREDO = group("teredo", "Teredo IPv6 over UDP tunneling")
ORIGIN = Header(
    "teredo.orig",
    "Teredo Origin Indication header",
    (
        Bytes("", "Indicator", 2),
        U16("port", "Origin UDP port", form=_turned, plain=_turned),
        Field("addr", "Origin IPv4 address", plain=_turned_address, code="4s", size=4),
    ),
)
AUTHENTICATION = Header(
    "teredo.auth",
    "Teredo Authentication header",
    (
        Bytes("", "Indicator", 2),
        U8("idlen", "Client identifier length"),
        U8("aulen", "Authentication value length"),
    ),
)
IDENTIFIER, VALUE, NONCE, CONFIRMATION = (
    octets("teredo.auth.id", "Client identifier"),
    octets("teredo.auth.value", "Authentication value"),
    octets("teredo.auth.nonce", "Nonce value"),
    octets("teredo.auth.conf", "Confirmation byte"),
)


@on("udp.port", 3544)
def teredo(packet: Packet, at: int, limit: int) -> Step | None:
    """IPv6 behind an optional origin indication and authentication (RFC 4380, 5.1.1)."""
    where = at
    while (kind := packet.rest(where, min(where + 2, limit))) in (b"\0\0", b"\0\1") and where < at + 600:
        if kind == b"\0\0":
            where += 8
        else:
            sizes = packet.take("Teredo", where + 2, 2, limit)
            where += 13 + sizes[0] + sizes[1]
    if packet.rest(where, min(where + 1, limit))[:1] < b"\x60" or packet.data[where] >> 4 != 6:
        return NOT_MINE
    packet.column("teredo")
    layer = packet.layer(TEREDO, at, where - at)
    _heads(packet, layer, at, where)
    return step("ethertype", 0x86DD, where, limit)


def _heads(packet: Packet, layer: Item, at: int, end: int) -> None:
    """What stands before IPv6: an authentication, where the packet came from."""
    while at < end:
        if packet.data[at + 1] == 0:
            packet.add_header(packet.add(layer, ORIGIN.field, None, at, ORIGIN.size), ORIGIN, at, end)
            at += ORIGIN.size
            continue
        item = packet.add(layer, AUTHENTICATION.field, None, at, AUTHENTICATION.size)
        _, identifier, value = packet.add_header(item, AUTHENTICATION, at, end)
        where = at + AUTHENTICATION.size
        for field, size in ((IDENTIFIER, identifier), (VALUE, value), (NONCE, 8), (CONFIRMATION, 1)):
            if size:
                packet.add(item, field, packet.take("Teredo", where, size, end), where, size)
            where += size
        at = where
