"""Kerberos 5 (RFC 4120): kind of message, who asks for what, errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.ber import integer, tlv
from netwatch.capture.dissect.kit import Field, Header, absolute, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.tpkt import elements

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

TYPES: Final = {
    10: "AS-REQ",
    11: "AS-REP",
    12: "TGS-REQ",
    13: "TGS-REP",
    14: "AP-REQ",
    15: "AP-REP",
    20: "KRB-SAFE",
    21: "KRB-PRIV",
    22: "KRB-CRED",
    30: "KRB-ERROR",
}
ERRORS: Final = {
    0: "KRB5KDC_ERR_NONE",
    1: "KRB5KDC_ERR_NAME_EXP",
    2: "KRB5KDC_ERR_SERVICE_EXP",
    3: "KRB5KDC_ERR_BAD_PVNO",
    6: "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN",
    7: "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN",
    8: "KRB5KDC_ERR_PRINCIPAL_NOT_UNIQUE",
    9: "KRB5KDC_ERR_NULL_KEY",
    10: "KRB5KDC_ERR_CANNOT_POSTDATE",
    11: "KRB5KDC_ERR_NEVER_VALID",
    12: "KRB5KDC_ERR_POLICY",
    13: "KRB5KDC_ERR_BADOPTION",
    14: "KRB5KDC_ERR_ETYPE_NOSUPP",
    15: "KRB5KDC_ERR_SUMTYPE_NOSUPP",
    16: "KRB5KDC_ERR_PADATA_TYPE_NOSUPP",
    18: "KRB5KDC_ERR_CLIENT_REVOKED",
    23: "KRB5KDC_ERR_KEY_EXP",
    24: "KRB5KDC_ERR_PREAUTH_FAILED",
    25: "KRB5KDC_ERR_PREAUTH_REQUIRED",
    26: "KRB5KDC_ERR_SERVER_NOMATCH",
    29: "KRB5KDC_ERR_SVC_UNAVAILABLE",
    31: "KRB5KRB_AP_ERR_BAD_INTEGRITY",
    32: "KRB5KRB_AP_ERR_TKT_EXPIRED",
    33: "KRB5KRB_AP_ERR_TKT_NYV",
    34: "KRB5KRB_AP_ERR_REPEAT",
    35: "KRB5KRB_AP_ERR_NOT_US",
    36: "KRB5KRB_AP_ERR_BADMATCH",
    37: "KRB5KRB_AP_ERR_SKEW",
    38: "KRB5KRB_AP_ERR_BADADDR",
    40: "KRB5KRB_AP_ERR_MSG_TYPE",
    41: "KRB5KRB_AP_ERR_MODIFIED",
    52: "KRB5KRB_ERR_RESPONSE_TOO_BIG",
    60: "KRB5KRB_ERR_GENERIC",
    68: "KRB5KDC_ERR_WRONG_REALM",
}
ERROR_MESSAGE: Final = 30
APPLICATION: Final = 0x60
"""Class and form of the outermost tag; its number is the message's type."""
KERBEROS: Final = Header("kerberos", "Kerberos", ())
MARK: Final = number("kerberos.rm.length", "Record Length")
TYPE: Final = number("kerberos.msg_type", "msg-type", TYPES)
ERROR: Final = number("kerberos.error_code", "error-code", ERRORS)
REALM, CLIENT_REALM = text("kerberos.realm", "realm"), text("kerberos.crealm", "crealm")
CLIENT, SERVER = text("kerberos.CNameString", "CNameString"), text("kerberos.SNameString", "SNameString")
VERSION, OPTIONS = number("kerberos.pvno", "pvno"), octets("kerberos.kdc_options", "kdc-options")
TILL, RENEW = text("kerberos.till", "till"), text("kerberos.rtime", "rtime")
NONCE, CIPHER = number("kerberos.nonce", "nonce"), number("kerberos.ENCTYPE", "ENCTYPE")
NAME_TYPE, PREPARED = number("kerberos.name_type", "name-type"), number("kerberos.padata_type", "padata-type")
STRING: Final = 0x1B
MAX_DEPTH: Final = 4
BODY: Final = 0xA4
NAMED: Final = {
    "body": {0xA1: CLIENT, 0xA2: REALM, 0xA3: SERVER},
    "error": {0xA7: CLIENT_REALM, 0xA8: CLIENT, 0xA9: REALM, 0xAA: SERVER},
    "reply": {0xA3: CLIENT_REALM, 0xA4: CLIENT},
}
"""Tag → what the strings within it are (RFC 4120, 5.4.1, 5.4.2, 5.9.1)."""


@on("udp.port", 88)
def kerberos(packet: Packet, at: int, limit: int) -> Step | None:
    """One message a datagram."""
    first = packet.data[at] if at < packet.end(limit) else 0
    if first & 0xE0 != APPLICATION or first & 0x1F not in TYPES:
        return NOT_MINE
    packet.column("kerberos")
    return _message(packet, packet.layer(KERBEROS.field, at, 0), at, limit)


