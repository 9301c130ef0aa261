"""OCSP (RFC 6960): what an authority says of a certificate, asked for or stapled to a TLS handshake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from netwatch.capture.dissect.certificates import algorithm, show_certificate, show_extensions, show_name
from netwatch.capture.dissect.der import INTEGER, OCTET_STRING, OID, SEQUENCE, Element, element, inside, oid
from netwatch.capture.dissect.kit import Item, absolute, group, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet

__all__ = ["show_request", "show_response"]

STATUS: Final = number(
    "ocsp.responseStatus",
    "responseStatus",
    {0: "successful", 1: "malformedRequest", 2: "internalError", 3: "tryLater", 5: "sigRequired", 6: "unauthorized"},
)
TYPE: Final = text("ocsp.responseType.id", "ResponseType Id")
BASIC: Final = group("ocsp.BasicOCSPResponse_element", "BasicOCSPResponse")
DATA: Final = group("ocsp.tbsResponseData_element", "tbsResponseData")
BY_NAME, BY_KEY = group("ocsp.byName", "byName"), octets("ocsp.byKey", "byKey")
PRODUCED: Final = text("ocsp.producedAt", "producedAt")
SINGLE: Final = group("ocsp.SingleResponse_element", "SingleResponse")
CERTIFICATE: Final = group("ocsp.certID_element", "certID")
HASH: Final = group("ocsp.hashAlgorithm_element", "hashAlgorithm")
ISSUER_NAME, ISSUER_KEY = (
    octets("ocsp.issuerNameHash", "issuerNameHash"),
    octets("ocsp.issuerKeyHash", "issuerKeyHash"),
)
SERIAL: Final = octets("ocsp.serialNumber", "serialNumber")
STATES: Final = {0: "good", 1: "revoked", 2: "unknown"}
STATE: Final = number("ocsp.certStatus", "certStatus", STATES)
REVOKED_AT: Final = text("ocsp.revocationTime", "revocationTime")
REASON: Final = number(
    "ocsp.revocationReason",
    "revocationReason",
    {
        0: "unspecified",
        1: "keyCompromise",
        2: "cACompromise",
        3: "affiliationChanged",
        4: "superseded",
        5: "cessationOfOperation",
        6: "certificateHold",
        8: "removeFromCRL",
        9: "privilegeWithdrawn",
        10: "aACompromise",
    },
)
THIS_UPDATE, NEXT_UPDATE = text("ocsp.thisUpdate", "thisUpdate"), text("ocsp.nextUpdate", "nextUpdate")
EXTENSIONS: Final = number("ocsp.responseExtensions", "responseExtensions")
SIGNED_BY: Final = group("ocsp.signatureAlgorithm_element", "signatureAlgorithm")
SIGNATURE: Final = octets("ocsp.signature", "signature")
CERTIFICATES: Final = group("ocsp.certs", "certs")
SIGNER: Final = group("ocsp.Certificate_element", "Certificate")
REQUEST: Final = group("ocsp.tbsRequest_element", "tbsRequest")
REQUESTED: Final = group("ocsp.Request_element", "Request")

BASIC_TYPE: Final = "1.3.6.1.5.5.7.48.1.1"
GENERALIZED_TIME: Final = 0x18


def show_response(packet: Packet, parent: Item, at: int, end: int) -> None:
    """The lines of an answer below `parent`. One that is broken ends with a mark."""
    try:
        _response(packet, parent, at, end)
    except Malformed as malformed:
        packet.mark(f"OCSP: {malformed.what}", malformed.offset)


def show_request(packet: Packet, parent: Item, at: int, end: int) -> None:
    """The lines of a question: which certificates."""
    try:
        whole = element(packet, at, end, SEQUENCE)
        signed = element(packet, whole.body, whole.end, SEQUENCE)
        item = packet.add(parent, REQUEST, None, signed.at, signed.size)
        for part in inside(packet, signed):
            if part.tag == SEQUENCE:
                for each in inside(packet, part):
                    line = packet.add(item, REQUESTED, None, each.at, each.size)
                    line.said = _certificate(packet, line, element(packet, each.body, each.end, SEQUENCE))
    except Malformed as malformed:
        packet.mark(f"OCSP: {malformed.what}", malformed.offset)


def _response(packet: Packet, parent: Item, at: int, end: int) -> None:
    whole = element(packet, at, end, SEQUENCE)
    status = element(packet, whole.body, whole.end)
    packet.add(parent, STATUS, status.integer(packet), status.body, status.length)
    if status.end == whole.end:
        return
    answer = element(packet, status.end, whole.end, 0xA0)
    answer = element(packet, answer.body, answer.end, SEQUENCE)
    kind = element(packet, answer.body, answer.end, OID)
    identifier = oid(kind.bytes(packet))
    packet.add(parent, TYPE, identifier, kind.body, kind.length)
    body = element(packet, kind.end, answer.end, OCTET_STRING)
    if identifier == BASIC_TYPE:
        basic = element(packet, body.body, body.end, SEQUENCE)
        _basic(packet, packet.add(parent, BASIC, None, basic.at, basic.size), basic)


def _basic(packet: Packet, item: Item, basic: Element) -> None:
    data = element(packet, basic.body, basic.end, SEQUENCE)
    line = packet.add(item, DATA, None, data.at, data.size)
    item.said = line.said = _answers(packet, line, data)
    kind = element(packet, data.end, basic.end, SEQUENCE)
    algorithm(packet, packet.add(item, SIGNED_BY, None, kind.at, kind.size), kind)
    bits = element(packet, kind.end, basic.end)
    packet.add(item, SIGNATURE, packet.data[bits.body + 1 : bits.end], bits.body + 1, max(0, bits.length - 1))
    if bits.end == basic.end:
        return
    several = element(packet, bits.end, basic.end, 0xA0)
    several = element(packet, several.body, several.end, SEQUENCE)
    parent = packet.add(item, CERTIFICATES, None, several.at, several.size)
    for each in inside(packet, several):
        show_certificate(packet, packet.add(parent, SIGNER, None, each.at, each.size), each.at, each.end)


def _answers(packet: Packet, item: Item, data: Element) -> str:
    said: list[str] = []
    answered = False
    for part in inside(packet, data):
        if part.tag == 0xA1 and answered:
            several = element(packet, part.body, part.end, SEQUENCE)
            show_extensions(packet, packet.add(item, EXTENSIONS, 0, several.at, several.size), several)
        elif part.tag == 0xA1:
            line = packet.add(item, BY_NAME, None, part.at, part.size)
            line.said = show_name(packet, line, part.body, part.end)
        elif part.tag == 0xA2:
            key = element(packet, part.body, part.end, OCTET_STRING)
            packet.add(item, BY_KEY, key.bytes(packet), key.body, key.length)
        elif part.tag == GENERALIZED_TIME:
            packet.add(item, PRODUCED, _time(packet, part), part.body, part.length)
        elif part.tag == SEQUENCE:
            answered = True
            for each in inside(packet, part):
                line = packet.add(item, SINGLE, None, each.at, each.size)
                line.said = _single(packet, line, each)
                said.append(line.said)
    return ", ".join(said)


def _single(packet: Packet, item: Item, each: Element) -> str:
    identifier = element(packet, each.body, each.end, SEQUENCE)
    said = _certificate(packet, packet.add(item, CERTIFICATE, None, identifier.at, identifier.size), identifier)
    state = element(packet, identifier.end, each.end)
    code = state.tag & 0x1F
    line = packet.add(item, STATE, code, state.at, state.size)
    if code == 1:
        when = element(packet, state.body, state.end)
        packet.add(line, REVOKED_AT, _time(packet, when), when.body, when.length)
        if when.end < state.end:
            reason = element(packet, when.end, state.end, 0xA0)
            reason = element(packet, reason.body, reason.end)
            packet.add(line, REASON, reason.integer(packet), reason.body, reason.length)
    since = element(packet, state.end, each.end, GENERALIZED_TIME)
    packet.add(item, THIS_UPDATE, _time(packet, since), since.body, since.length)
    if since.end < each.end:
        until = element(packet, since.end, each.end)
        if until.tag == 0xA0:
            until = element(packet, until.body, until.end, GENERALIZED_TIME)
            packet.add(item, NEXT_UPDATE, _time(packet, until), until.body, until.length)
    return f"{said} is {STATES.get(code, code)}"


def _certificate(packet: Packet, item: Item, identifier: Element) -> str:
    """Which certificate: hashes of its issuer, and its number."""
    kind = element(packet, identifier.body, identifier.end, SEQUENCE)
    algorithm(packet, packet.add(item, HASH, None, kind.at, kind.size), kind)
    name = element(packet, kind.end, identifier.end, OCTET_STRING)
    key = element(packet, name.end, identifier.end, OCTET_STRING)
    serial = element(packet, key.end, identifier.end, INTEGER)
    for field, part in ((ISSUER_NAME, name), (ISSUER_KEY, key), (SERIAL, serial)):
        packet.add(item, field, part.bytes(packet), part.body, part.length)
    return f"0x{serial.bytes(packet)[:32].hex()}"


def _time(packet: Packet, each: Element) -> str:
    said = each.bytes(packet)[:32].decode("ascii", "backslashreplace")
    try:
        parsed = datetime.strptime(said, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return said
    return absolute(round(parsed.timestamp()) * 10**9)
