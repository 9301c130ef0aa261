"""What kind of terminal this is, by the name that it goes by: term(7), terminfo(5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = ["colors", "need_screen"]

_NO_SCREEN: Final = ("", "dumb", "unknown")
"""They cannot place the cursor: Emacs' shell, serial consoles, CI."""
_FEW: Final = 8
_MONO: Final = re.compile(r"(vt(52|100|102|125|131|132|200|220|300|320|400|420|510|520)\b|.*-(m|mono)$)")


def need_screen(environment: Mapping[str, str]) -> None:
    """Raises CaptureError 2 where nothing can be drawn."""
    term = environment.get("TERM", "")
    if term in _NO_SCREEN:
        named = f"TERM is {term}" if term else "TERM is not set"
        words = f"{named}: this terminal cannot be drawn on; add --summary, --json or --fields"
        raise CaptureError(words, EXIT_USAGE)


def colors(found: str | None, environment: Mapping[str, str]) -> str | None:
    """Rich's word for what colours there are, None without: Rich takes it that every terminal has sixteen."""
    term = environment.get("TERM", "")
    if found != "standard":
        return found
    return None if _MONO.match(term) or 0 <= _by_terminfo(term) < _FEW else found


def _by_terminfo(term: str) -> int:
    """Colours of a terminal, -1 where nobody knows it."""
    try:
        import curses

        curses.setupterm(term)
        # -1 also says that a terminal has none.
        return max(0, curses.tigetnum("colors"))
    except Exception:  # curses.error, where there is a curses
        return -1
