"""What DNS records hold, by type (IANA "Resource Record TYPEs")."""

from __future__ import annotations

from collections.abc import Callable

from netwatch.capture.dissect import dns_security
from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.dns_parameters import show_options, show_service
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U48,
    Field,
    Header,
    Item,
    absolute,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.text import ipv4, ipv6

__all__ = ["seconds", "show_body"]


def seconds(value: int) -> str:
    """`7200 (2 hours)`"""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if value and value % size == 0:
            return f"{value} ({value // size} {unit}{'s' if value > size else ''})"
    return str(value)


RAW = octets("dns.data", "Data")
A = address("dns.a", "Address", 4)
AAAA = address("dns.aaaa", "AAAA Address", 16)
NS, CNAME, PTR, DNAME = (
    text("dns.ns", "Name Server"),
    text("dns.cname", "CNAME"),
    text("dns.ptr.domain_name", "Domain Name"),
    text("dns.dname", "Dname"),
)
MX_PREFERENCE, MX = number("dns.mx.preference", "Preference"), text("dns.mx.mail_exchange", "Mail Exchange")
TXT_LENGTH, TXT = number("dns.txt.length", "TXT Length"), text("dns.txt", "TXT")
SOA_NAME, SOA_MAIL = (
    text("dns.soa.mname", "Primary name server"),
    text("dns.soa.rname", "Responsible authority's mailbox"),
)
SOA = Header(
    "dns.soa",
    "SOA",
    (
        U32("serial_number", "Serial Number"),
        U32("refresh_interval", "Refresh Interval", form=seconds),
        U32("retry_interval", "Retry Interval", form=seconds),
        U32("expire_limit", "Expire limit", form=seconds),
        U32("minimum_ttl", "Minimum TTL", form=seconds),
    ),
    name="",
)
SRV = Header("dns.srv", "SRV", (U16("priority", "Priority"), U16("weight", "Weight"), U16("port", "Port")), name="")
SRV_TARGET = text("dns.srv.target", "Target")
NAPTR = Header("dns.naptr", "NAPTR", (U16("order", "Order"), U16("preference", "Preference")), name="")
NAPTR_TEXTS = tuple(
    (number(f"dns.naptr.{name}_length", f"{name.title()} Length"), text(f"dns.naptr.{name}", name.title()))
    for name in ("flags", "service", "regex")
)
NAPTR_REPLACEMENT = text("dns.naptr.replacement", "Replacement")
CAA_FLAGS, CAA_TAG_LENGTH, CAA_TAG, CAA_VALUE = (
    number("dns.caa.flags", "CAA Flags", digits=2),
    number("dns.caa.tag_length", "Tag length"),
    text("dns.caa.tag", "Tag"),
    text("dns.caa.value", "Value"),
)
CAA_PROPERTIES = {
    name: text(f"dns.caa.{name.decode()}", label)
    for name, label in ((b"issue", "Issue"), (b"issuewild", "Issue Wildcard"), (b"iodef", "Report URL"))
}
SPF_LENGTH, SPF = number("dns.spf.length", "SPF Length"), text("dns.spf", "SPF")
CERT = Header(
    "dns.cert",
    "CERT",
    (
        U16("type", "Type", {1: "PKIX", 2: "SPKI", 3: "PGP", 4: "IPKIX", 6: "IPGP"}),
        U16("key_tag", "Key Tag"),
        U8("algorithm", "Algorithm", dns_security.ALGORITHMS),
    ),
    name="",
)
CERT_DATA = octets("dns.cert.certificate", "Certificate (or CRL)")
HINFO = (
    (number("dns.hinfo.cpu_length", "CPU Length"), text("dns.hinfo.cpu", "CPU")),
    (number("dns.hinfo.os_length", "OS Length"), text("dns.hinfo.os", "OS")),
)
RP_MAIL, RP_TEXT = text("dns.rp.mailbox", "Mailbox"), text("dns.rp.txt_rr", "TXT RR")
URI = Header("dns.uri", "URI", (U16("priority", "Priority"), U16("weight", "Weight")), name="")
URI_TARGET = text("dns.uri.target", "Target")
LOC = Header(
    "dns.loc",
    "LOC",
    (
        U8("version", "Version"),
        U8("size", "Size", form=lambda code: f"{_centimetres(code)} m"),
        U8("horizontal_precision", "Horizontal Precision", form=lambda code: f"{_centimetres(code)} m"),
        U8("vertical_precision", "Vertical Precision", form=lambda code: f"{_centimetres(code)} m"),
        U32("latitude", "Latitude", form=lambda word: _angle(word, "NS")),
        U32("longitude", "Longitude", form=lambda word: _angle(word, "EW")),
        U32("altitude", "Altitude", form=lambda word: f"{(word - 10_000_000) / 100:g} m"),
    ),
    name="",
)
TSIG_NAME = text("dns.tsig.algorithm_name", "Algorithm Name")
TSIG = Header(
    "dns.tsig",
    "TSIG",
    (
        U48(
            "time_signed",
            "Time Signed",
            plain=lambda value: absolute(value * 10**9) if value < 1 << 36 else str(value),
        ),
        U16("fudge", "Fudge"),
        U16("mac_size", "MAC Size"),
    ),
    name="",
)
TSIG_MAC = octets("dns.tsig.mac", "MAC")
TSIG_REST = Header(
    "dns.tsig",
    "TSIG",
    (U16("original_id", "Original Id"), U16("error", "Error"), U16("other_len", "Other Len")),
    name="",
)


