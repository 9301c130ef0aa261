"""A sender who wants the terminal meets the running dashboard: every byte that reaches the terminal is looked at."""

from __future__ import annotations

import contextlib
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import namespaces
from tests.live.emulator import NETWATCH, Terminal
from tests.live.hostile import PLACES, TRICKS, beacons, corpus

TITLE = "\x1b[2J\x1b]0;x\x07"
"""As far as the name of an interface, of a directory, of a program may hold it."""
CLIPBOARD = r"\]52;c;[A-Za-z0-9+/=]*\x07"
CHATTER = """
import ctypes, socket, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("10.9.0.2", 9999))
end.connect(("10.9.0.1", 40000))
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def packets() -> list[tuple[str, bytes]]:
    return list(corpus())


@contextlib.contextmanager
def program_named(space: Any, name: str) -> Iterator[None]:
    """A program of that name owns a socket of a conversation."""
    command = ("ip", "netns", "exec", space.name, sys.executable, "-c", CHATTER, name)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()


def rows(terminal: Terminal) -> list[int]:
    """Numbers of the packets on the screen; the pane's frame must stand where it belongs, around each."""
    found: list[int] = []
    terminal.settle()
    lines = terminal.screen.lines
    top = next(at for at, line in enumerate(lines) if "─ Packets " in line)
    for line, cells in list(zip(lines, terminal.screen.rows, strict=True))[top + 2 :]:
        if line[0] == "╰":
            break
        assert cells[0] == "│", terminal.screen.text
        assert cells[-1] in ("│", "┃"), terminal.screen.text
        number = re.match(r"│[ ◆!~]*(\d+) ", line)
        if number is None:
            assert not line[1:-1].strip(), line
        else:
            found.append(int(number[1]))
    assert found == list(range(found[0], found[0] + len(found))) if found else True, terminal.screen.text
    return found


def paste(words: bytes) -> bytes:
    """As a terminal gives what was pasted, which cannot hold the sign of its end."""
    return b"\x1b[200~" + words.replace(b"\x1b[201~", b"") + b"\x1b[201~"


def test_nothing_that_is_sent_acts_on_the_terminal(
    tmp_path: Path, packets: list[tuple[str, bytes]], write_pcap: Callable[[Path, list[bytes]], None]
) -> None:
    saves = tmp_path / f"s{TITLE}\r\n".replace("/", "")
    saves.mkdir()
    write_pcap(tmp_path / "sent.pcap", [data for _, data in packets])
    name = "b\x1b[2J\x1b]0;x\x07"
    count = len(packets)
    with namespaces(2) as (left, right):
        left.run("ip", "link", "add", "a0", "type", "veth", "peer", "name", name, "netns", right.name)
        right.run("ip", "address", "add", "10.9.0.2/24", "dev", name)
        for space, interface in ((left, "a0"), (right, name)):
            space.call(partial(_quiet, interface))
            space.run("ip", "link", "set", interface, "arp", "off", "up")
        with program_named(right, TITLE[:15]):
            command = (
                "ip",
                "netns",
                "exec",
                right.name,
                *NETWATCH,
                "-i",
                name,
                "--no-tshark",
                "--save-dir",
                str(saves),
            )
            terminal = Terminal(command)
            terminal.until("LIVE")
            terminal.look(1)
            left.run("tcpreplay", "-q", "-i", "a0", "--pps=2000", str(tmp_path / "sent.pcap"))
            terminal.until(f"{count} kept")
            _visit(terminal, count)
            _save(terminal, saves, sum(len(data) for _, data in packets))
            terminal.press("x", "I", seconds=0.5)
            terminal.press("\x1b")
            assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    assert "forged" in terminal.output.decode()  # it was shown, as text
    assert b"\x1b]52" not in terminal.output
    (saved,) = saves.iterdir()
    assert saved.stat().st_size > sum(len(data) for _, data in packets)


def until_row(terminal: Terminal, number: int) -> None:
    """Until this packet is in the list."""
    terminal.until(lambda text: re.search(rf"│[ ◆!~]*{number} ", text) is not None)


def until_only(terminal: Terminal, shown: str, gone: str) -> None:
    """Until all of another screen is there, and nothing is left of the one before."""
    terminal.until(lambda text: shown in text and gone not in text)
    terminal.settle()


