"""SNMP versions 1, 2c and 3 (RFC 1157, 3416, 3412, 3414): who asks, the PDU, names and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.ber import integer, oid, tlv
from netwatch.capture.dissect.kit import Bit, Flags8, Header, address, flag, number, octets, text
from netwatch.capture.dissect.packet import Packet, Stopped
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

SNMP: Final = Header("snmp", "Simple Network Management Protocol", ())
VERSIONS: Final = {0: "version-1", 1: "v2c", 3: "snmpv3"}
PDUS: Final = {
    0xA0: "get-request",
    0xA1: "get-next-request",
    0xA2: "get-response",
    0xA3: "set-request",
    0xA4: "trap",
    0xA5: "getBulkRequest",
    0xA6: "informRequest",
    0xA7: "snmpV2-trap",
    0xA8: "report",
}
TRAP, BULK = 0xA4, 0xA5
ERRORS: Final = {
    0: "noError",
    1: "tooBig",
    2: "noSuchName",
    3: "badValue",
    4: "readOnly",
    5: "genErr",
    6: "noAccess",
    7: "wrongType",
    8: "wrongLength",
    9: "wrongEncoding",
    10: "wrongValue",
    11: "noCreation",
    12: "inconsistentValue",
    13: "resourceUnavailable",
    14: "commitFailed",
    15: "undoFailed",
    16: "authorizationError",
    17: "notWritable",
    18: "inconsistentName",
}
TRAPS: Final = {
    0: "coldStart",
    1: "warmStart",
    2: "linkDown",
    3: "linkUp",
    4: "authenticationFailure",
    5: "egpNeighborLoss",
    6: "enterpriseSpecific",
}
VERSION, COMMUNITY = number("snmp.version", "version", VERSIONS), text("snmp.community", "community")
VERSION3: Final = number("snmp.msgVersion", "msgVersion", VERSIONS)
PDU: Final = number("snmp.data", "data", {tag & 0x1F: name for tag, name in PDUS.items()})
REQUEST: Final = number("snmp.request_id", "request-id")
STATUS, INDEX = number("snmp.error_status", "error-status", ERRORS), number("snmp.error_index", "error-index")
NON_REPEATERS, REPETITIONS = (
    number("snmp.non_repeaters", "non-repeaters"),
    number("snmp.max_repetitions", "max-repetitions"),
)
ENTERPRISE, AGENT = text("snmp.enterprise", "enterprise"), address("snmp.agent_addr", "agent-addr", 4)
GENERIC, SPECIFIC = number("snmp.generic_trap", "generic-trap", TRAPS), number("snmp.specific_trap", "specific-trap")
STAMP: Final = number("snmp.time_stamp", "time-stamp")
MESSAGE_ID, MAX_SIZE = number("snmp.msgID", "msgID"), number("snmp.msgMaxSize", "msgMaxSize")
FLAGS: Final = Header(
    "snmp",
    "msgFlags",
    (
        Flags8(
            "msgFlags",
            "msgFlags",
            Bit(0x04, "v3.flags.report", "Reportable"),
            Bit(0x02, "v3.flags.crypt", "Encrypted"),
            Bit(0x01, "v3.flags.auth", "Authenticated"),
        ),
    ),
    name="",
)
MODEL: Final = number("snmp.msgSecurityModel", "msgSecurityModel", {1: "SNMPv1", 2: "SNMPv2c", 3: "USM"})
ENGINE, BOOTS, TIME = (
    octets("snmp.msgAuthoritativeEngineID", "msgAuthoritativeEngineID"),
    number("snmp.msgAuthoritativeEngineBoots", "msgAuthoritativeEngineBoots"),
    number("snmp.msgAuthoritativeEngineTime", "msgAuthoritativeEngineTime"),
)
USER: Final = text("snmp.msgUserName", "msgUserName")
PROOF, PRIVACY = (
    octets("snmp.msgAuthenticationParameters", "msgAuthenticationParameters"),
    octets("snmp.msgPrivacyParameters", "msgPrivacyParameters"),
)
ENCRYPTED: Final = octets("snmp.encryptedPDU", "encryptedPDU")
CONTEXT_ENGINE, CONTEXT = octets("snmp.contextEngineID", "contextEngineID"), text("snmp.contextName", "contextName")
NAME: Final = text("snmp.name", "Object Name")
VALUES: Final[dict[int, Field]] = {
    0x02: number("snmp.value.int", "Value (Integer32)"),
    0x04: octets("snmp.value.octets", "Value (OctetString)"),
    0x05: flag("snmp.value.null", "Value (Null)"),
    0x06: text("snmp.value.oid", "Value (OID)"),
    0x40: address("snmp.value.ipv4", "Value (IpAddress)", 4),
    0x41: number("snmp.value.counter", "Value (Counter32)"),
    0x42: number("snmp.value.g32", "Value (Gauge32)"),
    0x43: number("snmp.value.timeticks", "Value (Timeticks)"),
    0x44: octets("snmp.value.opaque", "Value (Opaque)"),
    0x46: number("snmp.value.counter", "Value (Counter64)"),
    0x47: number("snmp.value.u32", "Value (Unsigned32)"),
    0x80: flag("snmp.noSuchObject", "noSuchObject"),
    0x81: flag("snmp.noSuchInstance", "noSuchInstance"),
    0x82: flag("snmp.endOfMibView", "endOfMibView"),
}
"""Tag → value (RFC 3416, 3; RFC 2578, 7.1)."""
SIGNED: Final = 0x02
INTEGERS: Final = frozenset({0x02, 0x41, 0x42, 0x43, 0x46, 0x47})
OTHER: Final = octets("snmp.value.unk", "Value (Unknown)")


def _fits(packet: Packet, at: int, limit: int) -> bool:
    """Whether the outer sequence fills the datagram and no more."""
    try:
        return tlv(packet, at, packet.wirelen)[2] <= limit
    except Stopped as stopped:
        return stopped.verdict(packet).kind == "cut" and limit > packet.caplen


@on("udp.port", 161, 162)
def snmp(packet: Packet, at: int, limit: int) -> Step | None:
    """A sequence of version, who asks, and PDU."""
    if packet.data[at : at + 1] != b"\x30" or not _fits(packet, at, limit):
        return NOT_MINE
    packet.column("snmp")
    layer = packet.layer(SNMP.field, at, 0)
    _, where, end = tlv(packet, at, limit)
    layer.size = end - at
    _, start, stop = tlv(packet, where, end)
    version = integer(packet, start, stop)
    packet.add(layer, VERSION3 if version == 3 else VERSION, version, start, stop - start)
    layer.said = VERSIONS.get(version, f"Unknown ({version})")
    if version == 3:
        _version3(packet, layer, stop, end)
    else:
        _, start, stop = tlv(packet, stop, end)
        packet.add(layer, COMMUNITY, packet.data[start:stop], start, stop - start)
        _pdu(packet, layer, stop, end)
    return None


def _integers(packet: Packet, parent: Item, at: int, limit: int, *fields: Field) -> int:
    """Integers one after the other -> the offset after them."""
    for field in fields:
        _, start, at = tlv(packet, at, limit)
        packet.add(parent, field, integer(packet, start, at), start, at - start)
    return at


def _strings(packet: Packet, parent: Item, at: int, limit: int, *fields: Field) -> int:
    for field in fields:
        _, start, at = tlv(packet, at, limit)
        packet.add(parent, field, packet.data[start:at], start, at - start)
    return at


def _version3(packet: Packet, layer: Item, at: int, limit: int) -> None:
    """RFC 3412, 6; the user's parameters: RFC 3414, 2.4."""
    _, start, stop = tlv(packet, at, limit)
    where = _integers(packet, layer, start, stop, MESSAGE_ID, MAX_SIZE)
    _, first, where = tlv(packet, where, stop)
    (flags,) = packet.add_header(layer, FLAGS, first, where) if where > first else (0,)
    _, first, where = tlv(packet, where, stop)
    model = integer(packet, first, where)
    packet.add(layer, MODEL, model, first, where - first)
    _, start, after = tlv(packet, stop, limit)
    if model == 3 and after > start:
        _, start, stop = tlv(packet, start, after)
        where = _strings(packet, layer, start, stop, ENGINE)
        where = _integers(packet, layer, where, stop, BOOTS, TIME)
        _strings(packet, layer, where, stop, USER, PROOF, PRIVACY)
    if flags & 0x02:
        packet.info = layer.said = "encryptedPDU: privKey Unknown"
        _strings(packet, layer, after, limit, ENCRYPTED)
        return
    _, start, stop = tlv(packet, after, limit)
    where = _strings(packet, layer, start, stop, CONTEXT_ENGINE, CONTEXT)
    _pdu(packet, layer, where, stop)


