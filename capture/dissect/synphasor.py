"""IEEE C37.118 synchrophasors: the frame's head."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U16, U24, U32, Bits, Bytes, Flags16, Header, absolute, number
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

TYPES = {
    0: "Data Frame",
    1: "Header Frame",
    2: "Configuration Frame 1",
    3: "Configuration Frame 2",
    4: "Command Frame",
    5: "Configuration Frame 3",
}
COMMANDS = {
    1: "data transmission off",
    2: "data transmission on",
    3: "send HDR frame",
    4: "send CFG-1 frame",
    5: "send CFG-2 frame",
    6: "send CFG-3 frame",
    8: "extended frame",
}
SYNPHASOR = Header(
    "synphasor",
    "IEEE C37.118 Synchrophasor Protocol",
    (
        Flags16(
            "sync",
            "Synchronization word",
            Bits(0x0070, "frtype", "Frame Type", TYPES, digits=4),
            Bits(0x000F, "version", "Version"),
        ),
        U16("frsize", "Framesize"),
        U16("idcode_stream_source", "PMU/DC ID number"),
        U32("soc", "SOC time stamp", plain=lambda value: absolute(value * 10**9)),
        Bytes("", "Time quality", 1),
        U24("fracsec_raw", "Fraction of second (raw)"),
    ),
)
COMMAND = number("synphasor.command", "Command", COMMANDS, digits=4)


@on("tcp.port", 4712)
@on("udp.port", 4713)
def synphasor(packet: Packet, at: int, limit: int) -> Step | None:
    """0xaa, a type, a size; commands say what they ask for."""
    head = packet.rest(at, min(at + 4, limit))
    if len(head) < 4 or head[0] != 0xAA or head[1] & 0x80:
        return NOT_MINE
    size = int.from_bytes(head[2:4], "big")
    packet.whole("Synchrophasor", at, size, limit)
    packet.column("synphasor")
    layer, (word, *_) = packet.open(SYNPHASOR, at, limit)
    kind = word >> 4 & 7
    packet.info = TYPES.get(kind, f"Unknown ({kind})")
    where = at + SYNPHASOR.size
    if kind == 4:
        command = packet.uint("Synchrophasor", where, 2, limit)
        packet.add(layer, COMMAND, command, where, 2)
        packet.info += f", {COMMANDS.get(command, 'unknown')}"
        where += 2
    layer.size = where - at
    layer.said = packet.info
    return Step((), where, min(limit, max(at + size, where)))
