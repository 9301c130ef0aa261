"""Radiotap: what a wireless card says of a frame it received (radiotap.org)."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U64,
    Bit,
    Bits,
    Bytes,
    Field,
    Flags8,
    Flags16,
    Header,
    Hex8,
    Hex16,
    Hex32,
    group,
)
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.dissect.wlan import wlan

RADIOTAP = Header(
    "radiotap",
    "Radiotap Header",
    (U8("version", "Header revision"), U8("pad", "Header pad"), U16("length", "Header length")),
    little=True,
)


def _rate(value: int) -> str:
    return f"{value / 2:g}"


def _signed(value: int) -> str:
    return str(value - 256 if value > 127 else value)


FLAGS = Flags8(
    "flags",
    "Flags",
    Bit(0x01, "flags.cfp", "CFP"),
    Bit(0x02, "flags.preamble", "Short preamble"),
    Bit(0x04, "flags.wep", "WEP"),
    Bit(0x08, "flags.frag", "Fragmentation"),
    Bit(0x10, "flags.fcs", "FCS at end"),
    Bit(0x20, "flags.datapad", "Data Pad"),
    Bit(0x40, "flags.badfcs", "Bad FCS"),
    Bit(0x80, "flags.shortgi", "Short GI"),
)
CHANNEL = (
    U16("channel.freq", "Channel frequency"),
    Flags16(
        "channel.flags",
        "Channel flags",
        Bit(0x0010, "channel.flags.turbo", "Turbo"),
        Bit(0x0020, "channel.flags.cck", "Complementary Code Keying (CCK)"),
        Bit(0x0040, "channel.flags.ofdm", "Orthogonal Frequency-Division Multiplexing (OFDM)"),
        Bit(0x0080, "channel.flags.2ghz", "2 GHz spectrum"),
        Bit(0x0100, "channel.flags.5ghz", "5 GHz spectrum"),
        Bit(0x0200, "channel.flags.passive", "Passive"),
        Bit(0x0400, "channel.flags.dynamic", "Dynamic CCK-OFDM"),
        Bit(0x0800, "channel.flags.gfsk", "Gaussian Frequency Shift Keying (GFSK)"),
    ),
)
MCS = (
    Hex8("mcs.known", "Known MCS information"),
    Flags8(
        "mcs.flags",
        "MCS flags",
        Bits(0x03, "mcs.bw", "Bandwidth", {0: "20 MHz", 1: "40 MHz", 2: "20 MHz lower", 3: "20 MHz upper"}),
        Bits(0x04, "mcs.gi", "Guard interval", {0: "long", 1: "short"}),
        Bits(0x08, "mcs.format", "Format", {0: "mixed", 1: "greenfield"}),
        Bits(0x10, "mcs.fec", "FEC type", {0: "BCC", 1: "LDPC"}),
        Bits(0x60, "mcs.stbc", "STBC streams"),
    ),
    U8("mcs.index", "MCS index"),
)
AMPDU = (
    U32("ampdu.reference", "A-MPDU reference number"),
    Hex16("ampdu.flags", "A-MPDU flags"),
    Bytes("", "Delimiter CRC, reserved", 2),
)
WIDTHS: Final = {0: "20 MHz", 1: "40 MHz", 4: "80 MHz", 11: "160 MHz"}
VHT = (
    Hex16("vht.known", "Known VHT information"),
    Hex8("vht.flags", "VHT flags"),
    U8("vht.bw", "Bandwidth", WIDTHS),
    *(
        Flags8(
            "",
            f"User {user}",
            Bits(0xF0, f"vht.mcs.{user}", f"MCS index {user}"),
            Bits(0x0F, f"vht.nss.{user}", f"Spatial streams {user}"),
        )
        for user in range(4)
    ),
    Hex8("vht.coding", "Coding"),
    U8("vht.gid", "Group Id"),
    U16("vht.p_aid", "Partial AID"),
)
STAMP = (U64("timestamp.ts", "timestamp"), U16("timestamp.accuracy", "accuracy"), Hex8("", "Unit"), Hex8("", "Flags"))

PRESENT: Final[dict[int, tuple[str, str, int, tuple[Field, ...]]]] = {
    0: ("tsft", "TSFT", 8, (U64("mactime", "MAC timestamp"),)),
    1: ("flags", "Flags", 1, (FLAGS,)),
    2: ("rate", "Rate", 1, (U8("datarate", "Data Rate (Mb/s)", plain=_rate),)),
    3: ("channel", "Channel", 2, CHANNEL),
    4: ("fhss", "FHSS", 1, (U8("fhss.hopset", "FHSS Hop Set"), U8("fhss.pattern", "FHSS Pattern"))),
    5: ("dbm_antsignal", "dBm Antenna Signal", 1, (U8("dbm_antsignal", "Antenna signal (dBm)", plain=_signed),)),
    6: ("dbm_antnoise", "dBm Antenna Noise", 1, (U8("dbm_antnoise", "Antenna noise (dBm)", plain=_signed),)),
    7: ("lock_quality", "Lock Quality", 2, (U16("quality", "Signal Quality"),)),
    8: ("tx_attenuation", "TX Attenuation", 2, (U16("txattenuation", "TX attenuation"),)),
    9: ("db_tx_attenuation", "dB TX Attenuation", 2, (U16("db_txattenuation", "TX attenuation (dB)"),)),
    10: ("dbm_tx_power", "dBm TX Power", 1, (U8("txpower", "TX power (dBm)", plain=_signed),)),
    11: ("antenna", "Antenna", 1, (U8("antenna", "Antenna"),)),
    12: ("db_antsignal", "dB Antenna Signal", 1, (U8("db_antsignal", "SSI Signal (dB)"),)),
    13: ("db_antnoise", "dB Antenna Noise", 1, (U8("db_antnoise", "SSI Noise (dB)"),)),
    14: ("rxflags", "RX flags", 2, (Flags16("rxflags", "RX flags", Bit(0x0002, "rxflags.badplcp", "Bad PLCP")),)),
    15: ("txflags", "TX flags", 2, (Hex16("txflags", "TX flags"),)),
    17: ("data_retries", "data retries", 1, (U8("data_retries", "data retries"),)),
    18: (
        "xchannel",
        "Channel+",
        4,
        (
            Hex32("xchannel.flags", "Channel flags"),
            U16("xchannel.freq", "Channel frequency"),
            U8("xchannel.channel", "Channel number"),
            U8("xchannel.max_power", "Max power"),
        ),
    ),
    19: ("mcs", "MCS information", 1, MCS),
    20: ("ampdu", "A-MPDU Status", 4, AMPDU),
    21: ("vht", "VHT information", 2, VHT),
    22: ("timestamp", "frame timestamp", 8, STAMP),
    23: ("he", "HE information", 2, tuple(Hex16(f"he.data_{index}", f"HE Data {index}") for index in range(1, 7))),
    24: ("he_mu", "HE-MU information", 2, (Bytes("", "HE-MU information", 12),)),
    26: ("0_length.psdu", "0 Length PSDU", 1, (Hex8("0_length_psdu.type", "Type"),)),
    27: ("l_sig", "L-SIG", 2, (Hex16("l_sig.data1", "Data1"), Hex16("l_sig.data2", "Data2"))),
}
"""By bit of the present word: what it announces, how it is aligned, its fields."""

HEADERS: Final = {
    bit: Header("radiotap", label, rows, name="", little=True) for bit, (_, label, _, rows) in PRESENT.items()
}
PRESENT_BITS: Final = Header(
    "radiotap.present",
    "Present flags",
    (
        Field(
            "word",
            "Present flags word",
            plain="0x{:08x}".format,
            code="I",
            size=4,
            bits=(
                *(Bit(1 << bit, name, label) for bit, (name, label, _, _) in PRESENT.items()),
                Bit(1 << 28, "tlv", "TLVs"),
                Bit(1 << 29, "rtap_ns", "Radiotap NS next"),
                Bit(1 << 30, "vendor_ns", "Vendor NS next"),
                Bit(1 << 31, "ext", "Ext"),
            ),
        ),
    ),
    little=True,
)
GROUPS: Final = {bit: group(f"radiotap.{PRESENT[bit][0]}", PRESENT[bit][1]) for bit in (19, 20, 21, 22, 23, 27)}
"""What has a heading of its own."""
FCS, PADDED = 0x10, 0x20
MAX_WORDS: Final = 32
VENDOR, MORE = 1 << 30, 1 << 31


@on("linktype", 127)
def radiotap(packet: Packet, at: int, limit: int) -> Step | None:
    """Words of bits announce fields that follow, each aligned from the header's start to its own size."""
    packet.column("radiotap")
    layer, (version, _, length) = packet.open(RADIOTAP, at, limit)
    layer.said = f"v{version}, Length {length}"
    if length < RADIOTAP.size + 4:
        raise Malformed(f"Radiotap length {length}, must be at least {RADIOTAP.size + 4}", at + 2)
    end = at + length
    packet.check("Radiotap", at, length, limit)
    layer.size = length
    where = at + RADIOTAP.size
    words: list[int] = []
    heading = packet.add(layer, PRESENT_BITS.field, None, where, 4)
    while not words or words[-1] & MORE:
        if len(words) == MAX_WORDS:
            raise Malformed(f"Radiotap: more than {MAX_WORDS} present words", where)
        words += packet.add_header(heading, PRESENT_BITS, where, end)
        where += 4
        heading.size = 4 * len(words)
    flags = 0
    for word in words:
        for bit in range(29):
            if not word >> bit & 1:
                continue
            known = HEADERS.get(bit)
            if known is None or where >= end:
                # How long it is nobody knows here: the rest of the fields cannot be found.
                words.clear()
                break
            align = PRESENT[bit][2]
            where += -(where - at) % align
            parent = layer
            if bit in GROUPS:
                parent = packet.add(layer, GROUPS[bit], None, where, known.size)
            values = packet.add_header(parent, known, where, end)
            if bit == 1:
                flags = values[0]
            where += known.size
        if not words or word & VENDOR:
            break
    packet.values["wlan.fcs"] = bool(flags & FCS)
    packet.values["wlan.padded"] = bool(flags & PADDED)
    return Step((wlan,), end, limit)
