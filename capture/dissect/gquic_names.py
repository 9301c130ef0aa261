"""Headers of Google's QUIC, its messages and the tags within them."""

from __future__ import annotations

from typing import Final, NamedTuple

from netwatch.capture.dissect.kit import Bit, Bits, Field, Flags8, Header, Packed8, absolute, number, octets, text

__all__ = ["ID_LENGTHS", "KNOWN", "LONG", "MESSAGES", "PUBLIC", "SHORT", "UNKNOWN", "Tag"]

LABEL: Final = "GQUIC (Google Quick UDP Internet Connections)"
NUMBER_SIZES: Final = {0: "1 Byte", 1: "2 Bytes", 2: "4 Bytes", 3: "6 Bytes"}
PUBLIC = Header(
    "gquic",
    LABEL,
    (
        Flags8(
            "puflags",
            "Public Flags",
            Bit(0x01, "puflags.version", "Version"),
            Bit(0x02, "puflags.reset", "Reset"),
            Bit(0x04, "puflags.nonce", "Diversification nonce"),
            Bit(0x08, "puflags.cid", "CID Length: 8 Bytes"),
            Bits(0x30, "puflags.pkn", "Packet Number Length", NUMBER_SIZES),
            Bit(0x40, "puflags.mpth", "Multipath"),
            Bit(0x80, "puflags.rsv", "Reserved"),
        ),
    ),
)
FORM = Bits(0x80, "header_form", "Header Form", {0: "Short Header", 1: "Long Header"})
FIXED = Bit(0x40, "fixed_bit", "Fixed Bit")
SIZE = Bits(0x03, "packet_number_length", "Packet Number Length", {code: f"{code + 1} bytes" for code in range(4)})
LONG = Header(
    "gquic",
    LABEL,
    (
        Flags8(
            "puflags",
            "Public Flags",
            FORM,
            FIXED,
            Bits(0x30, "long.packet_type", "Packet Type", {0: "Initial", 1: "0-RTT", 2: "Handshake", 3: "Retry"}),
            Bits(0x0C, "long.reserved", "Reserved"),
            SIZE,
        ),
    ),
)
SHORT = Header("gquic", LABEL, (Flags8("puflags", "Public Flags", FORM, FIXED, SIZE),))
ID_SIZES = {0: "0 bytes", 5: "8 bytes"}
ID_LENGTHS = Header(
    "gquic",
    "Connection ID lengths",
    (
        Packed8(
            Bits(0xF0, "dcil", "Destination Connection ID Length", ID_SIZES),
            Bits(0x0F, "scil", "Source Connection ID Length", ID_SIZES),
        ),
    ),
    name="",
)

MESSAGES: Final = {
    b"CHLO": "Client Hello",
    b"SHLO": "Server Hello",
    b"REJ\0": "Rejection",
    b"SREJ": "Stateless Rejection",
    b"SCUP": "Server Config Update",
    b"PRST": "Public Reset",
    b"SCFG": "Server Config",
}


class Tag(NamedTuple):
    """What one tag of a message means."""

    label: str
    field: Field
    kind: str
    """text, number (little-endian), octets, or list: of names of four characters."""


UNKNOWN: Final = Tag("Unknown", octets("gquic.tag.unknown", "Unknown tag"), "octets")


def _moment(seconds: int) -> str:
    return absolute(min(seconds, 1 << 33) * 10**9)


TEXTS: Final = {"SNI": "Server Name Indication", "UAID": "Client's User Agent ID"}
LISTS: Final = {
    "VER": "Version",
    "PDMD": "Proof demand",
    "AEAD": "Authenticated encryption algorithms",
    "KEXS": "Key exchange algorithms",
    "COPT": "Connection options",
    "TBKP": "Token Binding Key Params.",
}
NUMBERS: Final = {
    "EXPY": "Expiry",
    "MSPC": "Max streams per connection",
    "TCID": "Connection ID truncation",
    "SRBF": "Socket receive buffer",
    "ICSL": "Idle connection state",
    "SCLS": "Silently close on timeout",
    "IRTT": "Estimated initial RTT",
    "CFCW": "Initial session/connection",
    "SFCW": "Initial stream flow control",
    "MIDS": "Max incoming dynamic streams",
    "SMHL": "Support Max Header List (size)",
    "STTL": "Server Config TTL",
    "RNON": "Public reset nonce proof",
    "RSEQ": "Rejected Packet Number",
}
OCTETS: Final = {
    "PAD": "Padding",
    "STK": "Source-address token",
    "SNO": "Server nonce",
    "PROF": "Proof (Signature)",
    "SCID": "Server Config ID",
    "OBIT": "Server orbit",
    "NONC": "Client nonce",
    "NONP": "Client Proof nonce",
    "CCRT": "Cached certificates",
    "CETV": "Client encrypted tag-value",
    "XLCT": "Expected leaf certificate",
    "CSCT": "Signed cert timestamp",
    "SRST": "Stateless Reset Token",
}


def _tags() -> dict[bytes, Tag]:
    made: dict[bytes, Tag] = {
        b"CRT\xff": Tag("Certificate chain", octets("gquic.tag.crt", "Certificate chain"), "octets"),
        b"CTIM": Tag("Client Timestamp", number("gquic.tag.ctim", "Client Timestamp", form=_moment), "number"),
    }
    for kind, labels in (("text", TEXTS), ("list", LISTS), ("number", NUMBERS), ("octets", OCTETS)):
        for name, label in labels.items():
            key = f"gquic.tag.{'version' if name == 'VER' else name.lower()}"
            field = (
                number(key, label)
                if kind == "number"
                else octets(key, label)
                if kind == "octets"
                else text(key, label)
            )
            made[name.encode().ljust(4, b"\0")] = Tag(label, field, kind)
    return made


KNOWN: Final = _tags()
"""Four bytes of the wire -> the tag."""