def _centimetres(code: int) -> str:
    """A digit and a power of ten of centimetres (RFC 1876, 2), in metres."""
    return f"{(code >> 4) * 10 ** (code & 15) / 100:g}"


def _angle(word: int, sides: str) -> str:
    """Thousandths of a second of arc from 2^31 on."""
    rest = abs(word - (1 << 31))
    side = sides[0 if word >= 1 << 31 else 1]
    return f"{rest // 3_600_000} deg {rest // 60_000 % 60} min {rest % 60_000 / 1000:.3f} sec {side}"


Body = Callable[[Packet, Item, int, int, int], str]
"""(packet, parent, start of the message, start, end) -> words of the Info column."""


def _raw(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add(item, RAW, packet.data[at:end], at, end - at)
    return ""


def _ip(field: Field, size: int, show: Callable[[bytes], str]) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
        value = packet.take("DNS address", at, size, end)
        packet.add(item, field, value, at, size)
        return show(value)

    return body


def _one_name(field: Field) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
        name, after = read_name(packet, message, at, end)
        packet.add(item, field, name, at, after - at)
        return name

    return body


def _mx(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    preference = packet.uint("DNS MX", at, 2, end)
    name, after = read_name(packet, message, at + 2, end)
    packet.add(item, MX_PREFERENCE, preference, at, 2)
    packet.add(item, MX, name, at + 2, after - at - 2)
    return f"{preference} {name}"


def _texts(length: Field, field: Field) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
        while at < end:
            at = _string(packet, item, field, at, end, length_field=length)[1]
        return ""

    return body


def _bytes(field: Field) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
        packet.add(item, field, packet.data[at:end], at, end - at)
        return ""

    return body


def _certificate(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add_header(item, CERT, at, end)
    packet.add(item, CERT_DATA, packet.data[at + CERT.size : end], at + CERT.size, end - at - CERT.size)
    return ""


def _string(
    packet: Packet, item: Item, field: Field, at: int, end: int, length_field: Field | None = None
) -> tuple[bytes, int]:
    """A length byte and that many characters: (they, the offset after them)."""
    size = packet.uint("DNS string", at, 1, end)
    value = packet.take("DNS string", at + 1, size, end)
    if length_field is not None:
        packet.add(item, length_field, size, at, 1)
    packet.add(item, field, value, at + 1, size)
    return value, at + 1 + size


def _soa(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    primary, after = read_name(packet, message, at, end)
    packet.add(item, SOA_NAME, primary, at, after - at)
    mailbox, last = read_name(packet, message, after, end)
    packet.add(item, SOA_MAIL, mailbox, after, last - after)
    packet.add_header(item, SOA, last, end)
    return primary


def _srv(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    priority, weight, port = packet.add_header(item, SRV, at, end)
    target, after = read_name(packet, message, at + SRV.size, end)
    packet.add(item, SRV_TARGET, target, at + SRV.size, after - at - SRV.size)
    return f"{priority} {weight} {port} {target}"


def _naptr(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    order, preference = packet.add_header(item, NAPTR, at, end)
    at += NAPTR.size
    words = []
    for length, field in NAPTR_TEXTS:
        value, at = _string(packet, item, field, at, end, length_field=length)
        words.append(value)
    name, after = read_name(packet, message, at, end)
    packet.add(item, NAPTR_REPLACEMENT, name, at, after - at)
    return f"{order} {preference} {words[0].decode('utf-8', 'surrogateescape')}"


def _caa(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add(item, CAA_FLAGS, packet.uint("DNS CAA", at, 1, end), at, 1)
    tag, after = _string(packet, item, CAA_TAG, at + 1, end, length_field=CAA_TAG_LENGTH)
    if tag in CAA_PROPERTIES:
        packet.add(item, CAA_PROPERTIES[tag], packet.data[after:end], after, end - after)
    packet.add(item, CAA_VALUE, packet.data[after:end], after, end - after)
    return ""


def _host(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    words = []
    for length, field in HINFO:
        value, at = _string(packet, item, field, at, end, length_field=length)
        words.append(value.decode("utf-8", "surrogateescape"))
    return " ".join(words)


def _person(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    for field in (RP_MAIL, RP_TEXT):
        name, after = read_name(packet, message, at, end)
        packet.add(item, field, name, at, after - at)
        at = after
    return ""


def _preferred(prefix: str, number_name: str, label: str, name: str, name_label: str, *, said: bool = False) -> Body:
    """A number and a name: which of several to take first."""
    preference, target = number(f"{prefix}.{number_name}", label), text(f"{prefix}.{name}", name_label)

    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
        value = packet.uint("DNS record", at, 2, end)
        where, after = read_name(packet, message, at + 2, end)
        packet.add(item, preference, value, at, 2)
        packet.add(item, target, where, at + 2, after - at - 2)
        return f"{value} {where}" if said else ""

    return body


def _uri(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add_header(item, URI, at, end)
    packet.add(item, URI_TARGET, packet.data[at + URI.size : end], at + URI.size, end - at - URI.size)
    return ""


def _location(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add_header(item, LOC, at, end)
    return ""


def _transaction(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    """A signature of the message itself (RFC 8945, 4.2)."""
    name, after = read_name(packet, message, at, end)
    packet.add(item, TSIG_NAME, name, at, after - at)
    *_, size = packet.add_header(item, TSIG, after, end)
    at = after + TSIG.size
    packet.add(item, TSIG_MAC, packet.take("DNS TSIG", at, size, end), at, size)
    packet.add_header(item, TSIG_REST, at + size, end)
    return ""


BODIES: dict[int, Body] = {
    1: _ip(A, 4, ipv4),
    2: _one_name(NS),
    5: _one_name(CNAME),
    6: _soa,
    12: _one_name(PTR),
    13: _host,
    15: _mx,
    16: _texts(TXT_LENGTH, TXT),
    17: _person,
    18: _preferred("dns.afsdb", "subtype", "Subtype", "hostname", "Hostname"),
    21: _preferred("dns.rt", "subtype", "Preference", "intermediate_host", "Intermediate Hostname"),
    28: _ip(AAAA, 16, ipv6),
    29: _location,
    33: _srv,
    35: _naptr,
    36: _preferred("dns.kx", "preference", "Preference", "key_exchange", "Key Exchange", said=True),
    39: _one_name(DNAME),
    41: show_options,
    64: show_service,
    65: show_service,
    37: _certificate,
    49: _bytes(octets("dns.dhcid.rdata", "DHCID Data")),
    61: _bytes(octets("dns.openpgpkey", "OpenPGP Key")),
    99: _texts(SPF_LENGTH, SPF),
    108: _bytes(address("dns.eui48", "EUI48 Address", 6)),
    109: _bytes(octets("dns.eui64", "EUI64 Address")),
    250: _transaction,
    256: _uri,
    257: _caa,
    **dns_security.BODIES,
}


def show_body(packet: Packet, item: Item, kind: int, message: int, at: int, end: int) -> str:
    """The lines of a record's data, and its words of the Info column. Names count from `message`."""
    return BODIES.get(kind, _raw)(packet, item, message, at, end)
