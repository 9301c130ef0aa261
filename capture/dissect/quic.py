"""QUIC (RFC 8999, 9000, 9001, 9369): headers, and what is in Initial packets, whose keys everyone can derive."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.gquic import google_frames
from netwatch.capture.dissect.kit import Bit, Bits, Header, Hex32, Item, Packed8, group, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.quic_crypto import TAG, Unprotected, has_keys, initial_keys, retry_is_authentic
from netwatch.capture.dissect.quic_crypto import unprotect as remove_protection
from netwatch.capture.dissect.quic_frames import Crypto, frames, varint
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

VERSIONS: Final = {
    0x00000000: "Version Negotiation",
    0x00000001: "1",
    0x6B3343CF: "2",
    0x709A50C4: "2 (draft)",
    0x51303530: "Google Q050",
    0x54303530: "Google T050",
    0x54303531: "Google T051",
    0xFACEB001: "Facebook mvfst (draft-22)",
    0xFACEB002: "Facebook mvfst (draft-27)",
} | {0xFF000000 + draft: f"draft-{draft}" for draft in range(21, 35)}
TYPES: Final = {0: "Initial", 1: "0-RTT", 2: "Handshake", 3: "Retry"}
"""Version 1, by the two type bits."""
TYPES_2: Final = {0: "Retry", 1: "Initial", 2: "0-RTT", 3: "Handshake"}
"""Version 2 (RFC 9369, 3.2)."""
VERSION_2: Final = frozenset({0x6B3343CF, 0x709A50C4})
GOOGLE: Final = frozenset({0x51303530, 0x54303530, 0x54303531})
"""Packets as in the drafts, frames as in Google's QUIC."""
FORMS: Final = {0: "Short Header", 1: "Long Header"}

FORM = Bits(0x80, "header_form", "Header Form", FORMS)
FIXED = Bit(0x40, "fixed_bit", "Fixed Bit")
VERSION = Hex32("version", "Version", VERSIONS)
LABEL: Final = "QUIC IETF"
LONG = Header("quic", LABEL, (Packed8(FORM, FIXED, Bits(0x30, "long.packet_type", "Packet Type", TYPES)), VERSION))
LONG_2 = Header(
    "quic", LABEL, (Packed8(FORM, FIXED, Bits(0x30, "long.packet_type_v2", "Packet Type", TYPES_2)), VERSION)
)
NEGOTIATION = Header("quic", LABEL, (Packed8(FORM, Bits(0x7F, "vn.unused", "Unused", digits=2)), VERSION))
PROTECTED = Header(
    "quic",
    "Protected",
    (
        Packed8(
            Bits(0x0C, "long.reserved", "Reserved"),
            Bits(
                0x03,
                "packet_number_length",
                "Packet Number Length",
                {0: "1 bytes", 1: "2 bytes", 2: "3 bytes", 3: "4 bytes"},
            ),
        ),
    ),
    name="",
)
"""Bits of the first byte that are known once its protection is removed."""
SHORT = Header("quic", LABEL, (Packed8(FORM, FIXED, Bit(0x20, "spin_bit", "Spin Bit")),))
PACKET_LENGTH = number("quic.packet_length", "Packet Length")
DCID_LENGTH, DCID = (
    number("quic.dcil", "Destination Connection ID Length"),
    octets("quic.dcid", "Destination Connection ID"),
)
SCID_LENGTH, SCID = number("quic.scil", "Source Connection ID Length"), octets("quic.scid", "Source Connection ID")
TOKEN_LENGTH, TOKEN = number("quic.token_length", "Token Length"), octets("quic.token", "Token")
LENGTH = number("quic.length", "Length")
NUMBER = number("quic.packet_number", "Packet Number")
SUPPORTED = number("quic.supported_version", "Supported Version", VERSIONS, digits=8)
PAYLOAD = octets("quic.payload", "Payload")
REMAINING = octets("quic.remaining_payload", "Remaining Payload")
RETRY_TOKEN = octets("quic.retry_token", "Retry Token")
RETRY_TAG = octets("quic.retry_integrity_tag", "Retry Integrity Tag")
FAILED = group("quic.decryption_failed", "Decryption failed")
PADDING = octets("quic.coalesced_padding_data", "Coalesced Padding Data")

