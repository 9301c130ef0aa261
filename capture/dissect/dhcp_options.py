"""DHCP options with parts of their own: client, routes, relay agent, host name, search list, vendor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.kit import address, flag, number, octets, text
from netwatch.capture.dissect.packet import Packet, Stopped
from netwatch.capture.text import ipv4, mac

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

__all__ = ["PARTS"]

HARDWARE: Final = number("dhcp.hw.type", "Hardware type", {1: "Ethernet"}, digits=2)
CLIENT_MAC: Final = address("dhcp.hw.mac_addr", "Client MAC address", 6)
CLIENT_ID: Final = octets("dhcp.client_id", "Identifier")
CLIENT_UUID: Final = text("dhcp.client_id.uuid", "Client Identifier (UUID)")
FQDN_FLAGS, FQDN_NAME = number("dhcp.fqdn.flags", "Flags", digits=2), text("dhcp.fqdn.name", "Client name")
SUBOPTION: Final = number(
    "dhcp.option.agent_information_option.suboption",
    "Option 82 Suboption",
    {
        1: "Agent Circuit ID",
        2: "Agent Remote ID",
        5: "Link selection",
        9: "Vendor-Specific",
        11: "Server ID Override",
    },
)
CIRCUIT, REMOTE = (
    octets("dhcp.option.agent_information_option.agent_circuit_id", "Agent Circuit ID"),
    octets("dhcp.option.agent_information_option.agent_remote_id", "Agent Remote ID"),
)
PART: Final = octets("dhcp.option.value", "Value")
VENDOR_PART: Final = number("", "Option 43 Suboption")
ENTERPRISE: Final = number("dhcp.option.vi.enterprise", "Enterprise")
ROUTE: Final = octets("dhcp.option.classless_static_route", "Classless Static Route")
SEARCH: Final = text("dhcp.option.dhcp_dns_domain_search_list_fqdn", "FQDN")
FROM, ROUTER = (
    address("dhcp.option.static_route.ip", "Destination IP Address", 4),
    address("dhcp.option.static_route.router", "Destination Router", 4),
)
OVERLOAD: Final = number(
    "dhcp.option.option_overload", "Option Overload", {1: "File", 2: "Server name", 3: "File and server name"}
)
AUTO: Final = flag("dhcp.option.dhcp_auto_configuration", "DHCP Auto-Configuration")
MAX_PARTS: Final = 64


def _client(packet: Packet, option: Item, at: int, end: int) -> None:
    """A type of hardware and its address; other types are names of some kind (RFC 2132, 9.14)."""
    packet.add(option, HARDWARE, packet.data[at], at, 1)
    if packet.data[at] == 1 and end - at == 7:
        packet.add(option, CLIENT_MAC, packet.data[at + 1 : end], at + 1, 6)
        option.said += f" {mac(packet.data[at + 1 : end])}"
    elif end > at + 1:
        packet.add(option, CLIENT_ID, packet.data[at + 1 : end], at + 1, end - at - 1)


def _routes(packet: Packet, option: Item, at: int, end: int) -> None:
    """As few bytes of each network as it has bits, and the router there (RFC 3442)."""
    while at < end:
        width = packet.data[at]
        many = (width + 7) // 8
        if width > 32 or at + 5 + many > end:
            packet.mark("DHCP classless static route", at)
            return
        network = packet.data[at + 1 : at + 1 + many] + bytes(4 - many)
        router = packet.data[at + 1 + many : at + 5 + many]
        after = at + 5 + many
        packet.add(option, ROUTE, packet.data[at:after], at, 5 + many, f"{ipv4(network)}/{width}-{ipv4(router)}")
        at = after


def _static(packet: Packet, option: Item, at: int, end: int) -> None:
    for where in range(at, end - 7, 8):
        packet.add(option, FROM, packet.data[where : where + 4], where, 4)
        packet.add(option, ROUTER, packet.data[where + 4 : where + 8], where + 4, 4)


def _relay(packet: Packet, option: Item, at: int, end: int) -> None:
    """RFC 3046, 2."""
    for code, start, size in _parts(packet, at, end):
        item = packet.add(option, SUBOPTION, code, start - 2, 2 + size)
        field = {1: CIRCUIT, 2: REMOTE}.get(code, PART)
        packet.add(item, field, packet.data[start : start + size], start, size)


def _vendor(packet: Packet, option: Item, at: int, end: int) -> None:
    """Mostly options of the vendor's own; what does not look so is left as it is (RFC 2132, 8.4)."""
    parts = _parts(packet, at, end)
    if not parts or parts[-1][1] + parts[-1][2] not in (end, end - 1):
        packet.add(option, PART, packet.data[at:end], at, end - at)
        return
    for code, start, size in parts:
        item = packet.add(option, VENDOR_PART, code, start - 2, 2 + size)
        if size:
            packet.add(item, PART, packet.data[start : start + size], start, size)


