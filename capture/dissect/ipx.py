"""IPX and its directory of services and routes (Novell); XNS's IDP, which it descends from."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, Header, Hex16, Hex32, Mac, Text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step
from netwatch.capture.protocols import declare
from netwatch.capture.text import mac

declare("ipxsap", "IPX SAP", "discovery")
declare("ipxrip", "IPX RIP", "routing")
declare("idp", "IDP", "ip")

TYPES = {0: "IPX", 1: "RIP", 2: "Echo", 3: "Error", 4: "PEP", 5: "SPX", 17: "NCP", 20: "NetBIOS Broadcast"}
SOCKETS = {
    0x0451: "NetWare Core Protocol",
    0x0452: "SAP",
    0x0453: "RIP",
    0x0455: "NetBIOS",
    0x0456: "Diagnostic",
    0x0457: "Serialization",
    0x0550: "NWLink SMB Server",
    0x0552: "NWLink SMB Redirector",
    0x9001: "NetWare Link Services Protocol",
}


def _addressed(prefix: str, label: str, sockets: dict[int, str] | None) -> Header:
    return Header(
        prefix,
        label,
        (
            Hex16("checksum", "Checksum"),
            U16("len", "Length"),
            U8("hops", "Transport Control"),
            U8("packet_type", "Packet Type", TYPES),
            Hex32("dst.net", "Destination Network"),
            Mac("dst.node", "Destination Node"),
            Hex16("dst.socket", "Destination Socket", sockets),
            Hex32("src.net", "Source Network"),
            Mac("src.node", "Source Node"),
            Hex16("src.socket", "Source Socket", sockets),
        ),
    )


IPX = _addressed("ipx", "Internetwork Packet eXchange", SOCKETS)
IDP = _addressed("idp", "Internetwork Datagram Protocol", None)


@on("llc.novell", 0)
@on("llc.sap", 0xE0)
@on("ethertype", 0x8137)
@on("ppp.protocol", 0x002B)
def ipx(packet: Packet, at: int, limit: int) -> Step:
    """Networks, nodes and sockets of both ends; either socket may be the one that is known."""
    packet.column("ipx")
    layer, values = packet.open(IPX, at, limit)
    length, to_net, to_node, to_socket, from_net, from_node, from_socket = values[1], *values[4:]
    packet.source, packet.destination = f"{from_net:08x}.{from_node.hex()}", f"{to_net:08x}.{to_node.hex()}"
    packet.info = f"{SOCKETS.get(to_socket, 'Unknown')} (0x{to_socket:04x})"
    layer.said = f"Src: {packet.source}, Dst: {packet.destination}"
    end = min(limit, at + max(length, IPX.size))
    if packet.payload_end is None:
        packet.payload_end = end
    known = TABLES["ipx.socket"]
    return step("ipx.socket", to_socket if to_socket in known else from_socket, at + IPX.size, end)


@on("ethertype", 0x0600)
def idp(packet: Packet, at: int, limit: int) -> Step:
    """The same layout, without Novell's sockets."""
    packet.column("idp")
    layer, values = packet.open(IDP, at, limit)
    layer.said = f"Src: {values[7]:08x}.{mac(values[8])}, Dst: {values[4]:08x}.{mac(values[5])}"
    return Step((), at + IDP.size, limit)


OPERATIONS = {1: "General Query", 2: "General Response", 3: "Nearest Query", 4: "Nearest Response"}
SAP = Header("ipxsap", "Service Advertisement Protocol", (U16("packet_type", "SAP packet type", OPERATIONS),))
SERVER = Header(
    "ipxsap.server",
    "Server",
    (
        Hex16("type", "Server Type"),
        Text("name", "Server Name", 48),
        Hex32("network", "Network"),
        Mac("node", "Node"),
        Hex16("socket", "Socket", SOCKETS),
        U16("intermediate_networks", "Intermediate Networks"),
    ),
)
WANTED = Header("ipxsap", "Query", (Hex16("server.type", "Server Type"),), name="")
RESPONSES = frozenset({2, 4})


@on("ipx.socket", 0x0452)
def sap(packet: Packet, at: int, limit: int) -> Step | None:
    """Servers of 64 bytes each, or the kind of server that is looked for."""
    packet.column("ipxsap")
    layer, (operation,) = packet.open(SAP, at, limit)
    packet.info = layer.said = OPERATIONS.get(operation, "Unknown Packet Type")
    where = at + SAP.size
    if operation not in RESPONSES:
        packet.add_header(layer, WANTED, where, limit)
        layer.size += WANTED.size
        return None
    while where + SERVER.size <= limit:
        item = packet.add(layer, SERVER.field, None, where, SERVER.size)
        packet.add_header(item, SERVER, where, limit)
        where += SERVER.size
        layer.size = where - at
    return Step((), where, limit) if where < limit else None


RIP = Header(
    "ipxrip", "Routing Information Protocol", (U16("packet_type", "RIP packet type", {1: "Request", 2: "Response"}),)
)
ROUTE = Header(
    "ipxrip.route",
    "Route",
    (Hex32("net", "Route Vector"), U16("hops", "Hops"), U16("ticks", "Ticks")),
)


@on("ipx.socket", 0x0453)
def rip(packet: Packet, at: int, limit: int) -> Step | None:
    """Networks, and how far they are in hops and in time."""
    packet.column("ipxrip")
    layer, (operation,) = packet.open(RIP, at, limit)
    packet.info = layer.said = {1: "Request", 2: "Response"}.get(operation, "Unknown Packet Type")
    where = at + RIP.size
    while where + ROUTE.size <= limit:
        item = packet.add(layer, ROUTE.field, None, where, ROUTE.size)
        net, hops, _ = packet.add_header(item, ROUTE, where, limit)
        item.said = f"0x{net:08x}, {hops} hops"
        where += ROUTE.size
        layer.size = where - at
    return Step((), where, limit) if where < limit else None
