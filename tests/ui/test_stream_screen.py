"""Following a stream on the screen: opened from the list and from a packet, read, searched, saved, left again."""

from __future__ import annotations

import socket
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from netwatch.app.detail_screen import DetailScreen
from netwatch.app.main_screen import MainScreen
from netwatch.app.stream_screen import StreamScreen
from netwatch.capture.follow import Follow
from netwatch.widgets.footer import Footer
from netwatch.widgets.stream_rows import Rows, shown, wrap
from netwatch.widgets.stream_view import StreamView

MakeWorld = Callable[..., Any]

FIN, SYN, PSH, ACK = 1, 2, 8, 16
CLIENT, SERVER = ("192.0.2.1", 40000), ("198.51.100.80", 80)


def segment(payload: bytes, seq: int, flags: int = ACK, ack: int = 0, *, back: bool = False) -> bytes:
    (source, sport), (destination, dport) = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    head = struct.pack("!2H2L4H", sport, dport, seq, ack, 0x5000 | flags, 64000, 0, 0)
    ip = struct.pack("!2B3H2BH", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0)
    ip += socket.inet_aton(source) + socket.inet_aton(destination)
    return bytes.fromhex("0200000000020200000000010800") + ip + head + payload


QUESTION = b"GET /index HTTP/1.1\r\nHost: example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>Gr\xc3\xbc\xc3\x9fe \xe6\x9d\xb1\xe4\xba\xac</h1>\n"


def talk() -> list[bytes]:
    """A handshake, a question, an answer with a gap, bytes that differ from those before, an end."""
    return [
        segment(b"", 1000, SYN),
        segment(b"", 5000, SYN | ACK, 1001, back=True),
        segment(QUESTION, 1001),
        segment(ANSWER, 5001, back=True),
        segment(b"tail \x1b[31m\xe2\x80\xae\n", 5001 + len(ANSWER) + 1460, back=True),
        segment(b"GET /evil!", 1001),
        segment(b"bye", 1001 + len(QUESTION), FIN | ACK),
    ]


def text_of(pilot: Pilot[Any]) -> str:
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(piece.text for piece in line) for line in strips)


async def settled(pilot: Pilot[Any]) -> None:
    """Until nothing is left to put together or to lay out."""
    screen: Any = None
    until = time.monotonic() + 60
    while time.monotonic() < until:
        await pilot.pause(0.02)
        screen = pilot.app.screen
        if not isinstance(screen, StreamScreen):
            return
        view = screen.query_one(StreamView)
        if screen._follow.complete and view.rows.complete and not view.pending and screen._save is None:
            break
    screen._show_head()
    await pilot.pause(0.02)


@pytest.fixture
def one(world: MakeWorld, packets_of: Callable[[int], list[bytes]]) -> Any:
    """A file with a conversation among others."""
    others = packets_of(14)
    return world(live=False, buffer=None, packets=[*others[:7], *talk(), *others[7:]])