def _parts(packet: Packet, at: int, end: int) -> list[tuple[int, int, int]]:
    """(code, start, size) of each; 255 ends them."""
    found: list[tuple[int, int, int]] = []
    while at + 2 <= end and packet.data[at] != 255 and len(found) < MAX_PARTS:
        size = packet.data[at + 1]
        if at + 2 + size > end:
            break
        found.append((packet.data[at], at + 2, size))
        at += 2 + size
    return found


def _host(packet: Packet, option: Item, at: int, end: int) -> None:
    """RFC 4702, 2: flags, two unused codes, a name as text or as labels."""
    flags = packet.data[at]
    packet.add(option, FQDN_FLAGS, flags, at, 1)
    start = at + 3
    if start >= end:
        return
    name = packet.data[start:end].decode("utf-8", "surrogateescape")
    if flags & 0x04:
        try:
            name, _ = read_name(packet, start, start, end)
        except Stopped:
            name = ""
    packet.add(option, FQDN_NAME, name, start, end - start)


def _search(packet: Packet, option: Item, at: int, end: int) -> None:
    """Names as in DNS, which may point back within the option (RFC 3397)."""
    where = at
    for _ in range(MAX_PARTS):
        if where >= end:
            return
        try:
            name, after = read_name(packet, at, where, end)
        except Stopped as stopped:
            packet.mark(stopped.verdict(packet).text, where)
            return
        packet.add(option, SEARCH, name, where, after - where)
        where = after


def _identified(packet: Packet, option: Item, at: int, end: int) -> None:
    """By enterprise number (RFC 3925)."""
    while at + 5 <= end:
        size = packet.data[at + 4]
        item = packet.add(option, ENTERPRISE, int.from_bytes(packet.data[at : at + 4], "big"), at, 5 + size)
        raw = packet.data[at + 5 : min(at + 5 + size, end)]
        packet.add(item, PART, raw, at + 5, len(raw))
        at += 5 + size


def _uuid(packet: Packet, option: Item, at: int, end: int) -> None:
    if end - at == 17:
        shown = str(UUID(bytes_le=packet.data[at + 1 : end]))
        packet.add(option, CLIENT_UUID, shown, at + 1, 16)


def _overload(packet: Packet, option: Item, at: int, end: int) -> None:
    packet.add(option, OVERLOAD, packet.data[at], at, end - at)


def _auto(packet: Packet, option: Item, at: int, end: int) -> None:
    packet.add(option, AUTO, bool(packet.data[at]), at, end - at)


PARTS: Final[dict[int, Callable[[Packet, Item, int, int], None]]] = {
    33: _static,
    43: _vendor,
    52: _overload,
    61: _client,
    81: _host,
    82: _relay,
    97: _uuid,
    116: _auto,
    119: _search,
    121: _routes,
    124: _identified,
    125: _identified,
    249: _routes,
}
"""Option → what shows its value, of at least one byte."""
