"""Logical link control and SNAP (IEEE 802.2, 802 clause 9)."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import U24, Bit, Bits, Field, Flags8, Header, Hex16, Item
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

SAPS = {
    0x00: "NULL LSAP",
    0x02: "LLC Sub-Layer Management",
    0x04: "SNA Path Control",
    0x06: "TCP/IP",
    0x08: "SNA",
    0x0C: "SNA",
    0x0E: "PROWAY (IEC955) Network Management and Initialization",
    0x10: "NetWare (unofficial?)",
    0x14: "ISO Network Layer (OSLAN 1)",
    0x18: "Texas Instruments",
    0x20: "ISO Network Layer (unofficial?)",
    0x34: "ISO Network Layer (unofficial?)",
    0x42: "Spanning Tree BPDU",
    0x4E: "EIA RS-511 Manufacturing Message Service",
    0x54: "ISO Network Layer (OSLAN 2)",
    0x7E: "ISO 8208 (X.25 over 802.2)",
    0x80: "XNS",
    0x82: "BACnet",
    0x86: "Nestar",
    0x8E: "PROWAY (IEC955) Active Station List Maintenance",
    0x98: "ARP",
    0xAA: "SNAP",
    0xB4: "HP JetDirect Printer",
    0xBA: "Banyan Vines",
    0xBC: "Banyan Vines",
    0xE0: "NetWare",
    0xF0: "NetBIOS",
    0xF4: "IBM Net Management",
    0xF8: "HP Extended LLC",
    0xFA: "Ungermann-Bass",
    0xFC: "Remote Program Load",
    0xFE: "ISO Network Layer",
    0xFF: "Global LSAP",
}


def _name(value: int) -> str:
    return SAPS.get(value, "Unknown")


LLC = Header(
    "llc",
    "Logical-Link Control",
    (
        Flags8(
            "dsap",
            "DSAP",
            Bits(0xFE, "dsap.sap", "SAP"),
            Bits(0x01, "dsap.ig", "IG Bit", {0: "Individual", 1: "Group"}),
        ),
        Flags8(
            "ssap",
            "SSAP",
            Bits(0xFE, "ssap.sap", "SAP"),
            Bits(0x01, "ssap.cr", "CR Bit", {0: "Command", 1: "Response"}),
        ),
    ),
)
UNNUMBERED = {
    0x00: "Unnumbered Information",
    0x01: "Set Initialization Mode",
    0x08: "Unnumbered Poll",
    0x10: "Disconnect",
    0x18: "Unnumbered Acknowledge",
    0x1B: "Set Asynchronous Balanced Mode Extended",
    0x21: "Frame reject",
    0x23: "Reset",
    0x2B: "Exchange identification",
    0x38: "Test",
}
FRAME_TYPES = {0: "Information frame", 1: "Supervisory frame", 2: "Information frame", 3: "Unnumbered frame"}
SUPERVISORY = {0: "Receiver ready", 1: "Receiver not ready", 2: "Reject", 3: "Selective reject"}


def _numbered(*rows: Field) -> Header:
    control = Field("control", "Control field", plain="0x{:04x}".format, code="H", size=2, bits=rows)
    return Header("llc", "Control field", (control,), name="", little=True)


def _unnumbered(*rows: Field) -> Header:
    control = Field("control", "Control field", plain="0x{:04x}".format, code="B", size=1, bits=rows)
    return Header("llc", "Control field", (control,), name="")


_POLL, _FINAL = Bit(0x10, "control.p", "Poll"), Bit(0x10, "control.f", "Final")
_KIND = Bits(0x03, "control.ftype", "Frame type", FRAME_TYPES, digits=2)
_NUMBERED_KIND = Bits(0x03, "control.ftype", "Frame type", FRAME_TYPES, digits=4)
COMMANDED = _unnumbered(_POLL, Bits(0xEC, "control.u_modifier_cmd", "Command", UNNUMBERED, digits=2), _KIND)
ANSWERED = _unnumbered(_FINAL, Bits(0xEC, "control.u_modifier_resp", "Response", UNNUMBERED, digits=2), _KIND)
_NR = Bits(0xFE00, "control.n_r", "N(R)")
INFORMATION = _numbered(_NR, Bit(0x0100, "control.p", "Poll"), Bits(0x00FE, "control.n_s", "N(S)"), _NUMBERED_KIND)
SUPERVISION = _numbered(
    _NR,
    Bit(0x0100, "control.p", "Poll"),
    Bits(0x000C, "control.s_ftype", "Supervisory frame type", SUPERVISORY, digits=4),
    _NUMBERED_KIND,
)

FUNCTIONS = {
    0x00: "UI",
    0x20: "UP",
    0xAC: "XID",
    0xE0: "TEST",
    0x6C: "SABME",
    0x40: "DISC",
    0x60: "UA",
    0x0C: "DM",
    0x84: "FRMR",
}
"""Unnumbered frames: the control field without the poll bit and the two lowest bits (IEEE 802.2, 5.4)."""

ORGANISATIONS = {
    0x000000: "Officially Xerox, but 0:0:0:0:0:0 is more common",
    0x00000C: "Cisco Systems, Inc",
    0x0000F8: "Cisco Systems, Inc",
    0x0080C2: "Ieee 802.1 Working Group",
    0x00E02B: "Extreme Networks, Inc.",
    0x080007: "Apple, Inc.",
}
ORGANISATION = Header(
    "llc", "Organisation", (U24("oui", "Organization Code", ORGANISATIONS, form="{:06x}".format),), name=""
)
SNAP_TYPE = Header("llc", "Type", (Hex16("type", "Type", ETHERTYPES),), name="")
CISCO = {
    0x010B: "PVSTP+",
    0x0111: "UDLD",
    0x0104: "PAgP",
    0x2000: "CDP",
    0x2001: "CGMP",
    0x2003: "VTP",
    0x2004: "DTP",
}
SNAP_CISCO = Header("llc", "PID", (Hex16("cisco_pid", "PID", CISCO),), name="")
SNAP_OTHER = Header("llc", "PID", (Hex16("pid", "Protocol ID"),), name="")
BY_TYPE = frozenset({0x000000, 0x0000F8, 0x080007})
"""Organisations whose SNAP protocols are EtherTypes."""


@on("llc", 0)
@on("ethertype", 0x8870)
@on("linktype", 100)
def llc(packet: Packet, at: int, limit: int) -> Step | None:
    """Two service access points and a control field of one or two bytes; SNAP gives an EtherType."""
    packet.column("llc")
    layer, (target, origin) = packet.open(LLC, at, limit)
    first = packet.uint("LLC control", at + 2, 1, limit)
    answer = bool(origin & 1)
    width = 1 if first & 3 == 3 else 2
    second = packet.uint("LLC control", at + 3, 1, limit) if width == 2 else 0
    head = (ANSWERED if answer else COMMANDED) if width == 1 else SUPERVISION if first & 1 else INFORMATION
    packet.add_header(layer, head, at + 2, limit)
    said = _control(first, second, width, answer)
    layer.said = _points(target, origin)
    packet.info = f"{said}; {layer.said}"
    layer.size += width
    if packet.build:
        _explain(layer, target, origin, said)
    start = at + 2 + width
    if target == 0xAA and origin == 0xAA and first == 0x03:
        return _snap(packet, layer, said, start, limit)
    if first & 1 and first & 0xEF != 0x03:
        return Step((), start, limit)
    return step("llc.sap", target, start, limit)


def _snap(packet: Packet, layer: Item, said: str, at: int, limit: int) -> Step:
    """Who names the protocol, and its number there."""
    (organisation,) = packet.add_header(layer, ORGANISATION, at, limit)
    at += ORGANISATION.size
    typed = organisation in BY_TYPE
    head = SNAP_TYPE if typed else SNAP_CISCO if organisation == 0x00000C else SNAP_OTHER
    (kind,) = packet.add_header(layer, head, at, limit)
    layer.size = at + head.size - layer.start
    at += head.size
    if typed:
        packet.info = "Ethernet II"
        return by_type(packet, kind, at, limit)
    name = ORGANISATIONS.get(organisation, "Unknown")
    packet.info = f"{said}; SNAP, OUI 0x{organisation:06X} ({name}), PID 0x{kind:04X}"
    return step(f"snap.{organisation:06x}", kind, at, limit)


def _explain(layer: Item, target: int, origin: int, said: str) -> None:
    """The names that depend on more than one field."""
    first, second, control = layer.children[:3]
    first.said, second.said = f"{_name(target)} (0x{target:02x})", f"{_name(origin)} (0x{origin:02x})"
    for item, value in ((first, target), (second, origin)):
        item.children[0].said = SAPS.get(value & 0xFE, f"0x{value & 0xFE:02x}")
    control.said = f"{said} (0x{control.value:02x})"


def _sap(value: int) -> str:
    return SAPS.get(value & 0xFE, f"0x{value & 0xFE:02x}")


def _points(target: int, origin: int) -> str:
    reach = "Group" if target & 1 else "Individual"
    role = "Response" if origin & 1 else "Command"
    return f"DSAP {_sap(target)} {reach}, SSAP {_sap(origin)} {role}"


def _control(first: int, second: int, width: int, answer: bool) -> str:
    if width == 1:
        poll = (" F" if answer else " P") if first & 0x10 else ""
        code = first & 0xEC
        name = "SARM" if code == 0x0C and not answer else FUNCTIONS.get(code, "Unknown")
        return f"U{poll}, func={name}"
    if not first & 1:
        return f"I{' P' if second & 1 else ''}, N(R)={second >> 1}, N(S)={first >> 1}"
    poll = (" F" if answer else " P") if second & 1 else ""
    function = ("RR", "RNR", "REJ", "SREJ")[first >> 2 & 3]
    return f"S{poll}, func={function}, N(R)={second >> 1}"