MIN_SHORT: Final = 21
"""A short header's packet is no smaller in practice: flags, number, a sample and a tag (RFC 9001, 5.4.2)."""
MAX_ID: Final = 20
MAX_VERSIONS: Final = 64
"""That a server offers, of which one has to be known."""
MAX_PACKETS: Final = 16
"""Packets of one datagram that are told apart."""
MAX_OPENED: Final = 4
"""Initial packets of one datagram that are decrypted."""


class Connection:
    """What Initial packets of one connection have in common."""

    __slots__ = ("cid", "client", "crypto", "largest", "retried", "version")

    def __init__(self, version: int, cid: bytes, client: int) -> None:
        self.version = version
        self.cid = cid
        """Where the client sent its first packet to, or after a Retry what that said: the keys follow from it."""
        self.client = client
        """Its side of the conversation."""
        self.largest = [-1, -1]
        """Packet numbers that are authentic, of the client and of the server."""
        self.crypto = (Crypto(), Crypto())
        self.retried = b""
        """The connection id that a Retry told the client to use."""


class Head(NamedTuple):
    """A long header as far as all kinds have it."""

    layer: Item
    kind: str
    version: int
    dcid: bytes
    scid: bytes
    end: int


@on("udp.port", 443, 4433)
@signature("udp")
def quic(packet: Packet, at: int, limit: int) -> Step | None:
    """The packets of a datagram. A short header says QUIC only where a long one was seen before, or on port 443."""
    head = packet.data[at : at + 7]
    if not head:
        return NOT_MINE
    if not head[0] & 0x80:
        likely = head[0] & 0x40 and 443 in packet.values.get("ports", ()) and limit - at >= MIN_SHORT
        if not likely and not _is_settled(packet):
            return NOT_MINE
        packet.column("quic")
        _short(packet, at, limit, packet.memory("quic"), None)
        return None
    if not _is_long(packet, head, at, limit):
        return NOT_MINE
    packet.column("quic")
    memory = packet.memory("quic")
    first: bytes | None = None
    opened = 0
    for _ in range(MAX_PACKETS):
        found, at, tried = _long(packet, at, limit, memory, opened < MAX_OPENED)
        opened += tried
        if first is None:
            first = found
            packet.settle_on(quic)
        if at >= packet.end(limit):
            return None
        if packet.data[at] & 0x80:
            if not _belongs(packet.data, at, first):
                break
        elif packet.data[at] & 0x40 and packet.data.startswith(first, at + 1):
            _short(packet, at, limit, memory, first)
            return None
        else:
            break
    # Behind the last packet anything may stand, so that the datagram is as long as all others (RFC 9000, 12.2).
    rest = packet.rest(at, limit)
    packet.add(packet.layer(LONG.field, at, len(rest), "Padding"), PADDING, rest, at, len(rest))
    return None


def _is_long(packet: Packet, head: bytes, at: int, limit: int) -> bool:
    """A version in use and lengths that can be. Version Negotiation has little to know it by: all of it must fit."""
    if len(head) < 7:
        return False
    version = int.from_bytes(head[1:5], "big")
    where = at + 6 + head[5]
    scid = packet.data[where : where + 1]
    if version:
        # Once they know each other, the fixed bit need not be set (RFC 9287, 3.1).
        fixed = head[0] & 0x40 or _is_settled(packet)
        known = version in VERSIONS or _is_grease(version)
        return bool(fixed and known and head[5] <= MAX_ID and (not scid or scid[0] <= MAX_ID))
    if not scid:
        return False
    where += 1 + scid[0]
    stop = min(packet.end(limit) - 3, where + 4 * MAX_VERSIONS)
    offered = [int.from_bytes(packet.data[each : each + 4], "big") for each in range(where, stop, 4)]
    return limit > where and (limit - where) % 4 == 0 and any(one in VERSIONS for one in offered if one)


def _is_settled(packet: Packet) -> bool:
    """Whether a long header was seen in this conversation; asked for every unknown datagram, it must not open one."""
    context = packet.context
    return context is not None and "transport" in packet.values and context.dissector(packet) is quic


