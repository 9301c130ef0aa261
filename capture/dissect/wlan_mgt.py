"""Management frames of IEEE 802.11: fixed parameters and elements (802.11-2020, 9.3.3 and 9.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    U64,
    Bit,
    Bits,
    Field,
    Flags8,
    Flags16,
    Flags32,
    Header,
    Hex8,
    Hex16,
    Item,
    Mac,
    Packed16,
    Text,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.dissect.wlan_names import AKM_SUITES, ALGORITHMS, CATEGORIES, CIPHERS, REASONS, STATUSES, TAGS
from netwatch.capture.text import escape, mac

MANAGEMENT = Header("wlan.mgt", "IEEE 802.11 Wireless Management", ())
FIXED, TAGGED = group("wlan.fixed.all", "Fixed parameters"), group("wlan.tagged.all", "Tagged parameters")


def _interval(value: int) -> str:
    """Time units of 1.024 ms."""
    return f"{value * 0.001024:g}"


CAPABILITIES = Flags16(
    "capabilities",
    "Capabilities Information",
    Bit(0x0001, "capabilities.ess", "ESS capabilities"),
    Bit(0x0002, "capabilities.ibss", "IBSS status"),
    Bit(0x0010, "capabilities.privacy", "Privacy"),
    Bit(0x0020, "capabilities.short_preamble", "Short Preamble"),
    Bit(0x0100, "capabilities.spec_man", "Spectrum Management"),
    Bit(0x0200, "capabilities.qos", "QoS"),
    Bit(0x0400, "capabilities.short_slot_time", "Short Slot Time"),
    Bit(0x0800, "capabilities.apsd", "Automatic Power Save Delivery"),
    Bit(0x1000, "capabilities.radio_measurement", "Radio Measurement"),
    Bit(0x2000, "capabilities.epd", "EPD"),
)
TIMESTAMP, BEACON = U64("timestamp", "Timestamp"), U16("beacon", "Beacon Interval (s)", form=_interval)
LISTEN = Hex16("listen_ival", "Listen Interval")
STATUS, REASON = Hex16("status_code", "Status code", STATUSES), Hex16("reason_code", "Reason code", REASONS)


def _fixed(*rows: Field) -> Header:
    return Header("wlan.fixed", "Fixed parameters", rows, name="", little=True)


BEACON_HEAD = _fixed(TIMESTAMP, BEACON, CAPABILITIES)
ANSWER = _fixed(CAPABILITIES, STATUS, Packed16(Bits(0x3FFF, "aid", "Association ID", digits=4)))
FIXED_HEADS: Final = {
    0: _fixed(CAPABILITIES, LISTEN),
    1: ANSWER,
    2: _fixed(CAPABILITIES, LISTEN, Mac("current_ap", "Current AP")),
    3: ANSWER,
    5: BEACON_HEAD,
    8: BEACON_HEAD,
    10: _fixed(REASON),
    11: _fixed(
        U16("auth.alg", "Authentication Algorithm", ALGORITHMS), Hex16("auth_seq", "Authentication SEQ"), STATUS
    ),
    12: _fixed(REASON),
    13: _fixed(U8("category_code", "Category code", CATEGORIES)),
    14: _fixed(U8("category_code", "Category code", CATEGORIES)),
}
"""By subtype, what stands before the elements."""
ACTION, PUBLIC_ACTION = (
    number("wlan.fixed.action_code", "Action code"),
    number("wlan.fixed.publicact", "Public Action"),
)
TOKEN, TIMEOUT = Hex8("dialog_token", "Dialog token"), Hex16("batimeout", "Block Ack Timeout")
AGREEMENT = Flags16(
    "baparams",
    "Block Ack Parameters",
    Bit(0x0001, "baparams.amsdu", "A-MSDUs"),
    Bit(0x0002, "baparams.policy", "Block Ack Policy"),
    Bits(0x003C, "baparams.tid", "Traffic Identifier", digits=1),
    Bits(0xFFC0, "baparams.buffersize", "Number of Buffers"),
)
BLOCK_ACK_CATEGORY: Final = 3
AGREEMENTS: Final = {0: _fixed(TOKEN, AGREEMENT, TIMEOUT), 1: _fixed(TOKEN, STATUS, AGREEMENT, TIMEOUT)}
SAE, OPEN = 3, frozenset({0, 1, 2})

Shown = Callable[[Packet, Item, bytes, int], None]
"""(packet, the element's line, its value, offset of the value)."""

TAG = group("wlan.tag", "Tag")
TAG_NUMBER, TAG_LENGTH = number("wlan.tag.number", "Tag Number", TAGS), number("wlan.tag.length", "Tag length")
TAG_DATA = octets("wlan.tag.data", "Tag data")
EXTENSION = number("wlan.ext_tag.number", "Ext Tag Number")
SSID = octets("wlan.ssid", "SSID")


def _frame(subtype: int) -> None:
    @on("wlan.mgt", subtype)
    def management(packet: Packet, at: int, limit: int) -> Step | None:
        """Fixed parameters as the subtype has them, then elements of type, length and value."""
        return _show(packet, packet.layer(MANAGEMENT.field, at, 0), subtype, at, limit)


for _subtype in (*FIXED_HEADS, 4):
    _frame(_subtype)


def _show(packet: Packet, layer: Item, subtype: int, at: int, limit: int) -> Step | None:
    head = FIXED_HEADS.get(subtype)
    if head is not None:
        fixed = packet.add(layer, FIXED, None, at, head.size, f"({head.size} bytes)")
        values = packet.add_header(fixed, head, at, limit)
        layer.size = head.size
        at += head.size
        if head is BEACON_HEAD:
            packet.info += f", BI={values[1]}"
        if subtype in (13, 14):
            return _action(packet, layer, fixed, values[0], at, limit)
        if subtype == 11 and values[0] not in OPEN:
            return Step((), at, limit)
    if at < limit:
        _tags(packet, layer, at, limit)
    return None


def _action(packet: Packet, layer: Item, fixed: Item, category: int, at: int, limit: int) -> Step:
    """A category's code and, of an agreement on block acknowledgements, what is agreed on."""
    if category in (126, 127) or at >= limit:
        return Step((), at, limit)
    code = packet.uint("802.11 action", at, 1, limit)
    packet.add(fixed, PUBLIC_ACTION if category in (4, 9) else ACTION, code, at, 1)
    at += 1
    head = AGREEMENTS.get(code) if category == BLOCK_ACK_CATEGORY else None
    if head is not None:
        token, *_ = packet.add_header(fixed, head, at, limit)
        packet.info += f", Dialog Token={token}"
        at += head.size
    layer.size = at - layer.start
    return Step((), at, limit)


def _tags(packet: Packet, layer: Item, at: int, limit: int) -> None:
    tagged = packet.add(layer, TAGGED, None, at, packet.end(limit) - at, f"({limit - at} bytes)")
    layer.size = packet.end(limit) - layer.start
    elements(packet, tagged, at, limit)


def elements(packet: Packet, parent: Item, at: int, limit: int) -> None:
    """Elements of type, length and value from `at` to `limit`."""
    while at < limit:
        kind, size = packet.uint("802.11 element", at, 1, limit), packet.uint("802.11 element", at + 1, 1, limit)
        value = packet.take(f"802.11 element {kind}", at + 2, size, limit)
        item = packet.add(parent, TAG, None, at, 2 + size, TAGS.get(kind, f"Reserved ({kind})"))
        packet.add(item, TAG_NUMBER, kind, at, 1)
        packet.add(item, TAG_LENGTH, size, at + 1, 1)
        show = ELEMENTS.get(kind)
        if show is not None:
            show(packet, item, value, at + 2)
        elif size:
            packet.add(item, TAG_DATA, value, at + 2, size)
        at += 2 + size


# The elements


def _ssid(packet: Packet, item: Item, value: bytes, at: int) -> None:
    """Any bytes; none: every network. What does not read as text stands in hexadecimal."""
    said = value.decode("utf-8", "replace")
    shown = f'"{escape(value)}"' if said.isprintable() and "\ufffd" not in said else value.hex()
    shown = shown if value else "Wildcard (Broadcast)"
    packet.add(item, SSID, value, at, len(value), shown)
    item.said = f"SSID parameter set: {shown}"
    packet.info += f", SSID={shown}"


RATES: Final = {
    1: number("wlan.supported_rates", "Supported Rates"),
    50: number("wlan.extended_supported_rates", "Extended Supported Rates"),
}
SELECTORS: Final = {0xFF: "BSS requires support for mandatory features of HT PHY (IEEE 802.11 - Clause 20)"}


def _rates(kind: int) -> Shown:
    field = RATES[kind]

    def show(packet: Packet, item: Item, value: bytes, at: int) -> None:
        """Units of 500 kb/s; the highest bit: whoever joins must know it."""
        said = [SELECTORS.get(rate, f"{(rate & 0x7F) / 2:g}{'(B)' if rate & 0x80 else ''}") for rate in value]
        for index, rate in enumerate(value):
            packet.add(item, field, rate, at + index, 1, f"{said[index]} (0x{rate:02x})")
        item.said = f"{field.label} {', '.join(said)}, [Mbit/sec]"

    return show


CHANNEL = number("wlan.ds.current_channel", "Current Channel")


def _channel(packet: Packet, item: Item, value: bytes, at: int) -> None:
    if value:
        packet.add(item, CHANNEL, value[0], at, 1)
        item.said = f"DS Parameter set: Current Channel: {value[0]}"


TIM = Header(
    "wlan.tim",
    "TIM",
    (
        U8("dtim_count", "DTIM count"),
        U8("dtim_period", "DTIM period"),
        Flags8(
            "bmapctl",
            "Bitmap control",
            Bit(0x01, "bmapctl.multicast", "Multicast"),
            Bits(0xFE, "bmapctl.offset", "Bitmap Offset", digits=2),
        ),
    ),
    name="",
)
TIM_BITMAP = octets("wlan.tim.partial_virtual_bitmap", "Partial Virtual Bitmap")


def _tim(packet: Packet, item: Item, value: bytes, at: int) -> None:
    count, period, _ = packet.add_header(item, TIM, at, at + len(value))
    if len(value) > TIM.size:
        packet.add(item, TIM_BITMAP, value[TIM.size :], at + TIM.size, len(value) - TIM.size)
    item.said = f"Traffic Indication Map (TIM): DTIM {count} of {period} bitmap"


COUNTRY = Header(
    "wlan.country_info",
    "Country Information",
    (
        Text("code", "Code", 2),
        U8("environment", "Environment", {ord(" "): "All", ord("O"): "Outdoor", ord("I"): "Indoor", 4: "Global"}),
    ),
    name="",
)
CHANNELS = Header(
    "wlan.country_info.fnm",
    "Country Info",
    (
        U8("fcn", "First Channel Number"),
        U8("nc", "Number of Channels"),
        U8("mtpl", "Maximum Transmit Power Level (dBm)"),
    ),
)


def _country(packet: Packet, item: Item, value: bytes, at: int) -> None:
    end = at + len(value)
    code, _ = packet.add_header(item, COUNTRY, at, end)
    item.said = f"Country Information: Country Code {escape(code)}"
    for where in range(at + COUNTRY.size, end - 2, CHANNELS.size):
        packet.add_header(packet.add(item, CHANNELS.field, None, where, 3), CHANNELS, where, end)


ERP = Header(
    "wlan",
    "ERP",
    (
        Flags8(
            "erp_info",
            "ERP Information",
            Bit(0x01, "erp_info.erp_present", "Non ERP Present"),
            Bit(0x02, "erp_info.use_protection", "Use Protection"),
            Bit(0x04, "erp_info.barker_preamble_mode", "Barker Preamble Mode"),
        ),
    ),
    name="",
)
LOAD = Header(
    "wlan.qbss",
    "QBSS Load",
    (U16("scount", "Station Count"), U8("cu", "Channel Utilization"), U16("adc", "Available Admission Capacity")),
    name="",
    little=True,
)
SWITCH = Header(
    "wlan.csa",
    "Channel Switch",
    (
        U8("channel_switch_mode", "Channel Switch Mode"),
        U8("new_channel_number", "New Channel Number"),
        U8("channel_switch.count", "Channel Switch Count"),
    ),
    name="",
)
HT = Header(
    "wlan.ht",
    "HT Capabilities",
    (
        Flags16(
            "capabilities",
            "HT Capabilities Info",
            Bit(0x0001, "capabilities.ldpccoding", "HT LDPC coding capability"),
            Bit(0x0002, "capabilities.width", "HT Support channel width"),
            Bits(0x000C, "capabilities.sm", "HT SM Power Save", digits=1),
            Bit(0x0010, "capabilities.green", "HT Green Field"),
            Bit(0x0020, "capabilities.short20", "HT Short GI for 20MHz"),
            Bit(0x0040, "capabilities.short40", "HT Short GI for 40MHz"),
            Bit(0x0080, "capabilities.txstbc", "HT Tx STBC"),
            Bits(0x0300, "capabilities.rxstbc", "HT Rx STBC", digits=1),
            Bit(0x0400, "capabilities.delayedblockack", "HT Delayed Block ACK"),
            Bit(0x0800, "capabilities.amsdu", "HT Max A-MSDU length"),
            Bit(0x1000, "capabilities.dsscck", "HT DSSS/CCK mode in 40MHz"),
            Bit(0x2000, "capabilities.psmp", "HT PSMP Support"),
            Bit(0x4000, "capabilities.40mhzintolerant", "HT Forty MHz Intolerant"),
            Bit(0x8000, "capabilities.lsig", "HT L-SIG TXOP Protection support"),
        ),
        Flags8(
            "ampduparam",
            "A-MPDU Parameters",
            Bits(0x03, "ampduparam.maxlength", "Maximum Rx A-MPDU Length", digits=1),
            Bits(0x1C, "ampduparam.mpdudensity", "MPDU Density", digits=1),
        ),
    ),
    name="",
    little=True,
)
HT_INFO = Header("wlan.ht.info", "HT Information", (U8("primarychannel", "Primary Channel"),), name="")
VHT = Header(
    "wlan.vht",
    "VHT Capabilities",
    (
        Flags32(
            "capabilities",
            "VHT Capabilities Info",
            Bits(0x00000003, "capabilities.maxmpdulength", "Maximum MPDU Length", digits=1),
            Bits(0x0000000C, "capabilities.supportedchanwidthset", "Supported Channel Width Set", digits=1),
            Bit(0x00000010, "capabilities.rxldpc", "Rx LDPC"),
            Bit(0x00000020, "capabilities.short80", "Short GI for 80MHz/TVHT_MODE_4C"),
            Bit(0x00000040, "capabilities.short160", "Short GI for 160MHz and 80+80MHz"),
            Bit(0x00000080, "capabilities.txstbc", "Tx STBC"),
            Bits(0x00000700, "capabilities.rxstbc", "Rx STBC", digits=1),
            Bit(0x00000800, "capabilities.subeamformer", "SU Beamformer Capable"),
            Bit(0x00001000, "capabilities.subeamformee", "SU Beamformee Capable"),
            Bit(0x00080000, "capabilities.mubeamformer", "MU Beamformer Capable"),
            Bit(0x00100000, "capabilities.mubeamformee", "MU Beamformee Capable"),
        ),
    ),
    name="",
    little=True,
)
WIDTHS = {0: "20 MHz or 40 MHz", 1: "80 MHz, 160 MHz or 80+80 MHz BSS Bandwidth", 2: "160 MHz", 3: "80+80 MHz"}
VHT_OPERATION = Header(
    "wlan.vht.op",
    "VHT Operation",
    (
        U8("channelwidth", "Channel Width", WIDTHS),
        U8("channelcenter0", "Channel Center Segment 0"),
        U8("channelcenter1", "Channel Center Segment 1"),
        Hex16("basicmcsmap", "Basic MCS Map"),
    ),
    name="",
    little=True,
)


def _head(header: Header) -> Shown:
    """An element that begins with these fields; what follows them is bytes."""

    def show(packet: Packet, item: Item, value: bytes, at: int) -> None:
        packet.add_header(item, header, at, at + len(value))
        if len(value) > header.size:
            packet.add(item, TAG_DATA, value[header.size :], at + header.size, len(value) - header.size)

    return show


class Suites:
    """Fields of a list of cipher or key management suites: four bytes each, an organisation and a number."""

    def __init__(self, prefix: str, label: str, names: dict[int, str], kind: str = "") -> None:
        self.label, self.names = label, names
        self.suite = number(prefix, label)
        self.organisation = number(f"{prefix}.oui", f"{label} OUI")
        self.type = number(kind or f"{prefix}.type", f"{label} type", names)
        self.count = number(f"{prefix}.count", f"{label} Count")

    def show(self, packet: Packet, parent: Item, at: int, end: int) -> None:
        """One suite."""
        value = packet.take("Suite", at, 4, end)
        name = self.names.get(value[3], f"Unknown {value[3]}")
        item = packet.add(parent, self.suite, int.from_bytes(value, "big"), at, 4, f"{mac(value[:3])} {name}")
        packet.add(item, self.organisation, int.from_bytes(value[:3], "big"), at, 3, mac(value[:3]))
        packet.add(item, self.type, value[3], at + 3, 1)

    def list(self, packet: Packet, parent: Item, at: int, end: int) -> int:
        """A count and as many suites -> where they end."""
        count = int.from_bytes(packet.take("Suites", at, 2, end), "little")
        packet.add(parent, self.count, count, at, 2)
        for where in range(at + 2, at + 2 + 4 * count, 4):
            self.show(packet, parent, where, end)
        return at + 2 + 4 * count


VERSION = number("wlan.rsn.version", "RSN Version")
GROUP_CIPHER, PAIRWISE, KEYS, GROUP_MANAGEMENT = (
    Suites("wlan.rsn.gcs", "Group Cipher Suite", CIPHERS),
    Suites("wlan.rsn.pcs", "Pairwise Cipher Suite", CIPHERS),
    Suites("wlan.rsn.akms", "Auth Key Management (AKM) Suite", AKM_SUITES),
    Suites("wlan.rsn.gmcs", "Group Management Cipher Suite", CIPHERS),
)
RSN_CAPABILITIES = Header(
    "wlan.rsn",
    "RSN Capabilities",
    (
        Flags16(
            "capabilities",
            "RSN Capabilities",
            Bit(0x0001, "capabilities.preauth", "RSN Pre-Auth capabilities"),
            Bit(0x0002, "capabilities.no_pairwise", "RSN No Pairwise capabilities"),
            Bits(0x000C, "capabilities.ptksa_replay_counter", "RSN PTKSA Replay Counter capabilities", digits=4),
            Bits(0x0030, "capabilities.gtksa_replay_counter", "RSN GTKSA Replay Counter capabilities", digits=4),
            Bit(0x0040, "capabilities.mfpr", "Management Frame Protection Required"),
            Bit(0x0080, "capabilities.mfpc", "Management Frame Protection Capable"),
            Bit(0x0100, "capabilities.jmr", "Joint Multi-band RSNA"),
            Bit(0x0200, "capabilities.peerkey", "PeerKey Enabled"),
            Bit(0x2000, "capabilities.extended_key_id_iaf", "Extended Key ID for Individually Addressed Frames"),
        ),
    ),
    name="",
    little=True,
)
PMKID_COUNT, PMKID = number("wlan.rsn.pmkid.count", "PMKID Count"), octets("wlan.rsn.pmkid", "PMKID")


def _rsn(packet: Packet, item: Item, value: bytes, at: int) -> None:
    """It may end after each of its parts (9.4.2.24)."""
    end = at + len(value)
    packet.add(item, VERSION, int.from_bytes(packet.take("RSN", at, 2, end), "little"), at, 2)
    at += 2
    if at >= end:
        return
    GROUP_CIPHER.show(packet, item, at, end)
    at += 4
    for suites in (PAIRWISE, KEYS):
        if at >= end:
            return
        at = suites.list(packet, item, at, end)
    if at >= end:
        return
    packet.add_header(item, RSN_CAPABILITIES, at, end)
    at += 2
    if at >= end:
        return
    count = int.from_bytes(packet.take("RSN", at, 2, end), "little")
    packet.add(item, PMKID_COUNT, count, at, 2)
    at += 2
    for _ in range(count):
        packet.add(item, PMKID, packet.take("PMKID", at, 16, end), at, 16)
        at += 16
    if at < end:
        GROUP_MANAGEMENT.show(packet, item, at, end)


def _oui(value: int) -> str:
    return mac(value.to_bytes(3, "big"))


MICROSOFT: Final = 0x0050F2
VENDOR = Header(
    "wlan.tag", "Vendor Specific", (U24("oui", "OUI", form=_oui), U8("vendor.oui.type", "Vendor Specific OUI Type"))
)
VENDORS: Final = {
    b"\x00\x50\xf2": "Microsoft Corp.",
    b"\x50\x6f\x9a": "Wi-Fi Alliance",
    b"\x00\x0f\xac": "IEEE 802.11",
}
MICROSOFT_TYPES: Final = {1: "WPA Information Element", 2: "WMM/WME", 4: "WPS"}
WPA_VERSION = number("wlan.wfa.ie.wpa.version", "WPA Version")
WPA_GROUP, WPA_PAIRWISE, WPA_KEYS = (
    Suites("wlan.wfa.ie.wpa.mcs", "Multicast Cipher Suite", CIPHERS),
    Suites("wlan.wfa.ie.wpa.ucs", "Unicast Cipher Suite", CIPHERS),
    Suites("wlan.wfa.ie.wpa.akms", "Auth Key Management (AKM) Suite", AKM_SUITES, "wlan.wfa.ie.wpa.type"),
)
VENDOR_DATA = octets("wlan.tag.vendor.data", "Vendor Specific Data")


def _vendor(packet: Packet, item: Item, value: bytes, at: int) -> None:
    end = at + len(value)
    if len(value) < VENDOR.size:
        packet.add(item, TAG_DATA, value, at, len(value))
        return
    vendor, kind = packet.add_header(item, VENDOR, at, end)
    item.said = f"Vendor Specific: {VENDORS.get(vendor, _oui(vendor))}"
    start = at + VENDOR.size
    microsoft = vendor == MICROSOFT
    if microsoft:
        item.said += f": {MICROSOFT_TYPES.get(kind, f'type {kind}')}"
    if microsoft and kind == 1 and len(value) >= 10:
        packet.add(item, WPA_VERSION, int.from_bytes(value[4:6], "little"), start, 2)
        WPA_GROUP.show(packet, item, start + 2, end)
        start += 6
        for suites in (WPA_PAIRWISE, WPA_KEYS):
            if start < end:
                start = suites.list(packet, item, start, end)
    elif start < end:
        packet.add(item, VENDOR_DATA, packet.data[start:end], start, end - start)


def _extension(packet: Packet, item: Item, value: bytes, at: int) -> None:
    if value:
        packet.add(item, EXTENSION, value[0], at, 1)
        item.said = f"Ext Tag: {EXTENSIONS.get(value[0], value[0])}"
    if len(value) > 1:
        packet.add(item, TAG_DATA, value[1:], at + 1, len(value) - 1)


EXTENSIONS: Final = {
    35: "HE Capabilities",
    36: "HE Operation",
    38: "MU EDCA Parameter Set",
    59: "HE 6 GHz Band Capabilities",
}

ELEMENTS: Final[dict[int, Shown]] = {
    0: _ssid,
    1: _rates(1),
    3: _channel,
    5: _tim,
    7: _country,
    11: _head(LOAD),
    37: _head(SWITCH),
    42: _head(ERP),
    45: _head(HT),
    48: _rsn,
    50: _rates(50),
    61: _head(HT_INFO),
    191: _head(VHT),
    192: _head(VHT_OPERATION),
    221: _vendor,
    255: _extension,
}
