"""DHCP and BOOTP (RFC 2131, 2132, 951)."""

from __future__ import annotations

from netwatch.capture.dissect.dhcp_options import PARTS
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
    2: "Time Offset",
    3: "Router",
    4: "Time Server",
    5: "Name Server",
    6: "Domain Name Server",
    7: "Log Server",
    8: "Quotes Server",
    9: "LPR Server",
    11: "Resource Location Server",
    12: "Host Name",
    13: "Boot File Size",
    15: "Domain Name",
    16: "Swap Server",
    17: "Root Path",
    18: "Extensions Path",
    19: "IP Forwarding",
    20: "Non-Local Source Routing",
    21: "Policy Filter",
    22: "Maximum Datagram Reassembly Size",
    23: "Default IP Time-to-Live",
    26: "Interface MTU",
    28: "Broadcast Address",
    29: "Perform Mask Discovery",
    31: "Perform Router Discover",
    33: "Static Route",
    40: "Network Information Service Domain",
    41: "Network Information Service Servers",
    42: "Network Time Protocol Servers",
    43: "Vendor-Specific Information",
    44: "NetBIOS over TCP/IP Name Server",
    45: "NetBIOS over TCP/IP Datagram Distribution Name Server",
    46: "NetBIOS over TCP/IP Node Type",
    47: "NetBIOS over TCP/IP Scope",
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
    69: "SMTP Server",
    70: "POP3 Server",
    77: "User Class Information",
    78: "Directory Agent Information",
    79: "Service Location Agent Scope",
    80: "Rapid commit",
    81: "Client Fully Qualified Domain Name",
    82: "Agent Information Option",
    90: "Authentication",
    93: "Client System Architecture",
    94: "Client Network Device Interface",
    95: "LDAP",
    97: "UUID/GUID-based Client Identifier",
    100: "PCode",
    101: "TCode",
    108: "IPv6-Only Preferred",
    114: "DHCP Captive-Portal",
    116: "DHCP Auto-Configuration",
    118: "Subnet Selection Option",
    119: "Domain Search",
    120: "SIP Servers",
    121: "Classless Static Route",
    124: "V-I Vendor Class",
    125: "V-I Vendor-specific Information",
    150: "TFTP Server Address",
    162: "DNR",
    249: "Private/Classless Static Route (Microsoft)",
    252: "Private/Proxy autodiscovery",
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
    4: address("dhcp.option.time_server", "Time Server", 4),
    5: address("dhcp.option.name_server", "Name Server", 4),
    7: address("dhcp.option.log_server", "Log Server", 4),
    9: address("dhcp.option.lpr_server", "LPR Server", 4),
    41: address("dhcp.option.nis_server", "Network Information Service Server", 4),
    69: address("dhcp.option.smtp_server", "SMTP Server", 4),
    70: address("dhcp.option.pop3_server", "POP3 Server", 4),
    118: address("dhcp.option.subnet_selection_option", "Subnet Selection Option", 4),
    150: address("dhcp.option.tftp_server_address", "TFTP Server Address", 4),
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
    17: text("dhcp.option.root_path", "Root Path"),
    40: text("dhcp.option.nis_domain", "Network Information Service Domain"),
    47: text("dhcp.option.netbios_over_tcpip_scope", "NetBIOS over TCP/IP Scope"),
    56: text("dhcp.option.message", "Message"),
    60: text("dhcp.option.vendor_class_id", "Vendor class identifier"),
    66: text("dhcp.option.tftp_server_name", "TFTP Server Name"),
    67: text("dhcp.option.bootfile_name", "Bootfile name"),
    100: text("dhcp.option.tz_pcode", "TZ PCode"),
    101: text("dhcp.option.tz_tcode", "TZ TCode"),
    114: text("dhcp.option.captive_portal", "Captive Portal"),
    252: text("dhcp.option.private_proxy_autodiscovery", "Private/Proxy autodiscovery"),
}
NUMBERS = {
    2: number("dhcp.option.time_offset", "Time Offset (s)"),
    13: number("dhcp.option.boot_file_size", "Boot File Size"),
    23: number("dhcp.option.default_ip_ttl", "Default IP Time-to-Live"),
    46: number("dhcp.option.netbios_over_tcpip_node_type", "NetBIOS over TCP/IP Node Type"),
    93: number("dhcp.option.client_system_architecture", "Client System Architecture"),
    108: number("", "IPv6-Only Preferred (s)"),
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
    elif kind in NUMBERS and size in (1, 2, 4):
        packet.add(option, NUMBERS[kind], int.from_bytes(raw, "big"), at, size)
    elif kind in PARTS and size:
        PARTS[kind](packet, option, at, at + size)
    elif kind == 55:
        for where in range(at, at + size):
            packet.add(option, ITEM, packet.data[where], where, 1)
    elif size:
        packet.add(option, VALUE, raw, at, size)