def _is_grease(version: int) -> bool:
    """0x?a?a?a?a: there to see that versions are negotiated (RFC 9000, 15). And Facebook's own."""
    return version & 0x0F0F0F0F == 0x0A0A0A0A or version >> 8 == 0xFACEB0


def _belongs(data: bytes, at: int, dcid: bytes) -> bool:
    """Packets of one datagram go to the same connection id (RFC 9000, 12.2); what does not is padding."""
    return bool(data[at] & 0x40) and data[at + 5 : at + 6] == bytes([len(dcid)]) and data.startswith(dcid, at + 6)


def _side(packet: Packet) -> int:
    conversation = packet.conversation
    return 0 if conversation is None else conversation.side(packet)


def _short(packet: Packet, at: int, limit: int, memory: dict[Any, Any], dcid: bytes | None) -> None:
    """Protected with keys that only the two know; the length of its connection id is what its receiver chose."""
    layer, _ = packet.open(SHORT, at, limit)
    if dcid is None:
        size = memory.get(("length", 1 - _side(packet)), 0)
        dcid = packet.rest(at + 1, min(limit, at + 1 + size))
    packet.info = "Protected Payload (KP0)"
    packet.add(layer, PACKET_LENGTH, limit - at, at, limit - at)
    if dcid:
        packet.info += f", DCID={dcid.hex()}"
        packet.add(layer, DCID, dcid, at + 1, len(dcid))
    layer.said = packet.info
    where = at + 1 + len(dcid)
    rest = packet.rest(where, limit)
    packet.add(layer, REMAINING, rest, where, len(rest))
    layer.size = max(layer.size, where + len(rest) - at)


def _head(packet: Packet, at: int, limit: int) -> Head:
    """Flags, version and connection ids."""
    first, version = packet.uint("QUIC", at, 1, limit), packet.uint("QUIC", at + 1, 4, limit)
    header, types = (LONG_2, TYPES_2) if version in VERSION_2 else (LONG, TYPES)
    kind = types[first >> 4 & 3]
    if not version:
        header, kind = NEGOTIATION, VERSIONS[0]
    layer, _ = packet.open(header, at, limit)
    where = at + header.size
    packet.info = kind
    ids = []
    for length_field, field, name in ((DCID_LENGTH, DCID, "DCID"), (SCID_LENGTH, SCID, "SCID")):
        size = packet.uint("QUIC", where, 1, limit)
        value = packet.take("QUIC", where + 1, size, limit)
        ids.append(value)
        packet.add(layer, length_field, size, where, 1)
        if size:
            packet.add(layer, field, value, where + 1, size)
            packet.info += f", {name}={value.hex()}"
        where += 1 + size
    layer.size = where - at
    return Head(layer, kind, version, ids[0], ids[1], where)


def _long(packet: Packet, at: int, limit: int, memory: dict[Any, Any], may_open: bool) -> tuple[bytes, int, bool]:
    """One packet with a long header: its destination's id, the offset after it, whether decrypting was tried."""
    head = _head(packet, at, limit)
    layer, where = head.layer, head.end
    layer.said = packet.info
    if head.kind in (VERSIONS[0], "Retry"):
        layer.size = max(layer.size, packet.end(limit) - at)
        packet.add(layer, PACKET_LENGTH, limit - at, at, layer.size)
        if head.version:
            _retry(packet, head, at, limit, memory)
            return head.dcid, limit, False
        for offset in range(where, packet.end(limit) - 3, 4):
            packet.add(layer, SUPPORTED, packet.uint("QUIC", offset, 4, limit), offset, 4)
        return head.dcid, limit, False
    memory["length", _side(packet)] = len(head.scid)
    if head.kind == "Initial":
        size, width = varint(packet, where, limit)
        packet.add(layer, TOKEN_LENGTH, size, where, width)
        where += width
        if size:
            packet.add(layer, TOKEN, packet.take("QUIC token", where, size, limit), where, size)
        where += size
    length, width = varint(packet, where, limit)
    packet.add(layer, LENGTH, length, where, width)
    where += width
    layer.size = where - at
    end = where + length
    if end > limit:
        packet.check("QUIC", where, length, limit)
    layer.size = end - at
    packet.add(layer, PACKET_LENGTH, layer.size, at, layer.size)
    if head.kind != "Initial" or not has_keys(head.version) or not may_open:
        packet.add(layer, REMAINING, packet.data[where:end], where, length)
        return head.dcid, end, False
    _initial(packet, head, at, where, packet.end(end), memory)
    return head.dcid, end, True


