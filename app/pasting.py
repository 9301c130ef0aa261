"""What is pasted, apart from what is typed.

Textual's parser reads keys out of a pasted text that has an Escape in it: a `q` behind it would end the program, and
each character of a megabyte be a key of its own. Its prompts would write the rest of the controls to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from textual.events import Paste

__all__ = ["Pastes"]

_START: Final = "\x1b[200~"
_END: Final = "\x1b[201~"
"""Around what is pasted (xterm's ctlseqs, "Bracketed Paste Mode")."""
_LONGEST: Final = 1 << 16
"""Characters of one paste; no prompt takes as many."""


class Pastes:
    """Feed it what the terminal sends, in pieces as they come."""

    def __init__(self) -> None:
        self._held = ""
        """May be the beginning of what begins or ends a paste."""
        self._pasted: str | None = None

    @property
    def undecided(self) -> bool:
        """Something typed is held until it is known what follows."""
        return bool(self._held) and self._pasted is None

    def feed(self, text: str) -> Iterator[str | Paste]:
        """What was typed, for the parser of keys, and what was pasted."""
        text, self._held = self._held + text, ""
        while text:
            mark = _START if self._pasted is None else _END
            before, found, text = text.partition(mark)
            if not found:
                size = _begun(before, mark)
                before, self._held = before[: len(before) - size], before[len(before) - size :]
            if self._pasted is not None:
                self._pasted += before[: _LONGEST - len(self._pasted)]
            elif before:
                yield before
            if found and self._pasted is None:
                self._pasted = ""
            elif found:
                pasted, self._pasted = self._pasted or "", None
                yield Paste(_harmless(pasted))

    def release(self) -> str:
        """Nothing followed: what was held was typed."""
        if not self.undecided:
            return ""
        held, self._held = self._held, ""
        return held


def _harmless(text: str) -> str:
    """`text` without what a prompt, which shows what it holds, would send to the terminal as a control."""
    return "".join(
        each if each.isprintable() or each in "\r\n" else " " if each.isspace() else "\ufffd" for each in text
    )


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the first of `mark`."""
    return next((size for size in range(len(mark) - 1, 0, -1) if text.endswith(mark[:size])), 0)
