"""From a directory that only root can read: once rights are given up nothing is imported, whatever key is pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import netwatch
from netwatch.app.keys import DETAIL_KEYS, HELP_KEYS, KEYS, STREAM_KEYS, Key

if TYPE_CHECKING:
    from tests.live.conftest import Pair

WATCHED = Path(__file__).with_name("watched.py")
CAPTURES = Path(__file__).parents[3] / "shared" / "captures" / "files"
DEMO = Path(netwatch.__path__[0], "capture", "data", "demo.pcapng")
PERMITTED = re.compile(r"threads 1|open (/proc/meminfo|/dev/null|\d+) .*")
PATIENCE = 30.0
TYPED = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "pageup": "\x1b[5~", "pagedown": "\x1b[6~",
    "home": "\x1b[H", "end": "\x1b[F", "tab": "\t", "shift+tab": "\x1b[Z", "enter": "\r", "escape": "\x1b",
    "space": " ", "slash": "/", "colon": ":", "question_mark": "?", "backspace": "\x7f", "full_stop": ".",
    "comma": ",", "plus": "+", "minus": "-", "left_square_bracket": "[", "right_square_bracket": "]",
    "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip
LEAVES = {"quit", "ctrl+z", "suspend"}


def typed(keys: tuple[Key, ...]) -> Iterator[str]:
    """What the terminal sends for each."""
    for name in (name for key in keys if key.id not in LEAVES for name in key.keys.split(",")):
        if name not in ("q", "ctrl+c", "ctrl+q", "ctrl+z"):
            yield TYPED.get(name) or (name if len(name) == 1 else f"<{name}>")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a copy that root alone can reach."""
    root = tmp_path_factory.mktemp("private")
    shutil.copytree(netwatch.__path__[0], root / "netwatch")
    shutil.copy(WATCHED, root)
    root.chmod(0o700)
    return root


class Watched:
    """netwatch of a private copy on a terminal; what it did that it should not is in `log`."""

    def __init__(self, private: Path, log: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self.log, self.output = log, b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", PYTHONPATH=str(private))
            os.chdir(private)
            command = [*before, sys.executable, str(private / "watched.py"), str(log), *arguments]
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def look(self, seconds: float) -> None:
        """Read for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                self.output += os.read(self.fd, 65536)

    def wait_for(self, wanted: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-3000:]
            self.look(0.1)

    def press(self, keys: str, seconds: float = 0.04) -> None:
        os.write(self.fd, keys.encode())
        self.look(seconds)

    def end(self) -> int:
        """Quit -> exit code."""
        self.press("q")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.look(0.1)
            except OSError:
                break
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code

    @property
    def wrong(self) -> list[str]:
        """Lines of the log."""
        lines = self.log.read_text().splitlines()
        assert "threads 1" in lines, lines
        return [line for line in lines if not PERMITTED.fullmatch(line)]


def press_everything(watched: Watched) -> None:
    """Every key of each screen."""
    for key in typed(KEYS):
        watched.press(key)
        watched.press("\x1b")
    for line in ('/dns.qry.name contains "e" and frame.len > 60\r', "/tls\r", ":20\r", ":-1\r", "/\x1b", "H"):
        watched.press(line, 0.4)
    watched.press("\x1b\x1b")
    for which in ("dns", "tls", "http"):
        watched.press(f"/{which}\r", 0.4)
        watched.press("g")
        watched.press("\r", 0.3)
        for key in typed(DETAIL_KEYS):
            watched.press(key)
        watched.press("\x1b\x1b")
        watched.press("f", 0.4)
        for key in typed(STREAM_KEYS):
            watched.press(key)
        watched.press("\x1b\x1b\x1b")
    watched.press("?")
    for key in typed(HELP_KEYS):
        watched.press(key)
    watched.press("\x1b\x1b\x1b", 0.5)


@pytest.mark.parametrize("options", [(), ("--no-sandbox",)], ids=["confined", "only without rights"])
def test_a_live_capture(fresh_pair: Pair, private: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without the sandbox it is the user that cannot read the files; with it, nobody can."""
    inside = ("ip", "netns", "exec", fresh_pair.right.name)
    watched = Watched(private, tmp_path / "log", "-i", "b0", *options, before=inside)
    watched.wait_for(b"b0")
    watched.look(1.0)
    sent = subprocess.run(
        ["ip", "netns", "exec", fresh_pair.left.name, "tcpreplay", "-q", "-i", "a0", "--mbps=80", str(DEMO)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"Actual: " in sent.stdout
    watched.look(0.5)
    press_everything(watched)
    assert watched.end() == 0, watched.output[-2000:]
    assert watched.wrong == []


def test_a_file(private: Path, tmp_path: Path) -> None:
    watched = Watched(private, tmp_path / "log", "-r", str(private / "netwatch" / "capture" / "data" / "demo.pcapng"))
    watched.wait_for(b"5,980")
    press_everything(watched)
    assert watched.end() == 0, watched.output[-2000:]
    assert watched.wrong == []


def test_the_demo_plays_again(private: Path, tmp_path: Path) -> None:
    """At its own pace that takes a minute: here it is a short one."""
    data = private / "netwatch" / "capture" / "data" / "demo.pcapng"
    kept = data.read_bytes()
    shortened = subprocess.run(["editcap", "-r", str(DEMO), "-", "1-30"], capture_output=True, check=True).stdout
    data.write_bytes(shortened)
    try:
        watched = Watched(private, tmp_path / "log", "demo")
        watched.wait_for(b"demo")
        watched.look(4)
        watched.press("t")
        assert watched.end() == 0, watched.output[-2000:]
    finally:
        data.write_bytes(kept)
    assert watched.wrong == []


def captures() -> list[Path]:
    found = [DEMO, *(path for path in sorted(CAPTURES.rglob("*")) if path.is_file())]
    return [path for path in found if path.stat().st_size < 300_000]


@pytest.mark.parametrize("output", [("--json-packets",), ("--fields", "frame.number,dns.qry.name,tls.handshake.type"),
                                    ("--summary",), ("--json",)], ids=" ".join)  # fmt: skip
def test_without_a_screen(private: Path, tmp_path: Path, output: tuple[str, ...]) -> None:
    """Dissectors of all that is in the captures here."""
    log = tmp_path / "log"
    chosen: list[Any] = captures() if output == ("--json-packets",) else [DEMO]
    merged = tmp_path / "all.pcapng"
    merging = subprocess.run(
        ["mergecap", "-a", "-w", str(merged), *map(str, chosen)], capture_output=True, check=False, timeout=120
    )
    if merging.returncode:
        shutil.copy(DEMO, merged)
    done = subprocess.run(
        [sys.executable, str(private / "watched.py"), str(log), "-r", str(merged), "--report", os.devnull, *output],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(private)},
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = log.read_text().splitlines()
    assert "threads 1" in lines
    assert [line for line in lines if not PERMITTED.fullmatch(line)] == []