def _quiet(interface: str) -> None:
    """No IPv6 of its own: nothing is sent that no test sent."""
    Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")


def _visit(terminal: Terminal, count: int) -> None:
    """Every page of the list, every table, every place opened, prompts."""
    assert rows(terminal)[-1] == count
    seen: set[int] = set()
    terminal.press("\x1b[H")
    while count not in seen:
        until_row(terminal, max(seen, default=0) + 1)
        found = rows(terminal)
        assert found[0] - 1 in seen or found[0] == 1
        assert set(found) - seen, terminal.screen.text
        seen |= set(found)
        terminal.press("\x1b[6~")
    assert seen == set(range(1, count + 1))
    terminal.press(*"RRRvvTTbS", "\t", "\t", "\t", "w", "0", seconds=0.25)
    rows(terminal)
    for at in range(len(PLACES)):
        number = at % len(TRICKS) * len(PLACES) + at + 1
        terminal.press(":", f"{number}\r", seconds=0.1)
        terminal.until(f" packet {number} ─╯")
        terminal.press("\r", seconds=0.1)
        until_only(terminal, f" Packet {number}  ", "─ Packets ")
        terminal.press("\x1b[F", "\x1b[H", seconds=0.05)
        if at % 4 == 1:
            terminal.press("f", seconds=0.2)
            until_only(terminal, "", f" Packet {number}  ")
            terminal.press("\x1b", seconds=0.1)
            until_only(terminal, f" Packet {number}  ", "─ Packets ")
        terminal.press("\x1b", seconds=0.1)
        until_only(terminal, "─ Packets ", "─ fields ")
    rows(terminal)
    for trick in TRICKS:
        terminal.press("/", paste(trick), "\r", seconds=0.1)
        for _ in range(4):  # out of the menu of completions, of the prompt, of the filter
            if "space pause" in terminal.screen.text:
                break
            terminal.press("\x1b", seconds=0.3)
        assert "space pause" in terminal.screen.text, terminal.screen.text
    terminal.press("\x1b", seconds=0.3)  # what was found to be a filter
    rows(terminal)


def _save(terminal: Terminal, saves: Path, size: int) -> None:
    """All of it, under a hostile name; what the footer says of it may be gone when it is looked at."""
    terminal.press("e", seconds=0.3)
    terminal.press("\x15", paste(b"name" + TITLE.encode()), seconds=0.3)
    terminal.press("\r", seconds=0.5)
    terminal.until(lambda _: any(path.stat().st_size > size for path in saves.iterdir()))


def test_names_of_files_and_networks(tmp_path: Path) -> None:
    path = tmp_path / f"r{TITLE}\u202e\r\n.pcap"
    head = struct.pack("<I2HiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 105)
    records = [struct.pack("<4I", 1, at, len(data), len(data)) + data for at, data in enumerate(beacons())]
    path.write_bytes(head + b"".join(records))
    terminal = Terminal((*NETWATCH, "-r", str(path), "--no-tshark"))
    terminal.until("ENDED")
    terminal.until(f"{len(TRICKS)} kept")
    assert rows(terminal) == list(range(1, len(TRICKS) + 1))
    terminal.press(*["\r", "n"] * len(TRICKS), seconds=0.1)
    terminal.press("\x1b", seconds=0.3)
    assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    assert "forged" in terminal.output.decode()


def test_the_clipboard_is_written_by_y_alone_and_holds_what_is_escaped(
    tmp_path: Path, packets: list[tuple[str, bytes]], write_pcap: Callable[[Path, list[bytes]], None]
) -> None:
    import base64

    write_pcap(tmp_path / "sent.pcap", [data for _, data in packets[: len(PLACES)]])
    terminal = Terminal((*NETWATCH, "-r", str(tmp_path / "sent.pcap"), "--no-tshark"), allowed=(CLIPBOARD,))
    terminal.until("ENDED")
    terminal.look(0.5)
    assert b"\x1b]52" not in terminal.output
    terminal.press("y", seconds=0.3)
    assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    (copied,) = re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", terminal.output)
    text = base64.b64decode(copied).decode()
    assert "forged" in text
    assert text.replace("\t", "").isprintable()
