"""R: names in place of addresses, marked, with where they come from; filters and copies keep to addresses."""

from __future__ import annotations

import queue
import socket
import struct
from collections.abc import Callable

import pytest
from textual.widgets.tree import TreeNode

from netwatch.app.app import NetwatchApp
from netwatch.app.main_screen import MainScreen
from netwatch.capture.dissect import Item
from netwatch.capture.name_index import Learner
from netwatch.capture.name_tables import Tables
from netwatch.capture.names import Name, Origin
from netwatch.capture.services import Services
from netwatch.capture.vendors import Vendors
from netwatch.widgets.conversations import Conversations
from netwatch.widgets.detail_tree import DetailTree
from netwatch.widgets.display import Display
from netwatch.widgets.naming import described, fit_name, said_of
from netwatch.widgets.painting import width_of
from netwatch.widgets.palette import ASCII, UNICODE, Glyphs, Look
from netwatch.widgets.talkers import Talkers

SERVER = "198.51.100.7"
_SECOND = 1_000_000_000


def ip(protocol: int, payload: bytes, source: str, destination: str) -> bytes:
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return bytes.fromhex("0200000000020200000000010800") + head + ends + payload


def answer(name: bytes, address: str = SERVER) -> bytes:
    owner = b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0"
    message = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + owner + struct.pack("!2H", 1, 1)
    message += b"\xc0\x0c" + struct.pack("!2HLH", 1, 1, 60, 4) + socket.inet_aton(address)
    return ip(17, struct.pack("!4H", 53, 40000, 8 + len(message), 0) + message, "192.0.2.53", "192.0.2.1")


def segment(payload: bytes = b"") -> bytes:
    return ip(6, struct.pack("!2H2L4H", 40000, 443, 1, 1, 0x5018, 64000, 0, 0) + payload, "192.0.2.1", SERVER)


def text_of(app: NetwatchApp, selector: str) -> str:
    assert isinstance(app.screen, MainScreen)
    app.screen.paint_now()
    widget = app.screen.query_one(selector)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


async def learn(pilot: object, app: NetwatchApp) -> None:
    assert app.learner is not None
    app.learner.work(1.0)
    await pilot.press("R")  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]


PACKETS = [answer(b"docs.example"), *[segment(b"x" * 200)] * 5]


async def test_names_stand_in_the_list_the_talkers_and_the_conversations(world: Callable[..., object]) -> None:
    app: NetwatchApp = world(packets=PACKETS).app  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "docs.example" not in text_of(app, "#talkers")
        assert SERVER in text_of(app, "#talkers")
        await learn(pilot, app)
        assert "≈docs.example" in text_of(app, "#list")
        assert "≈docs.example" in text_of(app, "#talkers")
        assert SERVER not in text_of(app, "#talkers")
        await pilot.press("v")
        await pilot.pause()
        assert "≈docs.example:https" in text_of(app, "#conversations")
        assert app.screen.query_one(Conversations).display
        await pilot.press("R")
        await pilot.pause()
        assert "≈docs.example:443" in text_of(app, "#conversations")
        await pilot.press("R")
        await pilot.pause()
        assert "docs.example" not in text_of(app, "#conversations")
        assert f"{SERVER}:443" in text_of(app, "#conversations")


async def test_filters_and_copies_keep_to_addresses(world: Callable[..., object]) -> None:
    app: NetwatchApp = world(packets=PACKETS).app  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 40)) as pilot:
        await learn(pilot, app)
        screen = app.screen
        assert isinstance(screen, MainScreen)
        assert SERVER in screen.packets.copy_text()
        assert "docs.example" not in screen.packets.copy_text()
        talkers = screen.query_one(Talkers)
        talkers.focus()
        talkers.cursor = next(row.key for row in talkers.rows if row.address == SERVER)
        await pilot.press("enter")
        await pilot.pause()
        assert app.session.filter_text == f"ip.addr == {SERVER}"


