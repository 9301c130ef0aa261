"""A terminal that accepts no more than what netwatch itself writes, and knows what then stands where."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len

NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")
PATIENCE = 25.0

MODES = {"7", "25", "1000", "1003", "1004", "1006", "1015", "1016", "1049", "2004", "2026", "2048"}
"""Private: line wrap, cursor, mouse (1000 to 1016), focus, alternate screen, paste, synchronised output, size."""
KNOWN = (
    r"\[[0-9;]*m",  # colours
    r"\[(\d+;\d+)?H",  # where the cursor goes; home
    r"\[2J",
    r"\[\d*C",  # so many cells on
    r"\[\d+G",  # to a column
    r"\[6n",  # where is the cursor? That tells how wide a character is
    r"\[\?(?P<modes>[\d;]+)[hl]",
    r"\[\?(2026|2048)\$p",  # is there such a mode?
    r"\[>\d+u",  # kitty's keyboard protocol, on …
    r"\[<u",  # … and off
    r"\]22;[a-z-]*\x07",  # the shape of the pointer
)
_SEQUENCE = re.compile("|".join(f"(?:{each})" for each in KNOWN))
_LONGEST = 64
_MOST_MARKS = 10
"""On one character."""


class Screen:
    """Feed it bytes; `alien` lists what netwatch never writes by itself."""

    def __init__(self, width: int, height: int, *allowed: str) -> None:
        """`allowed`: further sequences, without their ESC, as regular expressions."""
        self.alien: list[str] = []
        self.bells = self.marks = 0
        self.asked: list[tuple[int, int]] = []
        """Where the cursor was when that was asked."""
        self.modes: dict[str, bool] = {}
        self._allowed = re.compile("|".join(f"(?:{each})" for each in allowed)) if allowed else None
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._rest = ""
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Nothing stands anywhere."""
        self.width, self.height = width, height
        self.rows = [[" "] * width for _ in range(height)]
        self.x = self.y = 0

    @property
    def lines(self) -> list[str]:
        return ["".join(row) for row in self.rows]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def feed(self, data: bytes) -> None:
        try:
            text = self._rest + self._decoder.decode(data)
        except UnicodeDecodeError as error:
            self.alien.append(f"no UTF-8: {error.object[error.start - 20 : error.end + 20]!r}")
            self._decoder.reset()
            return
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at + 1)
                found = found or (self._allowed.match(text, at + 1) if self._allowed else None)
                if found is None and len(text) - at < _LONGEST:
                    break  # the rest of it may be on its way
                if found is None:
                    self.alien.append(repr(text[at : at + 40]))
                    at += 1
                    continue
                self._act(found[0])
                at = found.end()
            else:
                self._put(text[at])
                at += 1
        self._rest = text[at:]

    def _act(self, sequence: str) -> None:
        if sequence.endswith("H"):
            row, _, column = sequence[1:-1].partition(";")
            self.y, self.x = int(row or 1) - 1, int(column or 1) - 1
        elif sequence == "[6n":
            self.asked.append((self.x + 1, self.y + 1))
        elif sequence.endswith("C"):
            self.x += int(sequence[1:-1] or 1)
        elif sequence.endswith("G"):
            self.x = int(sequence[1:-1]) - 1
        elif sequence == "[2J":
            self.resize(self.width, self.height)
        elif sequence[-1] in "hl" and sequence.startswith("[?"):
            for mode in sequence[2:-1].split(";"):
                self.modes[mode] = sequence[-1] == "h"
                if mode not in MODES:
                    self.alien.append(repr(sequence))

    def _put(self, char: str) -> None:
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.y += 1
        elif char == "\x07":
            self.bells += 1
        elif not (char.isprintable() or char == "\u200d"):  # between emoji that are one
            self.alien.append(repr(char))
        else:
            size = cell_len(char)
            self.marks = self.marks + 1 if size < 1 else 0
            if self.marks > _MOST_MARKS:
                self.alien.append(f"a heap of marks: {char!r}")
            elif size < 1:
                pass  # it stands on the character before
            elif self.y < self.height and self.x + size <= self.width:
                self.rows[self.y][self.x] = char
                if size == 2:
                    self.rows[self.y][self.x + 1] = ""
                self.x += size


class Terminal:
    """A program on such a terminal."""

    def __init__(
        self,
        command: Sequence[str | bytes],
        *,
        size: tuple[int, int] = (120, 40),
        environment: Mapping[str, str | None] | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        """`environment`: None takes a variable away."""
        self.screen = Screen(*size, *allowed)
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            for name in ("COLUMNS", "LINES"):  # of the terminal in which the tests run
                os.environ.pop(name, None)
            for name, value in (environment or {}).items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", size[1], size[0], 0, 0))
            # Not what readline, which pytest loads, put beside os.environ: COLUMNS and LINES of another terminal.
            os.execvpe(command[0], list(command), os.environ)
        self.code: int | None = None

    def modes(self) -> list[object]:
        """What termios says of it."""
        return termios.tcgetattr(self.fd)

    def look(self, seconds: float) -> bool:
        """Read for so long -> False once it hung up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    return False
                self.output += data
                self.screen.feed(data)
                for x, y in self.screen.asked:
                    os.write(self.fd, f"\x1b[{y};{x}R".encode())
                self.screen.asked.clear()
        return True

    def until(self, done: Callable[[str], bool] | str) -> str:
        """Read until the screen says so -> the screen."""
        deadline = time.monotonic() + PATIENCE
        while not (done in self.screen.text if isinstance(done, str) else done(self.screen.text)):
            assert time.monotonic() < deadline, self.screen.text
            assert self.look(0.05), self.screen.text + repr(self.output[-500:])
        return self.screen.text

    def settle(self) -> None:
        """Read until nothing comes for a moment: a picture comes in pieces."""
        deadline = time.monotonic() + PATIENCE
        while select.select([self.fd], [], [], 0.1)[0] and self.look(0.01):
            assert time.monotonic() < deadline, self.screen.text

    def press(self, *keys: str | bytes, seconds: float = 0.15) -> None:
        """One after the other, and look so long after each."""
        for key in keys:
            os.write(self.fd, key if isinstance(key, bytes) else key.encode())
            self.look(seconds)

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(width, height)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", height, width, 0, 0))

    def end(self, *keys: str) -> int:
        """Press keys and read to the end -> exit code."""
        with contextlib.suppress(OSError):
            self.press(*keys, seconds=0)
        deadline = time.monotonic() + PATIENCE
        while self.look(0.1):
            assert time.monotonic() < deadline, self.screen.text
        self.modes_at_end = self.modes()
        return self.wait()

    def wait(self) -> int:
        """Its exit code; killed where it goes on."""
        deadline = time.monotonic() + PATIENCE
        while self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
                raise AssertionError("it went on")
            time.sleep(0.02)
        return self.code

    def hang_up(self) -> None:
        """As when SSH drops."""
        os.close(self.fd)


def descendants(pid: int) -> set[int]:
    """Processes that `pid` started, and those that these did."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                for child in map(int, file.read().split()):
                    found |= {child} | descendants(child)
    return found


def gone(pids: set[int]) -> bool:
    """All of them ended, within the patience of a test."""
    deadline = time.monotonic() + PATIENCE
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
