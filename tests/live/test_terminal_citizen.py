"""A good citizen of the terminal: sizes, hang-ups, mistakes of its own, terminals that can do little."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.live.emulator import NETWATCH, PATIENCE, Terminal, descendants, gone

from netwatch.app.opening import DEMO

MARKER = b"MARKER-of-a-packet"
MONO = {"0", "1", "2", "3", "4", "7", "22", "23", "24", "27", "39", "49", ""}

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


@contextlib.contextmanager
def traffic(space: Any, path: Path) -> Iterator[None]:
    """The capture is sent on a0 while the body runs, for half a minute at most."""
    command = ("ip", "netns", "exec", space.name, "tcpreplay", "-q", "-i", "a0", "--loop=3000", "--pps=5000")
    with subprocess.Popen((*command, str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def live(namespace: Any, *options: str, size: tuple[int, int] = (120, 40)) -> Terminal:
    """The dashboard on b0."""
    command = ("ip", "netns", "exec", namespace.name, *NETWATCH, "-i", "b0", *options)
    terminal = Terminal(command, size=size)
    terminal.until("LIVE")
    return terminal


def of_file(environment: Mapping[str, str | None]) -> Terminal:
    command = (*NETWATCH, "-r", str(DEMO), "--no-tshark")
    terminal = Terminal(command, size=(80, 24), environment=environment)
    terminal.until("ENDED")
    return terminal


def is_framed(terminal: Terminal) -> bool:
    """The pane of packets reaches from the first column to the last, and stands once."""
    lines = terminal.screen.lines
    tops = [line for line in lines if "─ Packets " in line]
    inside = [line for line in lines if line[:1] == "│"]
    return len(tops) == 1 and tops[0][0] + tops[0][-1] == "╭╮" and all(line[-1] in "│┃" for line in inside)


def test_sizes_come_and_go_while_packets_rush(pair: Any, mix: Path) -> None:
    with traffic(pair.left, mix):
        terminal = live(pair.right, "--no-tshark")
        terminal.until(lambda text: "DNS" in text)
        for size in ((20, 5), (120, 40), (1, 1), (300, 90), (20, 5), (7, 40), (200, 2), (100, 30)):
            terminal.resize(*size)
            terminal.look(0.25)
        terminal.press("\r", seconds=0.3)
        for size in ((20, 5), (2, 2), (100, 30)):
            terminal.resize(*size)
            terminal.look(0.25)
        terminal.press("\x1b", seconds=0.3)
        # Many in a row, as a window that is drawn with the mouse.
        for width in range(100, 79, -1):
            terminal.resize(width, 24)
        terminal.until(lambda _: is_framed(terminal))
        assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    assert b"Traceback" not in terminal.output


@needs_tshark
@pytest.mark.parametrize("way", ["terminal gone", "SIGHUP", "SIGTERM"])
def test_the_end_from_outside_closes_files_whole_and_leaves_no_process(
    pair: Any, mix: Path, tmp_path: Path, way: str
) -> None:
    written = tmp_path / "written.pcapng"
    with traffic(pair.left, mix):
        terminal = live(pair.right, "-w", str(written))
        helpers = descendants(terminal.pid)
        assert len(helpers) >= 2  # the helper, and who asks tshark
        terminal.until(lambda text: "DNS" in text)
        terminal.look(0.5)
        if way == "terminal gone":
            terminal.hang_up()
            code = terminal.wait()
        else:
            os.kill(terminal.pid, signal.SIGHUP if way == "SIGHUP" else signal.SIGTERM)
            code = terminal.end()
    assert code == 0
    assert gone(helpers)
    command = ("tshark", "-n", "-r", str(written), "-T", "fields", "-e", "frame.number")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") > 500


@pytest.mark.parametrize("place", ["a key", "a frame", "the capture thread", "another thread"])
def test_a_mistake_of_its_own_gives_the_terminal_back_and_says_where_its_report_is(
    pair: Any, tmp_path: Path, write_pcap: Any, place: str
) -> None:
    saves, program = tmp_path / "saves", tmp_path / "mistaken.py"
    saves.mkdir()
    tmp_path.chmod(0o755)
    lines = {
        "a key": "PacketList.move = fail",
        "a frame": "Header.draw = lambda self, *size: fail() if self.session.store.end else draw(self, *size)",
        "the capture thread": "stats.partial = fail",
        "another thread": "PacketList.move = lambda *_: threading.Thread(target=fail).start()",
    }
    program.write_text(
        "import threading\n"
        "from netwatch.app.main import main\nfrom netwatch.capture import stats\n"
        "from netwatch.widgets.header import Header\nfrom netwatch.widgets.packet_list import PacketList\n"
        "draw = Header.draw\n"
        "def fail(*what):\n"
        f"    packet, name = {MARKER!r}, {MARKER.decode()!r}\n"
        "    raise ValueError(f'{packet!r} {what!r} {name}')\n"
        f"{lines[place]}\n"
        "raise SystemExit(main())\n"
    )
    frame = bytes.fromhex("02000000000b02000000000a88b5") + MARKER * 3
    write_pcap(tmp_path / "marked.pcap", [frame] * 50)
    start = ("ip", "netns", "exec", pair.right.name, sys.executable, str(program), "-i", "b0", "--no-tshark")
    terminal = Terminal((*start, "--save-dir", str(saves)), environment={"OPENBLAS_NUM_THREADS": "1"})
    before = terminal.modes()
    terminal.until("LIVE")
    helpers = descendants(terminal.pid)
    terminal.look(0.5)
    pair.replay(tmp_path / "marked.pcap")
    if place == "the capture thread":
        terminal.until("FAILED" if "FAILED" in terminal.screen.text else "capture ended")
        terminal.press("q")
    elif place == "another thread":
        terminal.press("k", "k", "q")
    elif place == "a key":
        terminal.press("k")
    code = terminal.end()
    assert code == 70
    assert terminal.modes_at_end == before
    on = {mode for mode, is_on in terminal.screen.modes.items() if is_on}
    assert on <= {"7", "25"}
    assert terminal.screen.modes["25"]
    assert terminal.screen.alien == []
    said = terminal.output.rpartition(b"\x1b[")[2].decode()
    assert "Traceback" not in terminal.output.decode()
    (report,) = saves.iterdir()
    assert said.count("\n") == 1
    assert said.rstrip().endswith(str(report))
    assert "internal error: ValueError at mistaken.py:9" in said
    assert MARKER.decode() not in said
    assert gone(helpers)
    found = os.stat(report)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid != 0  # root became nobody
    text = report.read_text()
    assert MARKER.decode() not in text
    assert MARKER.hex() not in text
    for expected in ("netwatch 0", "textual ", "numpy ", "Linux ", "builtins.ValueError", ":9 in fail"):
        assert expected in text


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("the screen is being taken", "LinuxDriver._query_in_band_window_resize = fail"),
        ("a signal", "LinuxDriver._get_terminal_size = lambda _: once(fail) or (80, 24)"),
        ("a callback", "Picture.write = lambda self, *room, **how: once(fail) or write(self, *room, **how)"),
        ("the end of the capture", "Engine.stop = fail"),
        ("Textual ends", "NetwatchApp._close_all = fail"),
    ],
)
def test_a_mistake_where_textual_does_not_look(tmp_path: Path, place: str, line: str) -> None:
    saves, program = tmp_path / "saves", tmp_path / "mistaken.py"
    saves.mkdir()
    tmp_path.chmod(0o755)
    program.write_text(
        "from textual.drivers.linux_driver import LinuxDriver\n"
        "from netwatch.app.app import NetwatchApp\nfrom netwatch.app.main import main\n"
        "from netwatch.app.picture import Picture\nfrom netwatch.capture.engine import Engine\n"
        "begun, write = [], Picture.write\n"
        f"def fail(*_, **__):\n    raise ValueError({MARKER.decode()!r})\n"
        "def once(fail):\n    begun.append(1)\n    return fail() if len(begun) == 4 else None\n"
        f"{line}\nraise SystemExit(main())\n"
    )
    start = (sys.executable, str(program), "-r", str(DEMO), "--no-tshark", "--save-dir", str(saves))
    terminal = Terminal(start, size=(80, 24), environment={"OPENBLAS_NUM_THREADS": "1"})
    before = terminal.modes()
    if place in ("a signal", "a callback"):
        if place == "a signal":
            terminal.until("Packets")
        for width in (90, 80) * 30:  # until the fourth is seen
            terminal.resize(width, 24)
            if not terminal.look(0.2):
                break
    elif place != "the screen is being taken":
        terminal.until("Packets")
        terminal.press("q")
    assert terminal.end() == 70
    assert terminal.modes_at_end == before
    assert {mode for mode, is_on in terminal.screen.modes.items() if is_on} == {"7", "25"}
    said = terminal.output.rpartition(b"netwatch: ")[2].decode()
    (report,) = saves.iterdir()
    assert said == f"internal error: ValueError at mistaken.py:8; please report it with {report}\r\n"
    assert "ValueError" in report.read_text()
    assert MARKER not in terminal.output + report.read_bytes()
    assert b"Traceback" not in terminal.output


def test_where_no_report_can_be_written_that_is_said(tmp_path: Path) -> None:
    program = tmp_path / "mistaken.py"
    program.write_text(
        "from netwatch.app.main import main\nfrom netwatch.widgets.packet_list import PacketList\n"
        "from netwatch.capture.helper.directory import HelperDirectory\n"
        "def full(*_, **__):\n    raise OSError(28, 'No space left on device')\n"
        "def fail(*_):\n    raise KeyError(b'x')\n"
        "PacketList.move, HelperDirectory.open_new = fail, full\nraise SystemExit(main())\n"
    )
    start = (sys.executable, str(program), "-r", str(DEMO), "--no-tshark", "--save-dir", str(tmp_path))
    terminal = Terminal(start, environment={"OPENBLAS_NUM_THREADS": "1"})
    terminal.until("ENDED")
    assert terminal.end("k") == 70
    said = terminal.output.rpartition(b"\x1b[")[2].decode()
    assert f"(no report could be written in {tmp_path}: No space left on device)" in said
    assert said.count("\n") == 1


def drawn(terminal: Terminal) -> set[str]:
    """Every character on the screen of the list, an opened packet and the help."""
    seen = set(terminal.screen.text)
    for keys in ("\r", "\x1b", "?", "\x1b", "G", "f", "\x1b", "v", "v", "/"):
        terminal.press(keys, seconds=0.4)
        seen |= set(terminal.screen.text)
    terminal.press("\x1b", "\x1b", seconds=0.3)
    return seen


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LC_ALL": None, "LC_CTYPE": None, "LANG": "en_US.ISO-8859-1"}],
    ids=["C", "POSIX", "ISO-8859-1"],
)
def test_without_utf8_all_is_ascii(environment: dict[str, str | None]) -> None:
    terminal = of_file(environment)
    seen = drawn(terminal)
    assert terminal.end("q") == 0
    assert "".join(sorted(seen)).isascii()
    assert terminal.output.isascii()
    assert terminal.screen.alien == []


def codes(terminal: Terminal) -> set[str]:
    """Of colours and attributes."""
    return {code for found in re.findall(rb"\x1b\[([0-9;]*)m", terminal.output) for code in found.decode().split(";")}


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "vt100", "COLORTERM": None}, {"TERM": "xterm-mono", "COLORTERM": None}, {"NO_COLOR": "1"}],
    ids=["vt100", "xterm-mono", "NO_COLOR"],
)
def test_without_colour(environment: dict[str, str | None]) -> None:
    terminal = of_file(environment)
    drawn(terminal)
    assert terminal.end("q") == 0
    assert codes(terminal) <= MONO


@pytest.mark.parametrize("term", ["linux", "screen", "tmux", "xterm"])
def test_sixteen_colours(term: str) -> None:
    terminal = of_file({"TERM": term, "COLORTERM": None})
    seen = drawn(terminal)
    assert terminal.end("q") == 0
    assert not codes(terminal) & {"38", "48"}
    assert codes(terminal) & {str(code) for code in (*range(30, 38), *range(90, 98))}
    if term == "linux":
        # What its fonts do not have.
        assert not seen & set("╭╮╰╯┃━╸▾▸◆●…▁▂▃▅▆▇")


@pytest.mark.parametrize("term", ["dumb", None])
def test_where_nothing_can_be_drawn_one_line_says_so(term: str | None) -> None:
    terminal = Terminal((*NETWATCH, "-r", str(DEMO)), environment={"TERM": term})
    assert terminal.end() == 2
    said = terminal.output.decode()
    assert said.startswith("netwatch: TERM is ")
    assert "--summary" in said
    assert said.count("\n") == 1


def test_without_a_terminal_one_line_names_what_to_add() -> None:
    done = subprocess.run((*NETWATCH, "-r", str(DEMO)), capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--summary" in done.stderr
