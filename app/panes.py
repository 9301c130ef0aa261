"""The main screen's panes: what it consists of, how it is laid out, and moves in whatever has the focus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Static

from netwatch.app.keys import KEYS, PROGRAM_KEYS
from netwatch.app.search import next_match
from netwatch.widgets.breakdown import Breakdown
from netwatch.widgets.conversations import Conversations
from netwatch.widgets.display import Display
from netwatch.widgets.footer import Footer, Hint
from netwatch.widgets.header import Header, RunState
from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.packet_list import PacketList
from netwatch.widgets.pane import Lines, Pane
from netwatch.widgets.switches import Switches
from netwatch.widgets.talkers import Talkers
from netwatch.widgets.timeline import Timeline

if TYPE_CHECKING:
    from netwatch.capture.session import Session
    from netwatch.widgets.palette import Look

__all__ = ["MIN_HEIGHT", "MIN_WIDTH", "Panes"]

MIN_WIDTH: Final = 60
MIN_HEIGHT: Final = 16
_ROOMY: Final = 24
"""Lines from which on list and tables have the rows that they should have."""
_TALL: Final = 32
"""Lines from which on the header has a graph."""
_HUGE: Final = 48
_WIDE: Final = 160
"""Columns from which on the tables stand beside the list."""


class Panes(Screen[None], inherit_bindings=False):
    """Header, switches, packet list, breakdown and talkers, line of time, footer."""

    AUTO_FOCUS = "#list"

    def __init__(self, session: Session, look: Look, state: RunState) -> None:
        super().__init__()
        self.session = session
        self.look = look
        self.state = state
        self.display_as = Display()

    def compose(self) -> ComposeResult:
        session, look, display = self.session, self.look, self.display_as
        yield Header(session, look, display, self.state, id="header")
        yield Switches(session, look, id="switches")
        with Container(id="body"):
            packets = PacketList(session, look, display, self.state, follow=self.flows, id="list")
            yield packets
            with Container(id="tables"):
                yield Breakdown(session, look, display, id="breakdown")
                yield Talkers(session, look, display, id="talkers")
                yield Conversations(session, look, display, id="conversations")
        yield Timeline(session, look, display, self.state, packets, id="timeline")
        shown = sorted((key for key in (*KEYS, *PROGRAM_KEYS) if key.rank), key=lambda key: key.rank)
        yield Footer([Hint(key.shown, key.label, key.action) for key in shown], look, id="footer")
        yield Static("", id="too-small", markup=False)

    # What the rest asks of the screen

    @property
    def packets(self) -> PacketList:
        """The packet list."""
        return self.query_one("#list", PacketList)

    @property
    def tables(self) -> list[KeyTable[object]]:
        """Breakdown and talkers, or conversations in their place."""
        return [table for table in self.query(KeyTable) if table.display]

    @property
    def timeline(self) -> Timeline:
        """The line of time under it."""
        return self.query_one("#timeline", Timeline)

    @property
    def footer(self) -> Footer:
        return self.query_one("#footer", Footer)

    def paint(self) -> None:
        """Bring everything up to date; only what changed is drawn."""
        for table in self.tables:
            table.look_up()
        with self.state.one_moment(self.session.source):
            for widget in self.query(Lines):
                if not isinstance(widget, KeyTable | Footer):
                    widget.paint()
        self.footer.relabel("last", "live" if self.flows and not self.state.ended else "end")

    def paint_now(self) -> None:
        """After a key: the tables do not wait for their second."""
        for table in self.tables:
            table.look_up(now=True)
        self.paint()

    @property
    def flows(self) -> bool:
        """Packets come by themselves and are followed at their end; else a regular file is read from its start."""
        return self.session.flows or self.session.store.budget is not None

    # Layout

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(height < _ROOMY, "-low")
        self.set_class(height >= _TALL, "-tall")
        self.set_class(height >= _HUGE, "-huge")
        self.set_class(width >= _WIDE, "-wide")
        small = width < MIN_WIDTH or height < MIN_HEIGHT
        self.set_class(small, "-small")
        if small:
            words = f"the terminal is {width}×{height}\nnetwatch needs {MIN_WIDTH}×{MIN_HEIGHT} at least"
            self.query_one("#too-small", Static).update(words)
        elif self.focused is None:
            # What is hidden cannot keep the focus.
            self.call_after_refresh(self.packets.focus)

    # Moves

    @property
    def pane(self) -> Pane:
        """The pane that has the focus; the list where none has."""
        return self.focused if isinstance(self.focused, Pane) else self.packets

    def action_move(self, rows: int) -> None:
        self.pane.move(rows)
        self.keep_pinned()

    def action_move_pages(self, pages: int) -> None:
        self.pane.move(pages * self.pane.page)
        self.keep_pinned()

    def action_first(self) -> None:
        self.pane.go_first()
        self.keep_pinned()

    def action_fold(self, opened: bool) -> None:
        self.pane.fold(opened)

    def action_next_pane(self, step: int) -> None:
        if step > 0:
            self.focus_next(Pane)
        else:
            self.focus_previous(Pane)

    def action_match(self, forward: bool) -> None:
        cursor = self.packets.cursor
        found = next_match(self.session, cursor, forward=forward) if cursor is not None else None
        if found is None:
            what = "marked packet" if self.session.marked else "packet of this conversation (m marks packets)"
            self.footer.say(f"no {'further' if forward else 'earlier'} {what}")
            return
        self.packets.go_to(found)
        self.keep_pinned()

    def keep_pinned(self) -> None:
        """While paused what is on screen is kept, wherever one scrolls."""
        if self.session.paused:
            self.session.pause(*self.packets.visible_range())
