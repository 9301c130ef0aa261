"""What DNS records hold, by type (IANA "Resource Record TYPEs")."""

from __future__ import annotations

from collections.abc import Callable

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Field,
    Flags16,
    Header,
    Hex16,
    Item,
    absolute,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.text import ipv4, ipv6

__all__ = ["TYPES", "show_body"]

TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    11: "WKS",
    12: "PTR",
    13: "HINFO",
    14: "MINFO",
    15: "MX",
    16: "TXT",
    17: "RP",
    18: "AFSDB",
    24: "SIG",
    25: "KEY",
    28: "AAAA",
    29: "LOC",
    32: "NB",
    33: "SRV",
    35: "NAPTR",
    37: "CERT",
    39: "DNAME",
    41: "OPT",
    42: "APL",
    43: "DS",
    44: "SSHFP",
    45: "IPSECKEY",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    49: "DHCID",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    53: "SMIMEA",
    55: "HIP",
    59: "CDS",
    60: "CDNSKEY",
    61: "OPENPGPKEY",
    62: "CSYNC",
    63: "ZONEMD",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    108: "EUI48",
    109: "EUI64",
    249: "TKEY",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    256: "URI",
    257: "CAA",
}
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
        U32("refresh_interval", "Refresh Interval"),
        U32("retry_interval", "Retry Interval"),
        U32("expire_limit", "Expire limit"),
        U32("minimum_ttl", "Minimum TTL"),
    ),
    name="",
)
SRV = Header("dns.srv", "SRV", (U16("priority", "Priority"), U16("weight", "Weight"), U16("port", "Port")), name="")
SRV_TARGET = text("dns.srv.target", "Target")
NAPTR = Header("dns.naptr", "NAPTR", (U16("order", "Order"), U16("preference", "Preference")), name="")
NAPTR_FLAGS, NAPTR_SERVICE, NAPTR_REGEX, NAPTR_REPLACEMENT = (
    text("dns.naptr.flags", "Flags"),
    text("dns.naptr.service", "Service"),
    text("dns.naptr.regex", "Regex"),
    text("dns.naptr.replacement", "Replacement"),
)
CAA_FLAGS, CAA_TAG, CAA_VALUE = (
    number("dns.caa.flags", "CAA Flags", digits=2),
    text("dns.caa.tag", "Tag"),
    text("dns.caa.value", "Value"),
)
DS = Header(
    "dns.ds",
    "DS",
    (Hex16("key_id", "Key id"), U8("algorithm", "Algorithm"), U8("digest_type", "Digest Type")),
    name="",
)
DS_DIGEST = octets("dns.ds.digest", "Digest")
DNSKEY = Header(
    "dns.dnskey",
    "DNSKEY",
    (
        Flags16(
            "flags",
            "Flags",
            Bit(0x0100, "flags.zone_key", "Zone Key"),
            Bit(0x0080, "flags.key_revoked", "Key Revoked"),
            Bit(0x0001, "flags.secure_entry_point", "Key Signing Key"),
        ),
        U8("protocol", "Protocol"),
        U8("algorithm", "Algorithm"),
    ),
    name="",
)
DNSKEY_KEY = octets("dns.dnskey.public_key", "Public Key")


def _seconds(value: int) -> str:
    return absolute(value * 10**9)


RRSIG = Header(
    "dns.rrsig",
    "RRSIG",
    (
        U16("type_covered", "Type Covered", TYPES),
        U8("algorithm", "Algorithm"),
        U8("labels", "Labels"),
        U32("original_ttl", "Original TTL"),
        U32("signature_expiration", "Signature Expiration", plain=_seconds),
        U32("signature_inception", "Signature Inception", plain=_seconds),
        U16("key_tag", "Key Tag"),
    ),
    name="",
)
RRSIG_NAME, RRSIG_SIGNATURE = (
    text("dns.rrsig.signers_name", "Signer's name"),
    octets("dns.rrsig.signature", "Signature"),
)
NEXT_NAME = text("dns.nsec.next_domain_name", "Next Domain Name")
SVC_PRIORITY, SVC_TARGET = number("dns.svcb.svcpriority", "SvcPriority"), text("dns.svcb.targetname", "TargetName")
OPTION_CODE, OPTION_LENGTH, OPTION_DATA = (
    number("dns.opt.code", "Option Code"),
    number("dns.opt.len", "Option Length"),
    octets("dns.opt.data", "Option Data"),
)


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


