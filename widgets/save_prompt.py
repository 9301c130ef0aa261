"""`e`: what to save, and under which name."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Label

from netwatch.capture.text import escape
from netwatch.widgets.prompt import Prompt, Verdict

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.session import Session

__all__ = ["ALL", "MARKED", "SHOWN", "FilePrompt", "SavePrompt"]

ALL: Final = "all"
SHOWN: Final = "shown"
MARKED: Final = "marked"
_DESCRIPTORS: Final = 1024
"""Numbers that may be in use: the lowest that is free is taken."""
_REFUSED: Final = 5.0
"""Seconds."""
_DIRECTORY: Final = 16
"""Characters of the directory that are shown: 80 columns have room for a name beside it."""


class FilePrompt(Prompt):
    """Submitted.text is the name of a file, `what` which of the choices to save."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,down", "other(1)", "What", show=False, id="save.what"),
        Binding("shift+tab,up", "other(-1)", "What", show=False, id="save.what_back"),
    ]

    def __init__(self, choices: list[str], directory: Directory, name: str, *, id: str | None = None) -> None:
        """`name`: what the file is called unless the person says otherwise."""
        self._choices = choices
        self._directory = directory
        self.what = choices[0]
        self.replaces = False
        """The file exists, and the person said once more that it shall be replaced."""
        self._asked: str | None = None
        """The name for which that was asked."""
        self._refused: tuple[str, str, float] | None = None
        """The name, why, and until when that is said."""
        super().__init__(self._title_of(self.what), self._verdict, text=name, id=id)

    def _title_of(self, what: str) -> str:
        return f"save {what} in {self._where}"

    @property
    def _where(self) -> str:
        """The directory: of a long one its end."""
        where = escape(os.path.abspath(self._directory.path))
        return where if len(where) <= _DIRECTORY else f"…{where[1 - _DIRECTORY :]}"

    def _path(self, name: str) -> str:
        return os.path.join(self._directory.path, name.strip())

    def amount(self) -> Verdict:
        """How much of what is chosen there is to save."""
        raise NotImplementedError

    def action_other(self, step: int) -> None:
        """The next of what can be saved."""
        at = self._choices.index(self.what) + step
        self.what = self._choices[at % len(self._choices)]
        self.query_one("#prompt-title", Label).update(Content(self._title_of(self.what)))
        self.judge_again()

    def submitted(self, text: str) -> bool:
        """Enter. A file that exists takes a second one on the same name."""
        path = self._path(text)
        if os.path.lexists(path) and _untouchable(path) is None and self._asked != text:
            self._asked = text
            return False
        self.replaces = os.path.lexists(path) or self._asked == text
        return True

    def refuse(self, error: OSError) -> None:
        """It cannot be written there, as was found out. It may be tried again a little later.

        There may be a file after all, in a directory that this process may not look into: then it is asked.
        """
        if isinstance(error, FileExistsError) and not self.replaces:
            self._asked = self.field.value
        else:
            self._refused = (self.field.value, error.strerror or str(error), time.monotonic() + _REFUSED)
        self.judge_again()
        self._goes_on()

    def _verdict(self, text: str) -> Verdict:
        if not text.strip():
            return Verdict(False, "name a file")
        if "/" in text:
            return Verdict(False, f"saves go to {self._where}; --save-dir chooses another")
        path = self._path(text)
        why = _untouchable(path)
        if why is not None:
            return Verdict(False, f"{why}: name another")
        if self._refused is not None and text == self._refused[0] and time.monotonic() < self._refused[2]:
            return Verdict(False, self._refused[1])
        if text == self._asked:
            return Verdict(True, "exists: enter again overwrites it")
        if os.path.lexists(path):
            return Verdict(True, "exists")
        others = [what for what in self._choices if what != self.what]
        hint = f"  tab: {', '.join(others)}" if others else ""
        amount = self.amount()
        return Verdict(amount.valid, f"{amount.message}{hint}")


class SavePrompt(FilePrompt):
    """What to save: ALL, SHOWN or MARKED."""

    def __init__(self, session: Session, directory: Directory, *, id: str | None = None) -> None:
        self._session = session
        choices = [ALL]
        if session.filtered:
            choices.insert(0, SHOWN)
        if session.marked:
            # Where all of them were evicted the prompt says so, but begins with what there is.
            choices.insert(0 if self._marks_kept else len(choices), MARKED)
        super().__init__(choices, directory, time.strftime("netwatch-%Y%m%d-%H%M%S.pcapng"), id=id)

    @property
    def _marks_kept(self) -> int:
        return sum(index in self._session.store for index in self._session.marked)

    def amount(self) -> Verdict:
        counts = {ALL: self._session.kept, SHOWN: self._session.matches, MARKED: self._marks_kept}
        count = f"{counts[self.what]:,} packets"
        if self.what == MARKED and counts[MARKED] < len(self._session.marked):
            count = f"{counts[MARKED]:,} of {len(self._session.marked):,} marked packets are still kept"
        source = self._session.source
        more = " …" if self.what == SHOWN and self._session.view.pending else ""
        if self.what != MARKED and not (source.live or source.exhausted):
            more = " so far"
        return Verdict(counts[self.what] > 0 or bool(more), f"{count}{more}")


def _untouchable(path: str) -> str | None:
    """Why what is at `path` may not be replaced; None if it may, or if there is nothing.

    No link: it leads where somebody else may have wanted a file of this user's. Nor what is read or written just now.
    """
    try:
        there = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(there.st_mode):
        return "it is no regular file"
    # Not by /proc/self/fd, which is not to be read any more.
    for descriptor in range(_DESCRIPTORS):
        try:
            opened = os.fstat(descriptor)
        except OSError:
            continue  # none of this number is open
        if os.path.samestat(opened, there):
            return "netwatch has it open"
    return None
