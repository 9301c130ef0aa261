"""What else captures put before an 802.11 frame: PPI, the Prism monitoring header, AVS."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U64,
    Bit,
    Field,
    Flags8,
    Flags16,
    Header,
    Hex16,
    Hex32,
    Text,
    octets,
)
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.dissect.wlan import wlan

PPI = Header(
    "ppi",
    "PPI",
    (
        U8("version", "Version"),
        Flags8("flags", "Flags", Bit(0x01, "flags.alignment", "Alignment")),
        U16("length", "Header length"),
        U32("dlt", "DLT"),
    ),
    little=True,
)
PPI_TYPES = {2: "802.11-Common", 3: "802.11n MAC Extensions", 4: "802.11n MAC+PHY Extensions", 5: "Spectrum-Map"}
PPI_FIELD = Header(
    "ppi",
    "Field",
    (U16("field_type", "Field type", PPI_TYPES), U16("field_len", "Field length")),
    name="",
    little=True,
)


def _signed(value: int) -> str:
    return str(value - 256 if value > 127 else value)


def _rate(value: int) -> str:
    return str(value * 500)


def _bits(value: int) -> str:
    """Units of 100 kb/s."""
    return str(value * 100_000)


COMMON = Header(
    "ppi.80211-common",
    "802.11-Common",
    (
        U64("tsft", "TSFT"),
        Flags16(
            "flags",
            "Flags",
            Bit(0x0001, "flags.fcs", "FCS present flag"),
            Bit(0x0002, "flags.tsft", "TSFT flag"),
            Bit(0x0004, "flags.fcs-invalid", "FCS validity"),
            Bit(0x0008, "flags.phy-err", "PHY error flag"),
        ),
        U16("rate", "Rate (kb/s)", plain=_rate),
        U16("chan.freq", "Channel frequency"),
        Hex16("chan.flags", "Channel flags"),
        U8("fhss.hopset", "FHSS hopset"),
        U8("fhss.pattern", "FHSS pattern"),
        U8("dbm.antsignal", "dBm antenna signal", plain=_signed),
        U8("dbm.antnoise", "dBm antenna noise", plain=_signed),
    ),
    name="",
    little=True,
)
PPI_DATA = octets("", "Data")


@on("linktype", 192)
def ppi(packet: Packet, at: int, limit: int) -> Step | None:
    """Fields of type and length, then a packet of the link type that the head names (CACE PPI 1.0.10)."""
    packet.column("ppi")
    layer, (version, flags, length, linktype) = packet.open(PPI, at, limit)
    layer.said = f"version {version}, {length} bytes"
    if length < PPI.size:
        raise Malformed(f"PPI length {length}, must be at least {PPI.size}", at + 2)
    end = at + length
    packet.check("PPI", at, length, limit)
    layer.size = length
    where = at + PPI.size
    while where < end:
        item = packet.add(layer, PPI_FIELD.field, None, where, 4)
        kind, size = packet.add_header(item, PPI_FIELD, where, end)
        body = where + PPI_FIELD.size
        value = packet.take("PPI field", body, size, end)
        item.said, item.size = PPI_TYPES.get(kind, f"type {kind}"), 4 + size
        if kind == 2 and size >= COMMON.size:
            _, word, *_ = packet.add_header(item, COMMON, body, body + size)
            packet.values["wlan.fcs"] = bool(word & 1)
        elif size:
            packet.add(item, PPI_DATA, value, body, size)
        # With the alignment flag, fields begin at multiples of four.
        where = body + size + (-(body + size - at) % 4 if flags & 1 else 0)
    return step("linktype", linktype, end, limit)


PRISM = Header(
    "prism",
    "Prism capture header",
    (Hex32("msgcode", "Message Code"), U32("msglen", "Message Length"), Text("devname", "Device Name", 16)),
    little=True,
)
PRISM_NAMES = (
    "Host Time",
    "MAC Time",
    "Channel",
    "RSSI",
    "SQ",
    "Signal",
    "Noise",
    "Rate",
    "Is Tx",
    "Frame Length",
)
DIDS = {
    **{0x00010044 + (index << 16): name for index, name in enumerate(PRISM_NAMES)},
    **{0x00001041 + (index << 12): name for index, name in enumerate(PRISM_NAMES)},
}
"""As the first driver numbered them, and as others with the index in other bits."""
DID = Header(
    "prism.did",
    "DID",
    (
        Hex32("type", "DID", DIDS),
        U16("status", "Status", {0: "Supplied", 1: "Not Supplied"}),
        U16("length", "Length"),
        U32("", "Value"),
    ),
    little=True,
)
PRISM_CODES = frozenset({0x0044, 0x0041})
AVS_MAGIC = 0x80211001


@on("linktype", 119)
def prism(packet: Packet, at: int, limit: int) -> Step | None:
    """Items of 12 bytes behind a name; some drivers put the AVS header under this link type, or none."""
    if packet.rest(at, at + 4) == AVS_MAGIC.to_bytes(4, "big"):
        return avs(packet, at, limit)
    if int.from_bytes(packet.rest(at, at + 4), "little") & 0xFFFF not in PRISM_CODES:
        return wlan(packet, at, limit)
    packet.column("prism")
    layer, (_, length, _) = packet.open(PRISM, at, limit)
    if length < PRISM.size:
        raise Malformed(f"Prism length {length}, must be at least {PRISM.size}", at + 4)
    packet.check("Prism", at, length, limit)
    end = at + length
    for where in range(at + PRISM.size, end - DID.size + 1, DID.size):
        item = packet.add(layer, DID.field, None, where, DID.size)
        kind, _, _, value = packet.add_header(item, DID, where, end)
        item.said = f"{DIDS.get(kind, f'0x{kind:08x}')} {value}"
    layer.size = length
    return Step((wlan,), end, limit)


AVS = Header(
    "wlancap",
    "AVS WLAN Capture header",
    (
        Hex32("", "Magic and version"),
        U32("length", "Header length"),
        U64("mactime", "MAC timestamp"),
        U64("hosttime", "Host timestamp"),
        U32("phytype", "PHY type"),
        U32("channel", "Channel"),
        U32("data_rate", "Data Rate (b/s)", plain=_bits),
        U32("antenna", "Antenna"),
        U32("priority", "Priority"),
        U32("ssi_type", "SSI Type", {0: "None", 1: "Normalized RSSI", 2: "dBm", 3: "Raw RSSI"}),
        Field("", "SSI Signal", code="i", size=4),
        Field("", "SSI Noise", code="i", size=4),
        U32("preamble", "Preamble", {0: "Unknown", 1: "Short preamble", 2: "Long preamble"}),
        U32("encoding", "Encoding Type", {0: "Unknown", 1: "CCK", 2: "PBCC", 3: "OFDM"}),
    ),
)


@on("linktype", 163)
def avs(packet: Packet, at: int, limit: int) -> Step | None:
    """Fixed fields, whose number grows with the version; the length is right in each."""
    packet.column("wlancap")
    layer, (magic, length, *_) = packet.open(AVS, at, limit)
    layer.said = f"version {magic & 15}"
    if length < AVS.size:
        raise Malformed(f"AVS length {length}, must be at least {AVS.size}", at + 4)
    packet.check("AVS", at, length, limit)
    layer.size = length
    return Step((wlan,), at + length, limit)
