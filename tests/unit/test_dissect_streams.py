"""What is shown of a byte stream wherever its segments end: messages and lines beyond what is put together."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from tests.unit.handmade import Opened, items

from netwatch.capture.dissect import Tree
from netwatch.capture.dissect.text_lines import MAX_LINE


def shown(payload: bytes, port: int, places: list[int], *, back: bool = False) -> list[Tree]:
    """A connection over which `payload` goes, cut at `places`."""
    talk = Opened(port)
    return [talk.say(payload[first:last], back=back) for first, last in pairwise([0, *places, len(payload)])]


def messages(trees: list[Tree]) -> list[str]:
    """The layers of them, but for what is the middle of one."""
    names = (layer.field.name for tree in trees for layer in tree.layers[3:])
    return [name for name in names if name and name != "tcp.segment_data"]


LONG = 2_000_000
SMB = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + bytes(16) + bytes(40)
KEEP_ALIVE = b"\x85\0\0\0"
ROW = b"D" + struct.pack("!IHI", 10 + LONG, 1, LONG)
COMPLETE = b"C" + struct.pack("!I", 13) + b"SELECT 1\0"
PUBLISH = b"\x30" + bytes([LONG & 0x7F | 0x80, LONG >> 7 & 0x7F | 0x80, LONG >> 14]) + b"\0\1a"
PING = b"\xd0\0"
LONG_MESSAGES = {
    "nbss": (445, struct.pack("!I", len(SMB) + LONG) + SMB, KEEP_ALIVE, LONG),
    "pgsql": (5432, ROW, COMPLETE, LONG),
    "mqtt": (1883, PUBLISH, PING, LONG - 3),
}


@pytest.mark.parametrize("name", LONG_MESSAGES)
@pytest.mark.parametrize("first", [50_000, 200, 9, 4])
def test_what_is_in_a_message_too_long_to_be_put_together_is_none(name: str, first: int) -> None:
    port, head, behind, size = LONG_MESSAGES[name]
    payload = head + (behind * LONG)[:size] + behind
    # Wherever a segment begins within it, a message seems to begin.
    aligned = len(head) + 4000 * len(behind)
    places = [first, *range(aligned + first // aligned * aligned, len(payload), 4000 * len(behind))]
    trees = shown(payload, port, places, back=True)
    found = messages(trees)
    assert found[0] == found[-1] == name
    assert set(found) <= {name, "smb2", "_ws.short"}
    assert {tree.verdict.kind for tree in trees} == {"ok"}
    assert [number for number, tree in enumerate(trees) if messages([tree])] in (
        [0, len(trees) - 1],
        [1, len(trees) - 1],
    )


def test_a_message_behind_a_gap_in_one_too_long() -> None:
    _, head, behind, size = LONG_MESSAGES["nbss"]
    payload = head + behind * (size // 4) + KEEP_ALIVE
    talk, trees = Opened(445), []
    begun = talk.sequence[True]
    for first, last in ((0, 60_000), (60_000, 100_000), (1_900_000, 1_950_000), (1_990_000, len(payload))):
        for at in range(first, last, 50_000):
            talk.sequence[True] = begun + at
            trees.append(talk.answer(payload[at : min(last, at + 50_000)]))
    assert messages(trees) == ["nbss", "smb2", "nbss"]


@pytest.mark.parametrize("cut", [[100], [254], [255], [256], [600], [100, 880]])
def test_a_version_line_that_has_no_end(cut: list[int]) -> None:
    """RFC 4253, 4.2: it has 255 bytes at most."""
    line = b"SSH-2.0-" + b"x" * 900 + b"\r\n"
    for back in (False, True):
        trees = shown(line + b"\xff" * 40, 22, cut, back=back)
        assert [item.value for tree in trees for item in items(tree) if item.field.name == "ssh.protocol"] == [
            line[:255]
        ]


@pytest.mark.parametrize("cut", [100, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE, 20_000])
def test_lines_that_are_too_long(cut: int) -> None:
    payload = b"NICK " + b"y" * 20_000 + b"\r\nPING a\r\n"

    def lines(trees: list[Tree]) -> list[tuple[str, object]]:
        within = (item for tree in trees for item in items(tree))
        return [(item.field.name, item.value) for item in within if item.field.name.startswith("irc.re")]

    whole = lines(shown(payload, 6667, []))
    assert len(whole) > 3
    assert lines(shown(payload, 6667, [cut])) == whole
