"""The Textual application: it drains the capture's queue into the model and repaints at its own pace."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, perf_counter, time_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App
from textual.binding import BindingType
from textual.filter import Monochrome, NoColor
from textual.screen import Screen
from textual.timer import Timer

from netwatch.app.crash import CrashLog, crash_words
from netwatch.app.encoding import terminal_encoding
from netwatch.app.keys import PROGRAM_KEYS, bindings
from netwatch.app.main_screen import MainScreen
from netwatch.app.own_session import POLL
from netwatch.app.terminal_kind import colors
from netwatch.capture.directory import Directory, PlainDirectory
from netwatch.capture.name_index import Learner
from netwatch.capture.name_tables import Tables
from netwatch.capture.names import Origin
from netwatch.capture.text import escape
from netwatch.widgets.header import RunState
from netwatch.widgets.palette import Look, theme
from netwatch.widgets.scroll_bar import choose_scroll_bar

if TYPE_CHECKING:
    from textual.driver import Driver

    from netwatch.app.helping import Helping
    from netwatch.app.own_session import OwnSession
    from netwatch.app.trouble import Trouble
    from netwatch.capture.block import Batch
    from netwatch.capture.engine import Engine
    from netwatch.capture.owners import Owners
    from netwatch.capture.resolver import Resolver
    from netwatch.capture.session import Session
    from netwatch.capture.tshark import Tshark

__all__ = ["NetwatchApp"]

_DRAIN: Final = 1 / 15
"""Seconds between two looks at the queue."""
_DRAIN_BUDGET: Final = 0.02
"""Seconds of work at one look: a key that waits behind it is still answered at once."""
_WEIGH: Final = 0.5
_PATIENCE: Final = 2.0
"""Seconds for a save to end."""
_AGAIN: Final = 0.004
"""Seconds until the next look where batches were left, or the capture thread waited for room …"""
_SOON: Final = 0.015
"""… and where there was much: the queue holds some hundredths of a second of what a network of 10 Gbit/s brings."""
_LEARNING: Final = 0.02
"""Part of the time that learning names may take while packets come."""
_LEARN: Final = 0.003
_LEARN_AGAIN: Final = 0.012
"""Seconds of it, and until it goes on, when a file was read."""
_RESOLVE: Final = 0.2
"""Seconds between two looks at what name servers said."""
_MUCH: Final = 1 << 12
"""Packets at one look. A queue that was full is much, too, however large its packets are."""
_NO_TABLES: Final = Tables()
_STILL: Final = 0.4
"""Seconds between repaints by the clock while no packets come."""
_POSTPONED: Final = 4
"""Repaints by the clock that are left out, one after the other, while the capture thread waits for room."""


class NetwatchApp(App[None], inherit_bindings=False):
    """One capture on one screen."""

    CSS = Path(__file__).with_name("netwatch.tcss").read_text(encoding="utf-8")
    """Read with the code: later the file is out of reach."""
    TITLE = "netwatch"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = list(bindings(PROGRAM_KEYS))

    def __init__(
        self,
        session: Session,
        engine: Engine,
        batches: queue.Queue[Batch],
        *,
        fps: float = 10.0,
        directory: Directory | None = None,
        helping: Helping | None = None,
        owners: Owners | None = None,
        duration: float | None = None,
        weigh: Callable[[], None] | None = None,
        settled: Callable[[], None] | None = None,
        unseen: Callable[[], bool] | None = None,
        trouble: Trouble | None = None,
        tshark: Tshark | None = None,
        own_session: OwnSession | None = None,
        names: Tables | None = _NO_TABLES,
        resolver: Resolver | None = None,
        look: Look | None = None,
        crash_log: CrashLog | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        """`directory`: where files are saved, None: where the program was started. `helping`: it is said when the
        helper is gone; `owners`: who knows which programs speak, None: nobody.

        `duration`: seconds after which the program ends by itself, from when packets can arrive. `weigh` is called
        now and then, to look after the memory; `settled` once, when the first frame stands. `unseen`: whether the
        terminal did not yet take what was painted last. `names`: what is known of addresses before any packet; None:
        no names are learned. `resolver` asks for those that no packet said: who wants that sees names at once.
        `crash_log` reports what went wrong inside, where files are saved."""
        super().__init__(driver_class=driver_class)
        self.session = session
        self.engine = engine
        self.state = RunState()
        self.look = look or Look.of_terminal(
            colors(self.console.color_system, os.environ),
            self.no_color,
            terminal_encoding(os.environ),
            console=os.environ.get("TERM") == "linux",
        )
        choose_scroll_bar(self.look)
        if self.look.depth == "mono":
            # Textual's own filter for NO_COLOR makes greys of colours, and black of the terminal's own.
            self._filters = [each for each in self._filters if not isinstance(each, Monochrome)]
            self._filters.append(NoColor())
        self.frames = 0
        """Repaints so far, by the clock; those that a key asked for are not counted."""
        self.longest_stall = 0.0
        """Longest time for which no key was answered, in seconds."""
        self.crash: str | None = None
        """One line: what went wrong inside."""
        self._batches = batches
        self._fps = fps
        self._duration = duration
        self._weigh = weigh
        self._settled = settled
        self._unseen = unseen
        self._trouble = trouble
        self._crash_log = crash_log
        self._tshark = tshark
        self._own_session = self.state.own_session = own_session
        self._helping = helping
        self._owners = owners
        self._directory = directory or PlainDirectory(".")
        self._names = names
        self._resolver = resolver
        self.learner = None
        if names is not None:
            self.learner = Learner(session.store, session.source, live=session.flows, hosts=names.hosts)
        self._learning_on: Timer | None = None
        self._resolving: Timer | None = None
        self._deadline: float | None = None
        self._expected: float | None = None
        self._draining_on: Timer | None = None
        self._catching_up: Timer | None = None
        self._behind = False
        """The kernel's ring fills while the capture thread waits for room on the queue."""
        self._postponed = 0
        self._seen: tuple[object, ...] = ()
        """The end of the store and the size at the last repaint by the clock, and those that were left out since."""
        self._still = 0
        self.remarks: Sequence[str] = ()
        """What could not be applied of what guards this process; one line each."""
        self.costs: Callable[[], str] | None = None
        """One line: what the screen costs the link."""
        self._said_warning = False
        self._main: MainScreen | None = None

    def get_default_screen(self) -> Screen[None]:
        self._main = MainScreen(self.session, self.look, self.state, self.engine, self._directory, self._tshark)
        self._main.display_as.learner = self.learner
        self._main.own_session = self._own_session
        self._main.remarks = tuple(self.remarks)
        self._main.costs = self.costs
        self._main.helper = self._helping.helper if self._helping is not None else None
        self._main.display_as.owners = self._owners
        if self._names is not None:
            self._main.display_as.tables = self._names
        if self._resolver is not None:
            self._main.display_as.resolver = self._resolver
            self._main.display_as.naming = "all"
        return self._main

    def on_mount(self) -> None:
        self.register_theme(theme(self.look))
        self.theme = "netwatch"
        self.set_interval(_DRAIN, self._drain)
        self.set_interval(1 / self._fps, self._repaint_by_clock)
        if self._resolver is not None:
            self._resolving = self.set_interval(_RESOLVE, self._resolve)
        if self._own_session is not None:
            self.set_interval(POLL, self._own_session.look)
        if self._weigh is not None:
            self.set_interval(_WEIGH, self._weigh)
        self._handle_signals()
        asyncio.get_running_loop().set_exception_handler(self._callback_failed)
        self.app_suspend_signal.subscribe(self, self._suspended, immediate=True)
        # After ctrl+z and fg, or kill -STOP and -CONT, the terminal holds nothing of the screen.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        if self._settled is not None:
            self.call_after_refresh(self._settled)
        if self.session.source.live:
            # Not before the first frame stands: from here on packets may arrive.
            self.call_after_refresh(self.engine.start)
        else:
            # A file waits for nobody: its first packets are read while the screen is laid out.
            self.engine.start()
            self._draining_on = self.set_timer(_AGAIN, self._drain_on)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            try:
                loop.add_signal_handler(getattr(signal, name), self.exit)
            except (NotImplementedError, RuntimeError, AttributeError, ValueError):
                continue  # not on this system, or not in the main thread (tests)

    def action_repaint(self) -> None:
        """Write the whole screen once more: something else wrote to the terminal."""
        repaint = getattr(self._driver, "repaint", None)  # none where no terminal is
        if repaint is not None:
            repaint()

    def _suspended(self, _: App[object]) -> None:
        self._expected = None  # who stopped the program does not wait for it

    def _drain(self) -> None:
        """Take over what the capture thread found, as far as there is time."""
        begun = perf_counter()
        if self._expected is not None:
            self.longest_stall = max(self.longest_stall, begun - self._expected)
        if self._draining_on is None:
            self._drain_on()
        self._learn()
        self._expected = perf_counter() + _DRAIN
        self._look_at_engine()

    def _drain_on(self) -> None:
        self._draining_on = None
        full = self._batches.full()
        self._behind = full and getattr(self.session.source, "ring_size", 0) > 0
        deadline, before = perf_counter() + _DRAIN_BUDGET, self.session.store.end
        if self._take(deadline) or full:
            self._draining_on = self.set_timer(_AGAIN, self._drain_on)
        elif self.session.store.end - before >= _MUCH or self._nothing_read:
            self._draining_on = self.set_timer(_SOON, self._drain_on)
        if not before and self.session.store.end:
            self._paint()

    def _learn(self) -> None:
        """What addresses are called: a little of the time, and of a file that was read a larger part."""
        if self.learner is None:
            return
        self.learner.let_go()
        if self._behind or self._learning_on is not None:
            return
        if self.session.flows or not self.engine.ended or not self._batches.empty():
            self.learner.work(_DRAIN * _LEARNING)
        elif self.learner.left:
            self._learn_on()

    def _learn_on(self) -> None:
        self._learning_on = None
        if self.learner is not None and self.learner.work(_LEARN):
            self._learning_on = self.set_timer(_LEARN_AGAIN, self._learn_on)

    def _resolve(self) -> None:
        """Pass on which names are wanted, and learn those that were found."""
        resolver, learner = self._resolver, self.learner
        if resolver is None or learner is None:
            return
        # A file is of another time: there it says nothing how old a name is.
        now = time_ns() if self.session.flows else 0
        for address, name in resolver.work():
            learner.names.learn(address, name, Origin.RESOLVED, now)
        if resolver.gone and self._resolving is not None:
            self._resolving.stop()
            if self._main is not None and self._main.is_running:
                self._main.footer.say(resolver.words, role="filter-chip", seconds=None)

    @property
    def _nothing_read(self) -> bool:
        """The first packets of a file are to come."""
        return not (self.session.store.end or self.session.source.live or self.engine.ended)

    def _take(self, deadline: float) -> bool:
        """Ingest batches until `deadline`; whether some may be left."""
        while True:
            try:
                batch = self._batches.get_nowait()
            except queue.Empty:
                return False
            self.session.ingest(batch)
            if perf_counter() >= deadline:
                return True

    def _repaint_by_clock(self) -> None:
        """Where no packet came it is soon enough some times later: all else changes by keys, or once a second."""
        seen = (self.session.store.end, self.size)
        if seen == self._seen and self._catching_up is None and self._still < self._fps * _STILL:
            self._still += 1
            return
        self._seen, self._still = seen, 0
        self._repaint()

    def _repaint(self) -> None:
        # What is not painted is seen a moment later; what the ring has no room for is never seen.
        if self._behind and self._postponed < _POSTPONED:
            self._postponed += 1
            return
        self._postponed = 0
        if self.session.tick(monotonic()) and self._catching_up is None:
            self._catching_up = self.set_timer(_AGAIN, self._catch_up_on)
        if self.is_running and self._main is not None and self._main.is_running:
            self._main.saving.look(self._main.footer)
            if self._helping is not None:
                self._helping.look(self._main.footer)
        # A terminal that hangs, at the far end of a network, must not hold up those who paint, and with them the
        # capture: it sees the present once it takes more.
        if self._unseen is None or not self._unseen():
            self._paint()

    def _catch_up_on(self) -> None:
        """Go on with what a filter or a table has left to count, while no packets wait; keys come in between."""
        self._catching_up = None
        if self._batches.empty() and not self._behind and self.session.catch_up():
            self._catching_up = self.set_timer(_AGAIN, self._catch_up_on)

    def _paint(self) -> None:
        self.frames += 1
        if self.is_running and self._main is not None and self.screen is self._main:
            self._main.paint()

    def _look_at_engine(self) -> None:
        """Rare events: it started, failed, ended."""
        engine, state, main = self.engine, self.state, self._main
        # While it ends there are still timers, but no widgets any more.
        if not self.is_running or main is None or not main.is_running:
            return
        if self._deadline is None and engine.started.is_set():
            self._deadline = monotonic() + self._duration if self._duration is not None else float("inf")
            # One after the other they would hide each other; `?` has them too.
            notes = [*self.remarks, *getattr(self.session.source, "notes", ())]
            if notes:
                main.footer.say("; ".join(notes), role="bright", seconds=8)
        if self._deadline is not None and monotonic() >= self._deadline:
            self.exit()  # also where a file, or what --count lets through, ended before
        if state.ended:
            return
        if self.session.warning is not None and not self._said_warning:
            self._said_warning = True
            main.footer.say(self.session.warning, role="filter-chip", seconds=None)
        if self._trouble is not None:
            self._trouble.look(main.footer)
            state.fault = self._trouble.fault
        if engine.ended and self._batches.empty():
            state.ended = True
            state.failed = engine.failed
            damage = self.session.source.damage
            if engine.failed is not None:
                main.footer.say(f" {escape(engine.failed)} ", role="alert-chip", seconds=None)
            elif damage is not None:
                main.footer.say(f" {escape(damage.words)} ", role="alert-chip", seconds=None)
            elif not self.session.source.live and (notes := getattr(self.session.source, "notes", [])):
                main.footer.say(escape("; ".join(notes)), role="filter-chip", seconds=15)
            main.paint_now()

    def end_saving(self) -> str | None:
        """A file that is still being saved is not kept; one line of it, if there was one."""
        return self._main.saving.cancel(_PATIENCE) if self._main is not None else None

    def _fatal_error(self) -> None:
        # Textual's own prints a page of traceback with local variables, which may hold bytes of packets.
        self.bell()
        self.crash = self.report(self._exception)
        self._close_messages_no_wait()

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002
        """What asyncio would say on standard error, which nobody sees, and go on with half of what runs."""
        if "handle" in context and isinstance(error := context.get("exception"), Exception) and not self._exit:
            self._handle_exception(error)

    def give_terminal_back(self) -> None:
        """Textual does, unless it fails at that, too."""
        if self._driver is not None:
            self._driver.close()

    def report(self, error: BaseException | None) -> str:
        """Write down a mistake of ours -> one line."""
        return crash_words(error) if self._crash_log is None else self._crash_log.write(error, self._directory)