async def test_the_talker_under_the_cursor_says_where_its_name_comes_from(world: Callable[..., object]) -> None:
    app: NetwatchApp = world(packets=PACKETS).app  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 40)) as pilot:
        await learn(pilot, app)
        talkers = app.screen.query_one(Talkers)
        assert "DNS answer" not in text_of(app, "#talkers")
        talkers.focus()
        await pilot.pause()
        talkers.cursor = next(row.key for row in talkers.rows if row.address == SERVER)
        talkers.paint()
        await pilot.pause()
        assert f"docs.example · DNS answer, 0 s ago · {SERVER}" in text_of(app, "#talkers")


CARD = "00:1b:21:12:34:56"


def arp() -> bytes:
    card = bytes.fromhex(CARD.replace(":", ""))
    return b"\xff" * 6 + card + struct.pack("!4HH", 0x0806, 1, 0x0800, 0x0604, 1) + card + bytes(14)


def with_tables(made: object) -> NetwatchApp:
    """The dashboard of a world that knows vendors, services, and the name of a host."""
    tables = Tables({"192.0.2.1": "gate.lan"}, Services({443: "https"}, {}), Vendors.load())
    return NetwatchApp(made.session, made.engine, queue.Queue(), look=Look("full"), names=tables)  # type: ignore[attr-defined]


async def test_r_goes_from_addresses_to_all_names_to_hosts_alone(world: Callable[..., object]) -> None:
    app = with_tables(world(packets=[arp(), *PACKETS]))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for words in ((CARD, "192.0.2.1 ", f"{SERVER} "), ("40000 → 443 [",), (CARD[:5], "192.0.2.1")):
            assert all(word in text_of(app, "#list") + text_of(app, "#talkers") for word in words)
        await learn(pilot, app)
        listed, talkers = text_of(app, "#list"), text_of(app, "#talkers")
        for word in ("Intel_12:34:56", "Broadcast", "gate.lan", "≈docs.example", "40000 → https ["):
            assert word in listed
        assert "≈gate.lan" not in listed  # the person's own file
        assert "Intel_12:34:56" in talkers
        assert "names: hosts, services, vendors · 2 known" in text_of(app, "#footer")
        await pilot.press("R")
        await pilot.pause()
        listed = text_of(app, "#list")
        for word in (CARD, "≈docs.example", "gate.lan", "40000 → 443 ["):
            assert word in listed
        assert "names: hosts ·" in text_of(app, "#footer")
        await pilot.press("R")
        await pilot.pause()
        assert "docs.example" not in text_of(app, "#list")
        assert "addresses and numbers" in text_of(app, "#footer")


async def test_the_card_under_the_cursor_says_who_made_it(world: Callable[..., object]) -> None:
    app = with_tables(world(packets=[arp(), *PACKETS]))
    async with app.run_test(size=(120, 40)) as pilot:
        await learn(pilot, app)
        talkers = app.screen.query_one(Talkers)
        talkers.focus()
        await pilot.pause()
        talkers.cursor = next(row.key for row in talkers.rows if row.address == CARD)
        talkers.paint()
        await pilot.pause()
        assert f"Intel_12:34:56 · Intel Corporate · {CARD}" in text_of(app, "#talkers")


async def test_an_opened_packet_says_names_with_their_origin_and_age(world: Callable[..., object]) -> None:
    app = with_tables(world(packets=PACKETS))
    async with app.run_test(size=(120, 40)) as pilot:
        await learn(pilot, app)
        await pilot.press("end", "enter")
        await pilot.pause()
        tree = app.screen.query_one(DetailTree)

        def lines() -> list[str]:
            found, branch = [], list(tree.root.children)
            while branch:
                node = branch.pop()
                branch += node.children
                found.append(str(node.label))
            return found

        assert f"Destination Address: ≈docs.example ({SERVER}), DNS answer, 0 s ago" in lines()
        assert "Source Address: gate.lan (192.0.2.1), /etc/hosts" in lines()
        assert "Destination Port: https (443)" in lines()
        assert "Source Port: 40000" in lines()
        assert "Source: 02:00:00:00:00:01, locally administered: random, or given by software" in lines()
        await pilot.press("R", "R")
        await pilot.pause()
        assert f"Destination Address: {SERVER}" in lines()
        assert "Destination Port: 443" in lines()
        await pilot.press("R")
        await pilot.pause()
        node = next(node for node in walk(tree) if str(node.label).startswith("Destination Address: ≈"))
        await pilot.pause()
        tree.move_cursor(node)
        await pilot.pause()
        # Copies keep to addresses.
        assert tree.field_text() == f"Destination Address: {SERVER}"


