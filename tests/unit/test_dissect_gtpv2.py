"""GTP version 2: sessions and their elements, against what tshark 4.0 says of the same bytes."""

from __future__ import annotations

import struct

from tests.unit.handmade import RAW, Sample, Samples, udp, value, values

from netwatch.capture.dissect import dissect
from netwatch.capture.dissect.gtpv2 import MAX_DEPTH


def element(kind: int, content: bytes, instance: int = 0) -> bytes:
    return struct.pack("!BHB", kind, len(content), instance) + content


def message(kind: int, *elements: bytes, flags: int = 0x48) -> bytes:
    body = b"".join(elements)
    tunnel = struct.pack("!I", 0x11223344) if flags & 8 else b""
    return struct.pack("!BBH", flags, kind, len(tunnel) + 4 + len(body)) + tunnel + b"\0\1\2\0" + body


def packet(data: bytes) -> bytes:
    return udp(2123, 2123, data)


TUNNEL = element(87, b"\xca" + struct.pack("!I", 0xABCDEF01) + bytes([10, 0, 0, 1]) + bytes(range(16)), 1)
QOS = element(80, b"\x7c\x09" + b"".join(rate.to_bytes(5, "big") for rate in (1000, 2000, 3000, 4000)))
SESSION = message(
    32,
    element(1, bytes.fromhex("42005100000000f1")),
    element(76, bytes.fromhex("94171032547698")),
    element(83, bytes.fromhex("42f051")),
    element(82, b"\6"),
    TUNNEL,
    element(71, b"\x08internet\x03epc"),
    element(79, b"\3\x40" + bytes(range(16)) + bytes([10, 45, 0, 2])),
    element(72, struct.pack("!II", 50000, 100000)),
    element(93, element(73, b"\5") + QOS),
)


class TestSamples(Samples):
    samples = [  # noqa: RUF012 - as the class above has it
        Sample(
            packet(message(1, element(3, b"\5"), flags=0x40)),
            RAW,
            "GTPv2",
            "Echo Request",
            {"gtpv2.version": "2", "gtpv2.seq": "0x000102", "gtpv2.rec": "5", "gtpv2.teid": ""},
        ),
        Sample(
            packet(SESSION),
            RAW,
            "GTPv2",
            "Create Session Request",
            {
                "gtpv2.teid": "0x11223344",
                "e212.imsi": "240015000000001",
                "e164.msisdn": "49710123456789",
                "e212.mcc": "240",
                "e212.mnc": "15",
                "gtpv2.rat_type": "6",
                "gtpv2.f_teid_interface_type": "10",
                "gtpv2.f_teid_gre_key": "0xabcdef01",
                "gtpv2.f_teid_ipv4": "10.0.0.1",
                "gtpv2.f_teid_ipv6": "1:203:405:607:809:a0b:c0d:e0f",
                "gtpv2.apn": "internet.epc",
                "gtpv2.pdn_addr_and_prefix.ipv4": "10.45.0.2",
                "gtpv2.ambr_down": "100000",
                "gtpv2.ebi": "5",
                "gtpv2.bearer_qos_gbr_down": "4000",
            },
        ),
    ]


def test_a_cause_and_what_it_blames() -> None:
    tree = dissect(packet(message(35, element(2, b"\x46\1\x57\0\0\1"))), RAW)
    assert [value(tree, f"gtpv2.{name}") for name in ("cause", "cs", "cause_off_ie_t")] == ["70", "1", "87"]


def test_a_message_behind_another() -> None:
    """TS 29.274, 5.5.1."""
    tree = dissect(packet(message(33, flags=0x58) + message(95)), RAW)
    assert tree.info == "Create Session Response / Create Bearer Request"
    assert values(tree, "gtpv2.message_type") == ["33", "95"]


def test_an_element_that_is_too_short_hides_no_other() -> None:
    tree = dissect(packet(message(32, element(79, b"\1\x0a"), element(3, b"\5"))), RAW)
    assert tree.verdict.kind == "malformed"
    assert value(tree, "gtpv2.rec") == "5"


def test_elements_within_elements_have_an_end() -> None:
    inner = element(73, b"\5")
    for _ in range(500):
        inner = element(93, inner)
    assert len(values(dissect(packet(message(32, inner)), RAW), "gtpv2.ie_type")) == MAX_DEPTH + 1


def test_version_1_stays_what_it_is() -> None:
    assert dissect(packet(struct.pack("!BBHI", 0x30, 1, 0, 0)), RAW).protocol == "GTP"
    assert dissect(packet(struct.pack("!BBHI", 0x70, 1, 0, 0)), RAW).protocol == "UDP"
