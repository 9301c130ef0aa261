"""Multicast groups and routing protocols, their heads: IGMP, PIM, OSPF, EIGRP, VRRP, HSRP, RIP, BFD."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bits,
    Bytes,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Ip4,
    Item,
    Packed8,
    address,
    group,
    number,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import ipv4

IGMP_TYPES = {
    0x11: "Membership Query",
    0x12: "Membership Report",
    0x13: "DVMRP",
    0x14: "PIM version 1",
    0x16: "Membership Report",
    0x17: "Leave Group",
    0x22: "Membership Report",
}
IGMP = Header(
    "igmp",
    "Internet Group Management Protocol",
    (Hex8("type", "Type", IGMP_TYPES), U8("max_resp", "Max Resp Time (0.1 s)"), Hex16("checksum", "Checksum")),
)
GROUP = address("igmp.maddr", "Multicast Address", 4)
RECORDS = number("igmp.num_grp_recs", "Num Group Records")
RECORD = group("", "Group Record")
RECORD_TYPES = {
    1: "Mode Is Include",
    2: "Mode Is Exclude",
    3: "Change To Include Mode",
    4: "Change To Exclude Mode",
    5: "Allow New Sources",
    6: "Block Old Sources",
}
RECORD_HEAD = Header(
    "igmp",
    "Group Record",
    (
        U8("record_type", "Record Type", RECORD_TYPES),
        U8("aux_data_len", "Aux Data Len"),
        U16("num_src", "Num Src"),
        Ip4("maddr", "Multicast Address"),
    ),
    name="",
)
SOURCE = address("igmp.saddr", "Source Address", 4)


@on("ip.proto", 2)
def igmp(packet: Packet, at: int, limit: int) -> Step | None:
    """Versions 1 to 3 by type and length (RFC 3376, 7.1)."""
    packet.column("igmp")
    layer, (kind, response, _) = packet.open(IGMP, at, limit)
    name = IGMP_TYPES.get(kind, f"Unknown Type 0x{kind:02x}")
    layer.said = packet.info = name
    where = at + IGMP.size
    if kind == 0x22:
        packet.protocol = "IGMPv3"
        count = packet.uint("IGMP", where + 2, 2, limit)
        packet.add(layer, RECORDS, count, where + 2, 2)
        layer.size += 4
        _records(packet, layer, count, where + 4, limit)
        return None
    target = packet.take("IGMP", where, 4, limit)
    packet.add(layer, GROUP, target, where, 4)
    layer.size += 4
    if kind == 0x11:
        packet.protocol = "IGMPv3" if limit - at >= 12 else "IGMPv2" if response else "IGMPv1"
        packet.info += ", general" if not any(target) else f", specific for group {ipv4(target)}"
    elif kind in (0x12, 0x16, 0x17):
        packet.protocol = "IGMPv1" if kind == 0x12 else "IGMPv2"
        packet.info += f" {'group ' if kind != 0x17 else ''}{ipv4(target)}"
    return Step((), where + 4, limit) if kind == 0x11 and limit - at >= 12 else None


def _records(packet: Packet, layer: Item, count: int, at: int, limit: int) -> None:
    said: list[str] = []
    try:
        for _ in range(count):
            parent = packet.add(layer, RECORD, None, at, RECORD_HEAD.size)
            kind, extra, sources, target = packet.add_header(parent, RECORD_HEAD, at, limit)
            size = RECORD_HEAD.size + 4 * sources + 4 * extra
            packet.check("IGMP group record", at, size, limit)
            parent.size = size
            found = [packet.data[where : where + 4] for where in range(at + 8, at + 8 + 4 * sources, 4)]
            for index, source in enumerate(found):
                packet.add(parent, SOURCE, source, at + 8 + 4 * index, 4)
            parent.said = f"{ipv4(target)}  {RECORD_TYPES.get(kind, kind)}"
            said.append(_record_words(kind, ipv4(target), [ipv4(source) for source in found]))
            at += size
            layer.size = at - layer.start
    finally:
        packet.info = " / ".join([packet.info, *said])


def _record_words(kind: int, target: str, sources: list[str]) -> str:
    among = f"{{{', '.join(sources)}}}"
    if kind in (1, 3):
        return f"Join group {target} for source {among}" if sources else f"Leave group {target}"
    if kind in (2, 4):
        return f"Join group {target}, not for source {among}" if sources else f"Join group {target} for any sources"
    if kind == 5:
        return f"Group {target}, new source {among}"
    if kind == 6:
        return f"Group {target}, block source {among}"
    return f"Group {target}, unknown record type {kind}"


PIM_TYPES = {
    0: "Hello",
    1: "Register",
    2: "Register-stop",
    3: "Join/Prune",
    4: "Bootstrap",
    5: "Assert",
    6: "Graft",
    7: "Graft-Ack",
    8: "Candidate-RP-Advertisement",
    9: "State-Refresh",
    10: "DF election",
}
PIM = Header(
    "pim",
    "Protocol Independent Multicast",
    (
        Packed8(Bits(0xF0, "version", "Version"), Bits(0x0F, "type", "Type", PIM_TYPES)),
        Bytes("res_bytes", "Reserved byte(s)", 1),
        Hex16("cksum", "Checksum"),
    ),
)


@on("ip.proto", 103)
def pim(packet: Packet, at: int, limit: int) -> Step:
    """The head (RFC 7761, 4.9)."""
    packet.column("pim")
    layer, (first, _, _) = packet.open(PIM, at, limit)
    packet.protocol = f"PIMv{first >> 4}"
    layer.said = packet.info = PIM_TYPES.get(first & 15, f"Unknown ({first & 15})")
    return Step((), at + PIM.size, limit)


OSPF_TYPES = {1: "Hello Packet", 2: "DB Description", 3: "LS Request", 4: "LS Update", 5: "LS Acknowledge"}
OSPF = Header(
    "ospf",
    "Open Shortest Path First",
    (
        U8("version", "Version"),
        U8("msg", "Message Type", OSPF_TYPES),
        U16("packet_length", "Packet Length"),
        Ip4("srcrouter", "Source OSPF Router"),
        Ip4("area_id", "Area ID"),
        Hex16("checksum", "Checksum"),
    ),
)


@on("ip.proto", 89)
def ospf(packet: Packet, at: int, limit: int) -> Step:
    """The head (RFC 2328, A.3.1)."""
    packet.column("ospf")
    layer, (_, kind, _, router, area, _) = packet.open(OSPF, at, limit)
    packet.info = OSPF_TYPES.get(kind, f"Unknown ({kind})")
    layer.said = f"{packet.info}, Router: {ipv4(router)}, Area: {ipv4(area)}"
    return Step((), at + OSPF.size, limit)


EIGRP_CODES = {1: "Update", 2: "Request", 3: "Query", 4: "Reply", 5: "Hello", 10: "SIA-Query", 11: "SIA-Reply"}
EIGRP = Header(
    "eigrp",
    "Enhanced Interior Gateway Routing Protocol",
    (
        U8("version", "Version"),
        U8("opcode", "Opcode", EIGRP_CODES),
        Hex16("checksum", "Checksum"),
        Hex32("flags", "Flags"),
        U32("seq", "Sequence"),
        U32("ack", "Acknowledge"),
        U16("vrid", "Virtual Router ID"),
        U16("as", "Autonomous System"),
    ),
)


@on("ip.proto", 88)
def eigrp(packet: Packet, at: int, limit: int) -> Step:
    """The head (RFC 7868, 6.5)."""
    packet.column("eigrp")
    layer, (_, opcode, *_, autonomous) = packet.open(EIGRP, at, limit)
    packet.info = EIGRP_CODES.get(opcode, f"Unknown OpCode ({opcode})")
    layer.said = f"{packet.info}, AS: {autonomous}"
    return Step((), at + EIGRP.size, limit)


VRRP = Header(
    "vrrp",
    "Virtual Router Redundancy Protocol",
    (
        Packed8(Bits(0xF0, "version", "Version"), Bits(0x0F, "type", "Packet type", {1: "Advertisement"})),
        U8("virt_rtr_id", "Virtual Rtr ID"),
        U8("prio", "Priority"),
        U8("addr_count", "Addr Count"),
        U16("adver_int", "Adver Int"),
        Hex16("checksum", "Checksum"),
    ),
)


@on("ip.proto", 112)
def vrrp(packet: Packet, at: int, limit: int) -> Step:
    """The head (RFC 5798, 5)."""
    packet.column("vrrp")
    layer, (first, router, *_) = packet.open(VRRP, at, limit)
    packet.info = f"Announcement (v{first >> 4})" if first & 15 == 1 else f"Unknown (v{first >> 4})"
    layer.said = f"Virtual Rtr ID: {router}"
    return Step((), at + VRRP.size, limit)


HSRP_CODES = {0: "Hello", 1: "Coup", 2: "Resign", 3: "Advertise"}
HSRP_STATES = {0: "Initial", 1: "Learn", 2: "Listen", 4: "Speak", 8: "Standby", 16: "Active"}
HSRP = Header(
    "hsrp",
    "Hot Standby Router Protocol",
    (
        U8("version", "Version"),
        U8("opcode", "Op Code", HSRP_CODES),
        U8("state", "State", HSRP_STATES),
        U8("hellotime", "Hellotime"),
        U8("holdtime", "Holdtime"),
        U8("priority", "Priority"),
        U8("group", "Group"),
        U8("reserved", "Reserved"),
    ),
)


@on("udp.port", 1985)
def hsrp(packet: Packet, at: int, limit: int) -> Step:
    """Version 1's head (RFC 2281, 5); version 2 is another layout behind a first byte of 1."""
    if packet.rest(at, limit)[:1] != b"\0":
        return NOT_MINE
    packet.column("hsrp")
    layer, (_, opcode, state, *_) = packet.open(HSRP, at, limit)
    packet.info = HSRP_CODES.get(opcode, f"Unknown ({opcode})")
    if opcode in (0, 1, 2):
        packet.info += f" (state {HSRP_STATES.get(state, 'Unknown')})"
    layer.said = packet.info
    return Step((), at + HSRP.size, limit)


