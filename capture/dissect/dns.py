"""DNS (RFC 1035), over UDP and TCP, multicast DNS (RFC 6762) and LLMNR (RFC 4795)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bits,
    Field,
    Flags16,
    Header,
    Hex8,
    Hex16,
    Item,
    Packed16,
    absolute,
    address,
    flag,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import ipv4, ipv6

OPCODES = {
    0: "Standard query",
    1: "Inverse query",
    2: "Server status request",
    4: "Zone change notification",
    5: "Dynamic update",
    6: "DNS Stateful operations",
}
RCODES = {
    0: "No error",
    1: "Format error",
    2: "Server failure",
    3: "No such name",
    4: "Not implemented",
    5: "Refused",
    6: "Name exists",
    7: "RRset exists",
    8: "RRset does not exist",
    9: "Not authoritative",
    10: "Name out of zone",
}
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
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

ANSWER_FLAGS = (
    Bit(0x8000, "flags.response", "Response"),
    Bits(0x7800, "flags.opcode", "Opcode", OPCODES),
    Bit(0x0400, "flags.authoritative", "Authoritative"),
    Bit(0x0200, "flags.truncated", "Truncated"),
    Bit(0x0100, "flags.recdesired", "Recursion desired"),
    Bit(0x0080, "flags.recavail", "Recursion available"),
    Bit(0x0040, "flags.z", "Z"),
    Bit(0x0020, "flags.authenticated", "Answer authenticated"),
    Bit(0x0010, "flags.checkdisable", "Non-authenticated data"),
    Bits(0x000F, "flags.rcode", "Reply code", RCODES),
)
IN_QUERIES = frozenset({0x8000, 0x7800, 0x0200, 0x0100, 0x0040, 0x0010})
"""Flags that mean something in a query."""
QUERY_FLAGS = tuple(bit for bit in ANSWER_FLAGS if bit.mask in IN_QUERIES)


def _message(flags: tuple[Field, ...]) -> Header:
    return Header(
        "dns",
        "Domain Name System",
        (
            Hex16("id", "Transaction ID"),
            Flags16("flags", "Flags", *flags),
            U16("count.queries", "Questions"),
            U16("count.answers", "Answer RRs"),
            U16("count.auth_rr", "Authority RRs"),
            U16("count.add_rr", "Additional RRs"),
        ),
    )


DNS, ANSWER = _message(QUERY_FLAGS), _message(ANSWER_FLAGS)
LENGTH = number("dns.length", "Length")

QUERY = text("dns.qry.name", "Name")
QUERY_TYPE = number("dns.qry.type", "Type", TYPES)
QUERY_CLASS = number("dns.qry.class", "Class", CLASSES, digits=4)
QUERY_UNICAST = flag("dns.qry.qu", '"QU" question')
NAME = text("dns.resp.name", "Name")
TYPE = number("dns.resp.type", "Type", TYPES)
CLASS = number("dns.resp.class", "Class", CLASSES, digits=4)
FLUSH = flag("dns.resp.cache_flush", "Cache flush")
TTL = number("dns.resp.ttl", "Time to live")
DATA_LENGTH = number("dns.resp.len", "Data length")
UDP_SIZE = number("dns.rr.udp_payload_size", "UDP payload size")
EXTENDED = Header(
    "dns.resp",
    "Extended RCODE and flags",
    (
        Hex8("ext_rcode", "Higher bits in extended RCODE"),
        U8("edns0_version", "EDNS0 version"),
        Packed16(Bit(0x8000, "z.do", "DO bit"), Bits(0x7FFF, "z.reserved", "Reserved", digits=4)),
    ),
    name="",
)
SECTIONS = tuple(
    group("", label) for label in ("Queries", "Answers", "Authoritative nameservers", "Additional records")
)
RECORD = group("", "Record")
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


LOOPED = "<Name contains a pointer that loops>"


class Name(NamedTuple):
    """A name as it stands in a message."""

    text: str
    """Labels with dots between; bytes that are not UTF-8 as surrogates."""
    end: int
    """Offset of the byte after it, where it stands (not where a pointer led)."""


def read_name(packet: Packet, message: int, at: int, limit: int) -> Name:
    """The name at `at`; pointers count from `message` (RFC 1035, 4.1.4).

    A pointer that does not lead back gives LOOPED in place of the name; what follows it can be read all the same.
    Raises Short where a label is missing, Malformed for a label that cannot be or a name without end.
    """
    labels: list[str] = []
    data = packet.data
    stop = packet.end(limit)
    after = -1
    lowest = at
    size = 0
    while True:
        if at >= stop:
            packet.check("DNS name", at, 1, limit)
        length = data[at]
        if length == 0:
            break
        if length >= 0xC0:
            packet.check("DNS name", at, 2, limit)
            target = message + ((length & 0x3F) << 8 | data[at + 1])
            if after < 0:
                after = at + 2
            # Each pointer must lead further back than all before it: a loop cannot.
            if target >= lowest:
                packet.mark("DNS name: pointer does not lead back", at)
                return Name(LOOPED, after)
            lowest = at = target
            continue
        if length > 63:
            raise Malformed(f"DNS name: label type 0x{length:02x}", at)
        if at + 1 + length > stop:
            packet.check("DNS name", at, 1 + length, limit)
        size += 1 + length
        if size > 255:
            raise Malformed("DNS name: longer than 255 bytes", at)
        labels.append(data[at + 1 : at + 1 + length].decode("utf-8", "surrogateescape"))
        at += 1 + length
    return Name(".".join(labels) or "<Root>", at + 1 if after < 0 else after)


class Flavour(NamedTuple):
    """What DNS, mDNS and LLMNR do differently."""

    name: str
    multicast: bool = False
    """The top bit of a class means unicast wanted, or cache flush (RFC 6762, 5.4 and 10.2)."""


@on("udp.port", 53)
def dns(packet: Packet, at: int, limit: int) -> Step | None:
    """A message in a datagram."""
    return _dissect(packet, at, limit, Flavour("dns"))


@on("udp.port", 5353)
def mdns(packet: Packet, at: int, limit: int) -> Step | None:
    """Multicast DNS."""
    return _dissect(packet, at, limit, Flavour("mdns", multicast=True))


@on("udp.port", 5355)
def llmnr(packet: Packet, at: int, limit: int) -> Step | None:
    """Link-local multicast name resolution."""
    return _dissect(packet, at, limit, Flavour("llmnr"))


@on("tcp.port", 53)
def dns_over_tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Messages behind a length of two bytes each (RFC 1035, 4.2.2)."""
    flavour = Flavour("dns")
    done = False
    while at + 2 <= packet.end(limit):
        length = int.from_bytes(packet.data[at : at + 2], "big")
        if length < DNS.size:
            if done:
                break
            return NOT_MINE
        if at + 2 + length > limit:
            break
        done = True
        _dissect(packet, at + 2, at + 2 + length, flavour, prefixed=2)
        at += 2 + length
    if at < limit:
        packet.segment(at, limit)
    return None


