"""Saving from the dashboard: one file at a time, told in the footer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netwatch.capture.save import Save
from netwatch.capture.text import escape
from netwatch.widgets.save_prompt import MARKED, SHOWN
from netwatch.widgets.units import byte_size

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.session import Session
    from netwatch.widgets.footer import Footer

__all__ = ["Saving"]


class Saving:
    """Call `look` at every repaint."""

    def __init__(self, session: Session, directory: Directory) -> None:
        self.directory = directory
        """Where files go."""
        self._session = session
        self._save: Save | None = None
        self._unseen = 0
        """Packets that a slow filter had not looked at when the save began."""

    @property
    def busy(self) -> bool:
        """A file is being saved."""
        return self._save is not None

    def begin(self, what: str, name: str, *, replace: bool = False) -> None:
        """Save what is kept now, in the background; `replace`: instead of a file of that name. Raises OSError."""
        session = self._session
        rows = np.array(sorted(session.marked), np.int64) if what == MARKED else None
        passes, self._unseen = None, 0
        if what == SHOWN and session.view.slow:
            rows, self._unseen = session.view.indices(0, len(session.view)), session.view.pending
        elif what == SHOWN:
            passes = session.view.predicate
        interfaces = session.source.interfaces
        self._save = Save(
            self.directory,
            name,
            session.store,
            interfaces,
            end=session.shown_end,
            passes=passes,
            rows=rows,
            replace=replace,
        )
        self._save.start()

    def look(self, footer: Footer) -> None:
        """Say how it is getting on."""
        save = self._save
        if save is None:
            return
        save.release()
        if save.done:
            self._save = None
            footer.say(_result(save, self._unseen), role="alert" if save.fault is not None else "bright", seconds=8)
        else:
            name = escape(save.name)
            footer.say(f"saving {save.packets:,} packets to {name}, {save.share:4.0%}; esc cancels", seconds=None)

    def cancel(self, seconds: float = 0.0) -> str | None:
        """End it, and remove the file; one line if there was something to end."""
        save = self._save
        if save is None:
            return None
        save.cancel(seconds)
        return (
            f"not saved: {escape(save.path)} was cancelled at {save.share:.0%}"
            if not save.done
            else _result(save, self._unseen)
        )


def _result(save: Save, unseen: int) -> str:
    """How it ended. `unseen`: packets that the filter had not looked at."""
    path = escape(save.path)
    left = f"{path} is {'as it was' if save.replaces else 'removed'}"
    if save.fault is not None:
        # why before where: a path may be as long as the line
        return f"not saved: {save.fault.strerror or save.fault}: {path}"
    if save.cancelled:
        return f"cancelled, {left}"
    if save.packets:
        saved = f"{save.packets:,} packet{'' if save.packets == 1 else 's'}, {byte_size(save.bytes)}"
        words = [f"saved {saved}, to {path}"]
    else:
        words = [f"nothing to save, {left}"]
    if unseen:
        words.append(f"{unseen:,} were not looked at yet")
    if save.evicted:
        words.append(f"{save.evicted:,} were evicted before")
    if save.unreadable:
        words.append(f"{save.unreadable:,} could not be read: the file shrank")
    return "; ".join(words)
