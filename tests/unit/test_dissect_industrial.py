"""Modbus, DNP3, EtherNet/IP, TPKT up to MMS, NetFlow, X11, VNC, Kerberos: messages made by hand."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import CLIENT, SERVER, Talk, value

from netwatch.capture.dissect import find
from netwatch.capture.dissect.dnp3 import checksum

# Modbus


def modbus(transaction: int, body: bytes) -> bytes:
    return struct.pack("!HHHB", transaction, 0, 1 + len(body), 1) + body


def test_registers_are_numbered_as_the_query_asked() -> None:
    talk = Talk(502)
    query = talk.say(modbus(1, struct.pack("!BHH", 3, 107, 2)))
    assert query.info == "   Query: Trans:     1; Unit:   1, Func:   3: Read Holding Registers"
    answer = talk.say(modbus(1, b"\3\4" + struct.pack("!HH", 555, 100)), back=True)
    assert (value(answer, "modbus.regnum16"), value(answer, "modbus.regval_uint16")) == ("107", "555")
    refused = talk.say(modbus(2, b"\x83\2"), back=True)
    assert refused.info.endswith("Func:   3: Read Holding Registers. Exception returned ")
    assert value(refused, "modbus.exception_code") == "2"


def test_coils_are_counted_from_the_lowest_bit() -> None:
    talk = Talk(502)
    talk.say(modbus(1, struct.pack("!BHH", 1, 20, 10)))
    tree = talk.say(modbus(1, b"\1\2\x02\x01"), back=True)
    layer = tree.layers[-1]
    bits = [item.text for item in layer.children if " : " in item.text]
    assert bits[:3] == ["20 : 0", "21 : 1", "22 : 0"]
    assert bits[8] == "28 : 1"


def test_a_query_in_two_segments() -> None:
    talk = Talk(502)
    query = modbus(7, struct.pack("!BHH", 4, 1, 1))
    assert talk.say(query[:5]).protocol == "TCP"
    assert talk.say(query[5:]).info == "   Query: Trans:     7; Unit:   1, Func:   4: Read Input Registers"


# DNP3


def dnp3(control: int, user: bytes = b"") -> bytes:
    head = b"\x05\x64" + bytes([5 + len(user), control]) + struct.pack("<HH", 4, 3)
    made = head + struct.pack("<H", checksum(head))
    for at in range(0, len(user), 16):
        made += user[at : at + 16] + struct.pack("<H", checksum(user[at : at + 16]))
    return made


def test_the_checksum_is_the_standards() -> None:
    assert checksum(bytes.fromhex("0564 05c9 0400 0300")) == int.from_bytes(dnp3(0xC9)[8:10], "little")
    assert checksum(b"123456789") == 0xEA82  # CRC-16/DNP's check value


@pytest.mark.parametrize(
    ("control", "user", "info"),
    [
        (0xC9, b"", "from 3 to 4, len=5, Request Link Status"),
        (0xC4, b"\xc0\xc0\x01\x3c\x02\x06", "Read, Class 1"),
        (0xC4, b"\xc0\xc0\x01\x3c\x01\x06\x3c\x02\x06\x3c\x03\x06\x3c\x04\x06", "Read, Class 0123"),
        (0xC4, b"\xc0\xc3\x0d", "Cold Restart"),
        (0x44, b"\xc0\xc0\x81\x90\x00\x01\x02\x00\x00\x03\x81\x01\x81\x01", "Response"),
    ],
)
def test_what_a_master_asks(control: int, user: bytes, info: str) -> None:
    tree = Talk(20000).say(dnp3(control, user))
    assert (tree.protocol, tree.info) == ("DNP 3.0", info)
    assert value(tree, "dnp.hdr.CRC.status") == "1"


def test_segments_of_a_fragment_are_put_together() -> None:
    talk = Talk(20000)
    assert "Unreassembled fragment 0" in talk.say(dnp3(0xC4, b"\x40\xc0\x02" + bytes(100))).info
    assert talk.say(dnp3(0xC4, b"\x81" + bytes(10))).info == "Write"


# EtherNet/IP


def enip(command: int, body: bytes = b"", context: bytes = b"context1", session: int = 0x1234) -> bytes:
    return struct.pack("<HHII8sI", command, len(body), session, 0, context, 0) + body


def unconnected(message: bytes) -> bytes:
    items = struct.pack("<HHHHH", 2, 0, 0, 0x00B2, len(message)) + message
    return enip(0x6F, struct.pack("<IH", 0, 0) + items)


def test_a_response_is_of_the_object_that_was_asked() -> None:
    talk = Talk(44818)
    tree = talk.say(unconnected(b"\x0e\x03\x20\x01\x24\x01\x30\x07"))
    assert (tree.protocol, tree.info) == ("CIP", "Identity - Get Attribute Single")
    assert (value(tree, "cip.class"), value(tree, "cip.attribute")) == ("0x01", "0x07")
    tree = talk.say(unconnected(b"\x8e\0\x14\0"), back=True)
    assert tree.info == "Attribute not supported: Identity - Get Attribute Single"
    tree = talk.say(unconnected(b"\x54\x02\x20\x06\x24\x01" + bytes(20)))
    assert (tree.protocol, tree.info) == ("CIP CM", "Connection Manager - Forward Open")


def test_several_messages_in_a_segment() -> None:
    tree = Talk(44818).say(enip(0, b"x") + enip(0x65, b"\1\0\0\0", session=0))
    assert (tree.protocol, tree.info) == ("ENIP", "NOP (Req) | Register Session (Req), Session: 0x00000000")


# TPKT, COTP, session, presentation, MMS


def tpkt(body: bytes) -> bytes:
    return struct.pack("!BBH", 3, 0, 4 + len(body)) + body


def ber(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body


INITIATE = ber(0xA8, b"\x80\x03\x00\xfa\x00")
CONTEXTS = ber(0xA4, ber(0x30, b"\2\1\1\6\4\x52\1\0\1") + ber(0x30, b"\2\1\3\6\5\x28\xca\x22\2\1"))
ASSOCIATE = ber(0x60, ber(0xBE, ber(0x28, b"\2\1\3" + ber(0xA0, INITIATE))))
CONNECT = ber(
    0x31, ber(0xA0, b"\x80\1\1") + ber(0xA2, CONTEXTS + ber(0x61, ber(0x30, b"\2\1\1" + ber(0xA0, ASSOCIATE))))
)


def test_mms_is_known_by_the_context_that_was_agreed_on() -> None:
    talk = Talk(102)
    assert (
        talk.say(tpkt(b"\x11\xe0\0\0\x07\x78\0" + b"\xc1\2\0\1\xc2\2\0\1\xc0\1\x0d")).info
        == "CR TPDU src-ref: 0x0778 dst-ref: 0x0000"
    )
    tree = talk.say(tpkt(b"\2\xf0\x80" + ber(0x0D, ber(0xC1, CONNECT))))
    assert (tree.protocol, tree.info) == ("MMS", "initiate-RequestPDU")
    request = ber(0xA0, b"\2\1\5" + ber(0xA4, ber(0xA1, ber(0x1A, b"DEVICE") + ber(0x1A, b"LLN0$BR"))))
    data = b"\2\xf0\x80\1\0\1\0" + ber(0x61, ber(0x30, b"\2\1\3" + ber(0xA0, request)))
    tree = talk.say(tpkt(data))
    assert (tree.protocol, tree.info) == ("MMS", "5 confirmed-RequestPDU DEVICE LLN0$BR")
    assert Talk(102).say(tpkt(data)).info == "DATA TRANSFER (DT) SPDU"


def test_a_controller_is_asked_for_its_setup() -> None:
    tree = Talk(102).say(tpkt(b"\2\xf0\x80" + bytes.fromhex("32010000000000080000f0000001000101e0")))
    assert (tree.protocol, tree.info) == ("S7COMM", "ROSCTR:[Job     ] Function:[Setup communication]")


def test_remote_desktop_begins_with_a_cookie() -> None:
    body = b"Cookie: mstshash=someone\r\n" + b"\1\0\x08\0\3\0\0\0"
    talk = Talk(3389)
    tree = talk.say(tpkt(bytes([6 + len(body)]) + b"\xe0\0\0\0\0\0" + body))
    assert (tree.protocol, tree.info) == ("RDP", "Cookie: mstshash=someone, Negotiate Request")
    tree = talk.say(tpkt(b"\x0e\xd0\0\0\x12\x34\0" + b"\2\0\x08\0\1\0\0\0"), back=True)
    assert tree.info == "Negotiate Response"
    assert value(tree, "rdp.negReq.selectedProtocol") == "0x00000001"


# NetFlow and sFlow


def test_sflow_says_whose_samples() -> None:
    sample = struct.pack("!II", 2, 8) + bytes(8)
    head = struct.pack("!II", 5, 1) + CLIENT + struct.pack("!IIII", 7, 9, 1000, 1)
    tree = Talk(6343, "udp").say(head + sample)
    assert (tree.protocol, tree.info) == ("sFlow", "V5, agent 192.0.2.1, sub-agent ID 7, seq 9, 1 samples")
    assert Talk(6343, "udp").say(head).verdict.kind == "malformed"


def test_flows_are_read_by_the_template_that_came_before() -> None:
    talk = Talk(2055, "udp")
    head = struct.pack("!HHIIII", 9, 1, 1000, 1700000000, 1, 42)
    template = struct.pack("!10H", 0, 20, 256, 3, 8, 4, 12, 4, 2, 4)
    data = struct.pack("!HH4s4sI", 256, 16, CLIENT, SERVER, 7)
    unknown = talk.say(head + data)
    assert find(unknown, "cflow.srcaddr") is None
    assert talk.say(head + template).info == "total: 1 (v9) record Obs-Domain-ID=   42 [Data-Template:256]"
    tree = talk.say(head + data)
    assert (value(tree, "cflow.srcaddr"), value(tree, "cflow.packets")) == ("192.0.2.1", "7")


def test_an_address_of_a_wrong_size_is_bytes() -> None:
    talk = Talk(2055, "udp")
    head = struct.pack("!HHIIII", 9, 1, 1000, 1700000000, 1, 42)
    talk.say(head + struct.pack("!8H", 0, 16, 256, 2, 8, 3, 12, 5))
    tree = talk.say(head + struct.pack("!HH", 256, 12) + bytes(8))
    assert tree.verdict.kind == "ok"
    assert find(tree, "cflow.srcaddr") is None


def test_a_flow_of_version_5() -> None:
    flow = CLIENT + SERVER + bytes(4) + struct.pack("!HHIIIIHH", 1, 2, 10, 1000, 0, 0, 1024, 80) + bytes(12)
    tree = Talk(2055, "udp").say(struct.pack("!HHIIIIBBH", 5, 1, 1, 2, 3, 4, 0, 0, 0) + flow)
    assert (tree.protocol, tree.info) == ("CFLOW", "total: 1 (v5) flow")
    assert (value(tree, "cflow.dstaddr"), value(tree, "cflow.octets")) == ("198.51.100.7", "1000")


# X11, VNC, Kerberos


def test_a_reply_is_of_the_request_with_its_number() -> None:
    talk = Talk(6000)
    assert talk.say(b"l\0\x0b\0\0\0\0\0\0\0\0\0").info == "Requests: Initial connection request"
    assert talk.say(b"\1\0\x0b\0\0\0\x08\0" + bytes(32), back=True).info == "Initial connection reply"
    requests = b"\x08\0\2\0\1\0\0\0" + b"\x2b\0\1\0" + b"\x28\0\4\0" + bytes(12)
    assert talk.say(requests).info == "Requests: MapWindow, GetInputFocus, TranslateCoordinates"
    answers = b"\1\0\2\0" + bytes(28) + b"\1\0\3\0" + bytes(28) + b"\x0c\0\3\0" + bytes(28) + b"\0\3\3\0" + bytes(28)
    tree = talk.say(answers, back=True)
    assert tree.info == "Reply: GetInputFocus, TranslateCoordinates, Event: Expose, Error: BadWindow"


def test_vnc_turn_by_turn() -> None:
    talk = Talk(5900)
    turns = [
        (b"RFB 003.008\n", True, "Server protocol version: 003.008"),
        (b"RFB 003.008\n", False, "Client protocol version: 003.008"),
        (b"\2\1\2", True, "Security types supported"),
        (b"\2", False, "Security type VNC (2) selected by client"),
        (bytes(16), True, "Authentication challenge from server"),
        (bytes(16), False, "Authentication response from client"),
        (bytes(4), True, "Authentication result"),
        (b"\1", False, "Share desktop flag"),
        (struct.pack("!HH", 800, 600) + bytes(16) + b"\0\0\0\4desk", True, "Server framebuffer parameters"),
        (b"\4\1\0\0\0\0\0a" + b"\5\1\0\1\0\1", False, "Client key event, Client pointer event"),
    ]
    for payload, back, info in turns:
        assert talk.say(payload, back=back).info == info


def test_kerberos_says_who_and_what_went_wrong() -> None:
    def named(tag: int, *parts: bytes) -> bytes:
        strings = ber(0x30, b"".join(ber(0x1B, part) for part in parts))
        return ber(tag, ber(0x30, b"\xa0\3\2\1\1" + ber(0xA1, strings)))

    body = ber(0x30, named(0xA1, b"alice") + ber(0xA2, ber(0x1B, b"EX.ORG")) + named(0xA3, b"krbtgt", b"EX.ORG"))
    request = ber(0x6A, ber(0x30, b"\xa1\3\2\1\5\xa2\3\2\1\x0a" + ber(0xA4, body)))
    talk = Talk(88)
    assert talk.say(struct.pack("!I", len(request)) + request[:9]).protocol == "TCP"
    tree = talk.say(request[9:])
    assert (tree.protocol, tree.info) == ("KRB5", "AS-REQ")
    assert (value(tree, "kerberos.CNameString"), value(tree, "kerberos.realm")) == ("alice", "EX.ORG")
    error = ber(0x7E, ber(0x30, b"\xa0\3\2\1\5\xa1\3\2\1\x1e\xa6\3\2\1\x19"))
    tree = Talk(88, "udp").say(error, back=True)
    assert tree.info == "KRB Error: KRB5KDC_ERR_PREAUTH_REQUIRED"


# What lies

SAMPLES = [
    (
        502,
        "tcp",
        modbus(1, struct.pack("!BHHB", 16, 1, 2, 4) + bytes(4)) + modbus(2, b"\x2b\x0e\1\1\0\0\2\0\3abc\1\xff"),
    ),
    (20000, "tcp", dnp3(0xC4, b"\xc0\xc0\x01\x3c\x02\x06") + dnp3(0xC4, b"\x40\xc0" + bytes(40))),
    (44818, "tcp", unconnected(b"\x4c\x05\x91\x05hello\0\x21\0\x6b\0") + enip(0x63, bytes(60))),
    (102, "tcp", tpkt(b"\2\xf0\x80" + ber(0x0D, ber(0xC1, CONNECT)))),
    (
        2055,
        "udp",
        struct.pack("!HHIIII", 9, 1, 1, 2, 3, 4)
        + struct.pack("!10H", 0, 20, 256, 3, 8, 4, 12, 4, 2, 0xFFFF)
        + struct.pack("!HH", 256, 20)
        + bytes(16),
    ),
    (6000, "tcp", b"\x08\0\2\0\1\0\0\0" + b"\x2b\0\1\0" + b"\x28\0\4\0" + bytes(12)),
    (5900, "tcp", b"RFB 003.008\n"),
]


@pytest.mark.parametrize(("port", "transport", "payload"), SAMPLES)
def test_cut_or_changed_at_every_byte_nothing_fails(port: int, transport: str, payload: bytes) -> None:
    for at in range(len(payload)):
        for changed in (payload[:at], payload[:at] + b"\xff" + payload[at + 1 :]):
            talk = Talk(port, transport)
            for back in (False, True, False):
                assert talk.say(changed, back=back).verdict.kind != "failed", at


@pytest.mark.parametrize(("port", "transport", "payload"), SAMPLES)
def test_what_the_snap_length_cut_is_not_malformed(port: int, transport: str, payload: bytes) -> None:
    head = 28 if transport == "udp" else 40
    for at in range(head, head + len(payload)):
        assert Talk(port, transport).say(payload, cut=at).verdict.kind != "failed", at
    whole = Talk(port, transport).say(payload)
    assert Talk(port, transport).say(payload, cut=head + len(payload) // 2).verdict.kind in (
        "cut",
        whole.verdict.kind,
    )
