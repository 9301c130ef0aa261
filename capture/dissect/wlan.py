"""IEEE 802.11: the MAC header, control frames, what data frames carry (802.11-2020, 9.2 and 9.3)."""

from __future__ import annotations

from zlib import crc32

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED
from netwatch.capture.dissect.kit import (
    Bit,
    Bits,
    Field,
    Flags16,
    Header,
    Item,
    Packed16,
    address,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.llc import llc
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.dissect.wlan_names import BLOCK_ACKS, FRAMES, TYPES
from netwatch.capture.text import mac

DIRECTIONS = {
    0: "Not leaving DS or network is operating in AD-HOC mode (To DS: 0 From DS: 0)",
    1: "Frame from STA to DS via an AP (To DS: 1 From DS: 0)",
    2: "Frame from DS to a STA via AP(To DS: 0 From DS: 1)",
    3: "WDS (AP to AP) or Mesh (MP to MP) Frame (To DS: 1 From DS: 1)",
}
CONTROL = Header(
    "wlan",
    "IEEE 802.11",
    (
        Flags16(
            "fc",
            "Frame Control Field",
            Bits(0x0300, "fc.version", "Version"),
            Bits(0x0C00, "fc.type", "Type", TYPES),
            Bits(0xF000, "fc.subtype", "Subtype"),
            Bits(
                0x00FF,
                "flags",
                "Flags",
                digits=2,
                bits=(
                    Bits(0x0003, "fc.ds", "DS status", DIRECTIONS, digits=2),
                    Bit(0x0001, "fc.tods", "To DS"),
                    Bit(0x0002, "fc.fromds", "From DS"),
                    Bit(0x0004, "fc.frag", "More Fragments"),
                    Bit(0x0008, "fc.retry", "Retry"),
                    Bit(0x0010, "fc.pwrmgt", "PWR MGT"),
                    Bit(0x0020, "fc.moredata", "More Data"),
                    Bit(0x0040, "fc.protected", "Protected flag"),
                    Bit(0x0080, "fc.order", "+HTC/Order flag"),
                ),
            ),
        ),
    ),
)
KIND = number("wlan.fc.type_subtype", "Type/Subtype", FRAMES, digits=4)
DURATION = Header("wlan", "Duration", (Packed16(Bits(0x7FFF, "duration", "Duration")),), name="", little=True)
AID = Header("wlan", "Association ID", (Packed16(Bits(0x3FFF, "aid", "Association ID")),), name="", little=True)
SEQUENCE = Header(
    "wlan",
    "Sequence control",
    (Packed16(Bits(0x000F, "frag", "Fragment number"), Bits(0xFFF0, "seq", "Sequence number")),),
    name="",
    little=True,
)
PRIORITIES = {
    0: "Best Effort (Best Effort)",
    1: "Background (Background)",
    2: "Spare (Background)",
    3: "Excellent Effort (Best Effort)",
    4: "Controlled Load (Video)",
    5: "Video (Video)",
    6: "Voice (Voice)",
    7: "Network Control (Voice)",
}
ACK_POLICIES = {0: "Normal Ack", 1: "No Ack", 2: "No explicit acknowledgment", 3: "Block Ack"}


def _qos(*rest: Field) -> Header:
    """From an access point and from a station, one bit and the second byte have other meanings (9.2.4.5)."""
    rows = (
        Bits(0x000F, "qos.tid", "TID"),
        Bits(0x0007, "qos.priority", "Priority", PRIORITIES),
        Bits(0x0060, "qos.ack", "Ack Policy", ACK_POLICIES, digits=4),
        Bit(0x0080, "qos.amsdupresent", "A-MSDU present"),
    )
    return Header("wlan", "QoS control", (Flags16("qos", "Qos Control", *rows, *rest),), name="", little=True)


FROM_ACCESS_POINT = _qos(
    Bit(0x0010, "qos.eosp", "EOSP"), Bits(0xFF00, "qos.ps_buf_state", "QAP PS Buffer State", digits=4)
)
DURATION_WANTED = _qos(
    Bit(0x0010, "qos.bit4", "QoS bit 4"), Bits(0xFF00, "qos.txop_dur_req", "TXOP Duration Requested")
)
QUEUED = _qos(Bit(0x0010, "qos.bit4", "QoS bit 4"), Bits(0xFF00, "qos.queue_size", "Queue Size"))
HT_CONTROL = number("wlan.htc", "HT Control (+HTC)", digits=8)
RECEIVER, TRANSMITTER, DESTINATION, SOURCE, BSSID, STATION = (
    address(f"wlan.{name}", label, 6)
    for name, label in (
        ("ra", "Receiver address"),
        ("ta", "Transmitter address"),
        ("da", "Destination address"),
        ("sa", "Source address"),
        ("bssid", "BSS Id"),
        ("staa", "STA address"),
    )
)
FCS = number("wlan.fcs", "Frame check sequence", digits=8)
FCS_STATUS = number("wlan.fcs.status", "FCS Status", STATUS)

BLOCK_ACK = Header(
    "wlan",
    "Block Ack",
    (
        Flags16(
            "ba.control",
            "Block Ack Control",
            Bits(0x0001, "ba.control.ackpolicy", "BA Ack Policy"),
            Bits(0x001E, "ba.control.ba_type", "BA Type", BLOCK_ACKS, digits=1),
            Bits(0xF000, "ba.basic.tidinfo", "TID", digits=1),
        ),
        Flags16(
            "fixed.ssc",
            "Block Ack Starting Sequence Control (SSC)",
            Bits(0x000F, "fixed.ssc.fragment", "Fragment"),
            Bits(0xFFF0, "fixed.ssc.sequence", "Starting Sequence Number"),
        ),
    ),
    name="",
    little=True,
)
BITMAP = octets("wlan.ba.bm", "Block Ack Bitmap")
WITH_SEQUENCE = frozenset({0, 2})
"""Block acknowledgements whose head is control and starting sequence: basic and compressed."""

WEP_IV, WEP_KEY, WEP_ICV = (
    number("wlan.wep.iv", "Initialization Vector", digits=6),
    number("wlan.wep.key", "Key Index"),
    number("wlan.wep.icv", "WEP ICV", digits=8),
)
CCMP_IV, TKIP_IV = (
    text("wlan.ccmp.extiv", "CCMP Ext. Initialization Vector"),
    text("wlan.tkip.extiv", "TKIP Ext. Initialization Vector"),
)
FRAGMENT_DATA = octets("", "802.11 fragment")
AGGREGATE = Header("wlan_aggregate", "IEEE 802.11 Aggregate MSDU", ())
SUBFRAME = group("wlan_aggregate.a_mdsu.subframe", "A-MSDU Subframe")
SUBFRAME_LENGTH = number("wlan_aggregate.a_mdsu.length", "A-MSDU Length")

FLAGS = "opmPRMFT"
"""The flags' letters, highest bit first: order, protected, more data, power, retry, fragments, from and to DS."""


@on("linktype", 105)
def wlan(packet: Packet, at: int, limit: int) -> Step | None:
    """Frame control says which header this is; a capture head before may say that a check sequence ends it."""
    packet.column("wlan")
    checked = bool(packet.values.get("wlan.fcs"))
    whole, limit = limit, limit - 4 if checked and limit - at >= 14 else limit
    if packet.payload_end is None:
        # What the network layer leaves over is no padding of Ethernet's.
        packet.payload_end = whole
    layer, (word,) = packet.open(CONTROL, at, limit)
    kind, subtype, flags = word >> 10 & 3, word >> 12, word & 0xFF
    if word >> 8 & 3:
        packet.info = f"802.11 protocol version {word >> 8 & 3}"
        return Step((), at + 2, limit)
    code = kind << 4 | subtype
    if packet.build:
        layer.children.insert(0, Item(KIND, code, at, 1))
    name = FRAMES.get(code, f"Unrecognized (Reserved) frame (0x{code:04x})")
    letters = "".join([letter if flags << index & 0x80 else "." for index, letter in enumerate(FLAGS)])
    letters += "C" if checked else ""
    layer.said = f"{name}, Flags: {letters}"
    if code == 0x1A:
        packet.add_header(layer, AID, at + 2, limit)
    else:
        packet.add_header(layer, DURATION, at + 2, limit)
    packet.info = f"{name}, Flags={letters}"
    if kind == 0:
        following = _management(packet, layer, name, letters, flags, at, limit)
    elif kind == 1:
        following = _control(packet, layer, subtype, at, limit)
    elif kind == 2:
        following = _data(packet, layer, name, letters, subtype, flags, at, limit)
    else:
        following = Step((), at + 4, limit)
    layer.size = max([layer.size, *[item.end - at for item in layer.children]])
    if whole == limit:
        return following
    packet.run(following)
    _check(packet, at, limit)
    return None


def _check(packet: Packet, at: int, end: int) -> None:
    """The CRC-32 over everything before it, least significant byte first."""
    if end + 4 > packet.caplen:
        return
    stored = int.from_bytes(packet.data[end : end + 4], "little")
    layer = packet.layer(FCS, end, 4)
    layer.value = stored
    if packet.build:
        padded = packet.values.get("wlan.padded")
        status = UNVERIFIED if padded else GOOD if crc32(packet.data[at:end]) == stored else BAD
        packet.add(layer, FCS_STATUS, status, end, 4, STATUS[status])


def _addresses(packet: Packet, layer: Item, at: int, limit: int, *places: tuple[int, tuple[Field, ...]]) -> list[str]:
    """The addresses at offsets of the header, each under all its roles."""
    found = []
    for offset, fields in places:
        value = packet.take("802.11", at + offset, 6, limit)
        for field in fields:
            packet.add(layer, field, value, at + offset, 6)
        layer.size = max(layer.size, offset + 6)
        found.append(mac(value))
    return found


def _numbered(packet: Packet, layer: Item, name: str, letters: str, at: int, limit: int) -> int:
    (word,) = packet.add_header(layer, SEQUENCE, at, limit)
    layer.size = at + 2 - layer.start
    packet.info = f"{name}, SN={word >> 4}, FN={word & 15}, Flags={letters}"
    return int(word)


def _management(packet: Packet, layer: Item, name: str, letters: str, flags: int, at: int, limit: int) -> Step | None:
    packet.destination, packet.source, _ = _addresses(
        packet, layer, at, limit, (4, (RECEIVER, DESTINATION)), (10, (TRANSMITTER, SOURCE)), (16, (BSSID,))
    )
    _numbered(packet, layer, name, letters, at + 22, limit)
    where = at + 24
    if flags & 0x80:
        packet.add(layer, HT_CONTROL, _little(packet, where, 4, limit), where, 4)
        where += 4
        layer.size += 4
    if flags & 0x40:
        return _protected(packet, layer, where, limit)
    return step("wlan.mgt", packet.data[at] >> 4, where, limit) if where < limit else None


def _control(packet: Packet, layer: Item, subtype: int, at: int, limit: int) -> Step | None:
    """Who it is for, in all but a few who it is from."""
    power_save = subtype == 10
    first = BSSID if power_save else RECEIVER
    (receiver,) = _addresses(packet, layer, at, limit, (4, (first,)))
    packet.destination = f"{receiver} ({'BSSID' if power_save else 'RA'})"
    if subtype in (7, 12, 13):
        return Step((), at + 10, limit) if subtype == 7 else None
    (sender,) = _addresses(packet, layer, at, limit, (10, (BSSID,) if subtype == 14 else (TRANSMITTER,)))
    packet.source = f"{sender} ({'BSSID' if subtype == 14 else 'TA'})"
    where = at + 16
    if subtype not in (8, 9):
        return Step((), where, limit)
    control = _little(packet, where, 2, limit)
    if control >> 1 & 15 not in WITH_SEQUENCE:
        return Step((), where, limit)
    packet.add_header(layer, BLOCK_ACK, where, limit)
    where += BLOCK_ACK.size
    rest = packet.rest(where, limit)
    if subtype == 9 and rest:
        packet.add(layer, BITMAP, rest, where, len(rest))
    return None


def _data(
    packet: Packet, layer: Item, name: str, letters: str, subtype: int, flags: int, at: int, limit: int
) -> Step | None:
    """Three or four addresses, whose roles follow from where the frame comes from and goes to (9.3.2.1)."""
    direction = flags & 3
    if direction == 3:
        places: tuple[tuple[int, tuple[Field, ...]], ...] = (
            (4, (RECEIVER,)),
            (10, (TRANSMITTER,)),
            (16, (DESTINATION,)),
            (24, (SOURCE,)),
        )
        _, _, packet.destination, packet.source = _addresses(packet, layer, at, limit, *places)
    elif direction == 2:
        places = ((4, (RECEIVER, DESTINATION, STATION)), (10, (TRANSMITTER, BSSID)), (16, (SOURCE,)))
        packet.destination, _, packet.source = _addresses(packet, layer, at, limit, *places)
    elif direction == 1:
        places = ((4, (RECEIVER, BSSID)), (10, (TRANSMITTER, SOURCE, STATION)), (16, (DESTINATION,)))
        _, packet.source, packet.destination = _addresses(packet, layer, at, limit, *places)
    else:
        places = ((4, (RECEIVER, DESTINATION)), (10, (TRANSMITTER, SOURCE)), (16, (BSSID,)))
        packet.destination, packet.source, _ = _addresses(packet, layer, at, limit, *places)
    word = _numbered(packet, layer, name, letters, at + 22, limit)
    where = at + (30 if direction == 3 else 24)
    aggregate = False
    if subtype & 8:
        qos = _little(packet, where, 2, limit)
        packet.add_header(
            layer, FROM_ACCESS_POINT if direction == 2 else QUEUED if qos & 16 else DURATION_WANTED, where, limit
        )
        aggregate = bool(qos & 0x80)
        where += 2
        if flags & 0x80:
            packet.add(layer, HT_CONTROL, _little(packet, where, 4, limit), where, 4)
            where += 4
    layer.size = where - at
    if packet.values.get("wlan.padded"):
        where = at + (where - at + 3 & ~3)
    if subtype & 4 or where >= limit:
        return None
    if flags & 0x40:
        return _protected(packet, layer, where, limit)
    if word & 15 or flags & 4:
        packet.info = "Fragmented IEEE 802.11 frame"
        rest = packet.rest(where, limit)
        packet.layer(FRAGMENT_DATA, where, len(rest), f"{len(rest)} bytes").value = rest
        return None
    if aggregate:
        _aggregate(packet, where, limit)
        return None
    return Step((llc,), where, limit)


def _protected(packet: Packet, layer: Item, at: int, limit: int) -> Step:
    """An initialization vector of four bytes, or eight, then what only the stations can read (12.5)."""
    head = packet.take("802.11 cipher", at, 4, limit)
    if not head[3] & 0x20:
        packet.add(layer, WEP_IV, int.from_bytes(head[:3], "big"), at, 3)
        packet.add(layer, WEP_KEY, head[3] >> 6, at + 3, 1)
        if limit - 4 >= at + 4 and limit <= packet.caplen:
            packet.add(layer, WEP_ICV, int.from_bytes(packet.data[limit - 4 : limit], "big"), limit - 4, 4)
            layer.size = at + 4 - layer.start
            return Step((), at + 4, limit - 4)
        return Step((), at + 4, limit)
    high = packet.take("802.11 cipher", at + 4, 4, limit)
    # TKIP repeats its second byte with two bits changed, so that old receivers meet no weak key (12.5.2.6).
    temporal = head[1] == (head[0] | 0x20) & 0x7F
    low = bytes((head[2], head[0])) if temporal else head[:2]
    packet.add(layer, TKIP_IV if temporal else CCMP_IV, f"0x{high[::-1].hex()}{low[::-1].hex()}", at, 8)
    packet.add(layer, WEP_KEY, head[3] >> 6, at + 3, 1)
    return Step((), at + 8, limit)


def _aggregate(packet: Packet, at: int, limit: int) -> None:
    """Several MSDUs with addresses and length of their own, filled up to four bytes (9.3.2.2.2)."""
    layer = packet.layer(AGGREGATE.field, at, packet.end(limit) - at)
    while at < limit:
        head = packet.take("A-MSDU subframe", at, 14, limit)
        size = int.from_bytes(head[12:], "big")
        item = Item(SUBFRAME, None, at, 14, buffer=packet.buffer)
        packet.count(4)
        layer.children.append(item)
        packet.add(item, DESTINATION, head[:6], at, 6)
        packet.add(item, SOURCE, head[6:12], at + 6, 6)
        packet.add(item, SUBFRAME_LENGTH, size, at + 12, 2)
        packet.destination, packet.source = mac(head[:6]), mac(head[6:12])
        end = at + 14 + size
        if size:
            packet.within(item, Step((llc,), at + 14, min(end, limit)))
        packet.check("A-MSDU subframe", at + 14, size, limit)
        at += 14 + size + 3 & ~3


def _little(packet: Packet, at: int, size: int, limit: int) -> int:
    return int.from_bytes(packet.take("802.11", at, size, limit), "little")