async def test_from_the_list_and_back_to_the_packet_of_the_line(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        main = one.app.screen
        assert isinstance(main, MainScreen)
        main.packets.go_to(9)
        await pilot.press("f")
        await settled(pilot)
        text = text_of(pilot)
        assert "client 192.0.2.1:40000 ↔ server 198.51.100.80:80" in text
        assert "→ GET /index HTTP/1.1" in text
        assert "<h1>Grüße 東京</h1>" in text
        assert "1,460 bytes missing in capture" in text
        assert "tail \\x1b[31m\\u202e" in text
        assert "1 gap, 1,460 bytes missing" in text
        assert "conflict: packet 13 (10 bytes) differs in 5 from packet 10 (38 bytes): evil!" in text
        await pilot.press("end", "enter")
        await pilot.pause()
        assert one.app.screen is main
        assert main.packets.cursor == 13


async def test_the_cursor_stands_on_the_packet_that_was_chosen(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        one.app.screen.packets.go_to(11)
        await pilot.press("f")
        await settled(pilot)
        row = one.app.screen.query_one(StreamView).here
        assert row.start == len(ANSWER) + 1460
        await pilot.press("escape")
        one.app.screen.packets.go_to(12)  # nothing of it is shown but that it differs
        await pilot.press("f")
        await settled(pilot)
        assert one.app.screen.query_one(StreamView).here.start == row.start
        one.app.screen.dismiss(11)
        await pilot.pause()
        await pilot.press("f")
        await settled(pilot)
        await pilot.press("escape")
        assert isinstance(shown_screen(one), MainScreen)
        assert one.app.screen.packets.cursor == 11


def shown_screen(one: Any) -> Any:
    return one.app.screen


async def test_from_an_opened_packet(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        main = one.app.screen
        main.packets.go_to(10)
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("f")
        await settled(pilot)
        assert isinstance(shown_screen(one), StreamScreen)
        await pilot.press("escape")
        assert isinstance(shown_screen(one), DetailScreen)
        await pilot.press("f")
        await settled(pilot)
        await pilot.press("home", "enter")
        await pilot.pause()
        await pilot.pause()
        assert one.app.screen is main
        assert main.packets.cursor == 9


@pytest.mark.parametrize("size", [(12, 4), (30, 8), (300, 20)])
async def test_terminals_of_any_size(one: Any, size: tuple[int, int]) -> None:
    async with one.app.run_test(size=size) as pilot:
        await pilot.pause()
        one.app.screen.packets.go_to(9)
        await pilot.press("f")
        await settled(pilot)
        for key in ("r", "end", "o", "home", "pagedown", "r", "o", "question_mark", "escape"):
            await pilot.press(key)
            await settled(pilot)
        assert one.app.crash is None
        assert isinstance(shown_screen(one), StreamScreen)


async def test_what_has_no_stream_says_so(world: MakeWorld, packets_of: Callable[[int], list[bytes]]) -> None:
    arp = next(packet for packet in packets_of(40) if packet[12:14] == b"\x08\x06")
    one = world(live=False, buffer=None, packets=[arp])
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("f")
        await pilot.pause()
        assert isinstance(shown_screen(one), MainScreen)
        assert "no TCP or UDP" in (one.app.screen.query_one(Footer).notice or "")


async def open_stream(pilot: Pilot[Any], one: Any) -> StreamView:
    await pilot.pause()
    one.app.screen.packets.go_to(9)
    await pilot.press("f")
    await settled(pilot)
    view = one.app.screen.query_one(StreamView)
    assert isinstance(view, StreamView)
    return view


async def test_hexadecimal_and_sides(one: Any) -> None:
    async with one.app.run_test(size=(80, 24)) as pilot:
        await open_stream(pilot, one)
        await pilot.press("r")
        await settled(pilot)
        assert "00000000  47 45 54 20 2f 69 6e 64  65 78 20 48 54 54 50 2f  GET /index HTTP/" in text_of(pilot)
        await pilot.press("o", "r")
        await settled(pilot)
        text = text_of(pilot)
        assert "client only" in text
        assert "GET /index" in text
        assert "200 OK" not in text
        await pilot.press("o")
        await settled(pilot)
        text = text_of(pilot)
        assert "GET /index" not in text
        assert "200 OK" in text


async def test_the_cursor_stays_with_its_bytes(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        view = await open_stream(pilot, one)
        await pilot.press("down", "down", "down", "down", "down")
        before = view.here
        assert before is not None
        for key in ("r", "r"):
            await pilot.press(key)
            await settled(pilot)
        assert view.here == before
        await pilot.resize_terminal(60, 20)
        await settled(pilot)
        assert view.here is not None
        assert view.here.start <= before.start < view.here.end


async def test_finding(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        view = await open_stream(pilot, one)
        await pilot.press("slash", *"http/1.1", "enter")
        await settled(pilot)
        starts = []
        for key in ("n", "n", "N", "N"):
            assert view.here is not None
            starts.append((view.here.number, view.here.start))
            await pilot.press(key)
            await settled(pilot)
        assert starts == [(0, 0), (1, 0), (0, 0), (1, 0)]
        await pilot.press("slash", *["backspace"] * 8, *"nowhere", "enter")
        await settled(pilot)
        assert "not found: nowhere" in (one.app.screen.query_one(Footer).notice or "")
        await pilot.press("escape", "escape")
        assert isinstance(shown_screen(one), StreamScreen)
        await pilot.press("escape")
        assert isinstance(shown_screen(one), MainScreen)


async def test_what_looks_like_an_escape_is_one_and_tabs_lead_to_their_stops(world: MakeWorld) -> None:
    text = b"C:\\x1b \x1b\na\tb\tc\n1234567\tb\n\xe6\x9d\xb1\tb\n"
    one = world(packets=[*talk()[:2], segment(text, 1001)])
    async with one.app.run_test(size=(80, 24)) as pilot:
        await open_stream(pilot, one)
        lines = [line.strip("│→ ") for line in text_of(pilot).splitlines()]
        assert "C:\\\\x1b \\x1b" in lines
        assert "a       b       c" in lines
        assert "1234567 b" in lines
        assert "東      b" in lines


async def test_the_help_opens_at_the_keys_of_a_stream(one: Any) -> None:
    async with one.app.run_test(size=(80, 24)) as pilot:
        await open_stream(pilot, one)
        await pilot.press("question_mark")
        await pilot.pause()
        lines = text_of(pilot).splitlines()
        assert "A followed stream" in lines[1]
        assert "Text or hexadecimal" in text_of(pilot)


async def test_copying(one: Any) -> None:
    async with one.app.run_test(size=(120, 40)) as pilot:
        await open_stream(pilot, one)
        await pilot.press("y")
        assert one.app.clipboard == "GET /index HTTP/1.1"
        await pilot.press("r", "y")
        assert one.app.clipboard.startswith("47 45 54 20")


async def test_saving_asks_before_it_overwrites(one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_bytes(b"precious")
    async with one.app.run_test(size=(120, 40)) as pilot:
        await open_stream(pilot, one)
        await pilot.press("e")
        await pilot.pause()
        name = one.app.screen.query_one("#prompt").field
        name.value = "new"
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert (tmp_path / "new").read_bytes() == QUESTION + b"bye"
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
        assert "saved 41 bytes" in (one.app.screen.query_one(Footer).notice or "")
        await pilot.press("escape", "e")
        await pilot.pause()
        name = one.app.screen.query_one("#prompt").field
        name.value = "old"
        await pilot.press("enter")
        await pilot.pause()
        assert (tmp_path / "old").read_bytes() == b"precious"
        await pilot.press("enter")
        await settled(pilot)
        assert (tmp_path / "old").read_bytes().startswith(QUESTION)
        assert "without 1,460 that are missing" in (one.app.screen.query_one(Footer).notice or "")
        await pilot.press("escape", "e")
        await pilot.pause()
        one.app.screen.query_one("#prompt").field.value = "nowhere/at/all"
        await pilot.press("enter")
        await pilot.pause()
        assert "--save-dir chooses another" in text_of(pilot)


async def test_it_grows_while_packets_arrive_and_follows_at_the_end(world: MakeWorld) -> None:
    one = world(packets=talk()[:3])
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("f")
        await settled(pilot)
        await pilot.press("end")
        for at in range(40):
            one.feed([segment(b"line %2d\n" % at, 5001 + 8 * at, back=True)])
            await settled(pilot)
        text = text_of(pilot)
        assert "line 39" in text
        assert "line  1" not in text
        await pilot.press("home")
        one.feed([segment(b"line %2d\n" % 40, 5001 + 8 * 40, back=True)])
        await settled(pilot)
        assert "→ GET /index" in text_of(pilot)


async def test_before_the_first_byte(world: MakeWorld) -> None:
    one = world(packets=talk()[:2])
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("f")
        await settled(pilot)
        assert "no bytes in this conversation" in text_of(pilot)
        for key in ("down", "end", "r", "o", "n", "y"):
            await pilot.press(key)
        await pilot.press("escape", "escape")
        assert isinstance(shown_screen(one), MainScreen)


async def test_a_hundred_megabytes_open_at_once_and_keys_need_not_wait(
    world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"".join(b"%07d some words of a line that is not very long\n" % at for at in range(1200))
    count = 1800
    one = world(packets=[segment(b"", 1000, SYN), segment(b"", 5000, SYN | ACK, 1001, back=True)])
    for first in range(0, count, 100):
        one.feed([segment(line[:60_000], 5001 + 60_000 * at, back=True) for at in range(first, first + 100)])
    held: list[float] = []
    work = StreamScreen._work

    def timed(self: StreamScreen) -> None:
        begun = time.thread_time()
        work(self)
        held.append(time.thread_time() - begun)

    monkeypatch.setattr(StreamScreen, "_work", timed)
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("home", "f")
        await pilot.pause(0.1)
        assert "0000000 some words" in text_of(pilot)
        assert not one.app.screen.query_one(StreamView).rows.complete
        for key in ("end", "pageup", "r", "home", "r"):
            await pilot.press(key)
        await settled(pilot)
        assert len(one.app.screen.query_one(StreamView).rows) > 2_000_000
    assert max(held) < 1.0


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("depth", ["full", "mono"])
def test_how_it_looks(world: MakeWorld, snap_compare: Any, size: tuple[int, int], depth: str) -> None:
    one = world(live=False, buffer=None, packets=talk(), depth=depth)

    async def prepare(pilot: Pilot[None]) -> None:
        await pilot.pause(0.1)
        await pilot.press("home", "f")
        await settled(pilot)
        await pilot.press("slash", *"index", "enter")
        await settled(pilot)

    assert snap_compare(one.app, terminal_size=size, run_before=prepare)


# Rows


@pytest.mark.parametrize(
    ("data", "width", "rows"),
    [
        (b"one\ntwo", 10, [b"one\n", b"two"]),
        (b"one\r\n\r\ntwo\r\n", 10, [b"one\r\n", b"\r\n", b"two\r\n"]),
        (b"0123456789abc", 10, [b"0123456789", b"abc"]),
        (b"0123456789\nabc", 10, [b"0123456789\n", b"abc"]),
        (b"0123456789\r\nabc", 10, [b"0123456789\r\n", b"abc"]),
        (b"\x01\x02\x03", 10, [b"\x01\x02", b"\x03"]),
        ("東京東京東京".encode(), 5, ["東京".encode()] * 3),
        (b"\xff\xfe\xfd", 8, [b"\xff\xfe", b"\xfd"]),
        (b"a\tb\tc", 9, [b"a\tb", b"\tc"]),
        (b"a\tb\tc\td", 17, [b"a\tb\tc", b"\td"]),
        (b"12345678\tb\n\t\t\n", 16, [b"12345678\t", b"b\n", b"\t\t\n"]),
        (b"\t\t\t", 10, [b"\t\t", b"\t"]),
        (b"a\\b\\c", 6, [b"a\\b\\", b"c"]),
        (b"a\rb", 10, [b"a\rb"]),
        (b"abc\xe6\x9d", 10, [b"abc\xe6", b"\x9d"]),
    ],
)
def test_wrapping(data: bytes, width: int, rows: list[bytes]) -> None:
    starts, _ = wrap(data, width)
    assert [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)] == rows


@pytest.mark.parametrize("char", ["\x1b", "\x7f", "\x9b", "\u202e", "\u0301", "\r", "\x00", "\ue000"])
def test_nothing_that_a_terminal_acts_on_is_shown(char: str) -> None:
    assert shown(char).isascii()
    assert shown(char).isprintable()


def test_rows_that_grow_are_those_that_are_made_at_once(world: MakeWorld) -> None:
    one = world(packets=talk()[:2])
    from netwatch.capture.follow import pair_of

    pair = pair_of(one.session, 0)
    assert pair is not None
    follow = Follow(one.session, pair, 0)
    grown = Rows(follow, width=20)
    packets = talk()[2:]
    packets += [segment(b"%05d\n" % at * 9, 9001 + 54 * (at ^ 3), back=True) for at in range(400)]
    for packet in packets:
        one.feed([packet])
        follow.work(1)
        changed = follow.update()
        if changed is not None:
            grown.changed(*changed)
        grown.work(1)
    at_once = Rows(follow, width=20)
    at_once.work(10)
    assert [grown.row(y) for y in range(len(grown))] == [at_once.row(y) for y in range(len(at_once))]
    for y in range(len(grown)):
        row = grown.row(y)
        assert grown.find(row.number, row.start) == y
