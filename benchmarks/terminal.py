"""A program in a pseudo-terminal: its bytes with the time at which they were read, and the screen that they paint."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Run", "Screen", "Terminal"]

_TOKEN: Final = re.compile(
    r"\x1b\[([0-9;]*)([CGHm])|\x1b[()][0-9A-Z]|\x1b\[[?<>=]?[0-9;]*[$]?[A-Za-z]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r\n|[^\x1b\r\n]+|[\r\n]"
)
_CUT: Final = re.compile(r"\x1b(?:[^A-Za-z\x07]{0,64}|[()]|\][^\x07\x1b]{0,256}\x1b?)\Z|\r\Z")
"""The beginning of a sequence whose rest comes with the next read."""


class Screen:
    """Characters and styles by cell: what Textual and tcell send: absolute moves, SGR, text."""

    def __init__(self, columns: int, rows: int) -> None:
        self.text = [[" "] * columns for _ in range(rows)]
        self.style = [[""] * columns for _ in range(rows)]
        """The SGR parameters in force when the cell was written."""
        self._row = self._column = 0
        self._sgr = ""
        self._rest = ""
        self.asked: list[tuple[int, int]] = []
        """Where the cursor was, from 0, when it was asked for (DSR 6)."""

    def feed(self, data: str) -> set[int]:
        """Paint; returns the rows that were written to."""
        data = self._rest + data
        cut = _CUT.search(data)
        self._rest = data[cut.start() :] if cut else ""
        touched = set()
        for token in _TOKEN.finditer(data, 0, len(data) - len(self._rest)):
            kind = token[2]
            if kind == "H":
                row, _, column = token[1].partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            elif kind == "C":
                self._column += int(token[1] or 1)
            elif kind == "G":
                self._column = int(token[1] or 1) - 1
            elif kind == "m":
                self._sgr = _style(self._sgr, token[1])
            elif token[0] == "\x1b[6n":
                self.asked.append((self._row, self._column))
            elif token[0] == "\r\n":
                self._row, self._column = self._row + 1, 0
            elif token[0][0] != "\x1b":
                touched.add(self._row)
                self._write(token[0])
        return touched

    def _write(self, text: str) -> None:
        if self._row >= len(self.text):
            return
        letters, styles = self.text[self._row], self.style[self._row]
        for letter in text[: max(0, len(letters) - self._column)]:
            letters[self._column] = letter
            styles[self._column] = self._sgr
            self._column += 1

    def line(self, row: int) -> str:
        """The text of a row."""
        return "".join(self.text[row])


_COLOUR: Final = re.compile(r"(?:[34]8;2;[0-9]+;[0-9]+;[0-9]+|[34]8;5;[0-9]+|[0-9]+)")


def _style(before: str, codes: str) -> str:
    """Parameters of SGR in force after `codes`: text colour and ground replace, 0 ends all."""
    made = _COLOUR.findall(before)
    for code in _COLOUR.findall(codes or "0"):
        if code == "0":
            made = []
            continue
        if code[:2] in ("38", "39", "48", "49"):
            made = [each for each in made if each[0] != code[0] or len(each) < 2]
        if code not in ("39", "49"):
            made.append(code)
    return ";".join(made)


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that one read returned."""

    at: float
    """time.monotonic() when they were there."""
    size: int
    rows: set[int] = field(default_factory=set)
    """Rows of the screen that they wrote to."""


class Terminal:
    """A child process on a terminal of its own, with true colour."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, *, painted: bool = True) -> None:
        """`painted`: keep the screen; else the bytes are only counted."""
        self._painted = painted
        self.screen = Screen(columns, rows)
        self.size = 0
        """Bytes that the program wrote."""
        self.began = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(command[0], list(command))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout: float) -> Run | None:
        """What comes next, painted; None: nothing within `timeout` seconds, or the program has ended."""
        if not select.select([self.fd], [], [], max(0.0, timeout))[0]:
            return None
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return None
        return self.paint(data)

    def paint(self, data: bytes) -> Run:
        """What was read."""
        at = time.monotonic()
        self.size += len(data)
        if not self._painted:
            return Run(at, len(data))
        # a character cut between two reads does not matter here: it is never the cell that is looked at
        return Run(at, len(data), self.screen.feed(data.decode("utf-8", "replace")))

    def watch(self, seconds: float) -> None:
        """Read for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def press(self, keys: str) -> float:
        """Type; returns when."""
        os.write(self.fd, keys.encode())
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of user and system time so far (proc(5), stat)."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the program and what it started, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # pty.fork made it the leader of a session
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def close(self, timeout: float = 20) -> float:
        """Wait until the program has ended, reading what it says; returns its CPU seconds, user and system."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if select.select([self.fd], [], [], 0.1)[0] and not os.read(self.fd, 1 << 16):
                    break
            except OSError:
                break
        _, _, usage = os.wait4(self.pid, 0)
        os.close(self.fd)
        return usage.ru_utime + usage.ru_stime
