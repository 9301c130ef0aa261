"""TPKT (RFC 1006), COTP (X.224), the OSI session (X.225) and presentation layers (X.226) of which MMS makes use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from netwatch.capture.dissect.ber import integer, oid, tlv
from netwatch.capture.dissect.kit import U8, U16, Header, Hex8, Hex16, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.protocols import declare
from netwatch.capture.text import escape

__all__ = ["elements"]

for _name, _label in (
    ("cotp", "COTP"),
    ("ses", "SES"),
    ("pres", "PRES"),
    ("mms", "MMS"),
    ("s7comm", "S7COMM"),
    ("rdp", "RDP"),
):
    declare(_name, _label, "data")
TPKT: Final = Header("tpkt", "TPKT", (U8("version", "Version"), U8("reserved", "Reserved"), U16("length", "Length")))
CONTINUED: Final = octets("tpkt.continuation_data", "Continuation data")
TYPES: Final = {
    0x5: "RJ Reject",
    0x6: "AK Data Acknowledgement",
    0x7: "ER TPDU Error",
    0x8: "DR Disconnect Request",
    0xC: "DC Disconnect Confirm",
    0xD: "CC Connect Confirm",
    0xE: "CR Connect Request",
    0xF: "DT Data",
}
CONNECTS: Final = {0x8: "DR", 0xC: "DC", 0xD: "CC", 0xE: "CR"}
COTP: Final = Header("cotp", "ISO 8073/X.224 COTP Connection-Oriented Transport Protocol", (U8("li", "Length"),))
TYPE: Final = number("cotp.type", "PDU Type", TYPES, digits=2)
REFERENCES: Final = Header(
    "cotp", "COTP", (Hex16("destref", "Destination reference"), Hex16("srcref", "Source reference")), name=""
)
NUMBER, LAST = number("cotp.tpdu-number", "TPDU number"), number("cotp.eot", "Last data unit", {0: "No", 1: "Yes"})
TSAPS: Final = {
    0xC1: octets("cotp.src-tsap-bytes", "Source TSAP"),
    0xC2: octets("cotp.dst-tsap-bytes", "Destination TSAP"),
}
SPDUS: Final = {
    1: "DATA TRANSFER (DT) SPDU",
    5: "EXPEDITED DATA (EX) SPDU",
    7: "PREPARE (PR) SPDU",
    8: "NOT FINISHED (NF) SPDU",
    9: "FINISH (FN) SPDU",
    10: "DISCONNECT (DN) SPDU",
    12: "REFUSE (RF) SPDU",
    13: "CONNECT (CN) SPDU",
    14: "ACCEPT (AC) SPDU",
    25: "ABORT (AB) SPDU",
    26: "ABORT ACCEPT (AA) SPDU",
}
SES: Final = Header(
    "ses", "ISO 8327-1 OSI Session Protocol", (U8("type", "SPDU Type", SPDUS), U8("length", "Length"))
)
PRES: Final = Header("pres", "ISO 8823 OSI Presentation Protocol", ())
CONTEXT: Final = number("pres.presentation_context_identifier", "presentation-context-identifier")
SYNTAX: Final = text("pres.abstract_syntax_name", "abstract-syntax-name")
PDV: Final = octets("pres.fully_encoded_data", "fully-encoded-data")
USER_DATA: Final = 0xC1
MMS_SYNTAX: Final = "1.0.9506.2.1"
MAX_ELEMENTS: Final = 128
RDP_PORT: Final = 3389
RDP: Final = Header("rdp", "Remote Desktop Protocol", ())
COOKIE: Final = text("rdp.rt_cookie", "Routing Token/Cookie")
NEGOTIATIONS: Final = {1: "Negotiate Request", 2: "Negotiate Response", 3: "Negotiate Failure"}
NEGOTIATION: Final = number("rdp.neg_type", "Type", NEGOTIATIONS, digits=2)
PROTOCOLS: Final = number("rdp.negReq.requestedProtocols", "requestedProtocols", digits=8)
SELECTED: Final = number(
    "rdp.negReq.selectedProtocol",
    "selectedProtocol",
    {0: "Standard RDP Security", 1: "TLS security", 2: "CredSSP", 8: "CredSSP with early user authorization"},
    digits=8,
)


@on("tcp.port", 102, RDP_PORT)
def tpkt(packet: Packet, at: int, limit: int) -> Step | None:
    """A version, a length; COTP within."""
    while at < limit:
        head = packet.rest(at, min(at + 4, limit))
        if head[:2] not in (b"\3\0", b"\3"):
            if 102 not in packet.values.get("ports", ()):
                return NOT_MINE
            packet.column("tpkt", "Continuation")
            rest = packet.rest(at, limit)
            layer = packet.layer(TPKT.field, at, len(rest), "Continuation")
            packet.add(layer, CONTINUED, rest, at, len(rest))
            return None
        size = int.from_bytes(head[2:4], "big")
        packet.whole("TPKT", at, max(size, 7), limit)
        packet.column("tpkt")
        layer, _ = packet.open(TPKT, at, limit)
        layer.said = f"Version: 3, Length: {size}"
        if size < 7:
            packet.mark(f"TPKT length {size}, must be at least 7", at + 2)
            return None
        packet.run(Step((cotp,), at + 4, min(at + size, limit)))
        at += size
    return None


def cotp(packet: Packet, at: int, limit: int) -> Step | None:
    """Class 0 has connections and data (X.224, 13)."""
    packet.column("cotp")
    layer, (size,) = packet.open(COTP, at, limit)
    kind = packet.uint("COTP", at + 1, 1, limit)
    packet.add(layer, TYPE, kind >> 4, at + 1, 1)
    layer.size = packet.end(min(at + 1 + size, limit)) - at
    if kind >> 4 in CONNECTS:
        target, source = packet.add_header(layer, REFERENCES, at + 2, limit)
        packet.info = f"{CONNECTS[kind >> 4]} TPDU src-ref: 0x{source:04x} dst-ref: 0x{target:04x}"
        layer.said = packet.info
        if kind >> 4 in (0xD, 0xE) and RDP_PORT in packet.values.get("ports", ()):
            _remote_desktop(packet, at + 7, min(at + 1 + size, limit))
            return Step((), at + 1 + size, limit) if at + 1 + size < limit else None
        for code, start, stop in _parameters(packet, at + 7, min(at + 1 + size, limit)):
            if code in TSAPS:
                packet.add(layer, TSAPS[code], packet.data[start:stop], start, stop - start)
        return Step((), at + 1 + size, limit) if at + 1 + size < limit else None
    if kind >> 4 != 0xF:
        packet.info = layer.said = TYPES.get(kind >> 4, f"Unknown TPDU (0x{kind:02x})")
        return Step((), at + 1 + size, limit) if at + 1 + size < limit else None
    word = packet.uint("COTP", at + 2, 1, limit)
    packet.add(layer, NUMBER, word & 0x7F, at + 2, 1)
    packet.add(layer, LAST, word >> 7, at + 2, 1)
    where = at + 1 + size
    packet.info = f"DT TPDU ({word & 0x7F})" + (" EOT" if word >> 7 else f" [COTP fragment, {limit - where} bytes]")
    layer.said = packet.info
    if where >= limit:
        return None
    if not word >> 7:
        return Step((), where, limit)
    if packet.data[where : where + 1] == b"\x32":
        return step("cotp.data", 0x32, where, limit)
    return Step((session,), where, limit) if packet.data[where : where + 1] in SPDU_HEADS else Step((), where, limit)


def _remote_desktop(packet: Packet, at: int, end: int) -> None:
    """A cookie with the user's name, which security is asked for (MS-RDPBCGR 2.2.1.1, 2.2.1.2)."""
    if at >= packet.end(end):
        return
    packet.column("rdp")
    layer = packet.layer(RDP.field, at, packet.end(end) - at)
    words = []
    stop = packet.data.find(b"\r\n", at, packet.end(end))
    if stop >= 0:
        packet.add(layer, COOKIE, packet.data[at:stop], at, stop - at)
        words.append(escape(packet.data[at:stop]))
        at = stop + 2
    if at + 8 <= end and packet.data[at : at + 1] in (b"\1", b"\2", b"\3"):
        kind = packet.data[at]
        packet.add(layer, NEGOTIATION, kind, at, 1)
        words.append(NEGOTIATIONS[kind])
        value = int.from_bytes(packet.take("RDP", at + 4, 4, end), "little")
        packet.add(layer, PROTOCOLS if kind == 1 else SELECTED, value, at + 4, 4)
    packet.info = layer.said = ", ".join(words)


