"""PTP over Ethernet and UDP, against what tshark 4.0 says of the same bytes."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import ETHERNET, RAW, Sample, Samples, udp, value, values

from netwatch.capture.dissect import dissect

STAMP = struct.pack("!HII", 0, 1700000000, 123456789)
PORT = bytes(range(8, 16)) + b"\0\x09"
ANNOUNCED = STAMP + struct.pack("!hBBBBHB8sHB", -1, 0, 128, 6, 0x21, 0x4E5D, 128, bytes(range(16, 24)), 1, 0x20)
PATH = struct.pack("!HHQ", 8, 8, 0x0102030405060708)


def message(kind: int, body: bytes, *, correction: int = 0x18000, size: int | None = None) -> bytes:
    length = 34 + len(body) if size is None else size
    identity = bytes(range(8))
    head = struct.pack("!BBHBBHqI8sHHBb", kind, 2, length, 7, 0, 0x0208, correction, 5, identity, 3, 1234, 0, -3)
    return head + body


def frame(data: bytes) -> bytes:
    return bytes.fromhex("011b19000000 020000000001 88f7") + data


KINDS = {
    0: ("Sync Message", STAMP, {"sdr.origintimestamp.seconds": "1700000000"}),
    1: ("Delay_Req Message", STAMP, {"sdr.origintimestamp.nanoseconds": "123456789"}),
    2: ("Peer_Delay_Req Message", STAMP + bytes(10), {"pdrq.origintimestamp.seconds": "1700000000"}),
    3: ("Peer_Delay_Resp Message", STAMP + PORT, {"pdrs.requestingportidentity": "0x08090a0b0c0d0e0f"}),
    8: ("Follow_Up Message", STAMP, {"fu.preciseorigintimestamp.32bit": "1032178965"}),
    9: ("Delay_Resp Message", STAMP + PORT, {"dr.requestingsourceportid": "9"}),
    10: ("Peer_Delay_Resp_Follow_Up Message", STAMP + PORT, {"pdfu.requestingsourceportid": "9"}),
    11: (
        "Announce Message",
        ANNOUNCED + PATH,
        {
            "an.origincurrentutcoffset": "-1",
            "an.grandmasterclockaccuracy": "0x21",
            "an.localstepsremoved": "1",
            "timesource": "0x20",
            "an.pathsequence": "0x0102030405060708",
        },
    ),
    12: ("Signalling Message", PORT + struct.pack("!HHB", 4, 1, 9), {"sig.tlv.tlvType": "4", "sig.tlv.data": "09"}),
    13: (
        "Management (DEFAULT_DATA_SET) GET",
        PORT + bytes([1, 1, 0, 0]) + struct.pack("!HHH", 1, 2, 0x2000),
        {"mm.action": "0", "mm.managementId": "8192"},
    ),
}


class TestSamples(Samples):
    samples = [  # noqa: RUF012 - as the class above has it
        Sample(
            frame(message(kind, body)), ETHERNET, "PTPv2", info, {f"ptp.v2.{n}": each for n, each in fields.items()}
        )
        for kind, (info, body, fields) in KINDS.items()
    ]


@pytest.mark.parametrize(("correction", "nanoseconds", "part"), [(0x18000, "1", "0.5"), (-0x8000, "-1", "0.5")])
def test_the_head(correction: int, nanoseconds: str, part: str) -> None:
    tree = dissect(udp(319, 319, message(0, STAMP, correction=correction)), RAW)
    assert tree.protocol == "PTPv2"
    assert [value(tree, f"ptp.v2.correction.{name}") for name in ("ns", "subns")] == [nanoseconds, part]
    assert value(tree, "ptp.v2.flags.twostep") == "1"
    assert value(tree, "ptp.v2.logmessageperiod") == "-3"
    assert value(tree, "ptp.v2.clockidentity") == "0x0001020304050607"


def test_what_stands_behind_the_message_is_ethernets() -> None:
    tree = dissect(frame(message(0, STAMP) + bytes(2)), ETHERNET)
    assert values(tree, "eth.padding") == ["0000"]
    assert tree.verdict.kind == "ok"


def test_another_version_is_another_protocol() -> None:
    assert dissect(udp(319, 319, b"\0\1" + bytes(60)), RAW).protocol == "UDP"


def test_a_length_that_lies() -> None:
    assert dissect(frame(message(12, PORT + struct.pack("!HH", 4, 100))), ETHERNET).verdict.kind == "malformed"
    assert dissect(frame(message(0, STAMP, size=3)), ETHERNET).verdict.kind == "malformed"
