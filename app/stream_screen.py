"""Follow stream: what the two ends of a conversation said, put together, as text or as hexadecimal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from netwatch.app.keys import STREAM_KEYS, bindings
from netwatch.capture.follow import Follow, pair_of
from netwatch.capture.follow_save import StreamSave
from netwatch.capture.follow_search import Place, pattern, search
from netwatch.capture.text import escape
from netwatch.widgets.footer import Footer, Hint
from netwatch.widgets.painting import spelled_text
from netwatch.widgets.pane import Pane
from netwatch.widgets.prompt import Prompt, Verdict
from netwatch.widgets.save_prompt import FilePrompt
from netwatch.widgets.stream_view import SIDES, StreamView
from netwatch.widgets.units import byte_size

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.follow_packets import Pair
    from netwatch.capture.session import Session
    from netwatch.widgets.palette import Look

__all__ = ["StreamScreen", "open_stream"]

_TICK: Final = 1 / 25
_SLICE: Final = 0.012
"""Seconds of work between two looks at the keys: for the packets, and as much for the rows."""
_BOTH: Final = "both"
_CLIENT: Final = "client"
_SERVER: Final = "server"
_COPIED: Final = 60
"""Characters of what was copied that the footer shows."""


class StreamScreen(Screen[int], inherit_bindings=False):
    """Dismissed with the row index of a packet where the list is to go to it."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(STREAM_KEYS))

    DEFAULT_CSS = """
    StreamScreen {
        layout: vertical;
        & > #stream-head {
            height: auto; max-height: 3; padding: 0 1; background: $surface;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        &.-ascii > #stream-head { text-overflow: clip; }
        & > StreamView { height: 1fr; width: 1fr; }
    }
    """

    def __init__(self, session: Session, look: Look, pair: Pair, index: int, directory: Directory) -> None:
        """`directory`: where it is saved."""
        super().__init__()
        self._session = session
        self._directory = directory
        self._look = look
        self._follow = Follow(session, pair, index)
        self._replaced = 0
        self._opened = False
        """The cursor went to the packet that was chosen."""
        self._searching: Iterator[Place | None] | None = None
        self._sought = ""
        self._history: list[str] = []
        self._save: StreamSave | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="stream-head")
        yield StreamView(self._follow, self._look, id="stream-view")
        hints = sorted((key for key in STREAM_KEYS if key.rank), key=lambda key: key.rank)
        yield Footer([Hint(key.shown, key.label, key.action) for key in hints], self._look, id="footer")

    def on_mount(self) -> None:
        self.add_class(self._look.glyphs.frame)
        self._view.focus()
        self._work()
        self._show_head()
        self.set_interval(_TICK, self._work)
        self.set_interval(0.25, self._show_head)

    def on_unmount(self) -> None:
        if self._save is not None:
            self._save.cancel()

    @property
    def _view(self) -> StreamView:
        return self.query_one(StreamView)

    @property
    def _footer(self) -> Footer:
        return self.query_one(Footer)

    # Work between keys

    def _work(self) -> None:
        if not self.is_attached:
            return
        if self._save is not None:
            self._write()
            return  # what is written stands still meanwhile
        view, follow = self._view, self._follow
        follow.work(_SLICE)
        if follow.replaced != self._replaced:
            self._replaced = follow.replaced
            self._searching = None
            view.begin_again()
        changed = follow.update()
        if changed is not None:
            view.changed(*changed)
        if not self._opened and follow.passed:
            self._opened = True
            place = follow.place(follow.index)
            if place is not None:
                view.jump(*place)
        if view.work(_SLICE) or changed is not None:
            view.paint()
        if self._searching is not None:
            self._search_on()

    def _search_on(self) -> None:
        deadline = time.perf_counter() + _SLICE
        assert self._searching is not None
        for place in self._searching:
            if place is not None:
                self._searching = None
                self._footer.hush()
                self._view.jump(*place)
                return
            if time.perf_counter() >= deadline:
                self._footer.say(f"searching {escape(self._sought)}; esc ends it", seconds=None)
                return
        self._searching = None
        self._footer.say(f"not found: {escape(self._sought)}", role="alert")

    def _write(self) -> None:
        save = self._save
        assert save is not None
        save.step(2 * _SLICE)
        name = escape(save.path)
        if not save.done:
            self._footer.say(f"saving to {escape(save.name)}, {save.share:4.0%}; esc cancels", seconds=None)
            return
        self._save = None
        if save.fault is not None:
            self._footer.say(f"not saved: {save.fault.strerror or save.fault}: {name}", role="alert", seconds=8)
            return
        lacks = f", without {save.missing:,} that are missing" if save.missing else ""
        self._footer.say(f"saved {save.bytes:,} bytes{lacks}, to {name}", seconds=8)

    # Keys

    def action_move(self, rows: int) -> None:
        self._view.move(rows)

    def action_move_pages(self, pages: int) -> None:
        self._view.move(pages * self._view.page)

    def action_first(self) -> None:
        self._view.go_first()

    def action_last(self) -> None:
        self._view.go_last()

    def action_back(self) -> None:
        """One level back: a file being saved, a search, what was found, the screen."""
        if self._save is not None:
            self._save.cancel()
            self._footer.say(f"cancelled, {escape(self._save.path)} is not written")
            self._save = None
        elif self._searching is not None:
            self._searching = None
            self._footer.hush()
        elif self._footer.notice is not None:
            self._footer.hush()
        elif self._view.pattern is not None:
            self._view.pattern = None
            self._view.paint()
        else:
            self.dismiss(None)

    def action_packet(self) -> None:
        """Back to the list, to the packet of the line under the cursor."""
        row = self._view.here
        self.dismiss(self._follow.packet(row.turn, row.start) if row is not None else None)

    @on(Pane.Opened)
    def _clicked(self) -> None:
        self.action_packet()

    def action_hexadecimal(self) -> None:
        view = self._view
        view.show_as(hexadecimal=not view.hexadecimal, side=view.side)
        self._relabel()

    def action_side(self) -> None:
        """Both sides, only the client, only the server."""
        view = self._view
        side = SIDES[(SIDES.index(view.side) + 1) % len(SIDES)]
        view.show_as(hexadecimal=view.hexadecimal, side=side)
        self._relabel()

    def action_copy(self) -> None:
        text = self._view.copy_text()
        if text:
            self.app.copy_to_clipboard(text)
            self._footer.say(f"copied  {text if len(text) <= _COPIED else text[:_COPIED] + '…'}")

    async def action_find(self) -> None:
        await self._ask(
            Prompt(
                "find",
                _judge,
                text=self._sought,
                hint="text, upper or lower case; \\r \\n \\x00 are bytes",
                history=self._history,
                id="prompt",
            )
        )

    def action_match(self, forward: bool) -> None:
        """The next or previous place of what was searched for."""
        view = self._view
        if view.pattern is None:
            self._footer.say("nothing is searched for: / does it")
            return
        row = view.here
        start = (row.number, row.start if not forward else row.end - 1) if row is not None else (0, -1)
        self._begin_search(start, forward=forward)

    async def action_save(self) -> None:
        if self._save is not None:
            self._footer.say("a file is being saved; esc cancels it")
        else:
            side = self._view.side
            await self._ask(_StreamSavePrompt(self._follow, side, self._directory, id="prompt"))

    def action_help(self) -> None:
        from netwatch.app.help_screen import HelpScreen

        self.app.push_screen(HelpScreen(self._look, at="A followed stream"))

    @on(Footer.Chosen)
    async def _hint_clicked(self, event: Footer.Chosen) -> None:
        await self.run_action(event.action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While one types, / and e are characters like any other."""
        if action in ("find", "save") and any(prompt.has_focus_within for prompt in self.query(Prompt)):
            return False
        return super().check_action(action, parameters)

    # Prompts

    async def _ask(self, prompt: Prompt) -> None:
        await self.query(Prompt).remove()  # one that was answered may still be on its way out
        await self.mount(prompt)
        self.set_focus(prompt.field)

    @on(Prompt.Submitted)
    def _entered(self, event: Prompt.Submitted) -> None:
        if isinstance(event.prompt, FilePrompt):
            try:
                self._save = StreamSave(
                    self._follow,
                    self._directory,
                    event.text,
                    side=self._pair_side(event.prompt.what),
                    replace=event.prompt.replaces,
                )
            except OSError as error:
                event.prompt.refuse(error)
                return
        else:
            self._seek(event.text)
        self._answered(event.prompt)

    @on(Prompt.Cancelled)
    @on(Prompt.Left)
    def _gave_up(self, event: Prompt.Cancelled | Prompt.Left) -> None:
        self._answered(event.prompt)

    def _answered(self, prompt: Prompt) -> None:
        self.set_focus(self._view)
        prompt.remove()

    def _seek(self, text: str) -> None:
        self._sought = text
        self._view.pattern = pattern(text) if text else None
        self._view.paint()
        if text:
            row = self._view.here
            self._begin_search((row.number, row.start - 1) if row is not None else (0, -1), forward=True)

    def _begin_search(self, start: Place, *, forward: bool) -> None:
        wanted = self._view.pattern
        assert wanted is not None
        side = {None: None, 0: self._pair_side(_CLIENT), 1: self._pair_side(_SERVER)}[self._view.side]
        self._searching = search(self._follow, wanted, start, forward=forward, side=side)
        self._search_on()

    def _pair_side(self, what: str) -> int | None:
        client = self._follow.connection.client
        return {_BOTH: None, _CLIENT: client, _SERVER: 1 - client}[what]

    # The head

    def _relabel(self) -> None:
        view = self._view
        self._footer.relabel("hexadecimal", "text" if view.hexadecimal else "hex")
        self._footer.relabel("side", {None: "client only", 0: "server only", 1: "both sides"}[view.side])

    def _show_head(self) -> None:
        if not self.is_attached:
            return
        look, connection = self._look, self._follow.connection
        client = connection.client
        ends = (connection.pair.a, connection.pair.b)
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append("TCP  " if connection.tcp else "UDP  ", look["bright"])
        for words, role in self._alarms():
            head.append(f" {words} ", look[role])
            head.append("  ")
        head.append(f"client {ends[client]}", self._view.colour(client))
        head.append(" ↔ ", look["dim"])
        head.append(f"server {ends[1 - client]}", self._view.colour(1 - client))
        seconds = (connection.last_ts - connection.first_ts) / 1e9
        head.append(f"  {seconds:.3f} s", look["text"])
        if connection.state:
            head.append(f"  {connection.state}", look["dim"])
        head.append("\n")
        for side in (client, 1 - client):
            half = connection.halves[side]
            who = "→" if side == client else "←"
            head.append(f"{who} {half.bytes:,} bytes", self._view.colour(side))
            head.append(f" in {half.packets:,} packet{'' if half.packets == 1 else 's'}  ", look["dim"])
        oddities = Text("  ").join(Text(words, look[role]) for words, role in self._oddities())
        if oddities.cell_len + head.split("\n")[-1].cell_len > self.size.width - 2:
            head.append("\n")
        head.append_text(oddities)
        if not self._look.glyphs.unicode:
            head = spelled_text(head)
        self.query_one("#stream-head", Static).update(head)

    def _oddities(self) -> list[tuple[str, str]]:
        """Gaps, conflicts, repetitions, and how much is still to be read: text and role."""
        connection, found = self._follow.connection, []
        gaps, missing = self._follow.turns.missing()
        if gaps:
            found.append((f"{gaps:,} gap{'' if gaps == 1 else 's'}, {missing:,} bytes missing", "malformed"))
        if connection.conflicts:
            many = f"{connection.conflicts:,} conflict{'' if connection.conflicts == 1 else 's'}"
            found.append((many, "malformed"))
        repeated = sum(half.repeated for half in connection.halves)
        if repeated:
            found.append((f"{byte_size(repeated)} sent again", "dim"))
        if self._follow.full:
            found.append((f"only its first {connection.packets:,} packets", "truncated"))
        if not self._follow.complete:
            found.append((f"reading {self._follow.share:.0%}", "bright"))
        return found

    def _alarms(self) -> list[tuple[str, str]]:
        """What may not be overlooked here either."""
        session = self._session
        lost = session.loss.packets
        found = [(f"LOST {lost:,}", "alert-chip")] if lost else []
        if session.paused:
            found.append((f"PAUSED {session.new_since_pause:,} new", "pause-chip"))
        return found


def open_stream(
    screen: Screen[Any],
    session: Session,
    look: Look,
    index: int,
    back: Callable[[int | None], None],
    directory: Directory,
) -> None:
    """Follow the conversation of the packet in a row; `back` gets the row that the list is to go to, if any;
    `directory`: where it may be saved."""
    pair = pair_of(session, index) if index in session.store else None
    if pair is not None:
        screen.app.push_screen(StreamScreen(session, look, pair, index, directory), back)
    else:
        words = "no TCP or UDP in this packet: there is no stream to follow"
        gone = "this packet is no longer kept"
        screen.query_one(Footer).say(words if index in session.store else gone)


class _StreamSavePrompt(FilePrompt):
    """Both sides as they spoke, or what one of them sent."""

    def __init__(self, follow: Follow, side: int | None, directory: Directory, *, id: str | None = None) -> None:
        self._follow = follow
        choices = [_BOTH, _CLIENT, _SERVER]
        first = SIDES.index(side)
        name = time.strftime("stream-%Y%m%d-%H%M%S.bin")
        super().__init__(choices[first:] + choices[:first], directory, name, id=id)

    def amount(self) -> Verdict:
        connection = self._follow.connection
        client = connection.client
        sizes = {_CLIENT: connection.halves[client].bytes, _SERVER: connection.halves[1 - client].bytes}
        size = sum(sizes.values()) if self.what == _BOTH else sizes[self.what]
        more = "" if self._follow.complete else " so far"
        return Verdict(size > 0, f"{size:,} bytes{more}")


def _judge(text: str) -> Verdict:
    return Verdict(True, "" if text else "nothing: what was found stands out no more")