SPDU_HEADS: Final = frozenset(bytes([kind]) for kind in SPDUS)


def session(packet: Packet, at: int, limit: int) -> Step | None:
    """SPDUs: tokens given before data have the type of data (X.225, 8.2.2)."""
    packet.column("ses")
    layer, (kind, size) = packet.open(SES, at, limit)
    layer.said = packet.info = SPDUS.get(kind, f"Unknown SPDU (0x{kind:02x})")
    where = at + SES.size
    if kind == 1:
        where += size
        if packet.data[where : where + 2] == b"\1\0":
            packet.add(layer, SES.rows[0], 1, where, 1)
            where += 2
        layer.size = packet.end(where) - at
        return Step((presentation,), where, limit) if where < limit else None
    end = min(where + size, limit)
    for tag, start, stop in _parameters(packet, where, end):
        if tag == USER_DATA and stop > start:
            layer.size = packet.end(start) - at
            return Step((presentation,), start, stop)
    layer.size = packet.end(end) - at
    return None


def _parameters(packet: Packet, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(identifier, start, end) of each; a length of 255 means that two bytes say it (X.225, 8.2.4)."""
    for _ in range(MAX_ELEMENTS):
        if at + 2 > end:
            return
        size = packet.uint("Session parameter", at + 1, 1, end)
        start = at + 2
        if size == 0xFF:
            size, start = packet.uint("Session parameter", at + 2, 2, end), at + 4
        stop = min(start + size, end)
        yield packet.data[at], start, stop
        at = stop


def elements(packet: Packet, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(tag, start, end) of the BER elements one after the other; what does not fit ends them."""
    for _ in range(MAX_ELEMENTS):
        if at + 2 > end or packet.data[at] & 0x1F == 0x1F:
            return
        tag, start, stop = tlv(packet, at, end)
        yield tag, start, stop
        at = stop


def presentation(packet: Packet, at: int, limit: int) -> Step | None:
    """Which context each value belongs to; contexts are agreed on when the connection begins (X.226, 8.2)."""
    packet.column("pres", packet.info)
    layer = packet.layer(PRES.field, at, packet.end(limit) - at)
    memory = packet.memory("pres")
    first = packet.uint("Presentation", at, 1, limit)
    following: Step | None = None
    for tag, start, stop in elements(packet, at, limit):
        if tag == 0x31:
            following = _connect(packet, layer, start, stop, memory) or following
        elif tag == 0x61:
            following = _values(packet, layer, start, stop, memory) or following
    layer.said = "User data" if first == 0x61 else "Connect"
    return following


def _connect(packet: Packet, layer: Any, at: int, end: int, memory: dict[Any, Any]) -> Step | None:
    """CP and CPA: normal-mode parameters, of which the list of contexts and the user's data count."""
    following = None
    for tag, start, stop in elements(packet, at, end):
        if tag != 0xA2:
            continue
        for part, first, last in elements(packet, start, stop):
            if part == 0xA4:
                _contexts(packet, layer, first, last, memory)
            elif part == 0x61:
                following = _values(packet, layer, first, last, memory)
    return following


def _contexts(packet: Packet, layer: Any, at: int, end: int, memory: dict[Any, Any]) -> None:
    for _, start, stop in elements(packet, at, end):
        number_ = 0
        for tag, first, last in elements(packet, start, stop):
            if tag == 0x02:
                number_ = integer(packet, first, last)
                packet.add(layer, CONTEXT, number_, first, last - first)
            elif tag == 0x06:
                name = oid(packet.data[first:last])
                packet.add(layer, SYNTAX, name, first, last - first)
                if name == MMS_SYNTAX:
                    memory["mms"] = number_


def _values(packet: Packet, layer: Any, at: int, end: int, memory: dict[Any, Any]) -> Step | None:
    """PDV-list: of MMS's context, or of ACSE's with MMS in its user information."""
    for _, start, stop in elements(packet, at, end):
        context = 0
        for tag, first, last in elements(packet, start, stop):
            if tag == 0x02:
                context = integer(packet, first, last)
                packet.add(layer, CONTEXT, context, first, last - first)
            elif tag == 0xA0:
                packet.add(layer, PDV, packet.data[first:last], first, last - first)
                if context == memory.get("mms"):
                    return step("pres.mms", 0, first, last)
                inner = _association(packet, first, last)
                if inner is not None:
                    return inner
    return None


def _association(packet: Packet, at: int, end: int) -> Step | None:
    """AARQ and AARE (X.227): what the association's user information holds."""
    for tag, start, stop in elements(packet, at, end):
        if tag not in (0x60, 0x61):
            continue
        for part, first, last in elements(packet, start, stop):
            if part != 0xBE:
                continue
            for _, inner, after in elements(packet, first, last):
                for each, begin, finish in elements(packet, inner, after):
                    if each == 0xA0 and packet.data[begin : begin + 1] in (b"\xa8", b"\xa9", b"\xaa"):
                        return step("pres.mms", 0, begin, finish)
    return None


ROSCTR: Final = {1: "Job", 2: "Ack", 3: "Ack_Data", 7: "Userdata"}
FUNCTIONS: Final = {
    0x00: "CPU services",
    0x04: "Read Var",
    0x05: "Write Var",
    0x1A: "Request download",
    0x1B: "Download block",
    0x1C: "Download ended",
    0x1D: "Start upload",
    0x1E: "Upload",
    0x1F: "End upload",
    0x28: "PI-Service",
    0x29: "PLC Stop",
    0xF0: "Setup communication",
}
S7: Final = Header(
    "s7comm.header",
    "S7 Communication",
    (
        Hex8("protid", "Protocol Id"),
        U8("rosctr", "ROSCTR", ROSCTR),
        Hex16("redid", "Redundancy Identification (Reserved)"),
        U16("pduref", "Protocol Data Unit Reference"),
        U16("parlg", "Parameter length"),
        U16("datlg", "Data length"),
    ),
    name="s7comm",
)
S7_ERROR: Final = number("s7comm.param.errcod", "Error code", digits=4)
S7_FUNCTION: Final = number("s7comm.param.func", "Function", FUNCTIONS, digits=2)


@on("cotp.data", 0x32)
def s7comm(packet: Packet, at: int, limit: int) -> Step | None:
    """What a Siemens controller is asked for: kind of message and function."""
    packet.column("s7comm")
    layer, (_, kind, _, _, parameters, _) = packet.open(S7, at, limit)
    packet.info = f"ROSCTR:[{ROSCTR.get(kind, f'Unknown: 0x{kind:02x}'):8}]"
    where = at + S7.size + (2 if kind in (2, 3) else 0)
    failed = packet.uint("S7COMM", at + S7.size, 2, limit) if kind in (2, 3) else 0
    if failed:
        packet.add(layer, S7_ERROR, failed, at + S7.size, 2)
    if parameters and kind != 7:
        function = packet.uint("S7COMM", where, 1, limit)
        packet.add(layer, S7_FUNCTION, function, where, 1)
        packet.info += f" Function:[{FUNCTIONS.get(function, f'Unknown: 0x{function:02x}')}]"
        where += 1
    packet.info += f" -> Errorcode:[0x{failed:04x}]" if failed else ""
    layer.size = where - at
    layer.said = packet.info
    return Step((), where, limit) if where < limit else None
