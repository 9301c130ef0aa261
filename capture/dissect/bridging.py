"""What bridges say: STP, RSTP, MSTP (IEEE 802.1D, 802.1Q), LLDP (802.1AB), the Ethernet loopback test."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bits,
    Bytes,
    Flags8,
    Header,
    Hex8,
    Hex16,
    Item,
    Mac,
    Packed16,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape, ipv4, mac

BPDU_TYPES = {0x00: "Configuration", 0x02: "Rapid/Multiple Spanning Tree", 0x80: "Topology Change Notification"}
STP = Header(
    "stp",
    "Spanning Tree Protocol",
    (
        Hex16("protocol", "Protocol Identifier"),
        U8("version", "Protocol Version Identifier"),
        Hex8("type", "BPDU Type", BPDU_TYPES),
    ),
)


def _seconds(value: int) -> str:
    """Times count 1/256 s."""
    return f"{value / 256:g}"


BPDU = Header(
    "stp",
    "BPDU",
    (
        Flags8(
            "flags",
            "BPDU flags",
            Bit(0x80, "flags.tcack", "Topology Change Acknowledgment"),
            Bit(0x40, "flags.agreement", "Agreement"),
            Bit(0x20, "flags.forwarding", "Forwarding"),
            Bit(0x10, "flags.learning", "Learning"),
            Bits(0x0C, "flags.port_role", "Port Role"),
            Bit(0x02, "flags.proposal", "Proposal"),
            Bit(0x01, "flags.tc", "Topology Change"),
        ),
        Packed16(
            Bits(0xF000, "root.prio", "Root Bridge Priority", times=4096),
            Bits(0x0FFF, "root.ext", "Root Bridge System ID Extension"),
        ),
        Mac("root.hw", "Root Bridge System ID"),
        U32("root.cost", "Root Path Cost"),
        Packed16(
            Bits(0xF000, "bridge.prio", "Bridge Priority", times=4096),
            Bits(0x0FFF, "bridge.ext", "Bridge System ID Extension"),
        ),
        Mac("bridge.hw", "Bridge System ID"),
        Hex16("port", "Port identifier"),
        U16("msg_age", "Message Age", plain=_seconds),
        U16("max_age", "Max Age", plain=_seconds),
        U16("hello", "Hello Time", plain=_seconds),
        U16("forward", "Forward Delay", plain=_seconds),
    ),
    name="",
)
NAMES = {0: "Conf.", 2: "RST.", 3: "MST.", 4: "SPT."}

TLV = number("lldp.tlv.type", "TLV Type")
TLV_LENGTH = number("lldp.tlv.len", "TLV Length")
CHASSIS_TYPE, PORT_TYPE = (
    number("lldp.chassis.subtype", "Chassis Id Subtype"),
    number("lldp.port.subtype", "Port Id Subtype"),
)
CHASSIS_MAC, PORT_MAC = address("lldp.chassis.id.mac", "Chassis Id", 6), address("lldp.port.id.mac", "Port Id", 6)
CHASSIS_ID, PORT_ID = octets("lldp.chassis.id", "Chassis Id"), text("lldp.port.id", "Port Id")
TTL = number("lldp.time_to_live", "Seconds")
PORT_TEXT, SYSTEM_NAME, SYSTEM_TEXT = (
    text("lldp.port.desc", "Port Description"),
    text("lldp.tlv.system.name", "System Name"),
    text("lldp.tlv.system.desc", "System Description"),
)
TLV_DATA = octets("lldp.unknown_subtype.content", "Data")
LLDP = Header("lldp", "Link Layer Discovery Protocol", ())
TLV_NAMES = {
    0: "End of LLDPDU",
    1: "Chassis ID",
    2: "Port ID",
    3: "Time To Live",
    4: "Port Description",
    5: "System Name",
    6: "System Description",
    7: "Capabilities",
    8: "Management Address",
    127: "Organization Specific",
}

FUNCTIONS = {1: "Reply", 2: "Forward Data"}
LOOP = Header("loop", "Configuration Test Protocol (loopback)", (Bytes("", "skipCount", 2), Bytes("", "Function", 2)))
FUNCTION = number("loop.function", "Function", FUNCTIONS)


@on("llc.sap", 0x42)
def stp(packet: Packet, at: int, limit: int) -> Step | None:
    """Who is the root, how far away, through which port."""
    packet.column("stp")
    layer, (_, version, kind) = packet.open(STP, at, limit)
    layer.said = packet.info = BPDU_TYPES.get(kind, f"Unknown BPDU type 0x{kind:02x}")
    start = at + STP.size
    if kind not in (0x00, 0x02):
        packet.info = "Topology Change Notification" if kind == 0x80 else packet.info
        return None
    flags, root, root_mac, cost, _, _, port, *_ = packet.add_header(layer, BPDU, start, limit)
    layer.size += BPDU.size
    change = "TC + " if flags & 1 else ""
    packet.info = (
        f"{NAMES.get(version, 'Conf.')} {change}Root = {root & 0xF000}/{root & 0x0FFF}/{mac(root_mac)}"
        f"  Cost = {cost}  Port = 0x{port:04x}"
    )
    return None


@on("ethertype", 0x88CC)
def lldp(packet: Packet, at: int, limit: int) -> None:
    """TLVs of seven bits of type and nine of length: chassis, port, time to live, then the rest."""
    packet.column("lldp")
    layer = packet.layer(LLDP.field, at, 0)
    info: list[str] = []
    order = 0
    while at < limit:
        word = packet.uint("LLDP", at, 2, limit)
        kind, size = word >> 9, word & 0x1FF
        order += 1
        if order <= 3 and kind != order:
            packet.info = f"Invalid {TLV_NAMES[order]} TLV" if order == 1 else " ".join(info)
            raise Malformed(f"LLDP: TLV {order} must be {TLV_NAMES[order]}", at)
        value = packet.take("LLDP TLV", at + 2, size, limit)
        item = packet.add(layer, TLV, kind, at, 2 + size, TLV_NAMES.get(kind, f"TLV {kind}"))
        packet.add(item, TLV_LENGTH, size, at, 2)
        info += _tlv(packet, item, kind, value, at + 2)
        at += 2 + size
        layer.size = at - layer.start
        packet.info = " ".join(info) + " "
        if kind == 0:
            if packet.payload_end is None:
                packet.payload_end = at
            return


def _tlv(packet: Packet, item: Item, kind: int, value: bytes, at: int) -> list[str]:
    size = len(value)
    if kind in (1, 2) and size:
        field, hardware, name = (
            (CHASSIS_TYPE, CHASSIS_MAC, CHASSIS_ID) if kind == 1 else (PORT_TYPE, PORT_MAC, PORT_ID)
        )
        packet.add(item, field, value[0], at, 1)
        if value[0] == (4 if kind == 1 else 3) and size == 7:
            packet.add(item, hardware, value[1:], at + 1, 6)
            return [f"MA/{mac(value[1:])}"]
        packet.add(item, name, value[1:], at + 1, size - 1, escape(value[1:]))
        if value[0] == (5 if kind == 1 else 4) and size == 6:
            return [f"NA/{ipv4(value[2:])}"]
        prefix = {1: {6: "IN/", 7: "LA/"}, 2: {1: "IA/", 5: "IN/", 7: "LA/"}}[kind].get(value[0], "")
        return [f"{prefix}{escape(value[1:])}"]
    if kind == 3 and size >= 2:
        seconds = int.from_bytes(value[:2], "big")
        packet.add(item, TTL, seconds, at, 2)
        return [str(seconds)]
    field_name = {4: PORT_TEXT, 5: SYSTEM_NAME, 6: SYSTEM_TEXT}.get(kind, TLV_DATA)
    if size:
        packet.add(item, field_name, value, at, size)
    words = {5: "SysN=", 6: "SysD="}
    return [words[kind] + escape(value)] if kind in words else []


@on("ethertype", 0x9000)
def loop(packet: Packet, at: int, limit: int) -> Step:
    """Numbers with the least significant byte first (DEC, Ethernet Configuration Testing Protocol)."""
    packet.column("loop")
    layer, (_, word) = packet.open(LOOP, at, limit)
    function = int.from_bytes(word, "little")
    packet.add(layer, FUNCTION, function, at + 2, 2)
    layer.said = packet.info = FUNCTIONS.get(function, f"Unknown function ({function})")
    return Step((), at + LOOP.size, limit)
