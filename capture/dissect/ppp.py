"""PPP (RFC 1661, 1662), its passwords and challenges, and PPP over Ethernet (RFC 2516)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, Bits, Header, Hex8, Hex16, Item, Packed8, number, octets, text
from netwatch.capture.dissect.options import tlvs
from netwatch.capture.dissect.packet import MAX_INFO, Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step
from netwatch.capture.text import escape

PROTOCOLS = {
    0x0021: "Internet Protocol version 4",
    0x0057: "Internet Protocol version 6",
    0x0281: "MPLS Unicast",
    0x8021: "Internet Protocol Control Protocol",
    0x8057: "IPv6 Control Protocol",
    0x80FD: "Compression Control Protocol",
    0x8281: "MPLS Control Protocol",
    0xC021: "Link Control Protocol",
    0xC023: "Password Authentication Protocol",
    0xC025: "PPP Link Quality Report (0xc025)",
    0xC223: "Challenge Handshake Authentication Protocol",
}
PPP = Header("ppp", "Point-to-Point Protocol", ())
ADDRESS, CONTROL = number("ppp.address", "Address", digits=2), number("ppp.control", "Control", digits=2)
PROTOCOL = number("ppp.protocol", "Protocol", PROTOCOLS, digits=4)

SESSION_CODES = {
    0x00: "Session Data",
    0x07: "Active Discovery Offer (PADO)",
    0x09: "Active Discovery Initiation (PADI)",
    0x0A: "Session-Grant (PADG)",
    0x0B: "Session-Credit Response (PADC)",
    0x0C: "Quality (PADQ)",
    0x19: "Active Discovery Request (PADR)",
    0x65: "Active Discovery Session-confirmation (PADS)",
    0xA7: "Active Discovery Terminate (PADT)",
}
TAGS = {
    0x0000: "End-Of-List",
    0x0101: "Service-Name",
    0x0102: "AC-Name",
    0x0103: "Host-Uniq",
    0x0104: "AC-Cookie",
    0x0105: "Vendor-Specific",
    0x0110: "Relay-Session-Id",
    0x0120: "PPP-Max-Payload",
    0x0201: "Service-Name-Error",
    0x0202: "AC-System-Error",
    0x0203: "Generic-Error",
}
TAG = number("pppoed.tag", "Tag", TAGS, digits=4)
AC_NAME = text("pppoed.tags.ac_name", "AC-Name")
SERVICE_NAME = text("pppoed.tags.service_name", "Service-Name")
HOST_UNIQUE, COOKIE, MAX_PAYLOAD, RELAY, GENERIC_ERROR = (
    octets("pppoed.tags.host_uniq", "Host-Uniq"),
    octets("pppoed.tags.ac_cookie", "AC-Cookie"),
    octets("pppoed.tags.max_payload", "PPP Max Payload"),
    octets("pppoed.tags.relay_session_id", "Relay-Session-Id"),
    text("pppoed.tags.generic_error", "Generic-Error"),
)
TAG_FIELDS = {
    0x0101: SERVICE_NAME,
    0x0102: AC_NAME,
    0x0103: HOST_UNIQUE,
    0x0104: COOKIE,
    0x0110: RELAY,
    0x0120: MAX_PAYLOAD,
    0x0203: GENERIC_ERROR,
}
TAG_DATA = octets("pppoed.tag.unknown_data", "Data")


def _pppoe(name: str, label: str) -> Header:
    return Header(
        "pppoe",
        label,
        (
            Packed8(Bits(0xF0, "version", "Version"), Bits(0x0F, "type", "Type")),
            Hex8("code", "Code", SESSION_CODES),
            Hex16("session_id", "Session ID"),
            U16("payload_length", "Payload Length"),
        ),
        name=name,
    )


SESSION = _pppoe("pppoes", "PPP-over-Ethernet Session")
DISCOVERY = _pppoe("pppoed", "PPP-over-Ethernet Discovery")


@on("linktype", 9, 50, 166)
@on("ethertype", 0x880B)
@on("ppp", 0)
def ppp(packet: Packet, at: int, limit: int) -> Step:
    """Address and control where the link has them, then a protocol; one byte if its last bit is set."""
    packet.column("ppp", "PPP")
    layer = packet.layer(PPP.field, at, 0)
    where = at
    if packet.data[at : at + 2] == b"\xff\x03":
        packet.add(layer, ADDRESS, 0xFF, at, 1)
        packet.add(layer, CONTROL, 0x03, at + 1, 1)
        where += 2
    width = 1 if packet.uint("PPP", where, 1, limit) & 1 else 2
    protocol = packet.uint("PPP", where, width, limit)
    packet.add(layer, PROTOCOL, protocol, where, width)
    layer.size = where + width - at
    if protocol not in TABLES["ppp.protocol"]:
        packet.protocol = f"0x{protocol:04x}"
        packet.info = PROTOCOLS.get(protocol, f"PPP Unknown (0x{protocol:04x})")
    return step("ppp.protocol", protocol, where + width, limit)


PAP_CODES = {1: "Authenticate-Request", 2: "Authenticate-Ack", 3: "Authenticate-Nak"}
PAP = Header(
    "pap",
    "PPP Password Authentication Protocol",
    (U8("code", "Code", PAP_CODES), U8("identifier", "Identifier"), U16("length", "Length")),
)
PEER, PASSWORD, MESSAGE = (
    text("pap.peer_id", "Peer-ID"),
    text("pap.password", "Password"),
    text("pap.message", "Message"),
)
CHAP_CODES = {1: "Challenge", 2: "Response", 3: "Success", 4: "Failure"}
CHAP = Header(
    "chap",
    "PPP Challenge Handshake Authentication Protocol",
    (U8("code", "Code", CHAP_CODES), U8("identifier", "Identifier"), U16("length", "Length")),
)
CHAP_VALUE, CHAP_NAME, CHAP_MESSAGE = (
    octets("chap.value", "Value"),
    text("chap.name", "Name"),
    text("chap.message", "Message"),
)


@on("ppp.protocol", 0xC023)
def pap(packet: Packet, at: int, limit: int) -> None:
    """Who, and the password in clear (RFC 1334, 2)."""
    packet.column("pap")
    layer, (code, _, length) = packet.open(PAP, at, limit)
    layer.said = packet.info = PAP_CODES.get(code, f"Unknown ({code})")
    end = min(limit, at + length)
    where = at + PAP.size
    said = []
    for field in (PEER, PASSWORD) if code == 1 else (MESSAGE,):
        if where >= end:
            break
        size = packet.uint("PAP", where, 1, end)
        value = packet.take("PAP", where + 1, size, end)
        packet.add(layer, field, value, where + 1, size)
        said.append(f"{field.label}='{escape(value)}'")
        where += 1 + size
        layer.size = where - at
    packet.info += f" ({', '.join(said)})"


@on("ppp.protocol", 0xC223)
def chap(packet: Packet, at: int, limit: int) -> None:
    """A challenge and the hash of it (RFC 1994)."""
    packet.column("chap")
    layer, (code, _, length) = packet.open(CHAP, at, limit)
    layer.said = packet.info = CHAP_CODES.get(code, f"Unknown ({code})")
    end = min(limit, at + max(length, CHAP.size))
    where = at + CHAP.size
    if code in (1, 2):
        size = packet.uint("CHAP", where, 1, end)
        value = packet.take("CHAP", where + 1, size, end)
        packet.add(layer, CHAP_VALUE, value, where + 1, size)
        where += 1 + size
    rest = packet.rest(where, end)
    field = CHAP_NAME if code in (1, 2) else CHAP_MESSAGE
    packet.add(layer, field, rest, where, len(rest))
    layer.size = where + len(rest) - at
    said = escape(rest[:MAX_INFO])
    packet.info += f" ({field.label.upper()}='{said}'" if code in (1, 2) else f" (MESSAGE='{said}'"
    packet.info += f", VALUE=0x{value.hex()})" if code in (1, 2) else ")"


@on("ethertype", 0x8864)
def session(packet: Packet, at: int, limit: int) -> Step | None:
    """Six bytes, then PPP."""
    packet.column("pppoes", "PPP-over-Ethernet")
    layer, (_, code, ident, length) = packet.open(SESSION, at, limit)
    layer.said = f"Session: 0x{ident:04x}"
    packet.info = SESSION_CODES.get(code, "Unknown")
    end = _end(packet, at + SESSION.size, length, limit)
    return step("ppp", 0, at + SESSION.size, end)


def _end(packet: Packet, start: int, length: int, limit: int) -> int:
    end = start + length
    if end > limit:
        packet.mark(f"PPPoE: payload length {length} beyond the {limit - start} bytes there", start - 2)
        return limit
    if packet.payload_end is None:
        packet.payload_end = end
    return end


@on("ethertype", 0x8863)
def discovery(packet: Packet, at: int, limit: int) -> None:
    """Finding an access concentrator: tags."""
    packet.column("pppoed")
    layer, (_, code, _, length) = packet.open(DISCOVERY, at, limit)
    layer.said = packet.info = SESSION_CODES.get(code, "Unknown")
    end = _end(packet, at + DISCOVERY.size, length, limit)
    for kind, where, size in tlvs(packet, "PPPoE tag", at + DISCOVERY.size, end):
        _tag(packet, layer, kind, where, size)
        layer.size = where + size - at
        if kind == 0:
            break


def _tag(packet: Packet, layer: Item, kind: int, at: int, size: int) -> None:
    tag = packet.add(layer, TAG, kind, at - 4, 4 + size)
    value = packet.data[at : at + size]
    if size:
        packet.add(tag, TAG_FIELDS.get(kind, TAG_DATA), value, at, size)
    if kind == 0x0102:
        packet.info += f" AC-Name='{escape(value)}'"