def _txt(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    while at < end:
        at = _string(packet, item, TXT, at, end, length_field=TXT_LENGTH)[1]
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
    flags, at = _string(packet, item, NAPTR_FLAGS, at, end)
    _, at = _string(packet, item, NAPTR_SERVICE, at, end)
    _, at = _string(packet, item, NAPTR_REGEX, at, end)
    name, after = read_name(packet, message, at, end)
    packet.add(item, NAPTR_REPLACEMENT, name, at, after - at)
    return f"{order} {preference} {flags.decode('utf-8', 'surrogateescape')}"


def _caa(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add(item, CAA_FLAGS, packet.data[at], at, 1)
    _, after = _string(packet, item, CAA_TAG, at + 1, end)
    packet.add(item, CAA_VALUE, packet.data[after:end], after, end - after)
    return ""


def _fixed(header: Header, rest: Field) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
        packet.add_header(item, header, at, end)
        at += header.size
        packet.add(item, rest, packet.data[at:end], at, end - at)
        return ""

    return body


def _rrsig(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    packet.add_header(item, RRSIG, at, end)
    name, after = read_name(packet, message, at + RRSIG.size, end)
    packet.add(item, RRSIG_NAME, name, at + RRSIG.size, after - at - RRSIG.size)
    packet.add(item, RRSIG_SIGNATURE, packet.data[after:end], after, end - after)
    return ""


def _next_secure(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    name, after = read_name(packet, message, at, end)
    packet.add(item, NEXT_NAME, name, at, after - at)
    if after < end:
        packet.add(item, RAW, packet.data[after:end], after, end - after)
    return name


def _service(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    packet.add(item, SVC_PRIORITY, packet.uint("DNS SVCB", at, 2, end), at, 2)
    name, after = read_name(packet, message, at + 2, end)
    packet.add(item, SVC_TARGET, name, at + 2, after - at - 2)
    if after < end:
        packet.add(item, RAW, packet.data[after:end], after, end - after)
    return ""


def _opt(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    while at < end:
        code, size = packet.uint("EDNS option", at, 2, end), packet.uint("EDNS option", at + 2, 2, end)
        value = packet.take("EDNS option", at + 4, size, end)
        option = packet.add(item, OPTION_CODE, code, at, 4 + size)
        packet.add(option, OPTION_LENGTH, size, at + 2, 2)
        packet.add(option, OPTION_DATA, value, at + 4, size)
        at += 4 + size
    return ""


BODIES: dict[int, Body] = {
    1: _ip(A, 4, ipv4),
    2: _one_name(NS),
    5: _one_name(CNAME),
    6: _soa,
    12: _one_name(PTR),
    15: _mx,
    16: _txt,
    28: _ip(AAAA, 16, ipv6),
    33: _srv,
    35: _naptr,
    39: _one_name(DNAME),
    41: _opt,
    43: _fixed(DS, DS_DIGEST),
    46: _rrsig,
    47: _next_secure,
    48: _fixed(DNSKEY, DNSKEY_KEY),
    59: _fixed(DS, DS_DIGEST),
    60: _fixed(DNSKEY, DNSKEY_KEY),
    64: _service,
    65: _service,
    99: _txt,
    257: _caa,
}


def show_body(packet: Packet, item: Item, kind: int, message: int, at: int, end: int) -> str:
    """The lines of a record's data, and its words of the Info column. Names count from `message`."""
    return BODIES.get(kind, _raw)(packet, item, message, at, end)
