"""The terminal that the dashboard writes to: only what changes is written, as the link takes it, and when the
terminal goes away the program ends."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
import io
import math
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from typing import Any, Final, cast

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from netwatch.app.link import Link
from netwatch.app.pasting import Pastes
from netwatch.app.picture import Picture
from netwatch.capture.unstopped import unstopped

__all__ = ["driver"]

_CONTINUED: Final = 0.05
"""Seconds after which SIGCONT, which any thread may take, has been seen."""
_PIECE: Final = 512
"""Bytes of one write: how soon a terminal that takes no more is noticed."""
_AGAIN: Final = 0.02
"""Seconds until it is asked for room again: nobody is woken by a pseudo-terminal that has little."""
_PATIENCE: Final = 5.0
"""Seconds in which a terminal that is given back takes nothing, after which the rest is thrown away."""
_SAME_KEY: Final = 0.3
"""Seconds after a key in which what is painted is its answer; later it is the next update, if there was none."""
_LOOK_UP: Final = 100
"""Milliseconds of waiting for a key, after which it is seen whether there is still somebody to wait for one."""
_FOLLOWS: Final = 10
"""Milliseconds in which the rest of a sequence follows its Escape."""
_STDIN: Final = 0
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
        self,
        file: io.TextIOWrapper,
        link: Link,
        *,
        own: int | None,
        on_full: Callable[[], None],
        on_taken: Callable[[], object],
        on_gone: Callable[[], None],
    ) -> None:
        """`own`: the same terminal, where writes never wait; None: it could not be opened. `on_full` is called when
        there is no room, `on_taken` once all of a text was taken."""
        self._file = file
        self._link = link
        self._fd = file.fileno() if own is None else own
        self._on_full = on_full
        self._on_taken = on_taken
        self._on_gone = on_gone
        self._gone = False
        self._left_out = 0
        """Up to so many bytes in all nothing needs to be written any more."""
        self._deadline = math.inf
        """When the terminal should have taken something: at the end nobody waits for ever."""
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def write(self, text: str) -> None:
        """Write all of it, however long it takes; at the end as long as the terminal takes some."""
        data = memoryview(text.encode(self._file.encoding, "replace"))
        end = self._link.taken + _size_of(text, self._file.encoding)
        full = False
        while data and not self._gone and end > self._left_out:
            try:
                size = os.write(self._fd, data[:_PIECE]) if self._poll.poll(0) else 0
            except BlockingIOError:
                size = 0
            except OSError:
                self._lost()
                break
            if not size:
                if time.monotonic() > self._deadline:
                    break
                if not full:
                    self._on_full()
                time.sleep(_AGAIN)
            elif self._deadline < math.inf:
                self._deadline = time.monotonic() + _PATIENCE
            full = not size
            self._link.taken += size
            data = data[size:]
        self._link.taken = end
        self._on_taken()

    def leave_out(self) -> None:
        """What was handed over until now is of no use any more; a sequence that is cut short ends with the next."""
        self._left_out = self._link.handed
        self._deadline = time.monotonic() + _PATIENCE

    def begin(self) -> None:
        """From now on the terminal may be as slow as it likes."""
        self._deadline = math.inf

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
        for lost in {self._fd, self._file.fileno()}:
            os.dup2(nowhere, lost, inheritable=lost != self._fd)
        os.close(nowhere)
        self._on_gone()


def _size_of(text: str, encoding: str) -> int:
    """Bytes of it on the terminal, whose driver makes two of a line feed."""
    return len(text.encode(encoding, "replace")) + text.count("\n")


def _without_waiting(terminal: int) -> int | None:
    """`terminal` opened once more, so that writes there never wait, while others who have it write as ever.

    A pseudo-terminal with room for one byte is said to be writable, and a longer write then waits until its reader
    has taken all that it holds: at 2 kB/s some ten seconds.
    """
    try:
        return os.open(f"/proc/self/fd/{terminal}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None  # no /proc, or somebody else's terminal, as after su


def _in_foreground(terminal: int) -> bool:
    """In the background this stops the process group (SIGTTOU); False: something went on with it.

    Before that nothing of the terminal is this program's: another netwatch may be shown there.
    """
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, termios.tcgetattr(terminal))
    except termios.error as error:
        return bool(error.args[0] != errno.EINTR)
    return True


def _stopped_by_terminal(terminal: int) -> bool:
    """Stop this process group, and return once it goes on; False: nobody would go on with it.

    A signal of ours reaches the processes of our user alone, and those of root in a pipeline are not any more. The
    terminal stops all as soon as one of a group that is not in the foreground changes its settings (SIGTTOU).
    """
    ours = os.getpgrp()
    try:
        others = {os.getpgid(each) for each in (os.getppid(), os.getsid(0)) if each} - {ours}
        if not others:
            return False
        os.tcsetpgrp(terminal, others.pop())
        try:
            termios.tcsetattr(terminal, termios.TCSANOW, termios.tcgetattr(terminal))
        except termios.error as error:
            if error.args[0] == errno.EINTR:
                return True  # by SIGCONT
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(terminal, ours)
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            return False
    except OSError:
        return False
    return True


def driver(link: Link, lend: Callable[[bool], None] = lambda _: None) -> type[LinuxDriver]:
    """A driver that writes what `link` has room for, to stdout where Textual's own writes to stderr.

    Call it while files may be opened. `lend` is called with True before it takes the terminal, with False when it
    gave it back.
    """
    assert isinstance(sys.__stdout__, io.TextIOWrapper)
    own = _without_waiting(sys.__stdout__.fileno())

    class Driver(LinuxDriver):
        _taken = False  # signals are taken before all of it is there

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert isinstance(sys.__stdout__, io.TextIOWrapper)
            # What the terminal has no character for becomes a question mark: an error would end the program.
            sys.__stdout__.reconfigure(errors="replace")
            self._output = _Output(
                sys.__stdout__,
                link,
                own=own,
                on_full=self._say_full,
                on_taken=lambda: self._in_loop(self._go_on),
                on_gone=self._leave,
            )
            self._file = cast("Any", self._output)
            self._picture = Picture()
            self._mark: int | None = None
            """Of the question that is handed over next."""
            self._controls: list[str] = []
            """What is no part of the picture: modes, the clipboard, the bell."""
            self._shows = False
            self._synchronised = False
            self._key: float | None = None
            self._answered_key = False
            """Something was painted since."""
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
            if self._key is not None and self._answered_key and time.monotonic() - self._key > _SAME_KEY:
                self._key = None
            if self._picture.take(data, awaited=self._key is not None):
                self._answered_key = True
            else:
                self._controls.append(data)
            self._go_on()

        def repaint(self) -> None:
            """Write the whole picture once more: something else wrote to the terminal."""
            self._picture.forget()
            self._go_on()

        def _go_on(self) -> None:
            """Write as much as there is room for, and nothing before the last piece was taken: Textual's queue holds
            thirty texts, and who has one more waits until the terminal took one. So would keys, and the capture."""
            if self._again is not None:
                self._again.cancel()
                self._again = None
            if not (self._shows and link.waiting):
                parts, self._controls = self._controls, []
                self._hand("".join([*parts, self._next()] if self._shows else parts))
            link.pending = self._picture.pending
            if link.pending and self._shows and not link.waiting:
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
            self._mark = link.ask()
            if self._mark is None:
                return ""
            return f"\x1b[{self._mark + 1}G\x1b[6n{self._picture.cursor}"

        def _hand(self, text: str) -> None:
            mark, self._mark = self._mark, None
            if text and self._writer_thread is not None and self._writer_thread.is_alive():
                assert isinstance(sys.__stdout__, io.TextIOWrapper)
                link.write(_size_of(text, sys.__stdout__.encoding))
                if mark is not None:
                    link.asked(mark)  # before it is: what keeps this thread meanwhile is no time on the way
                super().write(text)

        # What it takes

        def _say_full(self) -> None:
            """From the thread that writes."""
            self._in_loop(link.full, link.taken, time.monotonic())

        def _in_loop(self, work: Callable[..., object], *arguments: object) -> None:
            """From another thread. There is no loop any more where a mistake ended it while the screen was shown."""
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work, *arguments)

        def process_message(self, message: Message) -> None:
            """From the thread that reads keys."""
            now = time.monotonic()
            if isinstance(message, events.CursorPosition):
                self._in_loop(self._answered, message.x, now)
                return
            if isinstance(message, events.Resize):
                self._in_loop(self._picture.forget)
            if isinstance(message, _BY_HAND):
                self._in_loop(self._pressed, now)
            super().process_message(message)

        def _answered(self, mark: int, at: float) -> None:
            link.answer(mark, at)
            if link.pending and self._shows:
                self._go_on()

        def _pressed(self, at: float) -> None:
            self._await(at)
            link.press()

        def _await(self, since: float | None = None) -> None:
            """Somebody waits for what is painted next."""
            self._key, self._answered_key = time.monotonic() if since is None else since, False

        # Whose terminal it is

        def start_application_mode(self) -> None:
            while not _in_foreground(self.fileno):
                if self._taken:
                    return  # by what SIGCONT calls
            self._shows, self._taken = False, True
            lend(True)
            self._output.begin()
            with unstopped():  # Textual would begin anew in the middle of it, with every thread twice
                super().start_application_mode()  # type: ignore[no-untyped-call]
            self._hand(self._question())
            self._picture.forget()
            self._await()
            self._shows = True
            own = signal.getsignal(signal.SIGWINCH)

            def resized(number: int, frame: Any) -> None:
                # Nobody knows what a terminal makes of its content.
                self._picture.forget()
                self._await()
                if callable(own):
                    own(number, frame)

            signal.signal(signal.SIGWINCH, resized)

        def stop_application_mode(self) -> None:
            self._taken = self._shows = False
            self._output.leave_out()
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
            taken = self._taken
            if taken:
                self.suspend_application_mode()
                self._must_signal_resume = True
            own = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            # Keys that do not come from standard input: that is a pipeline.
            if not taken:
                os.kill(os.getpid(), signal.SIGTSTP)  # it was the terminal itself that stopped the others
            elif self.fileno == _STDIN or not _stopped_by_terminal(self.fileno):
                os.killpg(0, signal.SIGTSTP)
            time.sleep(_CONTINUED)
            signal.signal(signal.SIGTSTP, own)
            if self._must_signal_resume:
                self.resume_application_mode()

        def _sigcont_application(self, *_: object) -> None:
            # Stopped from outside (kill -STOP) nothing was put away: a second thread that reads keys would never end.
            if not (self._taken or self._must_signal_resume):
                return
            if not self._must_signal_resume:
                self.suspend_application_mode()
                self._must_signal_resume = True
            super()._sigcont_application()

        def _run_input_thread(self) -> None:
            try:
                self.run_input_thread()
            except OSError:
                self._leave()  # the terminal hung up
            except Exception as error:  # a mistake of ours; without keys nobody could end the program
                self._in_loop(self._app._handle_exception, error)

        def run_input_thread(self) -> None:
            # As Textual's, which ends at what is no UTF-8 (pasted, or from a terminal that speaks Latin-1): no key
            # would do anything any more.
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            parser, pastes = XTermParser(), Pastes()
            keyboard = select.poll()
            keyboard.register(self.fileno, select.POLLIN)
            while not self.exit_event.is_set():
                pieces: list[str | events.Paste] = []
                if keyboard.poll(_FOLLOWS if pastes.undecided else _LOOK_UP):
                    data = os.read(self.fileno, _MOST_READ)
                    if not data:
                        self._leave()
                        return
                    pieces.extend(pastes.feed(decoder.decode(data)))
                elif held := pastes.release():
                    pieces.append(held)
                for piece in pieces:  # none is empty, which the parser takes for the end
                    if isinstance(piece, events.Paste):
                        self.process_message(piece)
                        continue
                    try:
                        for message in parser.feed(piece):
                            self.process_message(message)
                    except (ValueError, OverflowError):
                        # A key's numbers are none that Textual knows: its parser takes nothing after that.
                        parser = XTermParser()
                for message in parser.tick():  # an Escape with nothing behind it is a key
                    self.process_message(message)

        def _leave(self) -> None:
            self._app.call_later(self._app.exit)

    return Driver
