"""Slow protocols (IEEE 802.3, 57A): link aggregation (802.1AX), its marker, OAM (802.3, 57)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bytes,
    Field,
    Flags8,
    Flags16,
    Header,
    Hex8,
    Mac,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.protocols import declare
from netwatch.capture.text import mac

declare("marker", "Marker", "link")
declare("oampdu", "OAM", "link")

SUBTYPES = {1: "LACP", 2: "Marker Protocol", 3: "Operations, Administration, and Maintenance (OAM)", 10: "OSSP"}
SLOW = Header("slow", "Slow Protocols", (Hex8("subtype", "Slow Protocols subtype", SUBTYPES),))
STATES = "EFDCSGSA"
"""The letters of a port's state, highest bit first: expired, defaulted, distributing, collecting, in sync,
aggregatable, short timeout, active."""


def _state(side: str, label: str) -> Field:
    return Flags8(
        f"{side}.state",
        f"{label} State",
        Bit(0x01, f"{side}.state.activity", "LACP Activity"),
        Bit(0x02, f"{side}.state.timeout", "LACP Timeout"),
        Bit(0x04, f"{side}.state.aggregation", "Aggregation"),
        Bit(0x08, f"{side}.state.synchronization", "Synchronization"),
        Bit(0x10, f"{side}.state.collecting", "Collecting"),
        Bit(0x20, f"{side}.state.distributing", "Distributing"),
        Bit(0x40, f"{side}.state.defaulted", "Defaulted"),
        Bit(0x80, f"{side}.state.expired", "Expired"),
    )


def _side(side: str, label: str, system: str) -> tuple[Field, ...]:
    return (
        Hex8("tlv_type", "TLV Type", {1: "Actor Information", 2: "Partner Information", 3: "Collector Information"}),
        Hex8("tlv_length", "TLV Length"),
        U16(f"{side}.sys_priority", f"{label} System Priority"),
        Mac(f"{side}.sysid", system),
        U16(f"{side}.key", f"{label} Key"),
        U16(f"{side}.port_priority", f"{label} Port Priority"),
        U16(f"{side}.port", f"{label} Port"),
        _state(side, label),
        Bytes(f"{side}.reserved", "Reserved", 3),
    )


LACP = Header(
    "lacp",
    "Link Aggregation Control Protocol",
    (
        Hex8("version", "LACP Version"),
        *_side("actor", "Actor", "Actor System ID"),
        *_side("partner", "Partner", "Partner System"),
    ),
)
COLLECTOR = Header(
    "lacp",
    "Collector",
    (
        Hex8("tlv_type", "TLV Type", {3: "Collector Information"}),
        Hex8("tlv_length", "TLV Length"),
        U16("collector.max_delay", "Collector Max Delay"),
        Bytes("coll_reserved", "Reserved", 12),
    ),
    name="",
)
MARKERS = {1: "Marker Information", 2: "Marker Response Information"}
MARKER = Header(
    "marker",
    "Marker Protocol",
    (
        Hex8("version", "Version Number"),
        Hex8("tlvType", "TLV Type", MARKERS),
        Hex8("tlvLen", "TLV Length"),
        U16("requesterPort", "Requester Port"),
        Mac("requesterSystem", "Requester System"),
        U32("requesterTransId", "Requester Transaction ID"),
    ),
)
OAM_CODES = {
    0: "Information",
    1: "Event Notification",
    2: "Variable Request",
    3: "Variable Response",
    4: "Loopback Control",
    0xFE: "Organization Specific",
}
OAM = Header(
    "oampdu",
    "OAM Protocol",
    (
        Flags16(
            "flags",
            "Flags",
            Bit(0x0001, "flags.linkFault", "Link Fault"),
            Bit(0x0002, "flags.dyingGasp", "Dying Gasp"),
            Bit(0x0004, "flags.criticalEvent", "Critical Event"),
            Bit(0x0008, "flags.localEvaluating", "Local Evaluating"),
            Bit(0x0010, "flags.localStable", "Local Stable"),
            Bit(0x0020, "flags.remoteEvaluating", "Remote Evaluating"),
            Bit(0x0040, "flags.remoteStable", "Remote Stable"),
        ),
        U8("code", "OAMPDU code", OAM_CODES),
    ),
)


@on("ethertype", 0x8809)
def slow(packet: Packet, at: int, limit: int) -> Step:
    """Told apart by their first byte."""
    packet.column("slow")
    packet.protocol = "Slow Protocols"
    layer, (subtype,) = packet.open(SLOW, at, limit)
    packet.info = f"Subtype = {subtype}"
    layer.said = SUBTYPES.get(subtype, f"Subtype {subtype}")
    return step("slow.subtype", subtype, at + SLOW.size, limit)


def _letters(state: int) -> str:
    return "".join([letter if state << index & 0x80 else "*" for index, letter in enumerate(STATES)])


@on("slow.subtype", 1)
def lacp(packet: Packet, at: int, limit: int) -> None:
    """What each side knows of itself and of the other (IEEE 802.1AX, 6.4.2)."""
    packet.column("lacp")
    layer, values = packet.open(LACP, at, limit)
    version = values[0]
    (_, _, _, actor, key, _, port, state, _), (_, _, _, partner, other_key, _, other_port, other, _) = (
        values[1:10],
        values[10:19],
    )
    packet.info = (
        f"v{version} ACTOR {mac(actor)} P: {port} K: {key} {_letters(state)}"
        f" PARTNER {mac(partner)} P: {other_port} K: {other_key} {_letters(other)}"
    )
    layer.said = f"v{version}"
    where = at + LACP.size
    if where + COLLECTOR.size <= packet.end(limit):
        packet.add_header(layer, COLLECTOR, where, limit)
        layer.size += COLLECTOR.size
    # Then a terminator and zeros, up to a size that every one of these has.
    layer.size = packet.end(limit) - at


@on("slow.subtype", 2)
def marker(packet: Packet, at: int, limit: int) -> None:
    """When its answer is back, no frame of the conversation is on its way any more."""
    packet.column("marker")
    layer, (_, kind, _, port, system, transaction) = packet.open(MARKER, at, limit)
    name = {1: "Information", 2: "Response"}.get(kind, "Unknown")
    packet.info = f"{name} SysId={mac(system)}, P={port}, TId={transaction}"
    layer.said = MARKERS.get(kind, f"type {kind}")
    layer.size = packet.end(limit) - at


@on("slow.subtype", 3)
def oam(packet: Packet, at: int, limit: int) -> Step:
    """The head."""
    packet.column("oampdu")
    layer, (_, code) = packet.open(OAM, at, limit)
    packet.info = f"OAMPDU: {OAM_CODES.get(code, 'Code reserved')}"
    layer.said = OAM_CODES.get(code, f"code {code}")
    return Step((), at + OAM.size, limit)
