"""Extensible Authentication Protocol (RFC 3748): the head, who it is, which method."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, Bit, Flags8, Header, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

declare("eap", "EAP", "config")

CODES = {1: "Request", 2: "Response", 3: "Success", 4: "Failure", 5: "Initiate", 6: "Finish"}
METHODS = {
    1: "Identity",
    2: "Notification",
    3: "Legacy Nak (Response Only)",
    4: "MD5-Challenge EAP (EAP-MD5-CHALLENGE)",
    5: "One-Time Password EAP (EAP-OTP)",
    6: "Generic Token Card EAP (EAP-GTC)",
    13: "TLS EAP (EAP-TLS)",
    17: "Cisco Wireless EAP / Lightweight EAP (EAP-LEAP)",
    18: "GSM Subscriber Identity Modules EAP (EAP-SIM)",
    21: "Tunneled TLS EAP (EAP-TTLS)",
    23: "UMTS Authentication and Key Agreement EAP (EAP-AKA)",
    25: "Protected EAP (EAP-PEAP)",
    26: "MS-Authentication EAP (EAP-MS-AUTH)",
    29: "MS-CHAP-v2 EAP (EAP-MS-CHAP-V2)",
    33: "MS-Authentication TLV EAP (EAP-MS-AUTH-TLV)",
    43: "Flexible Authentication via Secure Tunneling EAP (EAP-FAST)",
    46: "Password Authenticated eXchange EAP (EAP-PAX)",
    47: "Pre-Shared Key EAP (EAP-PSK)",
    48: "Shared-secret Authentication and Key Establishment EAP (EAP-SAKE)",
    49: "Internet Key Exchange v2 EAP (EAP-IKEv2)",
    50: "UMTS Authentication and Key Agreement' EAP (EAP-AKA')",
    51: "Generalized Pre-Shared Key EAP (EAP-GPSK)",
    52: "Password EAP (EAP-pwd)",
    53: "Encrypted Key Exchange v1 EAP (EAP-EKEv1)",
    55: "Tunneled EAP protocol",
    254: "Expanded Type",
    255: "Experimental",
}
EAP = Header(
    "eap",
    "Extensible Authentication Protocol",
    (U8("code", "Code", CODES), U8("id", "Id"), U16("len", "Length")),
)
METHOD = number("eap.type", "Type", METHODS)
IDENTITY = text("eap.identity", "Identity")
NOTIFICATION = text("eap.notification", "Notification")
DESIRED = number("eap.desired_type", "Desired Auth Type", METHODS)
MD5_SIZE, MD5_VALUE = number("eap.md5.value_size", "EAP-MD5 Value-Size"), octets("eap.md5.value", "EAP-MD5 Value")
TLS_FLAGS = Header(
    "eap.tls",
    "EAP-TLS Flags",
    (
        Flags8(
            "flags",
            "EAP-TLS Flags",
            Bit(0x80, "flags.len_included", "Length Included"),
            Bit(0x40, "flags.more_fragments", "More Fragments"),
            Bit(0x20, "flags.start", "Start"),
        ),
    ),
    name="",
)
TLS_LENGTH = number("eap.tls.len", "EAP-TLS Length")
OVER_TLS = frozenset({13, 21, 25, 43})
DATA = octets("eap.data", "EAP Data")


@on("eap", 0)
def eap(packet: Packet, at: int, limit: int) -> Step | None:
    """A code; of requests and responses a method and what it says."""
    packet.column("eap")
    layer, (code, _, length) = packet.open(EAP, at, limit)
    layer.said = packet.info = CODES.get(code, "Unknown code")
    if length < EAP.size:
        packet.mark(f"EAP length {length}, must be at least {EAP.size}", at + 2)
        return None
    end, where = min(limit, at + length), at + EAP.size
    if code not in (1, 2) or where >= end:
        return None
    method = packet.uint("EAP type", where, 1, end)
    packet.add(layer, METHOD, method, where, 1)
    packet.info += f", {METHODS.get(method, f'Unknown EAP-Type ({method})')}"
    layer.said = packet.info
    where += 1
    if method in OVER_TLS and where < end:
        (flags,) = packet.add_header(layer, TLS_FLAGS, where, end)
        where += 1
        if flags & 0x80:
            packet.add(layer, TLS_LENGTH, packet.uint("EAP-TLS length", where, 4, end), where, 4)
            where += 4
    elif method == 4 and where < end:
        size = packet.uint("EAP-MD5", where, 1, end)
        packet.add(layer, MD5_SIZE, size, where, 1)
        value = packet.rest(where + 1, min(end, where + 1 + size))
        packet.add(layer, MD5_VALUE, value, where + 1, len(value))
        where += 1 + len(value)
    elif method == 3:
        for offset, desired in enumerate(packet.rest(where, end)):
            packet.add(layer, DESIRED, desired, where + offset, 1)
        where = packet.end(end)
    rest = packet.rest(where, end)
    if rest:
        field = {1: IDENTITY, 2: NOTIFICATION}.get(method, DATA)
        packet.add(layer, field, rest, where, len(rest))
    layer.size = where + len(rest) - at
    packet.check("EAP", at, length, limit)
    return None
