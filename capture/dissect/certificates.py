"""X.509 certificates (RFC 5280): who is named, by whom, for how long, with which key, for what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.certificates_names import ATTRIBUTES, OIDS
from netwatch.capture.dissect.der import (
    BIT_STRING,
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    STRINGS,
    UTC_TIME,
    Element,
    element,
    elements,
    inside,
    moment,
    oid,
)
from netwatch.capture.dissect.kit import Field, Item, address, flag, group, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet, Short
from netwatch.capture.dissect.tls_extensions import show_timestamps
from netwatch.capture.dissect.tls_fields import TLS

__all__ = ["algorithm", "serial_number", "show_certificate", "show_extensions", "show_name", "show_time"]

SIGNED: Final = group("x509af.signedCertificate_element", "signedCertificate")
VERSION: Final = number("x509af.version", "version", {0: "v1", 1: "v2", 2: "v3"})
SERIAL: Final = octets("x509af.serialNumber", "serialNumber")
SIGNATURE: Final = group("x509af.signature_element", "signature")
ALGORITHM: Final = text("x509af.algorithm.id", "Algorithm Id")
ISSUER, SUBJECT = number("x509af.issuer", "issuer"), number("x509af.subject", "subject")
ISSUER_PARTS, SUBJECT_PARTS = number("x509if.rdnSequence", "rdnSequence"), number("x509af.rdnSequence", "rdnSequence")
VALIDITY: Final = group("x509af.validity_element", "validity")
NOT_BEFORE, NOT_AFTER = number("x509af.notBefore", "notBefore"), number("x509af.notAfter", "notAfter")
UTC, GENERALIZED = text("x509af.utcTime", "utcTime"), text("x509af.generalizedTime", "generalizedTime")
KEY: Final = group("x509af.subjectPublicKeyInfo_element", "subjectPublicKeyInfo")
KEY_ALGORITHM: Final = group("x509af.algorithm_element", "algorithm")
KEY_BITS: Final = octets("x509af.subjectPublicKey", "subjectPublicKey")
CURVE: Final = text("pkcs1.namedCurve", "namedCurve")
MODULUS, EXPONENT = octets("pkcs1.modulus", "modulus"), number("pkcs1.publicExponent", "publicExponent")
SIGNED_BY: Final = group("x509af.algorithmIdentifier_element", "algorithmIdentifier")
SIGNED_BITS: Final = octets("x509af.encrypted", "encrypted")

PART: Final = number("x509if.RDNSequence_item", "RDNSequence item")
ATTRIBUTE: Final = text("x509if.oid", "Object Id")
VALUES: Final = {
    0x0C: text("x509sat.uTF8String", "uTF8String"),
    0x13: text("x509sat.printableString", "printableString"),
    0x14: text("x509sat.teletexString", "teletexString"),
    0x16: text("x509sat.IA5String", "IA5String"),
    0x1C: text("x509sat.universalString", "universalString"),
    0x1E: text("x509sat.bmpString", "bmpString"),
}
STRING: Final = number("x509sat.DirectoryString", "DirectoryString")
CHOICES: Final = (0x14, 0x13, 0x1C, 0x1E, 0x0C)
"""Tags of the strings that an attribute may be, in the order of their type (X.520, 2.6)."""
COUNTRY, PRINTABLE = text("x509sat.CountryName", "CountryName"), text("x509sat.PrintableString", "PrintableString")
SPECIAL: Final = {
    "2.5.4.5": PRINTABLE,
    "2.5.4.6": COUNTRY,
    "2.5.4.46": PRINTABLE,
    "1.3.6.1.4.1.311.60.2.1.3": COUNTRY,
}
"""Attributes whose values have a type of their own."""
OTHER: Final = octets("", "Value")

EXTENSIONS: Final = number("x509af.extensions", "extensions")
EXTENSION: Final = group("x509af.Extension_element", "Extension")
EXTENSION_ID: Final = text("x509af.extension.id", "Extension Id")
CRITICAL: Final = flag("x509af.critical", "critical")
SUBJECT_KEY: Final = octets("x509ce.SubjectKeyIdentifier", "SubjectKeyIdentifier")
AUTHORITY_KEY: Final = octets("x509ce.keyIdentifier", "keyIdentifier")
AUTHORITY: Final = flag("x509ce.cA", "cA")
PATH_LENGTH: Final = number("x509ce.pathLenConstraint", "pathLenConstraint")
ALTERNATIVES: Final = number("x509ce.GeneralNames", "GeneralNames")
MAIL: Final = text("x509ce.rfc822Name", "rfc822Name")
DNS_NAME: Final = text("x509ce.dNSName", "dNSName")
URI: Final = text("x509ce.uniformResourceIdentifier", "uniformResourceIdentifier")
DIRECTORY: Final = group("x509ce.directoryName", "directoryName")
IPV4, IPV6 = (
    address("x509ce.IPAddress.ipv4", "iPAddress", 4),
    address("x509ce.IPAddress.ipv6", "iPAddress", 16),
)
REGISTERED: Final = text("x509ce.registeredID", "registeredID")
PURPOSES: Final = number("x509ce.KeyPurposeIDs", "KeyPurposeIDs")
PURPOSE: Final = text("x509ce.KeyPurposeId", "KeyPurposeId")
POLICY: Final = text("x509ce.policyIdentifier", "policyIdentifier")
POINTS: Final = group("x509ce.CRLDistPointsSyntax", "CRLDistPointsSyntax")
ACCESS: Final = group("pkix1implicit.AccessDescription_element", "AccessDescription")
ACCESS_METHOD: Final = text("pkix1implicit.accessMethod", "accessMethod")
USAGE: Final = octets("x509ce.KeyUsage", "KeyUsage")
USAGES: Final = tuple(
    flag(f"x509ce.KeyUsage.{name}", name)
    for name in (
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    )
)
"""From the highest bit on."""


def named(identifier: str) -> str:
    """What an object identifier is called; itself where nobody here knows."""
    return OIDS.get(identifier, identifier)


def show_certificate(packet: Packet, parent: Item, at: int, end: int) -> None:
    """The lines of the certificate from `at` to `end` below `parent`. One that is broken ends with a mark."""
    try:
        whole = element(packet, at, end, SEQUENCE)
        signed = element(packet, whole.body, whole.end, SEQUENCE)
        item = packet.add(parent, SIGNED, None, signed.at, signed.size)
        parent.said = _signed(packet, item, signed)
        kind = element(packet, signed.end, whole.end, SEQUENCE)
        algorithm(packet, packet.add(parent, SIGNED_BY, None, kind.at, kind.size), kind)
        bits = element(packet, kind.end, whole.end, BIT_STRING)
        packet.add(parent, SIGNED_BITS, packet.data[bits.body + 1 : bits.end], bits.body + 1, max(0, bits.length - 1))
    except Malformed as malformed:
        packet.mark(f"certificate: {malformed.what}", malformed.offset)


def _signed(packet: Packet, item: Item, signed: Element) -> str:
    """The part that the issuer signed: its subject in words."""
    at, end = signed.body, signed.end
    first = element(packet, at, end)
    if first.tag == 0xA0:
        version = element(packet, first.body, first.end, INTEGER)
        packet.add(item, VERSION, version.integer(packet), version.body, version.length)
        at = first.end
    at = serial_number(packet, item, at, end)
    kind = element(packet, at, end, SEQUENCE)
    algorithm(packet, packet.add(item, SIGNATURE, None, kind.at, kind.size), kind)
    issuer = element(packet, kind.end, end, SEQUENCE)
    line = packet.add(item, ISSUER, 0, issuer.at, issuer.size)
    line.said = _parts(packet, line, ISSUER_PARTS, issuer)
    validity = element(packet, issuer.end, end, SEQUENCE)
    line = packet.add(item, VALIDITY, None, validity.at, validity.size)
    times = []
    for field, each in zip((NOT_BEFORE, NOT_AFTER), inside(packet, validity), strict=False):
        times.append(show_time(packet, packet.add(line, field, int(each.tag != UTC_TIME), each.at, each.size), each))
    line.said = " to ".join(times)
    subject = element(packet, validity.end, end, SEQUENCE)
    line = packet.add(item, SUBJECT, 0, subject.at, subject.size)
    line.said = said = _parts(packet, line, SUBJECT_PARTS, subject)
    key = element(packet, subject.end, end, SEQUENCE)
    _key(packet, packet.add(item, KEY, None, key.at, key.size), key)
    for each in elements(packet, key.end, end):
        if each.tag == 0xA3:
            extensions = element(packet, each.body, each.end, SEQUENCE)
            show_extensions(packet, packet.add(item, EXTENSIONS, 0, extensions.at, extensions.size), extensions)
    return said


def serial_number(packet: Packet, item: Item, at: int, end: int) -> int:
    """The number that the issuer gave: the offset after it."""
    serial = element(packet, at, end, INTEGER)
    packet.add(item, SERIAL, serial.bytes(packet), serial.body, serial.length, f"0x{serial.bytes(packet)[:32].hex()}")
    return serial.end


def algorithm(packet: Packet, item: Item, kind: Element) -> str:
    """An algorithm and its parameters, of which only a curve is shown: the identifier."""
    one = element(packet, kind.body, kind.end, OID)
    identifier = oid(one.bytes(packet))
    packet.add(item, ALGORITHM, identifier, one.body, one.length, _both(identifier))
    item.said = named(identifier)
    if one.end < kind.end:
        parameters = element(packet, one.end, kind.end)
        if parameters.tag == OID:
            curve = oid(parameters.bytes(packet))
            packet.add(item, CURVE, curve, parameters.body, parameters.length, _both(curve))
            item.said += f", {named(curve)}"
    return identifier


def _both(identifier: str) -> str:
    return f"{identifier} ({OIDS[identifier]})" if identifier in OIDS else identifier


def _parts(packet: Packet, parent: Item, field: Field, name: Element) -> str:
    line = packet.add(parent, field, 0, name.at, name.size)
    said = show_name(packet, line, name.at, name.end)
    line.value = len(line.children)
    line.said = f"{line.value} item{'s' if line.value != 1 else ''} ({said})"
    return said


def show_name(packet: Packet, parent: Item, at: int, end: int) -> str:
    """A distinguished name: its attributes as lines, the most specific first in words (RFC 4514, 2.1)."""
    said: list[str] = []
    for part in inside(packet, element(packet, at, end, SEQUENCE)):
        line = packet.add(parent, PART, 0, part.at, part.size)
        words: list[str] = []
        for pair in inside(packet, part) if part.tag == SET else ():
            kind = element(packet, pair.body, pair.end, OID)
            value = element(packet, kind.end, pair.end)
            identifier = oid(kind.bytes(packet))
            packet.add(line, ATTRIBUTE, identifier, kind.body, kind.length, _both(identifier))
            words.append(f"{ATTRIBUTES.get(identifier, identifier)}={_text(packet, line, identifier, value)}")
        line.value = len(words)
        line.said = "+".join(words)
        said.append(line.said)
    return ",".join(reversed(said))


def _text(packet: Packet, line: Item, identifier: str, value: Element) -> str:
    raw = value.bytes(packet)
    encoding = STRINGS.get(value.tag)
    if encoding is None:
        packet.add(line, OTHER, raw, value.body, value.length)
        return raw[:32].hex()
    shown = raw.decode(
        encoding, "replace" if encoding.startswith("utf-") and encoding != "utf-8" else "surrogateescape"
    )
    field = SPECIAL.get(identifier)
    if field is None:
        field = VALUES.get(value.tag, PRINTABLE)
        if value.tag in CHOICES:
            choice = CHOICES.index(value.tag)
            line = packet.add(line, STRING, choice, value.at, value.size, f"{field.label} ({choice})")
    packet.add(line, field, shown, value.body, value.length)
    return shown


def show_time(packet: Packet, item: Item, each: Element) -> str:
    """One moment below `item`: in words."""
    said = moment(each.tag, each.bytes(packet))
    item.said = said
    packet.add(item, UTC if each.tag == UTC_TIME else GENERALIZED, said, each.body, each.length)
    return said


def _key(packet: Packet, item: Item, key: Element) -> None:
    kind = element(packet, key.body, key.end, SEQUENCE)
    line = packet.add(item, KEY_ALGORITHM, None, kind.at, kind.size)
    identifier = algorithm(packet, line, kind)
    item.said = line.said
    bits = element(packet, kind.end, key.end, BIT_STRING)
    start = bits.body + 1
    line = packet.add(item, KEY_BITS, packet.data[start : bits.end], start, max(0, bits.end - start))
    if identifier != RSA:
        return
    pair = element(packet, start, bits.end, SEQUENCE)
    modulus = element(packet, pair.body, pair.end, INTEGER)
    exponent = element(packet, modulus.end, pair.end, INTEGER)
    size = 8 * len(modulus.bytes(packet).lstrip(b"\0"))
    packet.add(line, MODULUS, modulus.bytes(packet), modulus.body, modulus.length)
    if exponent.length <= 8:
        packet.add(line, EXPONENT, exponent.integer(packet), exponent.body, exponent.length)
    item.said += f", {size} bits"


RSA: Final = "1.2.840.113549.1.1.1"


def show_extensions(packet: Packet, parent: Item, several: Element) -> None:
    """Extensions of a certificate or of an answer about one, each in a sequence."""
    many = 0
    for each in inside(packet, several):
        many += 1
        item = packet.add(parent, EXTENSION, None, each.at, each.size)
        kind = element(packet, each.body, each.end, OID)
        identifier = oid(kind.bytes(packet))
        item.said = named(identifier)
        packet.add(item, EXTENSION_ID, identifier, kind.body, kind.length, _both(identifier))
        value = element(packet, kind.end, each.end)
        if value.tag == BOOLEAN:
            packet.add(item, CRITICAL, packet.data[value.body : value.end] > b"\0", value.body, value.length)
            value = element(packet, value.end, each.end)
        if value.tag != OCTET_STRING:
            continue
        try:
            BODIES.get(identifier, _other)(packet, item, value.body, value.end)
        except Malformed as malformed:
            packet.mark(f"certificate extension: {malformed.what}", malformed.offset)
    parent.value = many
    parent.said = f"{many} item{'s' if many != 1 else ''}"


def _other(packet: Packet, item: Item, at: int, end: int) -> None:
    packet.add(item, OTHER, packet.data[at:end], at, end - at)


def _subject_key(packet: Packet, item: Item, at: int, end: int) -> None:
    value = element(packet, at, end, OCTET_STRING)
    packet.add(item, SUBJECT_KEY, value.bytes(packet), value.body, value.length)


def _authority_key(packet: Packet, item: Item, at: int, end: int) -> None:
    for each in inside(packet, element(packet, at, end, SEQUENCE)):
        if each.tag == 0x80:
            packet.add(item, AUTHORITY_KEY, each.bytes(packet), each.body, each.length)
        elif each.tag == 0xA1:
            _names(packet, item, each.body, each.end)
        elif each.tag == 0x82:
            packet.add(item, SERIAL, each.bytes(packet), each.body, each.length)


def _constraints(packet: Packet, item: Item, at: int, end: int) -> None:
    for each in inside(packet, element(packet, at, end, SEQUENCE)):
        if each.tag == BOOLEAN:
            packet.add(item, AUTHORITY, packet.data[each.body : each.end] > b"\0", each.body, each.length)
        elif each.tag == INTEGER and each.length <= 8:
            packet.add(item, PATH_LENGTH, each.integer(packet), each.body, each.length)


def _usage(packet: Packet, item: Item, at: int, end: int) -> None:
    """Bits from the left, as many bytes as they need (X.690, 11.2.2)."""
    bits = element(packet, at, end, BIT_STRING)
    raw = packet.data[bits.body + 1 : bits.end][:2]
    if not raw:
        return
    word = int.from_bytes(raw.ljust(2, b"\0"), "big")
    parent = packet.add(item, USAGE, raw, bits.body + 1, len(raw))
    for index, field in enumerate(USAGES):
        packet.add(parent, field, bool(word & 0x8000 >> index), bits.body + 1 + min(index // 8, len(raw) - 1), 1)
    item.said += ": " + ", ".join(field.label for index, field in enumerate(USAGES) if word & 0x8000 >> index)


def _alternatives(packet: Packet, item: Item, at: int, end: int) -> None:
    several = element(packet, at, end, SEQUENCE)
    line = packet.add(item, ALTERNATIVES, 0, several.at, several.size)
    many = _names(packet, line, several.body, several.end)
    line.value = many
    line.said = f"{many} item{'s' if many != 1 else ''}"


def _names(packet: Packet, parent: Item, at: int, end: int) -> int:
    """General names (RFC 5280, 4.2.1.6), how many."""
    many = 0
    for each in elements(packet, at, end):
        many += 1
        raw = each.bytes(packet)
        field = {0x81: MAIL, 0x82: DNS_NAME, 0x86: URI}.get(each.tag)
        if field is not None:
            packet.add(parent, field, raw, each.body, each.length)
        elif each.tag == 0x87 and len(raw) in (4, 16):
            packet.add(parent, IPV4 if len(raw) == 4 else IPV6, raw, each.body, each.length)
        elif each.tag == 0x88:
            packet.add(parent, REGISTERED, oid(raw), each.body, each.length)
        elif each.tag == 0xA4:
            line = packet.add(parent, DIRECTORY, None, each.at, each.size)
            line.said = show_name(packet, line, each.body, each.end)
        else:
            packet.add(parent, OTHER, raw, each.body, each.length)
    return many


def _purposes(packet: Packet, item: Item, at: int, end: int) -> None:
    several = element(packet, at, end, SEQUENCE)
    line = packet.add(item, PURPOSES, 0, several.at, several.size)
    said = []
    for each in inside(packet, several):
        identifier = oid(each.bytes(packet))
        packet.add(line, PURPOSE, identifier, each.body, each.length, _both(identifier))
        said.append(named(identifier))
    line.value = len(said)
    line.said = ", ".join(said)


def _policies(packet: Packet, item: Item, at: int, end: int) -> None:
    for each in inside(packet, element(packet, at, end, SEQUENCE)):
        policy = element(packet, each.body, each.end, OID)
        identifier = oid(policy.bytes(packet))
        packet.add(item, POLICY, identifier, policy.body, policy.length, _both(identifier))


def _points(packet: Packet, item: Item, at: int, end: int) -> None:
    """Where lists of revoked certificates are (RFC 5280, 4.2.1.13)."""
    several = element(packet, at, end, SEQUENCE)
    line = packet.add(item, POINTS, None, several.at, several.size)
    for point in inside(packet, several):
        for part in inside(packet, point):
            if part.tag == 0xA0:
                name = element(packet, part.body, part.end)
                if name.tag == 0xA0:
                    _names(packet, line, name.body, name.end)


def _access(packet: Packet, item: Item, at: int, end: int) -> None:
    """Where the authority answers (RFC 5280, 4.2.2.1)."""
    for each in inside(packet, element(packet, at, end, SEQUENCE)):
        line = packet.add(item, ACCESS, None, each.at, each.size)
        method = element(packet, each.body, each.end, OID)
        identifier = oid(method.bytes(packet))
        packet.add(line, ACCESS_METHOD, identifier, method.body, method.length, _both(identifier))
        line.said = named(identifier)
        _names(packet, line, method.end, each.end)


def _logged(packet: Packet, item: Item, at: int, end: int) -> None:
    """That logs have seen it, as TLS writes it (RFC 6962, 3.3)."""
    value = element(packet, at, end, OCTET_STRING)
    try:
        show_timestamps(packet, item, value.body, value.end, TLS)
    except Short as short:
        raise Malformed(f"timestamps of logs: need {short.need} bytes", short.offset) from short


Body = Callable[[Packet, Item, int, int], None]

BODIES: Final[dict[str, Body]] = {
    "2.5.29.14": _subject_key,
    "2.5.29.15": _usage,
    "2.5.29.17": _alternatives,
    "2.5.29.18": _alternatives,
    "2.5.29.19": _constraints,
    "2.5.29.31": _points,
    "2.5.29.32": _policies,
    "2.5.29.35": _authority_key,
    "2.5.29.37": _purposes,
    "1.3.6.1.4.1.11129.2.4.2": _logged,
    "1.3.6.1.5.5.7.1.1": _access,
}
