"""DNS records that secure names (RFC 4034, 5155, 6698, 4255, 8976), and NSEC's list of types."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.dns_types import TYPES
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
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet

__all__ = ["ALGORITHMS", "BODIES", "DIGESTS"]

ALGORITHMS: Final = {
    1: "RSA/MD5",
    2: "Diffie-Hellman",
    3: "DSA",
    5: "RSA/SHA1",
    6: "DSA-NSEC3-SHA1",
    7: "RSA-SHA1-NSEC3-SHA1",
    8: "RSA/SHA-256",
    10: "RSA/SHA-512",
    12: "GOST R 34.10-2001",
    13: "ECDSA Curve P-256 with SHA-256",
    14: "ECDSA Curve P-384 with SHA-384",
    15: "Ed25519",
    16: "Ed448",
    252: "Reserved for Indirect Keys",
    253: "Private algorithms - domain name",
    254: "Private algorithms - OID",
}
DIGESTS: Final = {1: "SHA-1", 2: "SHA-256", 3: "GOST R 34.11-94", 4: "SHA-384"}
MAX_TYPES: Final = 128
"""Types of one bit map that are shown."""

DS: Final = Header(
    "dns.ds",
    "DS",
    (
        Hex16("key_id", "Key id"),
        U8("algorithm", "Algorithm", ALGORITHMS),
        U8("digest_type", "Digest Type", DIGESTS),
    ),
    name="",
)
DS_DIGEST: Final = octets("dns.ds.digest", "Digest")
DNSKEY: Final = Header(
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
        U8("algorithm", "Algorithm", ALGORITHMS),
    ),
    name="",
)
DNSKEY_ID, DNSKEY_KEY = number("dns.dnskey.key_id", "Key id"), octets("dns.dnskey.public_key", "Public Key")


def _seconds(value: int) -> str:
    return absolute(value * 10**9)


RRSIG: Final = Header(
    "dns.rrsig",
    "RRSIG",
    (
        U16("type_covered", "Type Covered", TYPES),
        U8("algorithm", "Algorithm", ALGORITHMS),
        U8("labels", "Labels"),
        U32("original_ttl", "Original TTL"),
        U32("signature_expiration", "Signature Expiration", plain=_seconds),
        U32("signature_inception", "Signature Inception", plain=_seconds),
        U16("key_tag", "Key Tag"),
    ),
    name="",
)
RRSIG_NAME: Final = text("dns.rrsig.signers_name", "Signer's name")
RRSIG_SIGNATURE: Final = octets("dns.rrsig.signature", "Signature")
NEXT_NAME: Final = text("dns.nsec.next_domain_name", "Next Domain Name")
RECORD_TYPE: Final = number("", "RR type in bit map", TYPES)
NSEC3: Final = Header(
    "dns.nsec3",
    "NSEC3",
    (
        U8("algo", "Hash algorithm", {1: "SHA-1"}),
        U8("flags", "NSEC3 flags", {0: "none", 1: "opt-out"}),
        U16("iterations", "NSEC3 iterations"),
        U8("salt_length", "Salt length"),
    ),
    name="",
)
SALT: Final = octets("dns.nsec3.salt_value", "Salt value")
HASH_LENGTH, HASH = number("dns.nsec3.hash_length", "Hash length"), text("dns.nsec3.hash_value", "Next hashed owner")
TLSA: Final = Header(
    "dns.tlsa",
    "TLSA",
    (
        U8(
            "certificate_usage",
            "Certificate Usage",
            {
                0: "CA constraint (PKIX-TA)",
                1: "Service certificate constraint (PKIX-EE)",
                2: "Trust Anchor Assertion (DANE-TA)",
                3: "Domain-issued certificate (DANE-EE)",
            },
        ),
        U8("selector", "Selector", {0: "Full certificate (Cert)", 1: "SubjectPublicKeyInfo (SPKI)"}),
        U8(
            "matching_type",
            "Matching Type",
            {
                0: "No Hash Used (Full)",
                1: "256 bit hash by SHA2 (SHA2-256)",
                2: "512 bit hash by SHA2 (SHA2-512)",
            },
        ),
    ),
    name="",
)
TLSA_DATA: Final = octets("dns.tlsa.certificate_association_data", "Certificate Association Data")
SSHFP: Final = Header(
    "dns.sshfp",
    "SSHFP",
    (
        U8("algorithm", "Algorithm", {1: "RSA", 2: "DSA", 3: "ECDSA", 4: "Ed25519", 6: "Ed448"}),
        U8("fingerprint.type", "Fingerprint type", {1: "SHA1", 2: "SHA256"}),
    ),
    name="",
)
SSHFP_DATA: Final = octets("dns.sshfp.fingerprint", "Fingerprint")
ZONEMD: Final = Header(
    "dns.zonemd",
    "ZONEMD",
    (
        U32("serial", "Serial Number"),
        U8("scheme", "Scheme", {1: "SIMPLE"}),
        U8("hash_algo", "Hash Algorithm", {1: "SHA-384", 2: "SHA-512"}),
    ),
    name="",
)
ZONEMD_DIGEST: Final = octets("dns.zonemd.digest", "Digest")
CSYNC: Final = Header(
    "dns.csync",
    "CSYNC",
    (
        U32("soa", "SOA"),
        Flags16(
            "flags",
            "flags",
            Bit(0x0001, "flags.immediate", "immediate"),
            Bit(0x0002, "flags.soaminimum", "soaminimum"),
        ),
    ),
    name="",
)

Body = Callable[[Packet, Item, int, int, int], str]


def _fixed(header: Header, rest: Field) -> Body:
    def body(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
        packet.add_header(item, header, at, end)
        at += header.size
        packet.add(item, rest, packet.data[at:end], at, end - at)
        return ""

    return body


def _key(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    """A key and the number that signatures name it by (RFC 4034, appendix B)."""
    _, _, algorithm = packet.add_header(item, DNSKEY, at, end)
    raw = packet.data[at:end]
    if algorithm == 1:
        tag = int.from_bytes(raw[-3:-1], "big")
    else:
        total = sum(raw[0::2]) * 256 + sum(raw[1::2])
        tag = (total + (total >> 16 & 0xFFFF)) & 0xFFFF
    packet.add(item, DNSKEY_ID, tag, at, end - at)
    at += DNSKEY.size
    packet.add(item, DNSKEY_KEY, packet.data[at:end], at, end - at)
    return ""


def _signature(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    packet.add_header(item, RRSIG, at, end)
    name, after = read_name(packet, message, at + RRSIG.size, end)
    packet.add(item, RRSIG_NAME, name, at + RRSIG.size, after - at - RRSIG.size)
    packet.add(item, RRSIG_SIGNATURE, packet.data[after:end], after, end - after)
    return ""


def _next(packet: Packet, item: Item, message: int, at: int, end: int) -> str:
    name, after = read_name(packet, message, at, end)
    packet.add(item, NEXT_NAME, name, at, after - at)
    _types(packet, item, after, end)
    return name


def _hashed(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    *_, salt = packet.add_header(item, NSEC3, at, end)
    at += NSEC3.size
    if salt:
        packet.add(item, SALT, packet.take("NSEC3 salt", at, salt, end), at, salt)
    at += salt
    size = packet.uint("NSEC3 hash", at, 1, end)
    value = packet.take("NSEC3 hash", at + 1, size, end)
    packet.add(item, HASH_LENGTH, size, at, 1)
    packet.add(item, HASH, _base32(value), at + 1, size)
    _types(packet, item, at + 1 + size, end)
    return ""


def _parameters(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    *_, salt = packet.add_header(item, NSEC3, at, end)
    at += NSEC3.size
    if salt:
        packet.add(item, SALT, packet.take("NSEC3PARAM salt", at, salt, end), at, salt)
    return ""


def _synchronise(packet: Packet, item: Item, message: int, at: int, end: int) -> str:  # noqa: ARG001
    packet.add_header(item, CSYNC, at, end)
    _types(packet, item, at + CSYNC.size, end)
    return ""


HEX_ORDER: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghijklmnopqrstuv")


def _base32(raw: bytes) -> str:
    """Base 32 in the order of its digits, without padding (RFC 5155, 3.3)."""
    return b32encode(raw).rstrip(b"=").translate(HEX_ORDER).decode("ascii")


def _types(packet: Packet, item: Item, at: int, end: int) -> None:
    """Windows of 256 types, a bit each (RFC 4034, 4.1.2)."""
    shown = 0
    while at < end:
        window, size = packet.uint("DNS type bit map", at, 1, end), packet.uint("DNS type bit map", at + 1, 1, end)
        packet.check("DNS type bit map", at + 2, size, end)
        for where in range(at + 2, at + 2 + size):
            bits = packet.data[where]
            for bit in range(8) if bits else ():
                if bits & 0x80 >> bit and shown < MAX_TYPES:
                    shown += 1
                    packet.add(item, RECORD_TYPE, window << 8 | (where - at - 2) * 8 + bit, where, 1)
        at += 2 + size


BODIES: Final[dict[int, Body]] = {
    43: _fixed(DS, DS_DIGEST),
    44: _fixed(SSHFP, SSHFP_DATA),
    46: _signature,
    47: _next,
    48: _key,
    50: _hashed,
    51: _parameters,
    52: _fixed(TLSA, TLSA_DATA),
    53: _fixed(TLSA, TLSA_DATA),
    59: _fixed(DS, DS_DIGEST),
    60: _key,
    62: _synchronise,
    63: _fixed(ZONEMD, ZONEMD_DIGEST),
}
