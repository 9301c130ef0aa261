"""EAP over LAN (IEEE 802.1X) and the keys that 802.11 negotiates with it (802.11-2020, 12.7.2)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U64,
    Bit,
    Bits,
    Bytes,
    Flags16,
    Header,
    Item,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.dissect.wlan_mgt import elements

VERSIONS = {1: "802.1X-2001", 2: "802.1X-2004", 3: "802.1X-2010"}
TYPES = {
    0: "EAP Packet",
    1: "Start",
    2: "Logoff",
    3: "Key",
    4: "Encapsulated ASF Alert",
    5: "MKA",
    6: "Announcement (Generic)",
    7: "Announcement (Specific)",
    8: "Announcement Request",
}
EAPOL = Header(
    "eapol",
    "802.1X Authentication",
    (U8("version", "Version", VERSIONS), U8("type", "Type", TYPES), U16("len", "Length")),
)
DESCRIPTORS = {1: "RC4 Descriptor", 2: "EAPOL RSN Key", 254: "EAPOL WPA Key"}
DESCRIPTOR = number("eapol.keydes.type", "Key Descriptor Type", DESCRIPTORS)
RSN, WPA = 2, 254
CIPHERS = {
    1: "RC4 Cipher, HMAC-MD5 MIC",
    2: "AES Cipher, HMAC-SHA1 MIC",
    3: "AES Cipher, AES-128-CMAC MIC",
}
KEY = Header(
    "wlan_rsna_eapol.keydes",
    "Key",
    (
        Flags16(
            "key_info",
            "Key Information",
            Bits(0x0007, "key_info.keydes_version", "Key Descriptor Version", CIPHERS),
            Bits(0x0008, "key_info.key_type", "Key Type", {0: "Group Key", 1: "Pairwise Key"}),
            Bits(0x0030, "key_info.key_index", "Key Index"),
            Bit(0x0040, "key_info.install", "Install"),
            Bit(0x0080, "key_info.key_ack", "Key ACK"),
            Bit(0x0100, "key_info.key_mic", "Key MIC"),
            Bit(0x0200, "key_info.secure", "Secure"),
            Bit(0x0400, "key_info.error", "Error"),
            Bit(0x0800, "key_info.request", "Request"),
            Bit(0x1000, "key_info.encrypted_key_data", "Encrypted Key Data"),
            Bit(0x2000, "key_info.smk_message", "SMK Message"),
        ),
        U16("=eapol.keydes.key_len", "Key Length"),
        U64("=eapol.keydes.replay_counter", "Replay Counter"),
        Bytes("nonce", "WPA Key Nonce", 32),
        Bytes("=eapol.keydes.key_iv", "Key IV", 16),
        Bytes("rsc", "WPA Key RSC", 8),
        Bytes("id", "WPA Key ID", 8),
    ),
    name="",
)
MESSAGE = number("wlan_rsna_eapol.keydes.msgnr", "Message number")
MIC = octets("wlan_rsna_eapol.keydes.mic", "WPA Key MIC")
KEY_DATA_LENGTH = number("wlan_rsna_eapol.keydes.data_len", "WPA Key Data Length")
KEY_DATA = octets("wlan_rsna_eapol.keydes.data", "WPA Key Data")
PAIRWISE, ACK, MIC_SET, SECURE, ENCRYPTED = 0x0008, 0x0080, 0x0100, 0x0200, 0x1000
MIC_SIZE = 16


@on("ethertype", 0x888E)
def eapol(packet: Packet, at: int, limit: int) -> Step | None:
    """A type and a length; what follows is EAP or a key."""
    packet.column("eapol")
    layer, (_, kind, length) = packet.open(EAPOL, at, limit)
    layer.said = packet.info = TYPES.get(kind, f"Unknown Type (0x{kind:02X})")
    where = at + EAPOL.size
    end = min(limit, where + length)
    if packet.payload_end is None:
        packet.payload_end = end
    if kind == 0 and length:
        return step("eap", 0, where, end)
    if kind == 3 and where < packet.end(end):
        descriptor = packet.data[where]
        packet.add(layer, DESCRIPTOR, descriptor, where, 1)
        layer.size += 1
        if descriptor in (RSN, WPA):
            _key(packet, layer, where + 1, end)
            return None
        where += 1
    return Step((), where, end) if where < end else None


def _key(packet: Packet, layer: Item, at: int, limit: int) -> None:
    """Four messages agree on a pairwise key, two hand a group's key on (12.7.6, 12.7.7)."""
    word, *_ = packet.add_header(layer, KEY, at, limit)
    number_, said = _message(word, packet.uint("EAPOL key", at + KEY.size + MIC_SIZE, 2, limit), packet, at)
    packet.info = f"Key ({said})"
    if word & PAIRWISE:
        packet.add(layer, MESSAGE, number_, at, 2)
    where = at + KEY.size
    packet.add(layer, MIC, packet.data[where : where + MIC_SIZE], where, MIC_SIZE)
    where += MIC_SIZE
    size = packet.uint("EAPOL key", where, 2, limit)
    packet.add(layer, KEY_DATA_LENGTH, size, where, 2)
    where += 2
    layer.size = where - layer.start
    if not size:
        return
    value = packet.take("EAPOL key data", where, size, limit)
    item = packet.add(layer, KEY_DATA, value, where, size)
    layer.size += size
    if not word & ENCRYPTED and word & PAIRWISE:
        elements(packet, item, where, where + size)


def _message(word: int, size: int, packet: Packet, at: int) -> tuple[int, str]:
    if not word & PAIRWISE:
        first = bool(word & ACK)
        return 0, f"Group Message {1 if first else 2} of 2"
    if word & ACK:
        message = 3 if word & MIC_SET else 1
    else:
        # The second carries a nonce and data, the fourth neither; with WPA the secure bit says nothing.
        nonce = packet.data[at + NONCE : at + NONCE + 32]
        message = 4 if word & SECURE or not size or not any(nonce) else 2
    return message, f"Message {message} of 4"


NONCE = KEY.span("nonce").start
"""Offset of the nonce behind the descriptor's type."""