def _pdu(packet: Packet, layer: Item, at: int, limit: int) -> None:
    kind, where, after = tlv(packet, at, limit)
    packet.info = PDUS.get(kind, f"Unknown (0x{kind:02x})")
    layer.said = packet.info
    item = packet.add(layer, PDU, kind & 0x1F, at, after - at)
    names: list[str] = [packet.info]
    if kind == TRAP:
        _, start, where = tlv(packet, where, after)
        enterprise = oid(packet.data[start:where])
        packet.add(item, ENTERPRISE, enterprise, start, where - start)
        names.append(enterprise.replace("1", "iso", 1) if enterprise.startswith("1.") else enterprise)
        _, start, where = tlv(packet, where, after)
        packet.add(item, AGENT, packet.data[start:where][:4].ljust(4, b"\0"), start, where - start)
        where = _integers(packet, item, where, after, GENERIC, SPECIFIC, STAMP)
    elif kind == BULK:
        where = _integers(packet, item, where, after, REQUEST, NON_REPEATERS, REPETITIONS)
    else:
        where = _integers(packet, item, where, after, REQUEST, STATUS, INDEX)
    _, where, end = tlv(packet, where, after)
    try:
        while where < end:
            where = _binding(packet, item, where, end, names)
    finally:
        packet.info = " ".join(names)


def _binding(packet: Packet, item: Item, at: int, limit: int, names: list[str]) -> int:
    _, start, end = tlv(packet, at, limit)
    _, first, after = tlv(packet, start, end)
    name = oid(packet.data[first:after])
    names.append(name)
    pair = packet.add(item, NAME, name, at, end - at)
    tag, first, last = tlv(packet, after, end)
    raw = packet.data[first:last]
    field = VALUES.get(tag, OTHER)
    if tag in INTEGERS:
        value: int | str | bytes | bool = int.from_bytes(raw[:16], "big", signed=tag == SIGNED)
    elif tag == 0x06:
        value = oid(raw)
    elif field.plain is VALUES[0x05].plain:
        value = True
    elif tag == 0x40 and len(raw) != 4:
        field, value = OTHER, raw
    else:
        value = raw
    packet.add(pair, field, value, first, last - first)
    return end
