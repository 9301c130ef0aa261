"""The dashboard as a whole: room for everything at every size, pause, switches, what cannot be overlooked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netwatch.capture.block import Damage
from netwatch.widgets.palette import ASCII, Look
from netwatch.widgets.pane import Lines

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def text_of(widget: Lines) -> str:
    widget.paint()
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def screen_text(one: Any) -> str:
    return "\n".join(text_of(widget) for widget in one.app.screen.query(Lines))


async def test_it_stands_before_the_first_packet(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)):
        text = screen_text(one)
        assert "LIVE" in text
        assert "listening on test0" in text


async def test_room_at_80_by_24(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(500))
    async with one.app.run_test(size=(80, 24)):
        screen = one.app.screen
        screen.paint_now()
        assert screen.query_one("#header").size.height == 1
        assert screen.footer.size.height == 1
        rows = text_of(screen.packets).splitlines()[2:-1]
        assert len(rows) >= 10
        assert all(len(row.strip("│┃ ")) > 40 for row in rows)
        heads = text_of(screen.packets).splitlines()[1]
        assert [
            name for name in ("Time", "Source", "Destination", "Proto", "Bytes", "Info") if name not in heads
        ] == []
        assert 79 - heads.index("Info") >= 15
        for name in ("breakdown", "talkers"):
            pane = screen.query_one("#" + name)
            assert len([row for row in text_of(pane).splitlines()[1:-1] if row.strip("│┃ ")]) >= 4
        left, right = screen.query_one("#breakdown").region, screen.query_one("#talkers").region
        assert left.y == right.y
        assert left.right == right.x
        assert sum(widget.size.height for widget in screen.query(Lines) if widget.id != "talkers") == 24


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (100, 33), (159, 47), (160, 24), (200, 60)])
async def test_every_line_is_exactly_as_wide_as_its_place(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int]
) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=size) as pilot:
        covered = 0
        for _ in range(2):
            one.app.screen.paint_now()
            covered = 0
            for widget in one.app.screen.query(Lines):
                widget.paint()
                for y in range(widget.size.height):
                    strip = widget.render_line(y)
                    assert strip.cell_length == widget.size.width
                    assert len(strip.text) == widget.size.width
                covered += widget.size.width * widget.size.height
            await pilot.press("t", "space", "slash", "x", "escape")
        assert covered == size[0] * size[1]


async def test_too_small_says_so_and_recovers(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(40, 10)) as pilot:
        note = one.app.screen.query_one("#too-small")
        assert note.display
        assert not one.app.screen.query_one("#body").display
        assert "40×10" in str(note.render())
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not note.display
        assert one.app.screen.query_one("#body").display
        assert one.app.screen.packets.has_focus


async def test_pause_pins_what_is_on_screen(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=2 << 20, packets=packets_of(300))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        await pilot.press("space")
        before = text_of(packets).splitlines()[2:-1]
        for _ in range(30):
            one.feed(packets_of(400))
        assert one.session.store.evicted > 0
        assert text_of(packets).splitlines()[2:-1] == before
        header = text_of(one.app.screen.query_one("#header"))
        assert "PAUSED" in header
        assert "12.0k new" in header
        assert f"{one.session.evicted_since_pause:>5} evicted" in header
        await pilot.press("space")
        assert packets.cursor == one.session.store.end - 1
        assert packets.follow
        assert "PAUSED" not in text_of(one.app.screen.query_one("#header"))


async def test_a_pause_holds_on_to_a_flood(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=1 << 20, packets=packets_of(300))
    flood = packets_of(900)
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        await pilot.press("t")
        # Between two repaints the whole buffer turns over.
        for _ in range(20):
            one.feed(flood)
        assert one.session.store.first > 300
        one.app.screen.action_pause()
        before = text_of(packets).splitlines()[2:-1]
        assert all(" TCP " in row or " TLS " in row or " HTTP " in row for row in before)
        newest = packets.visible_range()[1]
        assert newest == one.session.view.indices(len(one.session.view) - 1, len(one.session.view))[0]
        for _ in range(40):
            one.feed(flood)
        assert text_of(packets).splitlines()[2:-1] == before
        top = text_of(packets).splitlines()[0]
        assert f"{one.session.matches:,} of {one.session.kept:,}" in top
        assert len(one.session.view) > 3 * len(before), "more than the screen"
        await pilot.press("pageup")
        assert all(row.strip("│┃ ") for row in text_of(packets).splitlines()[2:-1])


async def test_the_counts_of_the_titles_are_about_packets_that_can_be_shown(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = world(packets=[packet for packet in packets_of(60) if packet[12:14] == b"\x08\x06"])
    count = one.session.store.packets
    one.feed([b"test0 went away", b"test0 is back"], event=True)
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        await pilot.press("t")
        assert f" 0 of {count} " in text_of(packets).splitlines()[0]
        await pilot.press("t", "a", "space")
        one.feed(packets_of(100))
        text = text_of(packets)
        assert f" {count} of {count} " in text
        assert f" {count} kept " in text
        await pilot.press("slash", *"arp")
        assert f"{count} packets" in str(one.app.screen.query_one("#prompt-verdict").render())


async def test_end_leaves_a_pause(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space", "k", "end")
        assert not one.session.paused
        assert one.app.screen.packets.follow


async def test_switches_by_key_and_by_mouse(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(80, 24)) as pilot:
        strip = one.app.screen.query_one("#switches")
        quiet = text_of(strip)
        await pilot.press("d")
        assert one.session.switches == {"d"}
        assert "[d]DNS" in text_of(strip)
        assert "FILTER" in text_of(one.app.screen.query_one("#header"))
        await pilot.click("#switches", offset=(quiet.index("ARP"), 0))
        assert one.session.switches == {"d", "a"}
        assert len(text_of(strip)) == 80
        await pilot.press("0")
        assert not one.session.switches
        assert text_of(strip) == quiet


@pytest.mark.parametrize("width", [60, 77, 78, 106])
async def test_all_switches_are_seen(world: MakeWorld, packets_of: PacketsOf, width: int) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(width, 16)) as pilot:
        strip = one.app.screen.query_one("#switches")
        labels = ("t TCP", "u UDP", "c ICMP", "d DNS", "w web", "s TLS", "a ARP")
        assert [label for label in labels if label not in text_of(strip).replace("  ", " ")] == []
        await pilot.press("s", "a")
        assert "ARP" in text_of(strip)
        await pilot.click("#switches", offset=(text_of(strip).index("ARP"), 0))
        assert one.session.switches == {"s"}


async def test_without_utf8_all_is_ascii(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(60))
    one.app.look = Look("mono", ASCII)
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press(
            "slash", *"tcp.port == 443 or tcp.port == 444 or frame.len > 100 or udp or tcp or ip", "enter"
        )
        await pilot.press("space")
        await pilot.pause()
        one.app.screen.paint_now()
        text = screen_text(one)
        assert text.isascii()
        assert " -> " in text
        await pilot.press("enter")
        await pilot.pause()
        tree = one.app.screen.query_one("#detail-tree")
        assert "".join(tree.render_line(y).text for y in range(2)).isascii()


async def test_loss_cannot_be_overlooked(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(20))
    async with one.app.run_test(size=(80, 24)) as pilot:
        header = one.app.screen.query_one("#header")
        assert "LOST" not in text_of(header)
        one.source.lost.ring = 8257
        assert " LOST 8257: --ring 128M " in text_of(header)
        await pilot.resize_terminal(120, 24)
        assert "LOST 8,257 ring: try --ring 128M" in text_of(header)


async def test_a_damaged_file_says_where(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(20))
    one.source.damage = Damage(1234, "a length that cannot be")
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        assert "DAMAGED" in text_of(one.app.screen.query_one("#header"))
        assert "damaged at byte 1,234" in text_of(one.app.screen.footer)
        await pilot.press("escape")
        assert "pause" in text_of(one.app.screen.footer)


async def test_where_a_file_is_damaged_stays_on_screen(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(20))
    one.source.damage = Damage(78512, "a length that cannot be")
    async with one.app.run_test(size=(60, 16)) as pilot:
        await pilot.pause(0.2)
        assert text_of(one.app.screen.footer).startswith("  damaged at byte 78,512: a length")
        await pilot.press("escape")
        assert " damaged at byte 78,512 " in text_of(one.app.screen.packets)


async def test_a_file_that_ended_stands_where_it_stood_after_a_pause(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        await pilot.press("down", "down", "space", "space")
        assert one.app.screen.packets.cursor == 2
        await pilot.press("space", "end")
        assert not one.session.paused
        assert one.app.screen.packets.cursor == 99
        assert "following" not in text_of(one.app.screen.packets)


async def test_a_failed_capture_says_why(world: MakeWorld) -> None:
    one = world()
    one.engine.ended, one.engine.failed = True, "test0: gone"
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        assert "FAILED" in text_of(one.app.screen.query_one("#header"))
        assert "test0: gone" in text_of(one.app.screen.footer)


async def test_a_typed_filter_applies_as_it_is_typed_and_escape_takes_it_back(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"arp")
        assert one.session.filter_text == "arp"
        await pilot.press("escape")
        await pilot.pause()
        assert one.session.filter_text == ""
        await pilot.press("slash", *"arp", "enter")
        await pilot.pause()
        assert one.session.filter_text == "arp"
        assert " arp " in text_of(one.app.screen.packets).splitlines()[0]
        await pilot.press("escape")
        assert one.session.filter_text == ""


async def test_one_packet_and_back(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("home", "down", "enter")
        await pilot.pause()
        await pilot.press("n", "n", "escape")
        await pilot.pause()
        assert one.app.screen.packets.cursor == 3


async def test_nothing_is_painted_again_that_did_not_change(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(120, 40)) as pilot:
        screen = one.app.screen
        screen.paint_now()
        await pilot.pause(0.2)
        asked: list[str] = []
        for widget in screen.query(Lines):
            widget.refresh = lambda *_, of=widget.id, **__: asked.append(of)
        screen.paint_now()
        assert asked == []
        one.feed(packets_of(1))
        screen.paint()
        assert set(asked) <= {"header", "switches", "list", "timeline"}


async def test_hostile_bytes_do_not_reach_a_line(world: MakeWorld, hostile_packets: list[bytes]) -> None:
    one = world(live=False, buffer=None, packets=hostile_packets)
    one.source.name = "evil\x1b[31m\u202e"
    async with one.app.run_test(size=(200, 60)) as pilot:
        await pilot.pause(0.1)
        text = screen_text(one).replace("\n", "")
        assert "owned" in text
        assert [char for char in text if not char.isprintable()] == []
        for key in ("y", "n"):
            await pilot.press(key)
        assert one.app.clipboard.replace("\t", "").isprintable()


async def test_a_fault_of_its_own_is_one_line_without_values(
    world: MakeWorld, packets_of: PacketsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret of a packet")

    async def run_into_it() -> None:
        async with one.app.run_test(size=(80, 24)) as pilot:
            monkeypatch.setattr("netwatch.widgets.packet_list.PacketList.body", fail)
            await pilot.press("k")
            await pilot.pause(0.2)

    one = world(packets=packets_of(5))
    with pytest.raises(ValueError, match="secret"):
        await run_into_it()
    assert one.app.crash is not None
    assert "ValueError at test_main_screen.py:" in one.app.crash
    assert "secret" not in one.app.crash


async def test_a_prompt_that_closes_while_one_types_does_no_harm(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        for _ in range(5):
            await pilot.press("slash")
            for key in (*"tcp", "escape"):
                one.app.simulate_key(key)
            await pilot.pause()
            await pilot.pause()
            assert one.app.is_running
            assert one.session.filter_text == ""