@on("tcp.port", 88)
def kerberos_over_tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Behind four bytes of length (RFC 4120, 7.2.2)."""
    head = packet.rest(at, min(at + 5, limit))
    if head[:1] != b"\0" or (len(head) == 5 and (head[4] & 0xE0 != APPLICATION or head[4] & 0x1F not in TYPES)):
        return NOT_MINE
    packet.whole("Kerberos", at, 4, limit)
    size = packet.uint("Kerberos", at, 4, limit)
    packet.whole("Kerberos", at, 4 + size, limit)
    packet.column("kerberos")
    layer = packet.layer(KERBEROS.field, at, 4)
    packet.add(layer, MARK, size, at, 4)
    _message(packet, layer, at + 4, min(at + 4 + size, limit))
    return Step((kerberos_over_tcp,), at + 4 + size, limit) if at + 4 + size < limit else None


def _message(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    kind = packet.uint("Kerberos", at, 1, limit) & 0x1F
    packet.info = layer.said = TYPES.get(kind, f"Unknown ({kind})")
    packet.add(layer, TYPE, kind, at, 1)
    layer.size = packet.end(limit) - layer.start
    _, start, end = tlv(packet, at, limit)
    for _, first, last in elements(packet, start, end):
        for tag, begin, finish in elements(packet, first, last):
            if tag == (0xA1 if kind in (10, 12) else 0xA0):
                _, where, stop = tlv(packet, begin, finish)
                packet.add(layer, VERSION, integer(packet, where, stop), where, stop - where)
            if kind == ERROR_MESSAGE:
                if tag == 0xA6:
                    _, begin, finish = tlv(packet, begin, finish)
                    code = integer(packet, begin, finish)
                    packet.add(layer, ERROR, code, begin, finish - begin)
                    packet.info = layer.said = f"KRB Error: {ERRORS.get(code, f'Unknown ({code})')}"
                elif tag in NAMED["error"]:
                    _strings(packet, layer, NAMED["error"], tag, begin, finish)
            elif kind in (10, 12) and tag == BODY:
                for _, inner, after in elements(packet, begin, finish):
                    for part, where, stop in elements(packet, inner, after):
                        _asked(packet, layer, part, where, stop)
                        if part in NAMED["body"]:
                            _strings(packet, layer, NAMED["body"], part, where, stop)
            elif kind in (10, 12) and tag == 0xA3:
                _prepared(packet, layer, begin, finish)
            elif kind in (11, 13) and tag in NAMED["reply"]:
                _strings(packet, layer, NAMED["reply"], tag, begin, finish)
    return None


def _asked(packet: Packet, layer: Item, part: int, at: int, end: int) -> None:
    """What a request asks for beside names (RFC 4120, 5.4.1)."""
    if part not in (0xA0, 0xA5, 0xA6, 0xA7, 0xA8):
        return
    _, start, stop = tlv(packet, at, end)
    if part == 0xA0:
        # A bit string tells first how many of its last bits are unused.
        packet.add(layer, OPTIONS, packet.data[start + 1 : stop], start + 1, max(0, stop - start - 1))
    elif part == 0xA7:
        packet.add(layer, NONCE, integer(packet, start, stop), start, stop - start)
    elif part == 0xA8:
        for _, first, last in elements(packet, start, stop):
            packet.add(layer, CIPHER, integer(packet, first, last), first, last - first)
    else:
        field = TILL if part == 0xA5 else RENEW
        packet.add(layer, field, _time(packet.data[start:stop]), start, stop - start)


def _time(value: bytes) -> str:
    """`20370913024805Z` as Wireshark has it; any other form as it is."""
    try:
        moment = datetime.strptime(value.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return value.decode("utf-8", "surrogateescape")
    return absolute(int(moment.timestamp()) * 10**9)


def _prepared(packet: Packet, layer: Item, at: int, end: int) -> None:
    """The types of what authenticates before the reply (5.2.7)."""
    for _, first, last in elements(packet, at, end):
        for _, begin, finish in elements(packet, first, last):
            for tag, where, stop in elements(packet, begin, finish):
                if tag == 0xA1:
                    _, where, stop = tlv(packet, where, stop)
                    packet.add(layer, PREPARED, integer(packet, where, stop), where, stop - where)


def _strings(
    packet: Packet, layer: Item, fields: dict[int, Field], tag: int, at: int, end: int, depth: int = 0
) -> None:
    """All strings of a realm or a principal's name."""
    for kind, first, last in elements(packet, at, end):
        if kind == STRING:
            packet.add(layer, fields[tag], packet.data[first:last], first, last - first)
        elif kind & 0x20 and depth < MAX_DEPTH:
            _strings(packet, layer, fields, tag, first, last, depth + 1)