def walk(tree: DetailTree) -> list[TreeNode[Item]]:
    found, branch = [], list(tree.root.children)
    while branch:
        node = branch.pop()
        node.expand()
        branch += node.children
        found.append(node)
    return found


class Told:
    """A resolver that answers at once."""

    words = "asked 1, found 1"
    gone = False

    def __init__(self) -> None:
        self.wanted: list[str] = []

    def want(self, address: str) -> None:
        self.wanted.append(address)

    def work(self) -> list[tuple[str, str]]:
        found = [(address, "asked.example") for address in self.wanted if address == SERVER]
        self.wanted = [address for address in self.wanted if address != SERVER]
        return found


async def test_names_that_were_asked_for_are_marked_as_resolved(world: Callable[..., object]) -> None:
    made = world(packets=[segment(), arp()])
    told = Told()
    app = NetwatchApp(
        made.session,  # type: ignore[attr-defined]
        made.engine,  # type: ignore[attr-defined]
        queue.Queue(),
        look=Look("full"),
        resolver=told,  # type: ignore[arg-type]
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        text_of(app, "#list")
        app._resolve()
        await pilot.pause()
        assert app.learner is not None
        name = app.learner.names.of(SERVER)
        assert name is not None
        assert name.origin is Origin.RESOLVED
        assert set(told.wanted) == {"192.0.2.1"}  # no address of a card, nor one that is not shown
        talkers = app.screen.query_one(Talkers)
        talkers.focus()
        await pilot.pause()
        talkers.cursor = next(row.key for row in talkers.rows if row.address == SERVER)
        talkers.paint()
        await pilot.pause()
        assert "asked.example · resolved (PTR), 0 s ago" in text_of(app, "#talkers")
        told.gone, told.words = True, "the process that asks for names is gone"
        app._resolve()
        await pilot.pause()
        assert "the process that asks for names is gone" in text_of(app, "#footer")


async def test_names_that_are_learned_while_they_are_shown_appear(
    world: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.widgets.packet_list._NAMES_PERIOD", 0.0)
    made = world(packets=PACKETS)
    app: NetwatchApp = made.app  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 40)) as pilot:
        await learn(pilot, app)
        made.feed([answer(b"shop.example", "192.0.2.1")])  # type: ignore[attr-defined]
        assert app.learner is not None
        app.learner.work(1.0)
        app.screen.paint_now()  # type: ignore[attr-defined]
        await pilot.pause()
        lines = text_of(app, "#list").splitlines()
        assert sum("≈shop.example" in line for line in lines) == 7


async def test_without_names_none_are_learned(world: Callable[..., object]) -> None:
    made = world(packets=PACKETS)
    app = NetwatchApp(made.session, made.engine, queue.Queue(), look=Look("full"), names=None)  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("R")
        await pilot.pause()
        assert "-n" in text_of(app, "#footer")
        assert SERVER in text_of(app, "#list")


async def test_a_file_is_learned_from_in_the_background(world: Callable[..., object]) -> None:
    app: NetwatchApp = world(live=False, packets=PACKETS * 50).app  # type: ignore[attr-defined]
    assert app.learner is not None
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(500):
            await pilot.pause(0.02)
            if not app.learner.left:
                break
        assert app.learner.names.of(SERVER) is not None
        assert app.learner.looked == 50


