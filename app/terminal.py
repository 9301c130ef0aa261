"""The terminal that the dashboard writes to: only what changes is written, as the link takes it, and when the
terminal goes away the program ends."""

from __future__ import annotations

import asyncio
import codecs
import io
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final, cast

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from netwatch.app.link import Link
from netwatch.app.picture import Picture

__all__ = ["driver"]

_CONTINUED: Final = 0.05
"""Seconds after which SIGCONT, which any thread may take, has been seen."""
_PIECE: Final = 512
"""Bytes of one write: how soon a terminal that takes no more is noticed."""
_AGAIN: Final = 0.02
"""Seconds until it is asked for room again: nobody is woken by a pseudo-terminal that has little."""
_SAME_KEY: Final = 0.2
"""Seconds after a key in which what is painted is its answer; later than that it is at least the next update."""
_LOOK_UP: Final = 100
"""Milliseconds of waiting for a key, after which it is seen whether there is still somebody to wait for one."""
_MOST_READ: Final = 4096
_BY_HAND: Final = (
    *(events.Key, events.Paste, events.Resize),
    *(events.MouseDown, events.MouseUp, events.MouseScrollUp, events.MouseScrollDown),
)


class _Output:
    """Standard output. Once the terminal is gone what is written to it is thrown away, and that is said once.

    Textual writes from a thread of its own, through a queue: without somebody who goes on taking from it the whole
    program would wait for ever, deaf to signals too.
    """

    def __init__(
        self, file: io.TextIOWrapper, link: Link, on_full: Callable[[bool], None], on_gone: Callable[[], None]
    ) -> None:
        """`on_full`: called with True when there is no room, and with False when all was taken after that."""
        self._file = file
        self._link = link
        self._on_full = on_full
        self._on_gone = on_gone
        self._gone = False
        self._poll = select.poll()
        self._poll.register(file.fileno(), select.POLLOUT)

    def write(self, text: str) -> None:
        """Write all of it, however long it takes."""
        data = memoryview(text.encode(self._file.encoding, "replace"))
        was_full = False
        while data and not self._gone:
            try:
                if not self._poll.poll(0):
                    was_full = True
                    self._on_full(True)
                    while not self._poll.poll(0):
                        time.sleep(_AGAIN)
                size = os.write(self._file.fileno(), data[:_PIECE])
            except BlockingIOError:
                continue  # who shares the terminal has it that way
            except OSError:
                self._lost()
                break
            self._link.taken += size
            data = data[size:]
        self._link.taken += len(data)
        if was_full:
            self._on_full(False)

    def flush(self) -> None:
        """Nothing is held."""

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True

    def _lost(self) -> None:
        self._gone = True
        # What others print would fail once more.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)
        self._on_gone()