RIP_COMMANDS = {1: "Request", 2: "Response"}
RIP = Header(
    "rip",
    "Routing Information Protocol",
    (U8("command", "Command", RIP_COMMANDS), U8("version", "Version"), U16("routing_domain", "Routing Domain")),
)


@on("udp.port", 520)
def rip(packet: Packet, at: int, limit: int) -> Step:
    """The head (RFC 2453, 4)."""
    packet.column("rip")
    layer, (command, version, _) = packet.open(RIP, at, limit)
    packet.protocol = f"RIPv{version}" if version in (1, 2) else "RIP"
    layer.said = packet.info = RIP_COMMANDS.get(command, f"Unknown command ({command})")
    return Step((), at + RIP.size, limit)


BFD_DIAGNOSTICS = {
    0: "No Diagnostic",
    1: "Control Detection Time Expired",
    2: "Echo Function Failed",
    3: "Neighbor Signaled Session Down",
    4: "Forwarding Plane Reset",
    5: "Path Down",
    6: "Concatenated Path Down",
    7: "Administratively Down",
    8: "Reverse Concatenated Path Down",
}
BFD_STATES = {0: "AdminDown", 1: "Down", 2: "Init", 3: "Up"}
BFD = Header(
    "bfd",
    "Bidirectional Forwarding Detection",
    (
        Packed8(
            Bits(0xE0, "version", "Protocol Version"),
            Bits(0x1F, "diag", "Diagnostic Code", BFD_DIAGNOSTICS, digits=2),
        ),
        Packed8(
            Bits(0xC0, "sta", "Session State", BFD_STATES, digits=2), Bits(0x3F, "flags", "Message Flags", digits=2)
        ),
        U8("detect_time_multiplier", "Detect Time Multiplier"),
        U8("message_length", "Message Length"),
        Hex32("my_discriminator", "My Discriminator"),
        Hex32("your_discriminator", "Your Discriminator"),
        U32("desired_min_tx_interval", "Desired Min TX Interval"),
        U32("required_min_rx_interval", "Required Min RX Interval"),
        U32("required_min_echo_interval", "Required Min Echo Interval"),
    ),
)


@on("udp.port", 3784, 4784)
def bfd(packet: Packet, at: int, limit: int) -> None:
    """RFC 5880, 4.1."""
    packet.column("bfd")
    layer, (first, second, *_) = packet.open(BFD, at, limit)
    state = BFD_STATES[second >> 6]
    layer.said = packet.info = (
        f"Diag: {BFD_DIAGNOSTICS.get(first & 31, 'Unknown')}, State: {state}, Flags: 0x{second & 0x3F:02x}"
    )
