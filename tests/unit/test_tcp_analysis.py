"""What a segment is beside those before it, told as a connection that goes wrong in every way."""

from __future__ import annotations

import struct

import pytest

from netwatch.capture.dissect import Context, Tree, dissect, fields_text, find

RAW = 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
ACK, PSH, SYN, FIN, RST = 0x10, 0x18, 0x02, 0x11, 0x04
SCALE = bytes.fromhex("01030307")
MS = 1_000_000


class Connection:
    """Segments of one connection, numbered from 0 each way, as the dissector meets them."""

    def __init__(self) -> None:
        self.context = Context()
        self.number = 0
        self.ts = 10**18

    def send(
        self,
        client: bool,
        flags: int,
        sequence: int,
        acknowledged: int,
        size: int = 0,
        *,
        window: int = 500,
        after: int = MS,
        options: bytes = b"",
    ) -> Tree:
        self.number += 1
        self.ts += after
        mine, theirs = (40000, 9) if client else (9, 40000)
        base, other = (0xFFFFFF00, 7000) if client else (7000, 0xFFFFFF00)
        numbers = [(base + sequence) & 0xFFFFFFFF, (other + acknowledged) & 0xFFFFFFFF]
        word = (5 + len(options) // 4) << 12 | flags
        segment = struct.pack("!HHIIHHHH", mine, theirs, *numbers, word, window, 0, 0) + options + bytes(size)
        ends = CLIENT + SERVER if client else SERVER + CLIENT
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0)
        return dissect(head + ends + segment, RAW, context=self.context, number=self.number, ts=self.ts)

    def open(self) -> None:
        """Three segments; a round trip takes 2 ms."""
        self.send(True, SYN, 0, 0, options=SCALE)
        self.send(False, SYN | ACK, 0, 1, options=SCALE)
        self.send(True, ACK, 1, 1)


@pytest.fixture
def connection() -> Connection:
    made = Connection()
    made.open()
    return made


def prefix(tree: Tree) -> str:
    return tree.info.partition("40000 → 9")[0].partition("9 → 40000")[0].strip()


def test_numbers_are_relative_and_go_on_behind_two_to_the_32(connection: Connection) -> None:
    tree = connection.send(True, PSH, 1, 1, 1000)
    assert "Seq=1 Ack=1 Win=64000 Len=1000" in tree.info
    assert [fields_text(found) for name in ("tcp.seq", "tcp.nxtseq") if (found := find(tree, name))] == ["1", "1001"]
    assert "Seq=1001 Ack=1 " in connection.send(True, PSH, 1001, 1, 10).info


def test_what_arrives_as_it_should_has_nothing_said_of_it(connection: Connection) -> None:
    for tree in (
        connection.send(True, PSH, 1, 1, 100),
        connection.send(False, ACK, 1, 101),
        connection.send(False, PSH, 1, 101, 50),
        connection.send(True, ACK, 101, 51),
        connection.send(True, FIN, 101, 51),
        connection.send(False, FIN, 51, 102),
        connection.send(True, ACK, 102, 52),
    ):
        assert prefix(tree) == ""
        assert find(tree, "tcp.analysis.flags") is None


def test_a_lost_segment_duplicates_and_what_is_sent_again(connection: Connection) -> None:
    connection.send(True, PSH, 1, 1, 100)
    assert prefix(connection.send(True, PSH, 201, 1, 100)) == "[TCP Previous segment not captured]"
    connection.send(False, ACK, 1, 101)
    for count in (1, 2):
        tree = connection.send(False, ACK, 1, 101)
        assert prefix(tree) == f"[TCP Dup ACK 6#{count}]"
        duplicate = find(tree, "tcp.analysis.duplicate_ack_num")
        assert duplicate is not None
        assert duplicate.value == count
    tree = connection.send(True, PSH, 101, 1, 100)
    assert prefix(tree) == "[TCP Fast Retransmission]"
    assert find(tree, "tcp.analysis.fast_retransmission") is not None


@pytest.mark.parametrize(
    ("later", "said"), [(1 * MS, "[TCP Out-Of-Order]"), (300 * MS, "[TCP Retransmission]")], ids=["soon", "late"]
)
def test_what_comes_behind_its_successor(connection: Connection, later: int, said: str) -> None:
    connection.send(True, PSH, 1, 1, 100)
    connection.send(True, PSH, 201, 1, 100)
    assert prefix(connection.send(True, PSH, 101, 1, 100, after=later)) == said


def test_what_was_acknowledged_is_sent_again_for_nothing(connection: Connection) -> None:
    connection.send(True, PSH, 1, 1, 100)
    connection.send(False, ACK, 1, 101)
    assert prefix(connection.send(True, PSH, 1, 1, 100)) == "[TCP Spurious Retransmission]"


def test_windows_that_close_and_open(connection: Connection) -> None:
    connection.send(False, ACK, 1, 1, window=1)
    assert prefix(connection.send(True, PSH, 1, 1, 128)) == "[TCP Window Full]"
    assert prefix(connection.send(False, ACK, 1, 129, window=0)) == "[TCP ZeroWindow]"
    assert prefix(connection.send(True, PSH, 129, 1, 1)) == "[TCP ZeroWindowProbe]"
    assert prefix(connection.send(False, ACK, 1, 129, window=0)) == "[TCP ZeroWindowProbeAck] [TCP ZeroWindow]"
    assert prefix(connection.send(False, ACK, 1, 129, window=500)) == "[TCP Window Update]"


def test_a_connection_kept_alive(connection: Connection) -> None:
    connection.send(True, PSH, 1, 1, 100)
    connection.send(False, ACK, 1, 101)
    assert prefix(connection.send(True, ACK, 100, 1)) == "[TCP Keep-Alive]"
    assert prefix(connection.send(False, ACK, 1, 101)) == "[TCP Keep-Alive ACK]"


def test_an_answer_to_what_was_not_captured(connection: Connection) -> None:
    assert prefix(connection.send(False, ACK, 1, 500)) == "[TCP ACKed unseen segment]"


def test_ports_that_are_used_again(connection: Connection) -> None:
    connection.send(True, PSH, 1, 1, 100)
    tree = connection.send(True, SYN, 90_000, 0)
    assert prefix(tree) == "[TCP Port numbers reused]"
    assert "Seq=0 " in tree.info


def test_packets_that_were_left_out_are_no_gap_of_the_capture(connection: Connection) -> None:
    connection.send(True, PSH, 1, 1, 100)
    connection.context.skip()
    tree = connection.send(True, PSH, 5001, 1, 100)
    assert prefix(tree) == ""
    assert "Seq=5001 " in tree.info
