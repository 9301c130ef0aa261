"""Ethernet flow control (IEEE 802.3, 31) and a magic packet to wake a host."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U16, Bit, Bytes, Flags16, Header, Hex16, Mac
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare
from netwatch.capture.text import mac

declare("macc", "MAC CTRL", "link")
declare("wol", "WOL", "link")

PAUSE, BY_CLASS = 0x0001, 0x0101
OPCODES = {PAUSE: "Pause", BY_CLASS: "Class Based Flow Control [CBFC] Pause"}
CONTROL = Header("macc", "MAC Control", (Hex16("opcode", "Opcode", OPCODES),))
QUANTA = Header("macc", "Pause", (U16("pause_time", "pause_time"),), name="")
CLASSES = Header(
    "macc.cbfc",
    "CBFC",
    (
        Flags16(
            "enbv",
            "CBFC Class Enable Vector",
            *(Bit(1 << index, f"enbv.c{index}", f"C{index}") for index in range(8)),
        ),
        *(U16(f"pause_time.c{index}", f"C{index}") for index in range(8)),
    ),
    name="",
)


@on("ethertype", 0x8808)
def control(packet: Packet, at: int, limit: int) -> Step | None:
    """How long to be silent, for all or by class (802.1Qbb)."""
    packet.column("macc")
    layer, (opcode,) = packet.open(CONTROL, at, limit)
    layer.said = packet.info = OPCODES.get(opcode, "Unknown")
    where = at + CONTROL.size
    head = {PAUSE: QUANTA, BY_CLASS: CLASSES}.get(opcode)
    if head is None:
        return Step((), where, limit)
    value, *_ = packet.add_header(layer, head, where, limit)
    if opcode == PAUSE:
        packet.info += f": pause_time: {value} quanta"
    layer.size += head.size
    if packet.payload_end is None:
        packet.payload_end = where + head.size
    return None


WAKE = Header("wol", "Wake On LAN", (Bytes("sync", "Sync stream", 6), Mac("mac", "MAC")))
REPEATED = 16


@on("ethertype", 0x0842)
def wake(packet: Packet, at: int, limit: int) -> Step:
    """Six bytes of ones, then an address sixteen times."""
    packet.column("wol")
    layer, (_, target) = packet.open(WAKE, at, limit)
    packet.info = f"MagicPacket for {mac(target)}"
    layer.said = f"MAC: {mac(target)}"
    end = at + 6 + 6 * REPEATED
    if packet.data[at + 6 : end] != target * REPEATED:
        return Step((), at + WAKE.size, limit)
    layer.size = end - at
    return Step((), end, limit)
