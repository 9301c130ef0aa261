"""Spanning tree: STP, RSTP (IEEE 802.1D), MSTP (802.1Q, 13 and 14), Cisco's one a VLAN."""

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
    Text,
    group,
    number,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import mac

BPDU_TYPES = {0x00: "Configuration", 0x02: "Rapid/Multiple Spanning Tree", 0x80: "Topology Change Notification"}
VERSIONS = {0: "Spanning Tree", 2: "Rapid Spanning Tree", 3: "Multiple Spanning Tree", 4: "Shortest Path Tree"}
STP = Header(
    "stp",
    "Spanning Tree Protocol",
    (
        Hex16("protocol", "Protocol Identifier", {0: "Spanning Tree Protocol"}),
        U8("version", "Protocol Version Identifier", VERSIONS),
        Hex8("type", "BPDU Type", BPDU_TYPES),
    ),
)


def _seconds(value: int) -> str:
    """Times count 1/256 s."""
    return f"{value / 256:g}"


ROLES = {0: "Unknown", 1: "Alternate or Backup", 2: "Root", 3: "Designated"}
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
            Bits(0x0C, "flags.port_role", "Port Role", ROLES),
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
VERSION_1 = number("stp.version_1_length", "Version 1 Length")
MULTIPLE = Header(
    "mstp",
    "MST Extension",
    (
        U16("version_3_length", "Version 3 Length"),
        U8("config_format_selector", "MST Config ID format selector"),
        Text("config_name", "MST Config name", 32),
        U16("config_revision_level", "MST Config revision"),
        Bytes("config_digest", "MST Config digest", 16),
        U32("cist_internal_root_path_cost", "CIST Internal Root Path Cost"),
        Packed16(
            Bits(0xF000, "cist_bridge.prio", "CIST Bridge Priority", times=4096),
            Bits(0x0FFF, "cist_bridge.ext", "CIST Bridge Identifier System ID Extension"),
        ),
        Mac("cist_bridge.hw", "CIST Bridge Identifier System ID"),
        U8("cist_remaining_hops", "CIST Remaining hops"),
    ),
    name="",
)
INSTANCE = Header(
    "mstp.msti",
    "MSTID",
    (
        Hex8("flags", "MSTI flags"),
        Packed16(
            Bits(0xF000, "priority", "Priority", times=4096),
            Bits(0x0FFF, "msti_id", "MSTID"),
        ),
        Mac("root.hw", "Regional Root"),
        U32("root_cost", "Internal root path cost"),
        U8("bridge_priority", "Bridge Identifier Priority"),
        U8("port_priority", "Port identifier priority"),
        U8("remaining_hops", "Remaining hops"),
    ),
)
INSTANCES_AT = 64
"""What the version 3 length counts before the first instance (802.1Q, 14.4)."""
VLAN_TLV = group("", "Originating VLAN")
TLV_TYPE, TLV_LENGTH, ORIGINATING = (
    number("stp.pvst.tlvtype", "Type", {0: "Originating VLAN"}, digits=4),
    number("stp.pvst.tlvlen", "Length"),
    number("stp.pvst.origvlan", "Originating VLAN"),
)
NAMES = {0: "Conf.", 2: "RST.", 3: "MST.", 4: "SPT."}


@on("llc.sap", 0x42)
@on("snap.0080c2", 0x000E)
def stp(packet: Packet, at: int, limit: int) -> None:
    """Who is the root, how far away, through which port."""
    packet.column("stp")
    _bpdu(packet, at, limit)


@on("snap.00000c", 0x010B)
def pvst(packet: Packet, at: int, limit: int) -> None:
    """The same for one VLAN, whose number follows."""
    packet.column("stp")
    layer, where = _bpdu(packet, at, limit)
    if where + 4 > packet.end(limit):
        return
    size = packet.uint("PVST+", where + 2, 2, limit)
    item = packet.add(layer, VLAN_TLV, None, where, 4)
    packet.add(item, TLV_TYPE, packet.uint("PVST+", where, 2, limit), where, 2)
    packet.add(item, TLV_LENGTH, size, where + 2, 2)
    if size == 2:
        packet.add(item, ORIGINATING, packet.uint("PVST+", where + 4, 2, limit), where + 4, 2)
        item.size = 6
    layer.size = item.end - at


def _bpdu(packet: Packet, at: int, limit: int) -> tuple[Item, int]:
    layer, (_, version, kind) = packet.open(STP, at, limit)
    layer.said = packet.info = BPDU_TYPES.get(kind, f"Unknown BPDU type 0x{kind:02x}")
    where = at + STP.size
    if kind not in (0x00, 0x02):
        return layer, where
    flags, root, root_mac, cost, _, _, port, *_ = packet.add_header(layer, BPDU, where, limit)
    where += BPDU.size
    change = "TC + " if flags & 1 else ""
    packet.info = (
        f"{NAMES.get(version, 'Conf.')} {change}Root = {root & 0xF000}/{root & 0x0FFF}/{mac(root_mac)}"
        f"  Cost = {cost}  Port = 0x{port:04x}"
    )
    if kind == 0x02 and where < packet.end(limit):
        packet.add(layer, VERSION_1, packet.data[where], where, 1)
        where += 1
        if version >= 3 and where < limit:
            where = _multiple(packet, layer, where, limit)
    layer.size = where - at
    return layer, where


def _multiple(packet: Packet, layer: Item, at: int, limit: int) -> int:
    """The region's tree, then one record an instance (802.1Q, 14.4) -> where they end."""
    length, *_ = packet.add_header(layer, MULTIPLE, at, limit)
    where = at + MULTIPLE.size
    for _ in range(max(0, length - INSTANCES_AT) // INSTANCE.size):
        item = packet.add(layer, INSTANCE.field, None, where, INSTANCE.size)
        _, word, root, *_ = packet.add_header(item, INSTANCE, where, limit)
        item.said = f"{word & 0x0FFF}, Regional Root Identifier {word & 0xF000} / {mac(root)}"
        where += INSTANCE.size
    return where
