"""A mistake of netwatch's own: one line for the person, and a report in a file. No values: they may be of packets."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final

from netwatch.capture.errors import EXIT_FAULT, CaptureError

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory

__all__ = ["CrashLog", "crash_words"]

_DEEPEST: Final = 200
"""Calls that are listed: what calls itself for ever has a thousand."""
_CAUSES: Final = 8


def crash_words(error: BaseException | None) -> str:
    """One line: what went wrong and where; no values, which may come from packets."""
    if error is None:
        return "internal error"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    name = os.path.basename(place.tb_frame.f_code.co_filename) if place is not None else ""
    where = f" at {name}:{place.tb_lineno}" if place is not None else ""
    return f"internal error: {type(error).__name__}{where}; please report it"


class CrashLog:
    """Writes the report of the first mistake. Made while versions can be read: before rights are given up."""

    def __init__(self) -> None:
        from importlib import metadata

        from netwatch import __version__

        made = [f"netwatch {__version__}", f"Python {sys.version.split()[0]}"]
        made += [f"{name} {metadata.version(name)}" for name in ("textual", "numpy")]
        system = os.uname()
        self._versions = (*made, f"{system.sysname} {system.release} {system.machine}")
        self._begun = time.monotonic()
        self.words: str | None = None
        """One line, once there was a mistake: what it was and where the report is."""

        self.unseen: BaseException | None = None
        """What ended a thread for which nobody looked."""

    def watch_threads(self) -> None:
        """From now on mistakes that end other threads are kept, where Python would write a page over the screen."""

        def keep(what: threading.ExceptHookArgs) -> None:
            self.unseen = self.unseen or what.exc_value

        threading.excepthook = keep

    def write(self, error: BaseException | None, directory: Directory) -> str:
        """Report `error` -> `words`. Never raises; of several mistakes the first one is told."""
        if self.words is not None:
            return self.words
        name = f"netwatch-crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
        self.words = crash_words(error)
        try:
            fd = directory.open_new(name)
            with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write("\n".join(self._lines(error)) + "\n")
        except Exception as refused:
            why = (refused.strerror if isinstance(refused, OSError) else None) or type(refused).__name__
            self.words += f" (no report could be written in {directory.path}: {why})"
        else:
            self.words += f" with {os.path.join(os.path.abspath(directory.path), name)}"
        return self.words

    @contextlib.contextmanager
    def reporting(self, directory: Directory) -> Iterator[None]:
        """A mistake in what is done meanwhile is reported, and becomes CaptureError 70."""
        try:
            yield
        except (CaptureError, BrokenPipeError):
            raise
        except Exception as error:
            raise CaptureError(self.write(error, directory), EXIT_FAULT) from None

    def _lines(self, error: BaseException | None) -> Iterator[str]:
        yield crash_words(error)
        yield ""
        yield "Versions, and which lines of code were called. No values are written here, nothing of any packet."
        yield ""
        yield from self._versions
        for name in ("TERM", "COLORTERM", "LANG", "LC_ALL"):
            yield f"{name}={os.environ.get(name, '')!a}"
        yield f"after {time.monotonic() - self._begun:.1f} s, {threading.active_count()} threads"
        for _ in range(_CAUSES):
            if error is None:
                break
            yield ""
            yield from _calls(error)
            error = error.__cause__ or error.__context__


def _calls(error: BaseException) -> Iterator[str]:
    # The text of an error is left out, as it often quotes what could not be understood; the kernel's words are not.
    number = f" (errno {error.errno})" if isinstance(error, OSError) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{number}, the innermost call last:"
    calls = list(_frames(error.__traceback__))
    if len(calls) > _DEEPEST:
        half = _DEEPEST // 2
        calls = [*calls[:half], f"  … {len(calls) - 2 * half} calls …", *calls[-half:]]
    yield from calls


def _frames(place: TracebackType | None) -> Iterator[str]:
    while place is not None:
        frame: FrameType = place.tb_frame
        name = frame.f_code.co_filename
        for above in sorted(sys.path, key=len, reverse=True):
            if above and name.startswith(above + os.sep):
                name = name[len(above) + 1 :]  # where it is installed is the person's affair
                break
        yield f"  {name}:{place.tb_lineno} in {frame.f_code.co_qualname}"
        place = place.tb_next
