"""PIM version 2 (RFC 7761): hellos with their options, registers, joins and prunes, asserts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, pseudo_header, show_checksum
from netwatch.capture.dissect.kit import (
    U16,
    U32,
    Bit,
    Bits,
    Bytes,
    Field,
    Flags32,
    Header,
    Hex16,
    Item,
    Packed8,
    Packed16,
    Packed32,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.options import tlvs
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.text import ipv4, ipv6

TYPES = {
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
        Packed8(Bits(0xF0, "version", "Version"), Bits(0x0F, "type", "Type", TYPES)),
        Bytes("res_bytes", "Reserved byte(s)", 1),
        Hex16("cksum", "Checksum"),
    ),
)
CHECKSUM_STATUS = number("pim.cksum.status", "Checksum Status", STATUS)
OPTIONS = {
    1: "Hold Time",
    2: "LAN Prune Delay",
    19: "DR Priority",
    20: "Generation ID",
    21: "State Refresh Capable",
    22: "Bidirectional Capable",
    24: "Address List",
}
OPTION, OPTION_LENGTH = number("pim.optiontype", "Type", OPTIONS), number("pim.optionlength", "Length")
OPTION_DATA = octets("", "Data")
HOLD_TIME = number("pim.holdtime", "Holdtime")
PRUNE_DELAY = Header(
    "pim",
    "LAN Prune Delay",
    (
        Packed16(Bits(0x8000, "t", "T"), Bits(0x7FFF, "propagation_delay", "Propagation Delay")),
        U16("override_interval", "Override Interval"),
    ),
    name="",
)
NUMBERS: Final[dict[tuple[int, int], Field]] = {
    (1, 2): HOLD_TIME,
    (19, 4): number("pim.dr_priority", "DR Priority"),
    (20, 4): number("pim.generation_id", "Generation ID"),
}
FAMILIES = {1: "IPv4", 2: "IPv6"}
FAMILY, ENCODING = (
    number("pim.addr_address_family", "Address Family", FAMILIES),
    number("pim.addr_encoding_type", "Encoding Type", {0: "Native"}),
)
NEIGHBOR = group("pim.upstream_neighbor", "Upstream-neighbor")


def _address(value: bytes) -> str:
    return ipv4(value) if len(value) == 4 else ipv6(value) if len(value) == 16 else value.hex()


def _named(name: str, label: str) -> Field:
    return Field(name, label, plain=_address)


UNICAST, GROUP_ADDRESS, SOURCE = (
    _named("pim.unicast", "Unicast"),
    _named("pim.group", "Group"),
    _named("pim.source", "Source"),
)
MASK = number("pim.mask_len", "Masklen")
SOURCE_FLAGS, GROUP_FLAGS = (
    number("pim.source_addr.flags", "Flags", digits=2),
    number("pim.group_addr.flags", "Flags", digits=2),
)
GROUPS, JOINS, PRUNES = (
    number("pim.numgroups", "Num Groups"),
    number("pim.numjoins", "Num Joins"),
    number("pim.numprunes", "Num Prunes"),
)
GROUP_SET = number("pim.group_set", "Group set")
JOIN, PRUNE = group("pim.join_ip", "Join"), group("pim.prune_ip", "Prune")
REGISTER = Header(
    "pim",
    "Register",
    (
        Flags32(
            "register_flag",
            "Flags",
            Bit(0x80000000, "register_flag.border", "Border"),
            Bit(0x40000000, "register_flag.null_register", "Null-Register"),
        ),
    ),
    name="",
)
ASSERT = Header(
    "pim",
    "Assert",
    (
        Packed32(Bits(0x80000000, "rpt", "RP Tree"), Bits(0x7FFFFFFF, "metric_pref", "Metric Preference")),
        U32("metric", "Metric"),
    ),
    name="",
)
SIZES: Final = {1: 4, 2: 16}
SPARSE: Final = ((4, "S"), (2, "W"), (1, "R"))


@on("ip.proto", 103)
def pim(packet: Packet, at: int, limit: int) -> Step | None:
    """Version and type, then what the type has (RFC 7761, 4.9)."""
    packet.column("pim")
    layer, (first, _, _) = packet.open(PIM, at, limit)
    version, kind = first >> 4, first & 15
    packet.protocol = f"PIMv{version}"
    layer.said = packet.info = TYPES.get(kind, f"Unknown ({kind})")
    if packet.build:
        show_checksum(packet, layer, CHECKSUM_STATUS, _checksum(packet, kind, at, limit), at + 2)
    where = at + PIM.size
    if kind == 1:
        packet.add_header(layer, REGISTER, where, limit)
        where += REGISTER.size
        layer.size = where - at
        version = packet.data[where] >> 4 if where < packet.end(limit) else 0
        row = packet.protocol, packet.info
        packet.run(step("ethertype", {4: 0x0800, 6: 0x86DD}.get(version, -1), where, limit))
        packet.protocol, packet.info = row
        return None
    show = MESSAGES.get(kind)
    if show is None:
        return Step((), where, limit)
    layer.size = show(packet, layer, where, limit) - at
    return None


def _checksum(packet: Packet, kind: int, at: int, limit: int) -> int:
    """Of a register only the head counts; IPv6 has its pseudo header (4.9)."""
    end = min(limit, at + 8) if kind == 1 else limit
    if end > packet.caplen or packet.values.get("quoted"):
        return UNVERIFIED
    addresses = packet.values.get("ip.pseudo", b"")
    pseudo = pseudo_header(addresses, 103, end - at) if len(addresses) == 32 else b""
    return GOOD if ones_sum(pseudo + packet.data[at:end]) == 0xFFFF else BAD


def _hello(packet: Packet, layer: Item, at: int, limit: int) -> int:
    where = at
    for kind, start, size in tlvs(packet, "PIM option", at, limit):
        item = packet.add(layer, OPTION, kind, start - 4, 4 + size, f"{OPTIONS.get(kind, 'Unknown')} ({kind})")
        packet.add(item, OPTION_LENGTH, size, start - 2, 2)
        field = NUMBERS.get((kind, size))
        value = packet.data[start : start + size]
        if field is not None:
            packet.add(item, field, int.from_bytes(value, "big"), start, size)
        elif kind == 2 and size == PRUNE_DELAY.size:
            packet.add_header(item, PRUNE_DELAY, start, start + size)
        elif size:
            packet.add(item, OPTION_DATA, value, start, size)
        where = start + size
    return where


def _encoded(packet: Packet, parent: Item, field: Field, flags: Field | None, at: int, limit: int) -> tuple[int, str]:
    """An address behind its family and encoding; flags and a mask where it is a group or a source (4.9.1)
    -> where it ends, how it reads."""
    family, encoding = packet.take("PIM address", at, 2, limit)
    size = SIZES.get(family, 0)
    if not size:
        raise Malformed(f"PIM address family {family}", at)
    packet.add(parent, FAMILY, family, at, 1)
    packet.add(parent, ENCODING, encoding, at + 1, 1)
    where, said = at + 2, ""
    if flags is not None:
        bits, mask = packet.take("PIM address", where, 2, limit)
        packet.add(parent, flags, bits, where, 1)
        packet.add(parent, MASK, mask, where + 1, 1)
        said = f"/{mask}"
        letters = "".join([letter for bit, letter in SPARSE if bits & bit]) if flags is SOURCE_FLAGS else ""
        said += f" ({letters})" if letters else ""
        where += 2
    value = packet.take("PIM address", where, size, limit)
    packet.add(parent, field, value, where, size)
    return where + size, _address(value) + said


def _join(packet: Packet, layer: Item, at: int, limit: int) -> int:
    """Groups, each with sources to join and sources to leave."""
    item = packet.add(layer, NEIGHBOR, None, at, 2)
    at, item.said = _encoded(packet, item, UNICAST, None, at, limit)
    item.size = at - item.start
    count = packet.uint("PIM", at + 1, 1, limit)
    packet.add(layer, GROUPS, count, at + 1, 1)
    packet.add(layer, HOLD_TIME, packet.uint("PIM", at + 2, 2, limit), at + 2, 2)
    at += 4
    for index in range(count):
        parent = packet.add(layer, GROUP_SET, index, at, 4)
        at, parent.said = _encoded(packet, parent, GROUP_ADDRESS, GROUP_FLAGS, at, limit)
        joins, prunes = packet.uint("PIM", at, 2, limit), packet.uint("PIM", at + 2, 2, limit)
        packet.add(parent, JOINS, joins, at, 2)
        packet.add(parent, PRUNES, prunes, at + 2, 2)
        at += 4
        for heading, many in ((JOIN, joins), (PRUNE, prunes)):
            for _ in range(many):
                source = packet.add(parent, heading, None, at, 4)
                at, source.said = _encoded(packet, source, SOURCE, SOURCE_FLAGS, at, limit)
                source.size = at - source.start
        parent.size = at - parent.start
    return at


def _assert(packet: Packet, layer: Item, at: int, limit: int) -> int:
    at, _ = _encoded(packet, layer, GROUP_ADDRESS, GROUP_FLAGS, at, limit)
    at, _ = _encoded(packet, layer, SOURCE, None, at, limit)
    packet.add_header(layer, ASSERT, at, limit)
    return at + ASSERT.size


def _stop(packet: Packet, layer: Item, at: int, limit: int) -> int:
    at, _ = _encoded(packet, layer, GROUP_ADDRESS, GROUP_FLAGS, at, limit)
    return _encoded(packet, layer, SOURCE, None, at, limit)[0]


MESSAGES: Final[dict[int, Callable[[Packet, Item, int, int], int]]] = {
    0: _hello,
    2: _stop,
    3: _join,
    5: _assert,
    6: _join,
    7: _join,
}
