"""The detail view: fields and bytes point at each other, neighbours can be visited, nothing hostile gets out."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from fuzz.packets import ingested
from textual.app import App
from textual.content import Content

from netwatch.app.detail_screen import DetailScreen
from netwatch.capture.block import Loss
from netwatch.capture.directory import PlainDirectory
from netwatch.capture.dissect.kit import Field, Item
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file
from netwatch.capture.tshark import TsharkError
from netwatch.widgets.detail_tree import DetailTree
from netwatch.widgets.footer import Footer
from netwatch.widgets.hex_view import HexView, bytes_per_row
from netwatch.widgets.palette import ASCII, UNICODE, Glyphs, Look, theme

if TYPE_CHECKING:
    from pathlib import Path

    from netwatch.capture.tshark import Tshark


def dns_packet(name: bytes) -> bytes:
    """An Ethernet/IPv4/UDP packet with a DNS query for one label."""
    dns = (
        struct.pack("!6H", 0xBC38, 0x0100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\0" + struct.pack("!2H", 1, 1)
    )
    udp = struct.pack("!4H", 40000, 53, 8 + len(dns), 0) + dns
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    ip += socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.53")
    return bytes.fromhex("0200000000020200000000010800") + ip + udp


def session_of(path: Path, packets: list[bytes]) -> Session:
    records = [
        struct.pack("<4I", 1_700_000_000 + n, 0, len(data), len(data)) + data for n, data in enumerate(packets)
    ]
    path.write_bytes(struct.pack("<I2HiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records))
    return ingested(open_file(str(path)))


class Detail(App[int]):
    def __init__(
        self, session: Session, index: int = 0, tshark: Tshark | None = None, look: Look | None = None
    ) -> None:
        super().__init__()
        self.session, self.index, self.look, self.tshark = session, index, look or Look(), tshark
        self.register_theme(theme(self.look))
        self.theme = "netwatch"

    def on_mount(self) -> None:
        self.push_screen(
            DetailScreen(self.session, self.look, self.index, PlainDirectory("."), self.tshark), self.exit
        )


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return session_of(tmp_path / "t.pcap", [dns_packet(b"example"), dns_packet(b"second"), dns_packet(b"third")])


def text_on_screen(app: App[int]) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_every_field_lights_its_bytes(session: Session, size: tuple[int, int]) -> None:
    app = Detail(session)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        tree, hex_view = app.screen.query_one(DetailTree), app.screen.query_one(HexView)
        seen = set()
        tree.root.expand_all()
        await pilot.press("down")
        for line in range(tree.last_line + 1):
            tree.cursor_line = line
            await pilot.pause()
            item = tree.field_item()
            assert item is not None
            assert hex_view.field_range == range(item.start, item.start + item.size)
            seen.add(item.field.name)
        assert {"eth.src", "ip.src", "udp.dstport", "dns.qry.name"} <= seen


async def test_a_byte_selects_the_field_that_owns_it(session: Session) -> None:
    app = Detail(session)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        tree, hex_view = app.screen.query_one(DetailTree), app.screen.query_one(HexView)
        await pilot.press("tab", "home", *["right"] * 26)  # byte 26: the first of the IPv4 source
        await pilot.pause()
        item = tree.field_item()
        assert item is not None
        assert item.field.name == "ip.src"
        assert hex_view.field_range == range(26, 30)
        assert hex_view.cursor == 26


async def test_a_click_in_the_bytes_selects_too(session: Session) -> None:
    app = Detail(session)
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.pause()
        hex_view = app.screen.query_one(HexView)
        assert bytes_per_row(hex_view.scrollable_content_region.width) == 16
        # row 2, byte 4: offset 0x24, the destination port; digits begin at column 6, three a byte
        await pilot.click(HexView, offset=(2 + 6 + 3 * 4, 1 + 2))
        await pilot.pause()
        item = app.screen.query_one(DetailTree).field_item()
        assert item is not None
        assert item.field.name == "udp.dstport"
        # the same byte in the text column
        await pilot.click(HexView, offset=(2 + 6 + 48 + 2 + 1, 1 + 2))
        assert hex_view.cursor == 0x21


async def test_neighbours_and_the_way_back(session: Session) -> None:
    app = Detail(session, 1)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Packet 2" in text_on_screen(app)
        await pilot.press("n", "n")
        assert "Packet 3" in text_on_screen(app)
        await pilot.press("N", "m")
        assert "Packet 2 ◆" in text_on_screen(app)
        assert session.marked == {1}
        await pilot.press("escape")
    assert app.return_value == 1


async def test_folds_hold_for_the_next_packet(session: Session) -> None:
    app = Detail(session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        tree = app.screen.query_one(DetailTree)
        folded = {str(node.label): node.is_expanded for node in tree.root.children}
        await pilot.press("right", "n")
        again = {str(node.label): node.is_expanded for node in tree.root.children}
        assert not next(iter(folded.values()))
        assert next(iter(again.values()))


@pytest.mark.parametrize("name", [b"\x1b[2J\x1b]0;owned\x07\x9b31m", "\u202egnp.exe \u009b31m".encode()])
async def test_nothing_hostile_reaches_the_screen(tmp_path: Path, name: bytes) -> None:
    app = Detail(session_of(tmp_path / "h.pcap", [dns_packet(name)]))
    async with app.run_test(size=(200, 60)) as pilot:
        app.screen.query_one(DetailTree).root.expand_all()
        await pilot.press("down")
        shown = text_on_screen(app).replace("\n", "")
        assert not [char for char in shown if not char.isprintable()]
        assert "\\x1b" in shown or "\\u202e" in shown or "\\x9b" in shown or "\\u009b" in shown


async def test_a_pause_and_a_loss_are_seen_here_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.pause(0, 2)
    monkeypatch.setattr(session.source, "loss", lambda: Loss(ring=7))
    app = Detail(session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        first = text_on_screen(app).splitlines()[0]
        assert "LOST 7" in first
        assert "PAUSED 0 new" in first


@pytest.mark.parametrize("left", [0, 6, 30])
async def test_of_a_file_that_shrank_nothing_is_said_to_be_cut(tmp_path: Path, left: int) -> None:
    session = session_of(
        tmp_path / "capture", [dns_packet(b"one"), dns_packet(b"x" * 60)] + [dns_packet(b"two")] * 20
    )
    at = int(session.store.rows(np.array([1])).pos[0])
    os.truncate(tmp_path / "capture", at + left)
    async with Detail(session, 1).run_test(size=(140, 40)) as pilot:
        await pilot.pause()
        screen = pilot.app.screen
        head = str(screen.query_one("#detail-head").render())
        tree = screen.query_one(DetailTree)
        lines = " ".join(str(node.label) for node in tree._tree_nodes.values())
        assert f"file shrank at byte {at + left}: {len(dns_packet(b'x' * 60)) - left} of" in head
        assert "bytes gone" in head
        for words in (head, lines):
            assert "snap length" not in words
            assert "limited" not in words
        assert ("Ethernet" in lines) == (left >= 14)


def request(body: bytes, sequence: int) -> bytes:
    """An Ethernet/IPv4/TCP packet to port 80."""
    tcp = struct.pack("!2H2L4H", 40000, 80, sequence, 1, 0x5018, 64000, 0, 0) + body
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0)
    ip += socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.80")
    return bytes.fromhex("0200000000020200000000010800") + ip + tcp


def two_segments() -> tuple[bytes, list[bytes]]:
    """A message, and the packets that bring it."""
    message = b"POST /form HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody"
    return message, [request(message[:30], 1), request(message[30:], 31)]


async def test_a_message_from_two_packets_is_shown_in_bytes_of_its_own(tmp_path: Path) -> None:
    message, packets = two_segments()
    app = Detail(session_of(tmp_path / "two.pcap", packets), 1)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.pause()
        screen = app.screen
        tree, view = screen.query_one(DetailTree), screen.query_one(HexView)
        title = Content.from_markup(str(view.border_title)).plain
        assert title == f"▸Packet {len(packets[1])}  Reassembled TCP {len(message)}"
        assert view.field_hex() == packets[1][:14].hex()
        await pilot.press("b")
        assert view.field_hex() == message.hex()
        await pilot.press("tab", "home")
        item = tree.field_item()
        assert item is not None
        assert item.buffer == 1
        await pilot.press("tab", "home")
        assert view.field_hex() == packets[1][:14].hex()


class Pretender:
    """What the screen asks of tshark."""

    def ask(self, data: bytes, linktype: int, wirelen: int, ts: int) -> list[Item]:  # noqa: ARG002
        if b"refused" in data:
            raise TsharkError("tshark ended with code 7")
        number = Item(Field("frame.number", ""), None, 0, 0, "Frame Number: 1")
        length = Item(Field("frame.len", ""), None, 0, 0, "Frame Length: 1 byte")
        frame = Item(Field("frame", ""), None, 0, len(data), f"Frame 1: {len(data)} bytes on wire")
        frame.children += [number, length]
        return [frame]


async def test_tshark_explains_the_packet_on_request_and_not_for_good(tmp_path: Path) -> None:
    packets = [dns_packet(b"first"), dns_packet(b"one"), dns_packet(b"refused")]
    app = Detail(session_of(tmp_path / "two.pcap", packets), 1, cast("Tshark", Pretender()))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        tree = app.screen.query_one(DetailTree)
        ours = [str(node.label) for node in tree.root.children]
        await pilot.press("W")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert [str(node.label) for node in tree.root.children] == [f"Frame 2: {len(packets[1])} bytes on wire"]
        assert [str(node.label) for node in tree.root.children[0].children] == [
            "Frame Number: 2",
            "Frame Length: 1 byte",
        ]
        assert str(tree.border_title) == "fields, as tshark has them, this packet alone"
        await pilot.press("W")
        assert [str(node.label) for node in tree.root.children] == ours
        await pilot.press("n", "W")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "tshark ended with code 7" in str(app.screen.query_one(Footer).notice)
        assert len(tree.root.children) > 1


async def test_without_tshark_the_key_says_what_to_do(tmp_path: Path) -> None:
    app = Detail(session_of(tmp_path / "one.pcap", [dns_packet(b"one")]))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("W")
        assert "apt-get install tshark" in str(app.screen.query_one(Footer).notice)


async def test_the_borders_speak_of_the_bytes_that_are_shown(tmp_path: Path) -> None:
    _, packets = two_segments()
    app = Detail(session_of(tmp_path / "two.pcap", packets), 1)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        view = app.screen.query_one(HexView)
        await pilot.press("down")
        assert str(view.border_subtitle) == "bytes 14-33"
        assert "▸Packet 87  Reassembled TCP 63" in text_on_screen(app)
        await pilot.press("b")
        assert not view.border_subtitle
        assert "Packet 87 ▸Reassembled TCP 63" in text_on_screen(app)
        await pilot.press("b")  # those of the field once more
        assert str(view.border_subtitle) == "bytes 14-33"
        await pilot.press("tab", "end", "N")
        assert not view.border_subtitle
        await pilot.resize_terminal(30, 24)
        await pilot.press("n", "b")
        await pilot.pause()
        assert "Reassembled TCP" in text_on_screen(app)


async def test_the_cursor_stays_in_sight_whatever_the_size(session: Session) -> None:
    app = Detail(session)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        tree = app.screen.query_one(DetailTree)
        tree.root.expand_all()
        await pilot.press("end")
        for size in ((60, 16), (120, 40), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert 0 <= tree.cursor_line - tree.scroll_offset.y < tree.scrollable_content_region.height
            assert tree.field_text().split(":")[0] in text_on_screen(app)


@pytest.mark.parametrize(("glyphs", "more", "before"), [(UNICODE, "…", "…"), (ASCII, ">", "<")])
async def test_a_line_that_is_cut_says_so_and_is_read_sideways(
    tmp_path: Path, glyphs: Glyphs, more: str, before: str
) -> None:
    name = b"-".join(b"%02d" % at for at in range(21))
    app = Detail(session_of(tmp_path / "long.pcap", [dns_packet(name)]), look=Look(glyphs=glyphs))
    async with app.run_test(size=(60, 30)) as pilot:
        await pilot.pause()
        tree = app.screen.query_one(DetailTree)
        width = tree.scrollable_content_region.width

        def line() -> str:
            return tree.render_line(tree.cursor_line - tree.scroll_offset.y).text

        await pilot.press("down")
        tree.root.expand_all()
        await pilot.pause()
        while (item := tree.field_item()) is None or item.field.name != "dns.qry.name":
            await pilot.press("down")
        here, first = tree.cursor_line, line()
        assert first.endswith(more)
        assert len(first) == width
        await pilot.press("right")
        assert line().startswith(before)
        await pilot.press(*["right"] * 3)
        assert line().rstrip().endswith("19-20")
        assert line().startswith(before)
        assert tree.cursor_line == here
        await pilot.press("left")
        assert line() == first
        await pilot.press("left")
        assert tree.cursor_line < here
        lines = [tree.render_line(y).text for y in range(tree.size.height)]
        assert all(len(drawn) == width for drawn in lines)
        head = str(app.screen.query_one("#detail-head").render())
        assert "Packet 1  20" in head
        assert head.count("\n") == 1
        assert "192.0.2.53  DNS" in head
        assert glyphs.braille or all(drawn.isascii() for drawn in (*lines, head))


async def test_the_keys_of_a_packet_fit_a_common_terminal(session: Session) -> None:
    async with Detail(session).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        last = text_on_screen(pilot.app).splitlines()[-1]
        for words in ("esc back", "f follow", "W tshark", "b data", "? help", "y copy"):
            assert words in last


@pytest.mark.parametrize("size", [(80, 24), (150, 30)])
async def test_the_help_opens_at_the_keys_of_a_packet(session: Session, size: tuple[int, int]) -> None:
    async with Detail(session).run_test(size=size) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        shown = text_on_screen(pilot.app)
        assert "An opened packet" in shown
        assert "The fields as tshark has them" in shown
