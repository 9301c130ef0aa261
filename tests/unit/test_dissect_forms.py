"""Fields whose form is Wireshark's and not the obvious one."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import CLIENT, RAW, SERVER, Talk, ip, udp, value, values

from netwatch.capture.dissect import Context, Tree, dissect

BYTES = bytes(range(200))


@pytest.mark.parametrize(
    ("kind", "size", "names"),
    [
        (1, 148, {"encrypted_static": "1", "encrypted_timestamp": "1", "mac1": BYTES[112:128].hex()}),
        (2, 92, {"encrypted_empty": "1", "mac1": BYTES[56:72].hex()}),
        (3, 64, {"encrypted_cookie": BYTES[28:60].hex()}),
        (4, 64, {"encrypted_packet": "1"}),
    ],
)
def test_wireguard_says_that_something_is_encrypted(kind: int, size: int, names: dict[str, str]) -> None:
    tree = dissect(udp(51820, 51820, bytes([kind, 0, 0, 0]) + BYTES[: size - 4]), RAW)
    assert {name: value(tree, f"wg.{name}") for name in names} == names


class Dccp(Talk):
    """RFC 4340, 5.1; all with numbers of 48 bits but those of data."""

    def send(self, kind: int, sequence: int, acknowledged: int | None = None, *, back: bool = False) -> Tree:
        long = kind != 2
        body = b"\0" + sequence.to_bytes(6, "big") if long else sequence.to_bytes(3, "big")
        if acknowledged is not None:
            body += b"\0\0" + acknowledged.to_bytes(6, "big")
        body += bytes(4) if kind < 2 else b""
        offset = (9 + len(body) + 3) // 4
        ports = (self.ports[1], self.ports[0]) if back else self.ports
        head = struct.pack("!HHBBHB", *ports, offset, 0, 0, kind << 1 | long) + body
        self.number += 1
        return dissect(
            ip(head.ljust(4 * offset, b"\0"), 33, back=back), RAW, context=self.context, number=self.number
        )


def test_dccp_numbers_are_relative_to_those_that_opened_it() -> None:
    talk = Dccp(5001, "dccp")
    trees = [talk.send(0, 1000), talk.send(1, 2000, 1000, back=True), talk.send(3, 1001, 2000), talk.send(2, 1002)]
    assert [tree.info.partition("[")[2].partition(" (s")[0] for tree in trees] == [
        "Request] Seq=1000",
        "Response] Seq=2000 (Ack=0)",
        "Ack] Seq=1 (Ack=0)",
        "Data] Seq=2",
    ]
    assert [values(tree, "dccp.seq") for tree in trees] == [[], [], ["1"], ["1002", "2"]]
    assert [value(tree, "dccp.seq_raw") for tree in trees] == ["1000", "2000", "1001", ""]


def test_dccp_numbers_of_a_connection_that_began_before() -> None:
    talk = Dccp(5001, "dccp")
    for number in (7, 8):
        tree = talk.send(3, number, 2000)
        assert (values(tree, "dccp.seq"), value(tree, "dccp.seq_raw")) == ([], str(number))
        assert tree.info.endswith(f"Seq={number} (Ack=2000)")


def test_reserved_bytes_of_ospf_version_3() -> None:
    """RFC 5340, A.3: bytes, however many there are."""
    bodies = {
        2: struct.pack("!B3sHBBI", 0, b"\0\0\x13", 1500, 9, 7, 99),
        3: struct.pack("!HHII", 8, 0x2001, 9, 1),
    }
    expected = {2: ["05", "00", "09"], 3: ["05", "0008"]}
    for kind, body in bodies.items():
        head = struct.pack("!BBHIIHBB", 3, kind, 16 + len(body), 1, 0, 0, 7, 5)
        packet = struct.pack("!IHBB", 6 << 28, len(head + body), 89, 1) + CLIENT * 4 + SERVER * 4 + head + body
        assert values(dissect(packet, RAW, context=Context()), "ospf.reserved") == expected[kind]