def driver(link: Link, lend: Callable[[bool], None] = lambda _: None) -> type[LinuxDriver]:
    """A driver that writes what `link` has room for, to stdout where Textual's own writes to stderr.

    `lend` is called with True before it takes the terminal, with False when it gave it back.
    """

    class Driver(LinuxDriver):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert isinstance(sys.__stdout__, io.TextIOWrapper)
            # What the terminal has no character for becomes a question mark: an error would end the program.
            sys.__stdout__.reconfigure(errors="replace")
            self._file = cast("Any", _Output(sys.__stdout__, link, self._say_full, self._leave))
            self._picture = Picture()
            self._controls: list[str] = []
            """What is no part of the picture: modes, the clipboard, the bell."""
            self._taken = False
            self._shows = False
            self._full = False
            self._synchronised = False
            self._key: float | None = None
            self._again: asyncio.TimerHandle | None = None

        # What is written

        def write(self, data: str) -> None:
            """Part of the picture waits until there is room for it, the rest is written at once."""
            if data in (SYNC_START, SYNC_END):
                self._synchronised = True  # the terminal knows it; each write has its own
                return
            columns, rows = self._app.size
            if (columns, rows) != (self._picture.columns, self._picture.rows):
                self._picture.resize(columns, rows)
            if not self._picture.take(data, awaited=self._key is not None):
                self._controls.append(data)
            elif self._key is not None and time.monotonic() - self._key > _SAME_KEY:
                self._key = None
            self._go_on()

        def repaint(self) -> None:
            """Write the whole picture once more: something else wrote to the terminal."""
            self._picture.forget()
            self._key = time.monotonic()
            self._go_on()

        def _go_on(self) -> None:
            """Write as much as there is room for."""
            if self._again is not None:
                self._again.cancel()
                self._again = None
            if not (self._full and self._shows):
                parts, self._controls = self._controls, []
                self._hand("".join([*parts, self._next()] if self._shows else parts))
            link.pending = self._picture.pending
            if link.pending and self._shows and not self._full:
                self._again = self._loop.call_later(link.wait(), self._go_on)

        def _next(self) -> str:
            """What of the picture is written next."""
            picture, text = self._picture, ""
            if picture.awaited and (room := link.room(awaited=True)) > 0:
                text = picture.write(room, awaited=True)
            if picture.pending and (room := link.room(awaited=False) - len(text.encode())) > 0:
                more = picture.write(room)
                link.paced(len(more.encode()))
                text += more
            if not text:
                return ""
            if self._synchronised and text.count("H") > 1:
                text = f"{SYNC_START}{text}{SYNC_END}"
            return text + self._question()

        def _question(self) -> str:
            """How far is it? The column of the cursor, which is hidden, says which question an answer belongs to."""
            mark = link.ask()
            if mark is None:
                return ""
            self._loop.call_soon(link.asked, mark)
            return f"\x1b[{mark + 1}G\x1b[6n{self._picture.cursor}"

        def _hand(self, text: str) -> None:
            if text and self._writer_thread is not None and self._writer_thread.is_alive():
                assert isinstance(sys.__stdout__, io.TextIOWrapper)
                # The terminal driver makes two bytes of a line feed.
                link.write(len(text.encode(sys.__stdout__.encoding, "replace")) + text.count("\n"))
                super().write(text)

        # What it takes

        def _say_full(self, full: bool) -> None:
            """From the thread that writes."""
            taken, now = link.taken, time.monotonic()
            self._loop.call_soon_threadsafe(self._note_full, full, taken, now)

        def _note_full(self, full: bool, taken: int, now: float) -> None:
            self._full = full
            if full:
                link.full(taken, now)
            else:
                self._go_on()

        def process_message(self, message: Message) -> None:
            """From the thread that reads keys."""
            now = time.monotonic()
            if isinstance(message, events.CursorPosition):
                self._loop.call_soon_threadsafe(self._answered, message.x, now)
                return
            if isinstance(message, events.Resize):
                self._loop.call_soon_threadsafe(self._picture.forget)
            if isinstance(message, _BY_HAND):
                self._loop.call_soon_threadsafe(self._pressed, now)
            super().process_message(message)

        def _answered(self, mark: int, at: float) -> None:
            link.answer(mark, at)
            if link.pending and self._shows:
                self._go_on()

        def _pressed(self, at: float) -> None:
            self._key = at
            link.press()

        # Whose terminal it is

        def start_application_mode(self) -> None:
            self._shows, self._full = False, False
            self._taken = True
            lend(True)
            super().start_application_mode()  # type: ignore[no-untyped-call]
            self._hand(self._question())
            self._picture.forget()
            self._key = time.monotonic()
            self._shows = True
            own = signal.getsignal(signal.SIGWINCH)

            def resized(number: int, frame: Any) -> None:
                # Nobody knows what a terminal makes of its content.
                self._picture.forget()
                self._key = time.monotonic()
                if callable(own):
                    own(number, frame)

            signal.signal(signal.SIGWINCH, resized)

        def stop_application_mode(self) -> None:
            self._taken = self._shows = False
            # tmux keeps what stood here on the screen if it was resized meanwhile.
            self.write("\x1b[m\x1b[H\x1b[2J")
            super().stop_application_mode()

        def close(self) -> None:
            if self._taken and self._writer_thread is not None:
                self.stop_application_mode()  # it failed while it was taken: Textual does not undo that
            super().close()  # all is written
            lend(False)

        def _sigtstp_application(self, *_: object) -> None:
            # What a terminal does with ctrl+z: the whole of a pipeline stops, and nothing where no shell could go on
            # with it (setsid, a container's first process); there Textual's SIGSTOP would be the end.
            self.suspend_application_mode()
            self._must_signal_resume = True
            own = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(0, signal.SIGTSTP)
            time.sleep(_CONTINUED)
            signal.signal(signal.SIGTSTP, own)
            if self._must_signal_resume:
                self.resume_application_mode()

        def _sigcont_application(self, *_: object) -> None:
            # Stopped from outside (kill -STOP) nothing was put away: a second thread that reads keys would never end.
            if not self._must_signal_resume:
                self.suspend_application_mode()
                self._must_signal_resume = True
            super()._sigcont_application()

        def _run_input_thread(self) -> None:
            try:
                self.run_input_thread()
            except OSError:
                self._leave()  # the terminal hung up

        def run_input_thread(self) -> None:
            # As Textual's, which ends at what is no UTF-8 (pasted, or from a terminal that speaks Latin-1): no key
            # would do anything any more.
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            parser = XTermParser()
            keyboard = select.poll()
            keyboard.register(self.fileno, select.POLLIN)
            while not self.exit_event.is_set():
                if keyboard.poll(_LOOK_UP):
                    data = os.read(self.fileno, _MOST_READ)
                    if not data:
                        self._leave()
                        return
                    if text := decoder.decode(data):  # the parser takes none for the end
                        for message in parser.feed(text):
                            self.process_message(message)
                for message in parser.tick():  # an Escape with nothing behind it is a key
                    self.process_message(message)

        def _leave(self) -> None:
            self._app.call_later(self._app.exit)

    return Driver
