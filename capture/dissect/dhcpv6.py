"""DHCPv6 (RFC 8415): messages, relays, options."""

from __future__ import annotations

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.kit import (
    U8,
    U32,
    Bytes,
    Field,
    Header,
    Hex24,
    Ip6,
    Item,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.options import tlvs
from netwatch.capture.dissect.packet import Packet, Stopped
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import ipv6, mac

MESSAGES = {
    1: "Solicit",
    2: "Advertise",
    3: "Request",
    4: "Confirm",
    5: "Renew",
    6: "Rebind",
    7: "Reply",
    8: "Release",
    9: "Decline",
    10: "Reconfigure",
    11: "Information-request",
    12: "Relay-forw",
    13: "Relay-reply",
    14: "Leasequery",
    15: "Leasequery-reply",
    16: "Leasequery-done",
    17: "Leasequery-data",
}
HEAD = Header("dhcpv6", "DHCPv6", (U8("msgtype", "Message type", MESSAGES), Hex24("xid", "Transaction ID")))
RELAY = Header(
    "dhcpv6",
    "DHCPv6",
    (
        U8("msgtype", "Message type", MESSAGES),
        U8("hopcount", "Hopcount"),
        Ip6("linkaddr", "Link address"),
        Ip6("peeraddr", "Peer address"),
    ),
)
OPTIONS = {
    1: "Client Identifier",
    2: "Server Identifier",
    3: "Identity Association for Non-temporary Address",
    4: "Identity Association for Temporary Address",
    5: "IA Address",
    6: "Option Request",
    7: "Preference",
    8: "Elapsed time",
    9: "Relay Message",
    11: "Authentication",
    12: "Server unicast",
    13: "Status code",
    14: "Rapid Commit",
    15: "User Class",
    16: "Vendor Class",
    17: "Vendor-specific Information",
    18: "Interface-Id",
    20: "Reconfigure Accept",
    23: "DNS recursive name server",
    24: "Domain Search List",
    25: "Identity Association for Prefix Delegation",
    26: "IA Prefix",
    31: "Simple Network Time Protocol Server",
    37: "Remote Identifier",
    39: "Fully Qualified Domain Name",
}
OPTION = number("dhcpv6.option.type", "Option", OPTIONS)
LENGTH = number("dhcpv6.option.length", "Length")
VALUE = octets("", "Value")
DUID = octets("dhcpv6.duid.bytes", "DUID")
REQUESTED = number("dhcpv6.requested_option_code", "Requested Option code", OPTIONS)
ELAPSED = number("dhcpv6.elapsed_time", "Elapsed time (ms)")
STATUS, STATUS_TEXT = number("dhcpv6.status_code", "Status Code"), text("dhcpv6.status_msg", "Status Message")
DUID_TYPE = number(
    "dhcpv6.duid.type",
    "DUID Type",
    {1: "link-layer address plus time", 2: "assigned by vendor", 3: "link-layer address", 4: "UUID"},
)
LINK_ADDRESS = text("dhcpv6.duidll.link_layer_addr", "Link-layer address")
LINK_TIME_ADDRESS = text("dhcpv6.duidllt.link_layer_addr", "Link-layer address")
PREFERENCE = number("dhcpv6.option_preference", "Pref-value")
HOST_FLAGS, HOST = (
    number("dhcpv6.client_fqdn_flags", "Flags", digits=2),
    text("dhcpv6.client_domain", "Client Domain Name"),
)
SEARCH = text("dhcpv6.search_list_entry", "List entry")
SNTP = address("dhcpv6.sntp_server", "SNTP server address", 16)
INTERFACE = octets("dhcpv6.interface_id", "Interface-ID")
ENTERPRISE = number("dhcpv6.vendorclass.enterprise", "Enterprise ID")
CLASS_DATA = text("dhcpv6.vendorclass.data", "vendor-class-data")
REMOTE_ENTERPRISE, REMOTE = (
    number("dhcpv6.remoteid.enterprise", "Enterprise ID"),
    octets("dhcpv6.remoteid_enterprise_id", "Remote-ID"),
)
SERVER = address("dhcpv6.dns_server", "DNS server address", 16)
IA = Header("dhcpv6", "IA", (Bytes("iaid", "IAID", 4), U32("iaid.t1", "T1"), U32("iaid.t2", "T2")), name="")
IA_ADDRESS = Header(
    "dhcpv6.iaaddr",
    "IA Address",
    (Ip6("ip", "IPv6 address"), U32("pref_lifetime", "Preferred lifetime"), U32("valid_lifetime", "Valid lifetime")),
    name="",
)
IA_PREFIX = Header(
    "dhcpv6.iaprefix",
    "IA Prefix",
    (
        U32("pref_lifetime", "Preferred lifetime"),
        U32("valid_lifetime", "Valid lifetime"),
        U8("pref_len", "Prefix length"),
        Ip6("pref_addr", "Prefix address"),
    ),
    name="",
)
MAX_RELAYS = 8
"""RFC 8415, 7.6: HOP_COUNT_LIMIT."""
GROUPS = {
    3: IA,
    25: IA,
    4: Header("dhcpv6", "IA_TA", (Bytes("iaid", "IAID", 4),), name=""),
    5: IA_ADDRESS,
    26: IA_PREFIX,
}
"""Options that hold fixed fields and then further options."""


@on("udp.port", 546, 547)
def dhcpv6(packet: Packet, at: int, limit: int) -> None:
    """A transaction id, or of a relay two addresses; then options."""
    packet.column("dhcpv6")
    kind = packet.uint("DHCPv6", at, 1, limit)
    layer = packet.layer(HEAD.field, at, 0, MESSAGES.get(kind, f"Unknown ({kind})"))
    info: list[str] = []
    try:
        _message(packet, layer, at, limit, info, MAX_RELAYS)
    finally:
        packet.info = " ".join(info) + " "


def _message(packet: Packet, parent: Item, at: int, limit: int, info: list[str], depth: int) -> None:
    kind = packet.uint("DHCPv6", at, 1, limit)
    info.append(MESSAGES.get(kind, f"Unknown ({kind})"))
    if kind in (12, 13):
        _, _, link, _ = packet.add_header(parent, RELAY, at, limit)
        info.append(f"L: {ipv6(link)}")
        _options(packet, parent, at + RELAY.size, limit, info, depth - 1)
    else:
        _, transaction = packet.add_header(parent, HEAD, at, limit)
        info.append(f"XID: 0x{transaction:06x}")
        _options(packet, parent, at + HEAD.size, limit, info, depth)


def _options(packet: Packet, parent: Item, at: int, limit: int, info: list[str], depth: int) -> None:
    parent.size = at - parent.start
    for code, where, size in tlvs(packet, "DHCPv6 option", at, limit):
        end = where + size
        item = packet.add(parent, OPTION, code, where - 4, 4 + size)
        packet.add(item, LENGTH, size, where - 2, 2)
        parent.size = end - parent.start
        if code == 9 and depth > 0:
            _message(packet, item, where, end, info, depth)
        elif code in GROUPS and depth > 0 and size >= GROUPS[code].size:
            values = packet.add_header(item, GROUPS[code], where, end)
            if code == 5:
                info.append(f"IAA: {ipv6(values[0])}")
            _options(packet, item, where + GROUPS[code].size, end, info, depth - 1)
            item.start, item.size = where - 4, 4 + size
        else:
            _value(packet, item, code, where, end, info)


def _value(packet: Packet, item: Item, code: int, at: int, end: int, info: list[str]) -> None:
    raw = packet.data[at:end]
    if code in (1, 2):
        duid = packet.add(item, DUID, raw, at, end - at)
        _duid(packet, duid, at, end)
        if code == 1:
            info.append(f"CID: {raw.hex()}")
    elif code == 6:
        for where in range(at, end - 1, 2):
            packet.add(item, REQUESTED, int.from_bytes(packet.data[where : where + 2], "big"), where, 2)
    elif code == 8 and len(raw) == 2:
        packet.add(item, ELAPSED, 10 * int.from_bytes(raw, "big"), at, 2)
    elif code == 13 and len(raw) >= 2:
        packet.add(item, STATUS, int.from_bytes(raw[:2], "big"), at, 2)
        packet.add(item, STATUS_TEXT, raw[2:], at + 2, len(raw) - 2)
    elif code == 23 and len(raw) % 16 == 0:
        for where in range(at, end, 16):
            packet.add(item, SERVER, packet.data[where : where + 16], where, 16)
    elif code == 7 and len(raw) == 1:
        packet.add(item, PREFERENCE, raw[0], at, 1)
    elif code == 16 and len(raw) >= 6:
        packet.add(item, ENTERPRISE, int.from_bytes(raw[:4], "big"), at, 4)
        size = int.from_bytes(raw[4:6], "big")
        packet.add(item, CLASS_DATA, raw[6 : 6 + size], at + 6, len(raw[6 : 6 + size]))
    elif code == 18:
        packet.add(item, INTERFACE, raw, at, len(raw))
    elif code == 24:
        _names(packet, item, SEARCH, at, end)
    elif code == 31 and len(raw) % 16 == 0:
        for where in range(at, end, 16):
            packet.add(item, SNTP, packet.data[where : where + 16], where, 16)
    elif code == 37 and len(raw) >= 4:
        packet.add(item, REMOTE_ENTERPRISE, int.from_bytes(raw[:4], "big"), at, 4)
        packet.add(item, REMOTE, raw[4:], at + 4, len(raw) - 4)
    elif code == 39 and raw:
        packet.add(item, HOST_FLAGS, raw[0], at, 1)
        _names(packet, item, HOST, at + 1, end)
    elif raw:
        packet.add(item, VALUE, raw, at, len(raw))


def _duid(packet: Packet, item: Item, at: int, end: int) -> None:
    """RFC 8415, 11: of the first and the third kind, the address of an interface."""
    if end - at < 2:
        return
    kind = int.from_bytes(packet.data[at : at + 2], "big")
    packet.add(item, DUID_TYPE, kind, at, 2)
    head = {1: 8, 3: 4}.get(kind, end - at)
    if at + head < end:
        field = LINK_TIME_ADDRESS if kind == 1 else LINK_ADDRESS
        packet.add(item, field, mac(packet.data[at + head : end]), at + head, end - at - head)


def _names(packet: Packet, item: Item, field: Field, at: int, end: int) -> None:
    """Names as in DNS, uncompressed (RFC 8415, 10); the last of a host's may lack its end."""
    while at < end:
        try:
            name, after = read_name(packet, at, at, end)
        except Stopped:
            packet.add(item, field, packet.data[at + 1 : end], at, end - at)
            return
        packet.add(item, field, name, at, after - at)
        at = after
