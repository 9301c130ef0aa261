"""MACsec (IEEE 802.1AE): the security tag and the check value."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import U8, U16, U32, Bit, Bits, Header, Mac, Packed8, number, octets
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

MACSEC = Header(
    "macsec",
    "802.1AE Security tag",
    (
        Packed8(
            Bits(
                0xFC,
                "TCI",
                "TCI",
                digits=2,
                bits=(
                    Bits(0x80, "TCI.V", "VER"),
                    Bit(0x40, "TCI.ES", "ES"),
                    Bit(0x20, "TCI.SC", "SC"),
                    Bit(0x10, "TCI.SCB", "SCB"),
                    Bit(0x08, "TCI.E", "E"),
                    Bit(0x04, "TCI.C", "C"),
                ),
            ),
            Bits(0x03, "AN", "AN"),
        ),
        U8("SL", "Short length"),
        U32("PN", "Packet number"),
    ),
)
CHANNEL = Header(
    "macsec.SCI",
    "Secure channel",
    (Mac("system_identifier", "System Identifier"), U16("port_identifier", "Port Identifier")),
    name="",
)
TYPE = number("macsec.etype", "Type", ETHERTYPES, digits=4)
ICV = octets("macsec.ICV", "ICV")
ICV_SIZE = 16
VERSION, CHANNEL_THERE, ENCRYPTED = 0x80, 0x20, 0x0C


@on("ethertype", 0x88E5)
def macsec(packet: Packet, at: int, limit: int) -> Step | None:
    """Encrypted, the rest is data; else an EtherType and what it names. A check value ends it."""
    first = packet.uint("MACsec", at, 1, limit)
    size = MACSEC.size + (CHANNEL.size if first & CHANNEL_THERE else 0)
    if first & VERSION or limit - at < size + ICV_SIZE:
        packet.protocol, packet.info = "0x88e5", "802.1AE (MACsec)"
        return Step((), at, limit)
    packet.column("macsec", "MACsec frame")
    layer, (_, short, _) = packet.open(MACSEC, at, limit)
    where = at + MACSEC.size
    if first & CHANNEL_THERE:
        packet.add_header(layer, CHANNEL, where, limit)
        where += CHANNEL.size
        layer.size += CHANNEL.size
    end = max(where, limit - ICV_SIZE)
    if 0 < short <= end - where:
        end = where + short
    checked = end + ICV_SIZE <= min(limit, packet.caplen)
    if checked:
        packet.payload_end = end + ICV_SIZE
    if first & ENCRYPTED:
        following = Step((), where, end)
    else:
        kind = packet.uint("MACsec", where, 2, end)
        packet.add(layer, TYPE, kind, where, 2)
        layer.size += 2
        following = by_type(packet, kind, where + 2, end)
    if not checked:
        return following
    packet.run(following)
    packet.layer(ICV, end, ICV_SIZE).value = packet.data[end : end + ICV_SIZE]
    return None
