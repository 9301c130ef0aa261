"""BACnet over IP, against what tshark 4.0 says of the same bytes."""

from __future__ import annotations

import pytest
from tests.unit.handmade import RAW, Sample, Samples, udp, value, values

from netwatch.capture.dissect import Tree, dissect

TO_ALL = "0120 ffff 00 ff"
HERE = "0100"
READ = "0c0000000119 4d"


def link(function: int, *rest: str) -> bytes:
    body = bytes.fromhex("".join(rest))
    return bytes([0x81, function]) + (4 + len(body)).to_bytes(2, "big") + body


def packet(data: bytes) -> bytes:
    return udp(47808, 47808, data)


def shown(function: int, *rest: str) -> Tree:
    return dissect(packet(link(function, *rest)), RAW)


class TestSamples(Samples):
    samples = [  # noqa: RUF012 - as the class above has it
        Sample(
            packet(link(10, "0104", "0275010c", READ)),
            RAW,
            "BACnet-APDU",
            "Confirmed-REQ   readProperty[  1] analog-input,1 object-name ",
            {
                "bvlc.function": "0x0a",
                "bvlc.length": "4",
                "bacnet.control": "0x04",
                "bacapp.type": "0",
                "bacapp.SA": "1",
                "bacapp.invoke_id": "1",
                "bacapp.confirmed_service": "12",
                "bacapp.objectType": "0",
                "bacapp.instance_number": "1",
                "bacapp.property_identifier": "77",
            },
        ),
        Sample(
            packet(link(10, HERE, "30010c", READ, "3e7506004148552d313f")),
            RAW,
            "BACnet-APDU",
            "Complex-ACK     readProperty[  1] analog-input,1 object-name ",
            {"bacapp.object_name": "AHU-1", "bacapp.named_tag": "6"},
        ),
        Sample(
            packet(link(11, TO_ALL, "1008 0a0064 1a00c8")),
            RAW,
            "BACnet-APDU",
            "Unconfirmed-REQ who-Is 100 200 ",
            {"bacnet.dnet": "65535", "bacnet.hopc": "255", "bacapp.who_is.low_limit": "100"},
        ),
        Sample(
            packet(link(11, TO_ALL, "1000 c402000002 2205c4 9103 2105")),
            RAW,
            "BACnet-APDU",
            "Unconfirmed-REQ i-Am device,2 ",
            {"bacapp.vendor_identifier": "5", "bacapp.application_tag_number": "12"},
        ),
        Sample(
            packet(link(4, "0a000009 bac0", HERE, "1008")),
            RAW,
            "BACnet-APDU",
            "Unconfirmed-REQ who-Is ",
            {"bvlc.fwd_ip": "10.0.0.9", "bvlc.fwd_port": "47808", "bvlc.length": "10"},
        ),
        Sample(
            packet(link(5, "003c")),
            RAW,
            "BVLC",
            "BACnet Virtual Link Control BVLC Function Register-Foreign-Device",
            {"bvlc.reg_ttl": "60", "bvlc.length": "6"},
        ),
    ]


@pytest.mark.parametrize(
    ("apdu", "info", "names"),
    [
        ("20010f", "Simple-ACK      writeProperty[  1] ", {"confirmed_service": "15"}),
        ("50010c 9102 9120", "Error           readProperty[  1] ", {"error_class": "2", "error_code": "32"}),
        ("600107", "Reject          too-many-arguments[  1] ", {"reject_reason": "7"}),
        ("710100", "Abort           other[  1] ", {"SRV": "1", "abort_reason": "0"}),
        ("40010203", "Segment-ACK     ", {"sequence_number": "2", "window_size": "3"}),
        ("1007 3d0800 61626364656667", "Unconfirmed-REQ who-Has ", {"object_name": "abcdefg"}),
    ],
)
def test_kinds_of_messages(apdu: str, info: str, names: dict[str, str]) -> None:
    tree = shown(10, HERE, apdu)
    assert tree.info == info
    assert {name: value(tree, f"bacapp.{name}") for name in names} == names
    assert tree.verdict.kind == "ok"


def test_messages_between_routers() -> None:
    tree = shown(10, "0180 01 0005 0006")
    assert (tree.protocol, tree.info) == ("BACnet-NPDU", "I-Am-Router-To-Network")
    assert values(tree, "bacnet.dnet") == ["5", "6"]
    assert value(shown(10, "0108 000a 01 07", "1008"), "bacnet.sadr_mstp") == "7"


def test_a_part_of_a_message_is_not_read_as_one() -> None:
    tree = shown(10, "0104", "0a05060303 0c", READ)
    assert tree.info == "Confirmed-REQ   readProperty[  6] "
    assert not values(tree, "bacapp.tag_class")


def test_tags_that_cannot_be() -> None:
    assert shown(10, HERE, "1008 0d fe ffff").verdict.kind == "malformed"
    assert shown(10, HERE, "1008 26").verdict.kind == "malformed"
    assert shown(10, HERE, "1008" + "0e" * 3000).verdict.kind == "stopped"


def test_another_first_byte_is_another_protocol() -> None:
    assert dissect(packet(b"\x80" + bytes(20)), RAW).protocol == "UDP"