@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (200, 60)])
async def test_hostile_names_stay_in_their_columns(world: Callable[..., object], width: int, height: int) -> None:
    packets = [
        answer(b"\x1b]0;x\x07" + "\u202e漢字漢字漢字漢字".encode() + b".example"),
        answer("e\u0301".encode() * 15, "192.0.2.1"),
        segment(),
    ]
    app: NetwatchApp = world(packets=packets).app  # type: ignore[attr-defined]
    async with app.run_test(size=(width, height)) as pilot:
        await learn(pilot, app)
        for selector in ("#list", "#talkers"):
            widget = app.screen.query_one(selector)
            for y in range(widget.size.height):
                strip = widget.render_line(y)
                assert strip.cell_length == widget.size.width
                assert not set(strip.text) & set("\x1b\x07\u202e\u0301")
                assert sum(width_of(segment.text) for segment in strip) == widget.size.width


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("text", ["a", "docs.example", "x" * 255, "漢字" * 40, "é" * 20 + "漢"])
@pytest.mark.parametrize("after", ["", ":443", " +2"])
def test_a_name_fills_its_width(glyphs: Glyphs, text: str, after: str) -> None:
    for width in range(1, 60):
        shown = fit_name(Name(text, Origin.DNS, 0), width, glyphs, after)
        assert width_of(shown) == width
        if width > 10:
            assert after in shown
            assert shown.startswith(glyphs.learned)


def test_a_long_name_keeps_its_domain() -> None:
    name = Name("node-17.eu-central.docs.example", Origin.DNS, 0)
    assert fit_name(name, 16, UNICODE) == "≈…l.docs.example"
    assert fit_name(name, 20, UNICODE, ":443") == "≈…l.docs.example:443"


def test_what_strangers_did_not_say_bears_no_sign() -> None:
    assert fit_name(Name("gate.lan", Origin.HOSTS, 0), 10, UNICODE) == "gate.lan  "
    assert fit_name(Name("Intel_12:34:56", Origin.VENDOR, 0), 15, UNICODE) == "Intel_12:34:56 "
    assert fit_name(Name("RaspberryPi_12:34:56", Origin.VENDOR, 0), 15, UNICODE) == "Raspbe_12:34:56"
    assert fit_name(Name("Resolved.example", Origin.RESOLVED, 0), 17, UNICODE) == "≈Resolved.example"


def test_what_is_said_of_a_name() -> None:
    name = Name("docs.example", Origin.SNI, 1000 * _SECOND, 2)
    latest = 1190 * _SECOND
    long, short = (described(name, SERVER, latest, flows=True, width=width) for width in (80, 40))
    assert long == f"docs.example +2 · TLS server name, 3 m ago · {SERVER}"
    assert short == f"{SERVER} · TLS server name, 3 m ago"
    hosts = Name("gate", Origin.HOSTS, 0)
    assert described(hosts, SERVER, latest, flows=False, width=80) == f"gate · /etc/hosts · {SERVER}"


def test_what_is_said_of_learning(world: Callable[..., object]) -> None:
    session = world(packets=PACKETS).session  # type: ignore[attr-defined]
    learner = Learner(session.store, session.source, live=True)
    display, latest = Display(learner=learner), session.statistics.last_ts
    assert said_of(display, latest) == "addresses and numbers"
    display.next_naming()
    assert "6 packets still to be looked at" in said_of(display, latest)
    learner.work(1.0)
    assert said_of(display, latest) == "names: hosts, services, vendors · 1 known, 0 s old"
    learner.names.learn("192.0.2.9", "later.example", Origin.DNS, latest - 190 * _SECOND)
    display.next_naming()
    assert said_of(display, latest) == "names: hosts · 2 known, 0 s to 3 m old"
    learner.passed_over = 3
    assert said_of(display, latest).endswith("time for 25 % of the packets that say names")
    display.next_naming()
    assert not display.named