def _dissect(packet: Packet, at: int, limit: int, flavour: Flavour, prefixed: int = 0) -> Step | None:
    packet.column(flavour.name)
    answers = packet.rest(at + 2, min(at + 3, limit)) >= b"\x80"
    layer, (ident, flags, *counts) = packet.open(ANSWER if answers else DNS, at, limit)
    if prefixed and packet.build:
        layer.start -= prefixed
        layer.size += prefixed
        layer.children.insert(0, Item(LENGTH, limit - at, layer.start, prefixed))
    opcode, response = flags >> 11 & 15, flags & 0x8000
    info = [OPCODES.get(opcode, f"Unknown operation ({opcode})")]
    if response:
        info.append("response")
    info.append(f"0x{ident:04x}")
    if response and flags & 15:
        info.append(RCODES.get(flags & 15, f"Unknown error ({flags & 15})"))
    layer.said = " ".join(info[:2] if response else info[:1])
    where = at + DNS.size
    try:
        for section, count in enumerate(counts):
            if not count:
                continue
            read = _question if section == 0 else _record
            parent = packet.add(layer, SECTIONS[section], None, where, 0)
            for _ in range(count):
                where = read(packet, parent, flavour, at, where, limit, info)
                parent.size = where - parent.start
                layer.size = where - layer.start
    finally:
        packet.info = " ".join(info)
    return Step((), where, limit) if where < limit else None


def _question(
    packet: Packet, parent: Item, flavour: Flavour, message: int, at: int, limit: int, info: list[str]
) -> int:
    name, end = read_name(packet, message, at, limit)
    packet.check("DNS question", end, 4, limit)
    kind = int.from_bytes(packet.data[end : end + 2], "big")
    network = int.from_bytes(packet.data[end + 2 : end + 4], "big")
    kind_name = TYPES.get(kind, f"Unknown ({kind})")
    info.append(f"{kind_name} {name}")
    item = packet.add(parent, RECORD, None, at, end + 4 - at, f"{name}: type {kind_name}")
    packet.add(item, QUERY, name, at, end - at)
    packet.add(item, QUERY_TYPE, kind, end, 2)
    if flavour.multicast:
        info[-1] += f', "{"QU" if network & 0x8000 else "QM"}" question'
        packet.add(item, QUERY_CLASS, network & 0x7FFF, end + 2, 2)
        packet.add(item, QUERY_UNICAST, network >> 15, end + 2, 1)
    else:
        packet.add(item, QUERY_CLASS, network, end + 2, 2)
    return end + 4


def _record(
    packet: Packet, parent: Item, flavour: Flavour, message: int, at: int, limit: int, info: list[str]
) -> int:
    name, end = read_name(packet, message, at, limit)
    packet.check("DNS record", end, 10, limit)
    kind, network = (int.from_bytes(packet.data[where : where + 2], "big") for where in (end, end + 2))
    length = int.from_bytes(packet.data[end + 8 : end + 10], "big")
    body = end + 10
    kind_name = TYPES.get(kind, f"Unknown ({kind})")
    item = packet.add(
        parent, RECORD, None, at, min(body + length, packet.end(limit)) - at, f"{name}: type {kind_name}"
    )
    packet.add(item, NAME, name, at, end - at)
    packet.add(item, TYPE, kind, end, 2)
    info.append(kind_name)
    if kind == 41:
        packet.add(item, UDP_SIZE, network, end + 2, 2)
        packet.add_header(item, EXTENDED, end + 4, limit)
    else:
        if flavour.multicast:
            packet.add(item, CLASS, network & 0x7FFF, end + 2, 2)
            packet.add(item, FLUSH, network >> 15, end + 2, 1)
            if network & 0x8000:
                info[-1] += ", cache flush"
        else:
            packet.add(item, CLASS, network, end + 2, 2)
        packet.add(item, TTL, int.from_bytes(packet.data[end + 4 : end + 8], "big"), end + 4, 4)
    packet.add(item, DATA_LENGTH, length, end + 8, 2)
    if length:
        packet.check("DNS record", body, length, limit)
        # An update deletes by records without data (RFC 2136, 2.5).
        said = BODIES.get(kind, _raw)(packet, item, message, body, body + length)
        if said:
            info[-1] += f" {said}"
            item.said += f", {said}"
    return body + length


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