def _initial(packet: Packet, head: Head, at: int, where: int, end: int, memory: dict[Any, Any]) -> None:
    """What the header hides, and the frames, if the packet is authentic."""
    found, connection, is_client = _open(packet, head, at, where, end, memory)
    layer = head.layer
    if found is None:
        packet.add(layer, FAILED, None, where, end - where, "too short for a sample")
        packet.add(layer, REMAINING, packet.data[where:end], where, end - where)
        return
    packet.info += f", PKN: {found.number}"
    layer.said = packet.info
    packet.count(2)
    if packet.build:
        layer.children[3:3] = PROTECTED.items((found.first,), at)
    packet.add(layer, NUMBER, found.number, where, found.number_size)
    where += found.number_size
    packet.add(layer, PAYLOAD, packet.data[where:end], where, end - where)
    plain = found.plain
    if connection is None or plain is None:
        said = "not authentic with the keys of this connection, nor with those of its destination's id"
        if end == packet.caplen < packet.wirelen:
            said = "cut by snap length"
            memory.setdefault("connection", Connection(head.version, head.dcid, _side(packet)))
        packet.add(layer, FAILED, None, where, end - where, said)
        return
    crypto = connection.crypto[not is_client]

    def decrypted(packet: Packet, _at: int, _limit: int) -> Step | None:
        show = google_frames(crypto) if head.version in GOOGLE else frames(crypto)
        packet.aside("Decrypted QUIC", plain, Step((show,), 0, len(plain)))
        return None

    packet.within(layer, Step((decrypted,), where, end))
    layer.said = packet.info


def _open(
    packet: Packet, head: Head, at: int, where: int, end: int, memory: dict[Any, Any]
) -> tuple[Unprotected | None, Connection | None, bool]:
    """Decrypts with the keys of the conversation's connection; else the packet may be the first of a new one."""
    side = _side(packet)
    known: Connection | None = memory.get("connection")
    tries: list[tuple[Connection, bool]] = []
    if known is not None and known.version == head.version:
        tries.append((known, side == known.client))
    if known is None or (known.version, known.client, known.cid) != (head.version, side, head.dcid):
        tries.append((Connection(head.version, head.dcid, side), True))
    shown: Unprotected | None = None
    for connection, is_client in tries:
        keys = initial_keys(connection.version, connection.cid, is_client)
        found = remove_protection(keys, packet.data, at, where, end, connection.largest[not is_client])
        shown = shown or found
        if found is None or found.plain is None:
            continue
        if connection is not known:
            if known is not None and side == known.client and head.dcid == known.retried:
                # The client begins anew with other keys and goes on counting (RFC 9000, 17.2.5.3).
                connection.largest, connection.crypto = known.largest, known.crypto
            memory["connection"] = connection
        connection.largest[not is_client] = max(connection.largest[not is_client], found.number)
        return found, connection, is_client
    return shown, None, False


def _retry(packet: Packet, head: Head, at: int, limit: int, memory: dict[Any, Any]) -> None:
    """A token, and a tag that shows that its sender knows the id of the packet that it answers."""
    size = max(0, limit - TAG - head.end)
    packet.check("QUIC Retry", head.end, size + TAG, limit)
    packet.add(head.layer, RETRY_TOKEN, packet.data[head.end : limit - TAG], head.end, size)
    tag = packet.data[limit - TAG : limit]
    known: Connection | None = memory.get("connection")
    said = f"{tag.hex()} [unverified: the packet that it answers was not seen]"
    if known is not None and known.version == head.version and _side(packet) != known.client:
        authentic = retry_is_authentic(head.version, known.cid, packet.data[at:limit])
        words = {True: "verified", False: "incorrect", None: "unverified: no key of this version is known"}
        said = f"{tag.hex()} [{words[authentic]}]"
        if authentic:
            known.retried = head.scid
    packet.add(head.layer, RETRY_TAG, tag, limit - TAG, TAG, said)
