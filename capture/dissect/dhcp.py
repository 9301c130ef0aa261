"""DHCP and BOOTP (RFC 2131, 2132, 951)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bit,
    Bytes,
    Flags16,
    Header,
    Hex8,
    Hex32,
    Ip4,
    Item,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import mac

OPERATIONS = {1: "Boot Request", 2: "Boot Reply"}
DHCP = Header(
    "dhcp",
    "Dynamic Host Configuration Protocol",
    (
        U8("type", "Message type", OPERATIONS),
        Hex8("hw.type", "Hardware type"),
        U8("hw.len", "Hardware address length"),
        U8("hops", "Hops"),
        Hex32("id", "Transaction ID"),
        U16("secs", "Seconds elapsed"),
        Flags16("flags", "Bootp flags", Bit(0x8000, "flags.bc", "Broadcast flag")),
        Ip4("ip.client", "Client IP address"),
        Ip4("ip.your", "Your (client) IP address"),
        Ip4("ip.server", "Next server IP address"),
        Ip4("ip.relay", "Relay agent IP address"),
        Bytes("", "Client hardware address (16 bytes)", 16),
    ),
)
CLIENT_MAC = address("dhcp.hw.mac_addr", "Client MAC address", 6)
SERVER_NAME, BOOT_FILE = text("dhcp.server", "Server host name"), text("dhcp.file", "Boot file name")
COOKIE = address("dhcp.cookie", "Magic cookie", 4)
MAGIC = bytes.fromhex("63825363")

MESSAGES = {
    1: "Discover",
    2: "Offer",
    3: "Request",
    4: "Decline",
    5: "ACK",
    6: "NAK",
    7: "Release",
    8: "Inform",
    9: "Force Renew",
    10: "Lease query",
    11: "Lease Unassigned",
    12: "Lease Unknown",
    13: "Lease Active",
}
NAMES = {
    0: "Padding",
    1: "Subnet Mask",
    3: "Router",
    6: "Domain Name Server",
    12: "Host Name",
    15: "Domain Name",
    26: "Interface MTU",
    28: "Broadcast Address",
    42: "Network Time Protocol Servers",
    43: "Vendor-Specific Information",
    44: "NetBIOS over TCP/IP Name Server",
    50: "Requested IP Address",
    51: "IP Address Lease Time",
    52: "Option Overload",
    53: "DHCP Message Type",
    54: "DHCP Server Identifier",
    55: "Parameter Request List",
    56: "Message",
    57: "Maximum DHCP Message Size",
    58: "Renewal Time Value",
    59: "Rebinding Time Value",
    60: "Vendor class identifier",
    61: "Client identifier",
    66: "TFTP Server Name",
    67: "Bootfile name",
    81: "Client Fully Qualified Domain Name",
    82: "Agent Information Option",
    119: "Domain Search",
    121: "Classless Static Route",
    255: "End",
}
OPTION = number("dhcp.option.type", "Option")
LENGTH = number("dhcp.option.length", "Length")
VALUE = octets("", "Value")
MESSAGE = number("dhcp.option.dhcp", "DHCP", MESSAGES)
ITEM = number("dhcp.option.request_list_item", "Parameter Request List Item", NAMES)

ADDRESSES = {
    1: address("dhcp.option.subnet_mask", "Subnet Mask", 4),
    3: address("dhcp.option.router", "Router", 4),
    6: address("dhcp.option.domain_name_server", "Domain Name Server", 4),
    28: address("dhcp.option.broadcast_address", "Broadcast Address", 4),
    42: address("dhcp.option.ntp_server", "Network Time Protocol Server", 4),
    44: address("dhcp.option.netbios_over_tcpip_name_server", "NetBIOS Name Server", 4),
    50: address("dhcp.option.requested_ip_address", "Requested IP Address", 4),
    54: address("dhcp.option.dhcp_server_id", "DHCP Server Identifier", 4),
}
TEXTS = {
    12: text("dhcp.option.hostname", "Host Name"),
    15: text("dhcp.option.domain_name", "Domain Name"),
    56: text("dhcp.option.message", "Message"),
    60: text("dhcp.option.vendor_class_id", "Vendor class identifier"),
    66: text("dhcp.option.tftp_server_name", "TFTP Server Name"),
    67: text("dhcp.option.bootfile_name", "Bootfile name"),
}
NUMBERS = {
    26: number("dhcp.option.interface_mtu", "Interface MTU"),
    51: number("dhcp.option.ip_address_lease_time", "IP Address Lease Time (s)"),
    57: number("dhcp.option.dhcp_max_message_size", "Maximum DHCP Message Size"),
    58: number("dhcp.option.renewal_time_value", "Renewal Time Value (s)"),
    59: number("dhcp.option.rebinding_time_value", "Rebinding Time Value (s)"),
}


@on("udp.port", 67, 68, 4011)
def dhcp(packet: Packet, at: int, limit: int) -> Step | None:
    """236 bytes of BOOTP; behind the cookie, options."""
    packet.column("dhcp")
    layer, values = packet.open(DHCP, at, limit)
    operation, hardware, size, _, transaction, *_, chaddr = values
    client = chaddr[: min(size, 16)]
    if hardware == 1 and size == 6:
        packet.add(layer, CLIENT_MAC, client, at + 28, 6)
    where = at + DHCP.size
    for field, width in ((SERVER_NAME, 64), (BOOT_FILE, 128)):
        raw = packet.take("DHCP", where, width, limit)
        name = raw.split(b"\0", 1)[0]
        if name:
            packet.add(layer, field, name, where, width)
        where += width
    layer.size = where - at
    named = OPERATIONS.get(operation, f"Unknown BOOTP message type ({operation})")
    layer.said = named
    packet.info = f"{named} from {mac(client)} ({mac(client)})" if operation == 1 else named
    if packet.rest(where, min(where + 4, limit)) != MAGIC:
        packet.protocol = "BOOTP"
        return Step((), where, limit)
    packet.add(layer, COOKIE, MAGIC, where, 4)
    where += 4
    layer.size = where - at
    known = False
    for kind, start, length in (
        options(packet, "DHCP option", where, limit, single=(0, 255), head=2) if where < limit else ()
    ):
        if kind == 0:
            continue
        option = packet.add(layer, OPTION, kind, start, length, f"{NAMES.get(kind, 'Unknown')} ({kind})")
        layer.size = start + length - at
        if kind == 255:
            break
        packet.add(option, LENGTH, length - 2, start + 1, 1)
        if kind == 53 and length == 3:
            known = True
            message = packet.data[start + 2]
            packet.add(option, MESSAGE, message, start + 2, 1)
            layer.said = MESSAGES.get(message, f"Unknown ({message})")
            packet.info = f"DHCP {MESSAGES.get(message, 'Unknown'):8} - Transaction ID 0x{transaction:x}"
        else:
            _value(packet, option, kind, start + 2, length - 2)
    if not known:
        packet.protocol = "BOOTP"
    return None


def _value(packet: Packet, option: Item, kind: int, at: int, size: int) -> None:
    raw = packet.data[at : at + size]
    if kind in ADDRESSES and size % 4 == 0:
        for where in range(at, at + size, 4):
            packet.add(option, ADDRESSES[kind], packet.data[where : where + 4], where, 4)
    elif kind in TEXTS:
        packet.add(option, TEXTS[kind], raw.rstrip(b"\0"), at, size)
    elif kind in NUMBERS and size in (2, 4):
        packet.add(option, NUMBERS[kind], int.from_bytes(raw, "big"), at, size)
    elif kind == 55:
        for where in range(at, at + size):
            packet.add(option, ITEM, packet.data[where], where, 1)
    elif size:
        packet.add(option, VALUE, raw, at, size)
