"""Options of EDNS (RFC 6891) and parameters of SVCB and HTTPS records (RFC 9460)."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.dns_security import ALGORITHMS, DIGESTS
from netwatch.capture.dissect.kit import Item, address, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.text import ipv4, ipv6

__all__ = ["show_options", "show_service"]

OPTIONS: Final = {
    1: "LLQ - Long-lived query",
    2: "UL - Update lease",
    3: "NSID - Name Server Identifier",
    5: "DAU - DNSSEC Algorithm Understood (RFC6975)",
    6: "DHU - DS Hash Understood (RFC6975)",
    7: "N3U - NSEC3 Hash Understood (RFC6975)",
    8: "CSUBNET - Client subnet",
    9: "EDNS EXPIRE (RFC7314)",
    10: "COOKIE",
    11: "EDNS TCP Keepalive",
    12: "PADDING",
    13: "CHAIN",
    14: "KEY TAG",
    15: "Extended DNS Error",
    16: "EDNS Client Tag",
    17: "EDNS Server Tag",
    18: "Report Channel",
    19: "Zone Version",
}
OPTION: Final = group("dns.opt", "Option")
CODE: Final = number("dns.opt.code", "Option Code", OPTIONS)
LENGTH: Final = number("dns.opt.len", "Option Length")
DATA: Final = octets("dns.opt.data", "Option Data")
FAMILY: Final = number("dns.opt.client.family", "Family", {1: "IPv4", 2: "IPv6"})
SOURCE_MASK: Final = number("dns.opt.client.netmask", "Source Netmask")
SCOPE_MASK: Final = number("dns.opt.client.scope", "Scope Netmask")
SUBNET_4 = address("dns.opt.client.addr4", "Client Subnet", 4)
SUBNET_6 = address("dns.opt.client.addr6", "Client Subnet", 16)
CLIENT_COOKIE = octets("dns.opt.cookie.client", "Client Cookie")
SERVER_COOKIE = octets("dns.opt.cookie.server", "Server Cookie")
TIMEOUT: Final = number("dns.opt.edns_tcp_keepalive.timeout", "Timeout")
PADDING: Final = octets("dns.opt.padding", "Padding")
UNDERSTOOD: Final = {
    5: number("dns.opt.dau", "DAU", ALGORITHMS),
    6: number("dns.opt.dhu", "DHU", DIGESTS),
    7: number("dns.opt.n3u", "N3U", {1: "SHA-1"}),
}
TRUST_POINT: Final = text("dns.opt.chain.fqdn", "Closest Trust Point")
ERRORS: Final = {
    0: "Other Error",
    1: "Unsupported DNSKEY Algorithm",
    2: "Unsupported DS Digest Type",
    3: "Stale Answer",
    4: "Forged Answer",
    5: "DNSSEC Indeterminate",
    6: "DNSSEC Bogus",
    7: "Signature Expired",
    8: "Signature Not Yet Valid",
    9: "DNSKEY Missing",
    10: "RRSIGs Missing",
    11: "No Zone Key Bit Set",
    12: "NSEC Missing",
    13: "Cached Error",
    14: "Not Ready",
    15: "Blocked",
    16: "Censored",
    17: "Filtered",
    18: "Prohibited",
    19: "Stale NXDOMAIN Answer",
    20: "Not Authoritative",
    21: "Not Supported",
    22: "No Reachable Authority",
    23: "Network Error",
    24: "Invalid Data",
    25: "Signature Expired before Valid",
    26: "Too Early",
    27: "Unsupported NSEC3 Iterations Value",
    28: "Unable to conform to policy",
    29: "Synthesized",
}
ERROR: Final = number("dns.opt.ext_error.info_code", "Info Code", ERRORS)
ERROR_TEXT: Final = text("dns.opt.ext_error.extra_text", "Extra Text")

KEYS: Final = {
    0: "mandatory",
    1: "alpn",
    2: "no-default-alpn",
    3: "port",
    4: "ipv4hint",
    5: "ech",
    6: "ipv6hint",
    7: "dohpath",
    8: "ohttp",
}
PRIORITY, TARGET = number("dns.svcb.svcpriority", "SvcPriority"), text("dns.svcb.targetname", "TargetName")
PARAMETER: Final = group("dns.svcb.svcparam", "SvcParam")
KEY: Final = number("dns.svcb.svcparam.key", "SvcParamKey", KEYS)
VALUE_LENGTH: Final = number("dns.svcb.svcparam.value.length", "SvcParamValue length")
VALUE: Final = octets("dns.svcb.svcparam.value", "SvcParamValue")
MANDATORY: Final = number("dns.svcb.svcparam.mandatory.key", "Mandatory key", KEYS)
ALPN_LENGTH, ALPN = number("dns.svcb.svcparam.alpn.length", "ALPN length"), text("dns.svcb.svcparam.alpn", "ALPN")
PORT: Final = number("dns.svcb.svcparam.port", "Port")
HINT_4 = address("dns.svcb.svcparam.ipv4hint.ip", "IP", 4)
HINT_6 = address("dns.svcb.svcparam.ipv6hint.ip", "IP", 16)
PATH: Final = text("dns.svcb.svcparam.dohpath", "DoH path")
HELLO: Final = octets("dns.svcb.svcparam.ech", "ECHConfigList")


def show_options(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    """Code, length and data of each option."""
    while at < end:
        code, size = packet.uint("EDNS option", at, 2, end), packet.uint("EDNS option", at + 2, 2, end)
        value = packet.take("EDNS option", at + 4, size, end)
        option = packet.add(item, OPTION, None, at, 4 + size, OPTIONS.get(code, f"Unknown ({code})"))
        packet.add(option, CODE, code, at, 2)
        packet.add(option, LENGTH, size, at + 2, 2)
        if size:
            packet.add(option, DATA, value, at + 4, size)
            _option(packet, option, code, value, message, at + 4)
        at += 4 + size
    return ""


def _option(packet: Packet, option: Item, code: int, value: bytes, message: int, at: int) -> None:
    """What the data of an option means; too short a value stays data."""
    size = len(value)
    if code in UNDERSTOOD:
        for index, each in enumerate(value):
            packet.add(option, UNDERSTOOD[code], each, at + index, 1)
    elif code == 8 and size >= 4:
        family = int.from_bytes(value[:2], "big")
        packet.add(option, FAMILY, family, at, 2)
        packet.add(option, SOURCE_MASK, value[2], at + 2, 1)
        packet.add(option, SCOPE_MASK, value[3], at + 3, 1)
        if family in (1, 2) and size - 4 <= (4 if family == 1 else 16):
            whole = value[4:].ljust(4 if family == 1 else 16, b"\0")
            packet.add(option, SUBNET_4 if family == 1 else SUBNET_6, whole, at + 4, size - 4)
            option.said += f": {ipv4(whole) if family == 1 else ipv6(whole)}/{value[2]}"
    elif code == 10 and size >= 8:
        packet.add(option, CLIENT_COOKIE, value[:8], at, 8)
        if size > 8:
            packet.add(option, SERVER_COOKIE, value[8:], at + 8, size - 8)
    elif code == 11 and size == 2:
        packet.add(option, TIMEOUT, int.from_bytes(value, "big"), at, 2)
    elif code == 12:
        packet.add(option, PADDING, value, at, size)
    elif code == 13:
        name, after = read_name(packet, message, at, at + size)
        packet.add(option, TRUST_POINT, name, at, after - at)
    elif code == 15 and size >= 2:
        error = int.from_bytes(value[:2], "big")
        packet.add(option, ERROR, error, at, 2)
        option.said += f": {ERRORS.get(error, error)}"
        if size > 2:
            packet.add(option, ERROR_TEXT, value[2:], at + 2, size - 2)


def show_service(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    """Where a service is, and what a client must know to reach it: keys and values behind priority and name."""
    packet.add(item, PRIORITY, packet.uint("DNS SVCB", at, 2, end), at, 2)
    name, after = read_name(packet, message, at + 2, end)
    packet.add(item, TARGET, name, at + 2, after - at - 2)
    at = after
    while at < end:
        key, size = packet.uint("SvcParam", at, 2, end), packet.uint("SvcParam", at + 2, 2, end)
        value = packet.take("SvcParam", at + 4, size, end)
        parameter = packet.add(item, PARAMETER, None, at, 4 + size)
        packet.add(parameter, KEY, key, at, 2)
        packet.add(parameter, VALUE_LENGTH, size, at + 2, 2)
        said = _parameter(packet, parameter, key, value, at + 4)
        parameter.said = KEYS.get(key, f"key{key}") + (f"={said}" if said else "")
        at += 4 + size
    return ""


def _parameter(packet: Packet, item: Item, key: int, value: bytes, at: int) -> str:
    said: list[str] = []
    size = len(value)
    if key == 0:
        for where in range(0, size - 1, 2):
            needed = int.from_bytes(value[where : where + 2], "big")
            packet.add(item, MANDATORY, needed, at + where, 2)
            said.append(KEYS.get(needed, f"key{needed}"))
    elif key == 1:
        where = 0
        while where < size:
            name = value[where + 1 : where + 1 + value[where]]
            packet.add(item, ALPN_LENGTH, value[where], at + where, 1)
            packet.add(item, ALPN, name, at + where + 1, len(name))
            said.append(name.decode("utf-8", "surrogateescape"))
            where += 1 + value[where]
    elif key == 3 and size == 2:
        port = int.from_bytes(value, "big")
        packet.add(item, PORT, port, at, 2)
        said.append(str(port))
    elif key in (4, 6):
        width, field, show = (4, HINT_4, ipv4) if key == 4 else (16, HINT_6, ipv6)
        for where in range(0, size + 1 - width, width):
            packet.add(item, field, value[where : where + width], at + where, width)
            said.append(show(value[where : where + width]))
    elif key in (5, 7):
        packet.add(item, HELLO if key == 5 else PATH, value, at, size)
        said.append(f"{size} bytes" if key == 5 else value.decode("utf-8", "surrogateescape"))
    elif size:
        packet.add(item, VALUE, value, at, size)
    return ",".join(said)
