"""The main screen: header, switches, packet list, breakdown and talkers, footer; and what every key does there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Static

from netwatch.app.keys import KEYS, PROGRAM_KEYS, bindings
from netwatch.app.saving import Saving
from netwatch.app.search import next_match
from netwatch.capture.filter import FilterError
from netwatch.capture.locate import LocateError, at_time, locate, moved, time_of
from netwatch.widgets.breakdown import Breakdown
from netwatch.widgets.conversations import Conversations
from netwatch.widgets.display import TIME_FORMATS, Display
from netwatch.widgets.filter_bar import FilterBar, GotoBar
from netwatch.widgets.footer import Footer, Hint
from netwatch.widgets.header import Header, RunState
from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.loss import loss_notes
from netwatch.widgets.packet_list import PacketList
from netwatch.widgets.pane import Lines, Pane
from netwatch.widgets.prompt import Prompt
from netwatch.widgets.save_prompt import SavePrompt
from netwatch.widgets.switches import Switches
from netwatch.widgets.talkers import Talkers, filter_of
from netwatch.widgets.timeline import Timeline

if TYPE_CHECKING:
    from netwatch.capture.engine import Engine
    from netwatch.capture.pace import Pace
    from netwatch.capture.session import Session
    from netwatch.widgets.palette import Look

__all__ = ["MIN_HEIGHT", "MIN_WIDTH", "MainScreen"]

MIN_WIDTH: Final = 60
MIN_HEIGHT: Final = 16
_ROOMY: Final = 24
"""Lines from which on list and tables have the rows that they should have."""
_TALL: Final = 32
"""Lines from which on the header has a graph."""
_HUGE: Final = 48
_WIDE: Final = 160
"""Columns from which on the tables stand beside the list."""


class MainScreen(Screen[None], inherit_bindings=False):
    """Widgets speak, this screen decides."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(KEYS))
    AUTO_FOCUS = "#list"

    def __init__(self, session: Session, look: Look, state: RunState, engine: Engine) -> None:
        super().__init__()
        self.session = session
        self.engine = engine
        self.look = look
        self.state = state
        self.display_as = Display()
        self.saving = Saving(session)
        self._before: list[str] = []
        """Filters that `enter` on a table replaced; `esc` goes back through them."""
        self._filter_history: list[str] = []
        self._place_history: list[str] = []

    def compose(self) -> ComposeResult:
        session, look, display = self.session, self.look, self.display_as
        yield Header(session, look, display, self.state, id="header")
        yield Switches(session, look, id="switches")
        with Container(id="body"):
            packets = PacketList(session, look, display, self.state, follow=self._flows, id="list")
            yield packets
            with Container(id="tables"):
                yield Breakdown(session, look, display, id="breakdown")
                yield Talkers(session, look, display, id="talkers")
                yield Conversations(session, look, display, id="conversations")
        yield Timeline(session, look, display, self.state, packets, id="timeline")
        shown = sorted((key for key in (*KEYS, *PROGRAM_KEYS) if key.rank), key=lambda key: key.rank)
        yield Footer([Hint(key.shown, key.label, key.action) for key in shown], look, id="footer")
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        self.set_interval(1, self._judge_again)

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
        for widget in self.query(Lines):
            if not isinstance(widget, KeyTable | Footer):
                widget.paint()

    def paint_now(self) -> None:
        """After a key: the tables do not wait for their second."""
        for table in self.tables:
            table.look_up(now=True)
        self.paint()

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
    def _pane(self) -> Pane:
        """The pane that has the focus; the list where none has."""
        return self.focused if isinstance(self.focused, Pane) else self.packets

    def action_move(self, rows: int) -> None:
        self._pane.move(rows)
        self._keep_pinned()

    def action_move_pages(self, pages: int) -> None:
        self._pane.move(pages * self._pane.page)
        self._keep_pinned()

    def action_first(self) -> None:
        self._pane.go_first()
        self._keep_pinned()

    def action_last(self) -> None:
        """In the list the live tail, also out of a pause; in a table its last row."""
        if self._pane is self.packets:
            self._resume()
        self._pane.go_last()
        self.paint_now()

    def action_fold(self, opened: bool) -> None:
        self._pane.fold(opened)

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
        self._keep_pinned()

    # Opening and going back

    @on(Pane.Opened)
    def _open_clicked(self, event: Pane.Opened) -> None:
        event.pane.focus()
        self.action_open()

    def action_open(self) -> None:
        """A packet in full, or only what the row of a table is about."""
        pane = self._pane
        if isinstance(pane, Breakdown) and pane.selected_row is not None:
            self._show_only(pane.selected_row.protocol.name)
        elif isinstance(pane, Talkers) and pane.selected_row is not None:
            self._show_only(filter_of(pane.selected_row))
        elif isinstance(pane, Conversations) and pane.selected_row is not None:
            self._show_only(pane.selected_row.filter)
        elif isinstance(pane, PacketList):
            self._open_packet()

    def _open_packet(self) -> None:
        from netwatch.app.detail_screen import DetailScreen

        packets, session = self.packets, self.session
        index = packets.cursor
        if index is None or not packets.total or session.store.number(index) is None:
            return
        was_following = packets.follow

        def back(shown: int | None) -> None:
            if shown is not None and shown != index:
                packets.go_to(shown)
            elif was_following and not session.paused:
                packets.go_last()

        self.app.push_screen(DetailScreen(session, self.look, index), back)

    def _show_only(self, text: str) -> None:
        before = self.session.filter_text
        if text != before and self._apply_filter(text):
            self._before.append(before)

    def action_back(self) -> None:
        """One level back: a file being saved, a message, the filters, the switches, the pane."""
        if self.saving.busy:
            self.saving.cancel()
        elif self.footer.notice is not None:
            self.footer.hush()
        elif self._before:
            self._apply_filter(self._before.pop())
        elif self.session.filter_text:
            self._apply_filter("")
        elif self.session.switches:
            self.action_clear_switches()
        elif not self.packets.has_focus:
            self.packets.focus()
        elif self.state.loading(self.session.source) and not self.state.held:
            self.action_load()

    # A file that is being read

    def action_load(self) -> None:
        """Stop reading the file, or read on."""
        if not self.state.loading(self.session.source):
            self.footer.say("there is nothing to stop: no file is being read")
            return
        self.state.held = not self.state.held
        if self.state.held:
            self.engine.hold()
        else:
            self.engine.go_on()
        self.paint_now()

    # Travelling in time

    def action_step(self, forward: bool) -> None:
        """A step back or forward in the time of the packets; in a replay also beyond what was played."""
        here, step, store, pace = self.timeline.here, self.timeline.step, self.session.store, self._pace
        if here is None:
            return
        if self.timeline.by_time:
            found = moved(store, here, step if forward else -step)
        else:
            size = self.timeline.step_packets
            found = here + size if forward else max(here - size, store.first)
            found = found if found < store.end else None
        if found is None and forward and pace is not None:
            ahead = time_of(store, store.end - 1) - time_of(store, here)
            pace.run_on(step - ahead if 0 <= ahead < step else step)
        self._travel(found if found is not None or forward else store.first)

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        """To a place on the bar; in what a replay has still to play by playing it at once."""
        span, store, pace = event.timeline.span, self.session.store, self._pace
        if span is None:
            return
        if not event.timeline.by_time:
            self._travel(store.first + round(event.share * (store.end - 1 - store.first)))
            return
        first, last = span
        moment = first + round(event.share * (last - first))
        head = time_of(store, store.end - 1)
        if pace is not None and moment > head:
            pace.run_on(moment - head)
            self._travel(None)
        else:
            self._travel(at_time(store, moment))

    def _travel(self, index: int | None) -> None:
        """To a row that is kept; None: to the newest. Behind its head a replay is paused."""
        packets, store = self.packets, self.session.store
        if index is None or index >= self.session.shown_end - 1:
            packets.go_last()
        elif index == store.first:
            packets.go_first()
        else:
            packets.go_to(index)
        if self._pace is not None and index is not None and index < store.end - 1:
            self._pace.pause()
        self._keep_pinned()
        self.paint_now()

    @on(Timeline.Chosen)
    async def _word_clicked(self, event: Timeline.Chosen) -> None:
        await self.run_action(event.action)

    # Pause

    @property
    def _flows(self) -> bool:
        """Packets come by themselves and are followed at their end; else a regular file is read from its start."""
        return self.session.flows or self.session.store.budget is not None

    def action_pause(self) -> None:
        packets, session, pace = self.packets, self.session, self._pace
        if session.paused or (pace is not None and pace.paused):
            self._resume()
            if self._flows and not self.state.ended:
                packets.go_last()
        elif pace is not None:
            pace.pause()  # nothing comes, so nothing has to be held on to
        else:
            packets.paint()  # what stood there may be evicted since: it is pinned as it stands now
            packets.follow = False
            session.pause(*packets.visible_range())
        self.paint_now()

    @property
    def _pace(self) -> Pace | None:
        """The clock of a replay, as long as it plays."""
        return None if self.state.ended else self.session.pace

    def _resume(self) -> None:
        """The end of a pause, of the view or of a replay."""
        if self.session.paused:
            self.session.resume()
        if self._pace is not None and self._pace.paused:
            self._pace.go_on()

    def action_speed(self, faster: bool) -> None:
        """The next speed of a replay."""
        if self._pace is None:
            self.footer.say("speed is for a replay: netwatch -r FILE --replay 10x")
            return
        self._pace.faster(faster)
        self.footer.say(f"speed: {self._pace.words}")
        self.paint_now()

    def _keep_pinned(self) -> None:
        """While paused what is on screen is kept, wherever one scrolls."""
        if self.session.paused:
            self.session.pause(*self.packets.visible_range())

    # Filter and switches

    def action_switch(self, key: str) -> None:
        self.session.toggle(key)
        self._shown_changed()

    def action_clear_switches(self) -> None:
        self.session.clear_switches()
        self._shown_changed()

    @on(Switches.Toggled)
    def _switch_clicked(self, event: Switches.Toggled) -> None:
        if event.key == "0":
            self.action_clear_switches()
        else:
            self.action_switch(event.key)

    async def action_filter(self) -> None:
        await self._ask(FilterBar(self.session, self._filter_history, id="prompt"))

    async def action_go_to(self) -> None:
        await self._ask(GotoBar(self.session, self._place_history, start=self.packets.time_base, id="prompt"))

    async def action_save(self) -> None:
        if self.saving.busy:
            self.footer.say("a file is being saved; esc cancels it")
        else:
            await self._ask(SavePrompt(self.session, id="prompt"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a prompt is open, /, : and e are characters like any other."""
        if action in ("filter", "go_to", "save") and self.query(Prompt):
            return False
        return super().check_action(action, parameters)

    async def _ask(self, prompt: Prompt) -> None:
        await self.mount(prompt)
        self.set_focus(prompt.field)

    @on(Prompt.Changed)
    def _typed(self, event: Prompt.Changed) -> None:
        if isinstance(event.prompt, FilterBar):
            self._apply_filter(event.text)
            event.prompt.judge_again()

    def _judge_again(self) -> None:
        """While one types, the count of matches goes on."""
        for prompt in self.query(Prompt):
            prompt.judge_again()

    @on(Prompt.Submitted)
    def _entered(self, event: Prompt.Submitted) -> None:
        if isinstance(event.prompt, FilterBar):
            self._before.clear()
            self._apply_filter(event.text)
        elif isinstance(event.prompt, SavePrompt):
            try:
                self.saving.begin(event.prompt.what, event.text)
            except OSError as error:
                event.prompt.refuse(error.strerror or str(error))
                return
        elif event.text:
            self._go_to(event.text)
        self._answered(event.prompt)

    def _go_to(self, text: str) -> None:
        """Where `text` leads, and what is to be said where that is not quite what was asked for."""
        try:
            place = locate(self.session.store, text, start=self.packets.time_base)
        except LocateError as error:
            self.footer.say(str(error), role="alert")
            return
        self.packets.go_to(place.index)
        hidden = place.index < self.session.shown_end and place.index not in self.session.view
        if hidden and self.packets.cursor is not None:
            self.footer.say("the filter hides it: this is the nearest that is shown")
        elif place.note:
            self.footer.say(f"{place.note}: this is the nearest")

    @on(Prompt.Cancelled)
    def _cancelled(self, event: Prompt.Cancelled) -> None:
        if isinstance(event.prompt, FilterBar):
            self._apply_filter(event.prompt.before)
        self._answered(event.prompt)

    @on(Prompt.Left)
    def _left(self, event: Prompt.Left) -> None:
        event.prompt.remove()
        self._keep_pinned()

    def _answered(self, prompt: Prompt) -> None:
        # At once, and before the prompt goes: else the focus visits another pane on its way.
        self.set_focus(self.packets)
        prompt.remove()
        self._keep_pinned()

    def _apply_filter(self, text: str) -> bool:
        try:
            self.session.set_filter(text)
        except FilterError as error:
            self.footer.say(str(error), role="alert")
            return False
        self._shown_changed()
        return True

    def _shown_changed(self) -> None:
        self.packets.rearrange()
        self._keep_pinned()
        self.paint_now()

    # What is shown, and how

    def action_mark(self) -> None:
        cursor = self.packets.cursor
        if cursor is not None:
            self.session.toggle_mark(cursor)
            self.packets.paint()

    def action_copy(self) -> None:
        text = self.packets.copy_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.footer.say(f"copied  {text}".replace("\t", "  "))

    def action_time_format(self) -> None:
        self.display_as.next_time_format()
        self.footer.say(f"time: {TIME_FORMATS[self.display_as.time_format]}")
        self.packets.paint()

    def action_unit(self) -> None:
        self.display_as.bits = not self.display_as.bits
        self.paint_now()

    def action_statistics(self) -> None:
        self.session.statistics_follow_filter = not self.session.statistics_follow_filter
        follow = self.session.statistics_follow_filter
        self.footer.say("statistics of what the filter shows" if follow else "statistics of everything captured")
        self.paint_now()

    def action_conversations(self) -> None:
        """Talkers, or who talks to whom, which is counted only while it is shown."""
        faces = (self.query_one(Talkers), self.query_one(Conversations))
        now, then = faces if faces[0].display else faces[::-1]
        had_focus = now.has_focus
        self.session.show_conversations(then is faces[1])
        now.display, then.display = False, True
        if had_focus:
            self.set_focus(then)
        self.call_after_refresh(self.paint_now)

    def action_help(self) -> None:
        from netwatch.app.help_screen import HelpScreen

        self.app.push_screen(HelpScreen(self.look, loss_notes(self.session)))

    @on(Footer.Chosen)
    async def _hint_clicked(self, event: Footer.Chosen) -> None:
        await self.run_action(event.action)
