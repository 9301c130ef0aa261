"""BGP messages (RFC 4271): OPEN and its capabilities, UPDATE, NOTIFICATION, ROUTE-REFRESH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect import bgp_names as names
from netwatch.capture.dissect.bgp_attributes import attributes, prefixes
from netwatch.capture.dissect.kit import U8, U16, Bytes, Header, Ip4, address, group, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

BGP: Final = Header(
    "bgp",
    "Border Gateway Protocol",
    (Bytes("marker", "Marker", 16), U16("length", "Length"), U8("type", "Type", names.TYPES)),
)
MARKER: Final = b"\xff" * 16
OPEN: Final = Header(
    "bgp.open",
    "OPEN",
    (
        U8("version", "Version"),
        U16("myas", "My AS"),
        U16("holdtime", "Hold Time"),
        Ip4("identifier", "BGP Identifier"),
        U8("opt.len", "Optional Parameters Length"),
    ),
    name="",
)
PARAMETER: Final = group("bgp.open.opt.param", "Optional Parameter")
PARAMETER_TYPE: Final = number(
    "bgp.open.opt.param.type", "Parameter Type", {1: "Authentication", 2: "Capability", 255: "Extended Length"}
)
PARAMETER_SIZE: Final = number("bgp.open.opt.param.len", "Parameter Length")
CAPABILITY: Final = group("bgp.cap", "Capability")
CAPABILITY_TYPE: Final = number("bgp.cap.type", "Type", names.CAPABILITIES)
CAPABILITY_SIZE: Final = number("bgp.cap.length", "Length")
AFI: Final = number("bgp.cap.mp.afi", "AFI", names.FAMILIES)
SAFI: Final = number("bgp.cap.mp.safi", "SAFI", names.SUBSEQUENT)
AS4: Final = number("bgp.cap.4as", "AS Number")
RESTART: Final = number("bgp.cap.gr.timers.restart_time", "Time")
HOST: Final = text("bgp.cap.orf.fqdn.hostname", "Hostname")
DOMAIN: Final = text("bgp.cap.orf.fqdn.domain_name", "Domain Name")
UNKNOWN: Final = octets("bgp.cap.unknown", "Value")
WITHDRAWN_SIZE: Final = number("bgp.update.withdrawn_routes.length", "Withdrawn Routes Length")
WITHDRAWN: Final = group("bgp.update.withdrawn_routes", "Withdrawn Routes")
WITHDRAWN_PREFIX: Final = address("bgp.withdrawn_prefix", "Withdrawn prefix", 4)
ATTRIBUTES_SIZE: Final = number("bgp.update.path_attributes.length", "Total Path Attribute Length")
ATTRIBUTES: Final = group("bgp.update.path_attributes", "Path attributes")
NLRI: Final = group("bgp.update.nlri", "Network Layer Reachability Information (NLRI)")
NLRI_PREFIX: Final = address("bgp.nlri_prefix", "NLRI prefix", 4)
MAJOR: Final = number("bgp.notify.major_error", "Major error Code", names.MAJOR)
MINOR: Final = {
    major: number(f"bgp.notify.{name}", f"Minor error Code ({of})", codes)
    for major, (name, of, codes) in names.MINOR.items()
}
MINOR_UNKNOWN: Final = number("bgp.notify.minor_error_unknown", "Minor error Code (Unknown)")
SHUTDOWN: Final = text("bgp.notify.communication", "Shutdown Communication")
NOTIFY_DATA: Final = octets("bgp.notify.minor_data", "Data")
REFRESH_AFI: Final = number("bgp.route_refresh.afi", "Address family identifier (AFI)", names.FAMILIES)
REFRESH_TYPE: Final = number("bgp.route_refresh.subtype", "Subtype", names.REFRESHES)
REFRESH_SAFI: Final = number(
    "bgp.route_refresh.safi", "Subsequent address family identifier (SAFI)", names.SUBSEQUENT
)


@on("tcp.port", 179)
def bgp(packet: Packet, at: int, limit: int) -> Step | None:
    """Sixteen ones, a length, a type (RFC 4271, 4.1)."""
    if packet.data[at : at + 16] != MARKER:
        return NOT_MINE
    words: list[str] = []
    while at < limit:
        head = packet.rest(at, min(at + BGP.size, limit))
        if not MARKER.startswith(head[:16]):
            return Step((bgp,), at, limit)  # not synchronised any more (6.1)
        length = int.from_bytes(head[16:18], "big")
        packet.whole("BGP", at, max(BGP.size, length), limit)
        packet.column("bgp", packet.info)
        layer, (_, length, kind) = packet.open(BGP, at, limit)
        layer.said = names.TYPES.get(kind, f"Unknown ({kind})")
        words.append(layer.said)
        packet.info = ", ".join(words)
        if length < BGP.size:
            packet.mark(f"BGP length {length}, must be at least {BGP.size}", at + 16)
            return None
        end = min(at + length, limit)
        layer.size = packet.end(end) - at
        show = BODIES.get(kind)
        if show is not None:
            show(packet, layer, at + BGP.size, end)
        at += length
    return None


def _open(packet: Packet, layer: Item, at: int, end: int) -> None:
    """RFC 4271, 4.2; parameters that need more than 255 bytes: RFC 9072."""
    *_, size = packet.add_header(layer, OPEN, at, end)
    at += OPEN.size
    wide = size == 0xFF and packet.rest(at, min(at + 1, end)) == b"\xff"
    if wide:
        at += 3
    while at < end:
        kind = packet.uint("BGP parameter", at, 1, end)
        length = packet.uint("BGP parameter", at + 1, 2 if wide else 1, end)
        start = at + (3 if wide else 2)
        packet.check("BGP parameter", start, length, end)
        item = packet.add(layer, PARAMETER, None, at, start + length - at)
        packet.add(item, PARAMETER_TYPE, kind, at, 1)
        packet.add(item, PARAMETER_SIZE, length, at + 1, start - at - 1)
        if kind == 2:
            _capabilities(packet, item, start, start + length)
        at = start + length


def _capabilities(packet: Packet, parent: Item, at: int, end: int) -> None:
    """RFC 5492, 4."""
    said = []
    while at < end:
        kind, size = packet.uint("BGP capability", at, 1, end), packet.uint("BGP capability", at + 1, 1, end)
        start = at + 2
        raw = packet.take("BGP capability", start, size, end)
        said.append(names.CAPABILITIES.get(kind, f"Unknown ({kind})"))
        item = packet.add(parent, CAPABILITY, None, at, 2 + size, said[-1])
        packet.add(item, CAPABILITY_TYPE, kind, at, 1)
        packet.add(item, CAPABILITY_SIZE, size, at + 1, 1)
        if kind == 1 and size == 4:
            packet.add(item, AFI, int.from_bytes(raw[:2], "big"), start, 2)
            packet.add(item, SAFI, raw[3], start + 3, 1)
        elif kind == 65 and size == 4:
            packet.add(item, AS4, int.from_bytes(raw, "big"), start, 4)
        elif kind == 64 and size >= 2:
            packet.add(item, RESTART, int.from_bytes(raw[:2], "big") & 0x0FFF, start, 2)
        elif kind == 73 and size >= 2 and 1 + raw[0] < size:
            host = raw[0]
            packet.add(item, HOST, raw[1 : 1 + host], start + 1, host)
            packet.add(item, DOMAIN, raw[2 + host :], start + 2 + host, size - 2 - host)
        elif size:
            packet.add(item, UNKNOWN, raw, start, size)
        at = start + size
    parent.said = ", ".join(said)


def _update(packet: Packet, layer: Item, at: int, end: int) -> None:
    """RFC 4271, 4.3: what is gone, how to get there, what is there."""
    size = packet.uint("BGP UPDATE", at, 2, end)
    packet.add(layer, WITHDRAWN_SIZE, size, at, 2)
    at += 2
    packet.check("BGP UPDATE", at, size, end)
    if size:
        item = packet.add(layer, WITHDRAWN, None, at, size)
        item.said = _some(prefixes(packet, item, WITHDRAWN_PREFIX, at, at + size))
    at += size
    size = packet.uint("BGP UPDATE", at, 2, end)
    packet.add(layer, ATTRIBUTES_SIZE, size, at, 2)
    at += 2
    if at + size > end:
        raise Malformed(f"BGP path attributes of {size} bytes", at - 2)
    if size:
        attributes(packet, packet.add(layer, ATTRIBUTES, None, at, size), at, at + size)
    at += size
    if at < end:
        item = packet.add(layer, NLRI, None, at, end - at)
        item.said = _some(prefixes(packet, item, NLRI_PREFIX, at, end))


def _some(said: list[str]) -> str:
    return ", ".join(said[:4]) + (f", … {len(said)} in all" if said[4:] else "")


def _notification(packet: Packet, layer: Item, at: int, end: int) -> None:
    """RFC 4271, 4.5; why an administrator did it: RFC 9003."""
    major, minor = packet.uint("BGP NOTIFICATION", at, 1, end), packet.uint("BGP NOTIFICATION", at + 1, 1, end)
    packet.add(layer, MAJOR, major, at, 1)
    packet.add(layer, MINOR.get(major, MINOR_UNKNOWN), minor, at + 1, 1)
    rest = packet.rest(at + 2, end)
    if major == 6 and minor in (2, 4) and rest and rest[0] < len(rest):
        packet.add(layer, SHUTDOWN, rest[1 : 1 + rest[0]], at + 3, rest[0])
    elif rest:
        packet.add(layer, NOTIFY_DATA, rest, at + 2, len(rest))


def _refresh(packet: Packet, layer: Item, at: int, end: int) -> None:
    """RFC 2918, 3; RFC 7313, 3.2."""
    packet.add(layer, REFRESH_AFI, packet.uint("BGP ROUTE-REFRESH", at, 2, end), at, 2)
    packet.add(layer, REFRESH_TYPE, packet.uint("BGP ROUTE-REFRESH", at + 2, 1, end), at + 2, 1)
    packet.add(layer, REFRESH_SAFI, packet.uint("BGP ROUTE-REFRESH", at + 3, 1, end), at + 3, 1)


BODIES: Final = {1: _open, 2: _update, 3: _notification, 5: _refresh, 0x80: _refresh}
"""Type → what shows the body."""
