"""Hot Standby Router Protocol: version 1 (RFC 2281) and 2."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, U32, Header, Ip4, Mac, Text, group, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.protocols import declare

declare("hsrp2", "HSRPv2", "routing")

CODES = {0: "Hello", 1: "Coup", 2: "Resign", 3: "Advertise"}
STATES = {0: "Initial", 1: "Learn", 2: "Listen", 4: "Speak", 8: "Standby", 16: "Active"}
STATES2 = {0: "Disabled", 1: "Init", 2: "Learn", 3: "Listen", 4: "Speak", 5: "Standby", 6: "Active"}
HEAD = Header("hsrp", "Cisco Hot Standby Router Protocol", (U8("version", "Version"), U8("opcode", "Op Code", CODES)))
HSRP = Header(
    "hsrp",
    "Hot Standby Router Protocol",
    (
        U8("state", "State", STATES),
        U8("hellotime", "Hellotime"),
        U8("holdtime", "Holdtime"),
        U8("priority", "Priority"),
        U8("group", "Group"),
        U8("reserved", "Reserved"),
        Text("auth_data", "Authentication Data", 8),
        Ip4("virt_ip", "Virtual IP Address"),
    ),
    name="",
)
ADVERTISE = Header(
    "hsrp.adv",
    "Advertise",
    (
        U16("tlvtype", "Type"),
        U16("tlvlength", "Length"),
        U8("state", "State"),
        U8("reserved1", "Reserved"),
        U16("activegrp", "Active Groups"),
        U16("passivegrp", "Passive Groups"),
        U32("reserved2", "Reserved"),
    ),
    name="",
)
HSRP2 = group("hsrp2", "Cisco Hot Standby Router Protocol")
STATE_TLV, TEXT_TLV = (
    group("hsrp2.group_state_tlv", "Group State TLV"),
    group("hsrp2.text_auth_tlv", "Text Authentication TLV"),
)
STATE = Header(
    "hsrp2",
    "Group State",
    (
        U8("version", "Version"),
        U8("opcode", "Op Code", CODES),
        U8("state", "State", STATES2),
        U8("ipversion", "IP Ver.", {4: "IPv4", 6: "IPv6"}),
        U16("group", "Group"),
        Mac("identifier", "Identifier"),
        U32("priority", "Priority"),
        U32("hellotime", "Hellotime"),
        U32("holdtime", "Holdtime"),
        Ip4("virt_ip", "Virtual IP Address"),
    ),
    name="",
)
AUTHENTICATION = Header("hsrp2", "Authentication", (Text("auth_data", "Authentication Data", 8),), name="")
TLV_DATA = octets("", "TLV")
GROUP_STATE, TEXT_AUTHENTICATION = 1, 3


@on("udp.port", 1985, 2029)
def hsrp(packet: Packet, at: int, limit: int) -> Step | None:
    """Version 1 begins with its number, 0; version 2 with a record's type, 1 or more, and its length."""
    head = packet.rest(at, min(limit, at + 2))
    if head[:1] == b"\0":
        return _first(packet, at, limit)
    if len(head) < 2 or head[0] > 4 or at + 2 + head[1] > limit:
        return NOT_MINE
    _second(packet, at, limit)
    return None


def _first(packet: Packet, at: int, limit: int) -> Step | None:
    packet.column("hsrp")
    layer, (_, opcode) = packet.open(HEAD, at, limit)
    packet.info = CODES.get(opcode, f"Unknown ({opcode})")
    part = ADVERTISE if opcode == 3 else HSRP
    _, _, state, *_ = values = packet.add_header(layer, part, at + HEAD.size, limit)
    if part is HSRP:
        state = values[0]
        packet.info += f" (state {STATES.get(state, 'Unknown')})"
    else:
        packet.info += " (state Unknown)"
    layer.said = packet.info
    layer.size += part.size
    end = at + layer.size
    return Step((), end, limit) if end < limit else None


def _second(packet: Packet, at: int, limit: int) -> None:
    packet.column("hsrp2")
    layer = packet.layer(HSRP2, at, 0)
    while at < limit:
        kind, size = packet.take("HSRP record", at, 2, limit)
        value = packet.take("HSRP record", at + 2, size, limit)
        if kind == GROUP_STATE and size >= STATE.size:
            item = packet.add(layer, STATE_TLV, None, at, 2 + size, f"Type={kind} Len={size}")
            _, opcode, state, *_ = packet.add_header(item, STATE, at + 2, limit)
            packet.info = f"{CODES.get(opcode, 'Unknown')} (state {STATES2.get(state, 'Unknown')})"
        elif kind == TEXT_AUTHENTICATION and size >= AUTHENTICATION.size:
            item = packet.add(layer, TEXT_TLV, None, at, 2 + size, f"Type={kind} Len={size}")
            packet.add_header(item, AUTHENTICATION, at + 2, limit)
        else:
            packet.add(layer, TLV_DATA, value, at + 2, size, f"Type={kind} Len={size}")
        at += 2 + size
        layer.size = at - layer.start
