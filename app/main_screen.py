"""The main screen: panes, moves in time, and here what every other key does: open, filter, save, show otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import BindingType

from netwatch.app.keys import KEYS, bindings
from netwatch.app.saving import Saving
from netwatch.app.travelling import Travelling
from netwatch.capture.filter import FilterError
from netwatch.capture.text import escape
from netwatch.widgets.breakdown import Breakdown
from netwatch.widgets.conversations import Conversations
from netwatch.widgets.display import TIME_FORMATS
from netwatch.widgets.filter_bar import FilterBar, GotoBar
from netwatch.widgets.footer import Footer
from netwatch.widgets.loss import loss_notes
from netwatch.widgets.naming import said_of
from netwatch.widgets.packet_list import PacketList
from netwatch.widgets.pane import Pane
from netwatch.widgets.prompt import Prompt
from netwatch.widgets.save_prompt import SavePrompt
from netwatch.widgets.switches import Switches
from netwatch.widgets.talkers import Talkers, filter_of

if TYPE_CHECKING:
    from netwatch.app.own_session import OwnSession
    from netwatch.capture.directory import Directory
    from netwatch.capture.engine import Engine
    from netwatch.capture.helper.client import Helper
    from netwatch.capture.session import Session
    from netwatch.capture.sources.afpacket import LiveSource
    from netwatch.capture.tshark import Tshark
    from netwatch.widgets.header import RunState
    from netwatch.widgets.palette import Look

__all__ = ["MainScreen"]

_SWITCHED: Final = 0.05
"""Seconds between two looks at whether other interfaces are captured."""


class MainScreen(Travelling, inherit_bindings=False):
    """Widgets speak, this screen decides."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(KEYS))

    def __init__(
        self,
        session: Session,
        look: Look,
        state: RunState,
        engine: Engine,
        directory: Directory,
        tshark: Tshark | None = None,
    ) -> None:
        """`directory`: where files are saved."""
        super().__init__(session, look, state, engine)
        self._tshark = tshark
        self.saving = Saving(session, directory)
        self._before: list[str] = []
        """Filters that `enter` on a table replaced; `esc` goes back through them."""
        self._filter_history: list[str] = []
        self._place_history: list[str] = []
        self.helper: Helper | None = None
        """Makes what this process may not; None: there is none."""
        self.remarks: tuple[str, ...] = ()
        """What could not be applied of what guards this process; one line each."""
        self.own_session: OwnSession | None = None
        self.costs: Callable[[], str] | None = None
        """None: nothing is captured."""

    def on_mount(self) -> None:
        self.set_interval(1, self._judge_again)

    # Opening and going back

    @on(Pane.Opened)
    def _open_clicked(self, event: Pane.Opened) -> None:
        event.pane.focus()
        self.action_open()

    def action_open(self) -> None:
        """A packet in full, or only what the row of a table is about."""
        pane = self.pane
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

        screen = DetailScreen(session, self.look, index, self.saving.directory, self._tshark, self.display_as)
        self.app.push_screen(screen, back)

    def action_follow(self) -> None:
        """What both ends of the packet's conversation said."""
        from netwatch.app.stream_screen import open_stream

        packets, session = self.packets, self.session
        index = packets.cursor
        if index is None or not packets.total or session.store.number(index) is None:
            return
        was_following = packets.follow

        def back(shown: int | None) -> None:
            if shown is not None:
                packets.go_to(shown)
            elif was_following and not session.paused:
                packets.go_last()

        open_stream(self, session, self.look, index, back, self.saving.directory)

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
        await self._ask(GotoBar(self.session, self._place_history, self.find, id="prompt"))

    async def action_save(self) -> None:
        if self.saving.busy:
            self.footer.say("a file is being saved; esc cancels it")
        else:
            await self._ask(SavePrompt(self.session, self.saving.directory, id="prompt"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While one types, /, : and e are characters like any other."""
        if action in ("filter", "go_to", "save") and any(prompt.has_focus_within for prompt in self.query(Prompt)):
            return False
        return super().check_action(action, parameters)

    async def _ask(self, prompt: Prompt) -> None:
        await self.query(Prompt).remove()  # one that was answered may still be on its way out
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
                self.saving.begin(event.prompt.what, event.text, replace=event.prompt.replaces)
            except OSError as error:
                event.prompt.refuse(error)
                return
        elif event.text:
            self.go_to(event.text)
        self._answered(event.prompt)

    @on(Prompt.Cancelled)
    def _cancelled(self, event: Prompt.Cancelled) -> None:
        if isinstance(event.prompt, FilterBar):
            self._apply_filter(event.prompt.before)
        self._answered(event.prompt)

    @on(Prompt.Left)
    def _left(self, event: Prompt.Left) -> None:
        event.prompt.remove()
        self.keep_pinned()

    def _answered(self, prompt: Prompt) -> None:
        # At once, and before the prompt goes: else the focus visits another pane on its way.
        self.set_focus(self.packets)
        prompt.remove()
        self.keep_pinned()

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
        self.keep_pinned()
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

    def action_names(self) -> None:
        """Names of all sorts in place of addresses and ports, of hosts alone, or none."""
        self.display_as.next_naming()
        self.footer.say(said_of(self.display_as, self.session.statistics.last_ts), seconds=5)
        self.paint_now()

    def action_interfaces(self) -> None:
        """Other interfaces to capture on; what was captured stays."""
        from netwatch.app.interfaces_screen import InterfacesScreen
        from netwatch.capture.sources.afpacket import LiveSource

        source = self.session.source
        if not isinstance(source, LiveSource):
            self.footer.say("these packets come from no interface: only a live capture can be switched")
        elif self.state.ended:
            self.footer.say("the capture has ended: nothing can be switched any more")
        else:
            screen = InterfacesScreen(self.session, source, self.look, self.display_as, self.helper)
            self.app.push_screen(screen, lambda said: self._say_switching(source, said) if said else None)

    def _say_switching(self, source: LiveSource, said: str) -> None:
        """Say it until it is done: what is left in the ring is taken first."""
        self.footer.say(said, seconds=None)

        def look() -> None:
            if source.switching:
                return
            looking.stop()
            if self.footer.notice == said:
                self.footer.say(f"now on {escape(source.name)}")

        looking = self.set_interval(_SWITCHED, look)

    def action_own_session(self) -> None:
        """Hide what carries this terminal, or show it; packets that were captured stay."""
        if self.own_session is None:
            self.footer.say("only a live capture hides your own SSH session: nothing is hidden here")
        else:
            self.footer.say(self.own_session.toggle(), seconds=5)
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

        notes = self.own_session.notes if self.own_session is not None else ()
        costs = (self.costs(),) if self.costs is not None else ()
        self.app.push_screen(HelpScreen(self.look, (*costs, *notes, *self.remarks, *loss_notes(self.session))))

    @on(Footer.Chosen)
    async def _hint_clicked(self, event: Footer.Chosen) -> None:
        await self.run_action(event.action)
