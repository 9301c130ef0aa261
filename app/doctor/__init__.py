"""`netwatch doctor`: what works on this machine, and the exact command that mends what does not."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable
from typing import Final

from netwatch.app.doctor.finding import FAILS, OPTIONAL, WORKS, Finding
from netwatch.app.output import STDOUT
from netwatch.capture.errors import EXIT_PERMISSION
from netwatch.capture.text import escape

__all__ = ["FAILS", "OPTIONAL", "WORKS", "Finding", "examine", "run"]

_INDENT: Final = 24
"""Cells before what is said."""
_WIDEST: Final = 120
_COLOURS: Final = {WORKS: "32", OPTIONAL: "33", FAILS: "31"}


def examine() -> list[Finding]:
    """All that can be found out without capturing a packet. What fails to answer is said to."""
    from netwatch.app.doctor import permission, system, terminal

    found: list[Finding] = []
    for check in (*permission.CHECKS, *system.CHECKS, *terminal.CHECKS):
        found += _asked(check)
    return found


def run() -> tuple[str, int]:
    """The text to be printed, and the exit code: 0, or 77 where capturing is not permitted."""
    found = examine()
    colours = os.isatty(STDOUT) and not os.environ.get("NO_COLOR")
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = ["netwatch doctor: what works here, and what would", ""]
    for finding in found:
        state = finding.state.ljust(4)
        if colours:
            state = f"\x1b[{_COLOURS[finding.state]}m{state}\x1b[0m"
        first, *more = textwrap.wrap(escape(finding.says), max(width - _INDENT, 30)) or [""]
        lines.append(f"{state} {finding.name.ljust(_INDENT - 6)} {first}")
        lines += [" " * _INDENT + line for line in more]
        lines += [f"{' ' * _INDENT}$ {escape(command)}" for command in finding.mends]
    needed = [finding.state for finding in found if finding.name in ("capturing", "giving up rights")]
    lines += ["", "files, streams (-r) and the demo need none of the rights above"]
    return "\n".join(lines) + "\n", EXIT_PERMISSION if FAILS in needed else 0


def _asked(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except Exception as error:
        # A machine that is odd enough to break a check is what the other checks are wanted for.
        name = check.__name__.replace("_", " ")
        return [Finding(name, FAILS, f"could not be looked at: {type(error).__name__}: {error}")]
