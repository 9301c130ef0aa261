"""The terminal: size, colours, characters, and whether `y` reaches the clipboard."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import termios
import time
import tty
from collections.abc import Callable
from typing import Final

from netwatch.app.doctor.finding import FAILS, OPTIONAL, WORKS, Finding
from netwatch.app.encoding import terminal_encoding
from netwatch.capture.unstopped import unstopped

__all__ = ["CHECKS"]

_SMALLEST: Final = (80, 24)
_ASK: Final = b"\x1b[c"
"""Primary device attributes (ECMA-48 DA)."""
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([0-9;]+)c")
_CLIPBOARD: Final = b"52"
"""The attribute by which a terminal says that it takes OSC 52."""
_PATIENCE: Final = 1.0
_LONGEST: Final = 256


def size() -> list[Finding]:
    """The dashboard is made for 80×24 and more."""
    if not _shown():
        return [
            Finding("terminal", OPTIONAL, "standard output is none: the dashboard needs one", ("netwatch --summary",))
        ]
    columns, lines = os.get_terminal_size(1)
    if (columns, lines) >= _SMALLEST and lines >= _SMALLEST[1]:
        return [Finding("terminal", WORKS, f"{columns}x{lines}, {os.environ.get('TERM', 'TERM is not set')}")]
    return [Finding("terminal", OPTIONAL, f"{columns}x{lines}: from 80x24 on everything has its place")]


def colours() -> list[Finding]:
    """As Rich, which chooses them, goes by the environment."""
    if not _shown():
        return []
    name, depth = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "").lower()
    if os.environ.get("NO_COLOR"):
        return [Finding("colours", OPTIONAL, "none: NO_COLOR is set", ("unset NO_COLOR",))]
    if name in ("", "dumb", "unknown"):
        return [Finding("colours", FAILS, f"TERM is {name or 'not set'}", ("export TERM=xterm-256color",))]
    if depth in ("truecolor", "24bit") or name.endswith("-direct"):
        return [Finding("colours", WORKS, "16 million")]
    if name.endswith("256color"):
        how = "sudo --preserve-env=COLORTERM …" if os.environ.get("SUDO_UID") else "export COLORTERM=truecolor"
        return [Finding("colours", WORKS, "256; if the terminal has more, as most have:", (how,))]
    return [
        Finding(
            "colours", OPTIONAL, f"16, by TERM={name}; where the terminal has more:", ("export TERM=xterm-256color",)
        )
    ]


def characters() -> list[Finding]:
    """Frames and arrows, or ASCII."""
    encoding = terminal_encoding(os.environ)
    if encoding.replace("-", "").lower() == "utf8":
        return [Finding("characters", WORKS, "UTF-8")]
    return [Finding("characters", OPTIONAL, f"{encoding}: a plain ASCII frame", ("export LC_ALL=C.UTF-8",))]


def clipboard() -> list[Finding]:
    """OSC 52, which is the only way to a clipboard over SSH."""
    if os.environ.get("TMUX"):
        return [_tmux()]
    if os.environ.get("STY"):
        return [Finding("clipboard", OPTIONAL, "screen passes no OSC 52 on: y copies nowhere; tmux does")]
    attributes = _attributes()
    if attributes is not None and _CLIPBOARD in attributes:
        return [Finding("clipboard", WORKS, "the terminal says that it takes OSC 52: y copies to where you sit")]
    says = "y copies by OSC 52, which kitty, foot, WezTerm, iTerm2 and others take, some by a setting"
    return [Finding("clipboard", OPTIONAL, says)] if attributes is not None or _shown() else []


CHECKS: Final[tuple[Callable[[], list[Finding]], ...]] = (size, colours, characters, clipboard)


def _shown() -> bool:
    return os.isatty(1)


def _tmux() -> Finding:
    try:
        with unstopped():
            said = subprocess.run(
                [shutil.which("tmux") or "tmux", "show-options", "-gv", "set-clipboard"],
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        setting = said.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        setting = ""
    if setting == "on":
        return Finding("clipboard", WORKS, "tmux hands what y copies on to the terminal (set-clipboard on)")
    how = f"set-clipboard is {setting}" if setting else "its set-clipboard cannot be asked for"
    return Finding(
        "clipboard", OPTIONAL, f"tmux keeps what y copies ({how})", ("tmux set-option -g set-clipboard on",)
    )


def _attributes() -> list[bytes] | None:
    """What the terminal says of itself; None where it does not answer, or nobody could."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        os.write(terminal, _ASK)
        said, deadline = b"", time.monotonic() + _PATIENCE
        while (left := deadline - time.monotonic()) > 0 and len(said) < _LONGEST:
            if not select.select([terminal], [], [], left)[0]:
                break
            said += os.read(terminal, _LONGEST)
            if match := _ATTRIBUTES.search(said):
                return match[1].split(b";")
        return None
    finally:
        # What comes too late would be typed into the shell.
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        os.close(terminal)
