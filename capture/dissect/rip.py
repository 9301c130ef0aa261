"""RIP, versions 1 and 2 (RFC 1058, 2453), and RIPng (RFC 2080)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, U32, Bytes, Header, Ip4, Ip6, Text, group
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare
from netwatch.capture.text import ipv4, ipv6

declare("ripng", "RIPng", "routing")

COMMANDS = {1: "Request", 2: "Response", 3: "Traceon", 4: "Traceoff"}
VERSIONS = {1: "RIPv1", 2: "RIPv2"}
RIP = Header(
    "rip", "Routing Information Protocol", (U8("command", "Command", COMMANDS), U8("version", "Version", VERSIONS))
)
ENTRY = Header(
    "rip",
    "Entry",
    (
        U16("family", "Address Family", {0: "Unspecified", 2: "IP"}),
        U16("route_tag", "Route Tag"),
        Ip4("ip", "IP Address"),
        Ip4("netmask", "Netmask"),
        Ip4("next_hop", "Next Hop"),
        U32("metric", "Metric"),
    ),
    name="",
)
FIRST = Header(
    "rip",
    "Entry",
    (
        U16("family", "Address Family", {0: "Unspecified", 2: "IP"}),
        Bytes("", "Zero", 2),
        Ip4("ip", "IP Address"),
        Bytes("", "Zero", 8),
        U32("metric", "Metric"),
    ),
    name="",
)
SECRET = Header(
    "rip",
    "Authentication",
    (
        Bytes("", "Address Family", 2),
        U16("auth.type", "Authentication type", {2: "Simple Password", 3: "Keyed Message Digest"}),
        Text("auth.passwd", "Password", 16),
    ),
    name="",
)
ROW = group("", "Entry")
AUTHENTICATION = b"\xff\xff"


@on("udp.port", 520)
def rip(packet: Packet, at: int, limit: int) -> Step | None:
    """Routes of 20 bytes each; the first may be a password (RFC 2453, 4)."""
    packet.column("rip")
    layer, (command, version) = packet.open(RIP, at, limit)
    packet.protocol = VERSIONS.get(version, "RIP")
    layer.said = packet.info = COMMANDS.get(command, f"Unknown command ({command})")
    where = at + 4
    while where + ENTRY.size <= limit:
        secret = packet.rest(where, where + 2) == AUTHENTICATION
        head = SECRET if secret else FIRST if version == 1 else ENTRY
        item = packet.add(layer, ROW, None, where, head.size, "authentication" if secret else "")
        values = packet.add_header(item, head, where, limit)
        if not secret:
            item.said = f"{ipv4(values[2])}, metric {values[-1]}"
        where += head.size
        layer.size = where - at
    return Step((), where, limit) if where < limit else None


RIPNG = Header(
    "ripng",
    "RIPng",
    (U8("cmd", "Command", COMMANDS), U8("version", "Version"), Bytes("reserved", "Reserved", 2)),
)
ROUTE = Header(
    "ripng.rte",
    "Route Table Entry",
    (
        Ip6("ipv6_prefix", "IPv6 Prefix"),
        U16("route_tag", "Route Tag"),
        U8("prefix_length", "Prefix Length"),
        U8("metric", "Metric"),
    ),
)


@on("udp.port", 521)
def ripng(packet: Packet, at: int, limit: int) -> Step | None:
    """Routes of 20 bytes each (RFC 2080, 2.1)."""
    packet.column("ripng")
    layer, (command, version, _) = packet.open(RIPNG, at, limit)
    packet.info = f" Command {COMMANDS.get(command, f'Unknown ({command})')}, Version {version}"
    where = at + RIPNG.size
    while where + ROUTE.size <= limit:
        item = packet.add(layer, ROUTE.field, None, where, ROUTE.size)
        prefix, _, length, metric = packet.add_header(item, ROUTE, where, limit)
        item.said = f"{ipv6(prefix)}/{length}, metric {metric}"
        where += ROUTE.size
        layer.size = where - at
    return Step((), where, limit) if where < limit else None
