"""One packet: the tree of its layers beside its bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from rich.style import Style
from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from netwatch.app.keys import DETAIL_KEYS, bindings
from netwatch.capture.columns import UNTIMED
from netwatch.capture.dissect import Tree, Verdict
from netwatch.capture.dissect.packet import CUT
from netwatch.capture.text import escape
from netwatch.capture.tshark import TsharkError
from netwatch.widgets.detail_tree import DetailTree
from netwatch.widgets.display import Display
from netwatch.widgets.field_names import named_line
from netwatch.widgets.footer import Footer, Hint
from netwatch.widgets.hex_view import HexView
from netwatch.widgets.naming import said_of
from netwatch.widgets.painting import spelled_text

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.dissect import Item
    from netwatch.capture.session import Session
    from netwatch.capture.tshark import Tshark
    from netwatch.widgets.palette import Look

__all__ = ["DetailScreen"]

_BESIDE: Final = 110
"""Columns from which on the bytes stand beside the tree, eight a row; narrower, they stand below."""
_BESIDE_WIDE: Final = 132
"""Columns from which on sixteen bytes a row leave the tree 56."""


class DetailScreen(Screen[int], inherit_bindings=False):
    """Dismissed with the row index of the packet shown last, so that the list goes there."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(DETAIL_KEYS))

    DEFAULT_CSS = """
    DetailScreen {
        layout: vertical;
        & > #detail-head {
            height: auto; max-height: 3; padding: 0 1; background: $surface;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        & > #detail-body { layout: vertical; height: 1fr; }
        &.-beside > #detail-body { layout: horizontal; }
        & DetailTree, & HexView { border: round $border-blurred; padding: 0 1; background: $background; }
        & DetailTree { height: 1fr; min-height: 5; }
        & HexView { height: 10; max-height: 45%; }
        &.-beside HexView { width: 43; height: 1fr; max-height: 100%; }
        &.-wide HexView { width: 77; }
        &.-ascii > #detail-head { text-overflow: clip; }
        &.-ascii DetailTree, &.-ascii HexView { border: ascii $border-blurred; }
        &.-square DetailTree, &.-square HexView { border: solid $border-blurred; }
        & DetailTree:focus, & HexView:focus { border: round $border; background-tint: transparent; }
        &.-ascii DetailTree:focus, &.-ascii HexView:focus { border: ascii $border; }
        &.-square DetailTree:focus, &.-square HexView:focus { border: solid $border; }
    }
    """

    def __init__(
        self,
        session: Session,
        look: Look,
        index: int,
        directory: Directory,
        tshark: Tshark | None = None,
        display: Display | None = None,
    ) -> None:
        """`directory`: where a stream may be saved."""
        super().__init__()
        self._directory = directory
        self._display = display or Display()
        self._tshark = tshark
        self._of_tshark = False
        """The tree is tshark's, not our own."""
        self._session = session
        self._look = look
        self._index = index
        self._data = b""
        self._buffer = 0

    def compose(self) -> ComposeResult:
        yield Static(id="detail-head")
        with Container(id="detail-body"):
            yield DetailTree(self._look, id="detail-tree")
            yield HexView(self._look, id="detail-hex")
        hints = sorted(DETAIL_KEYS, key=lambda key: key.rank)
        yield Footer([Hint(key.shown, key.label, key.action) for key in hints], self._look, id="footer")

    def on_mount(self) -> None:
        self.add_class(self._look.glyphs.frame)
        self.query_one(DetailTree).border_title = "fields"
        self.query_one(DetailTree).focus()
        self._show()
        self.set_interval(1.0, self._show_head)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _BESIDE, "-beside")
        self.set_class(event.size.width >= _BESIDE_WIDE, "-wide")
        self.call_after_refresh(self._show_title)

    @on(DetailTree.FieldSelected)
    def _show_bytes(self, event: DetailTree.FieldSelected) -> None:
        if not event.tree.has_focus:
            return  # the tree follows the byte cursor, not the other way round
        self._show_buffer(event.item.buffer)
        self._show_item(event.item)

    @on(HexView.ByteSelected)
    def _show_field(self, event: HexView.ByteSelected) -> None:
        item = self.query_one(DetailTree).select_byte(event.offset, self._buffer)
        event.hex_view.border_subtitle = Content(f"byte {event.offset}")
        if item is None:  # no layer claims it
            event.hex_view.highlight(event.offset, 1, keep_cursor=True)
        else:
            event.hex_view.highlight(item.start, item.size, keep_cursor=True)
            self.query_one(DetailTree).border_subtitle = Content(item.field.name)

    def action_back(self) -> None:
        self.dismiss(self._index)

    def action_switch_pane(self) -> None:
        self.focus_next()

    def action_buffer(self) -> None:
        """The bytes of the packet, then what was put together or decrypted for it."""
        many = len(self._shown.buffers)
        if many == 1:
            self.query_one(Footer).say("this packet was explained from its own bytes alone")
        else:
            self._show_buffer((self._buffer + 1) % many)
            item = self.query_one(DetailTree).field_item()
            if item is not None and item.buffer == self._buffer:
                self._show_item(item)

    def action_neighbour(self, step: int) -> None:
        """The next or previous packet that the list shows."""
        view, kept = self._session.view, self._index in self._session.store
        position = view.position(self._index)
        if step > 0 and self._index not in view:
            step = 0  # evicted or filtered out meanwhile: position is that of the next one already
        found = view.indices(max(position + step, 0), position + step + 1)
        if not len(found):
            words = f"no {'later' if step >= 0 else 'earlier'} packet is shown in the list"
            self.query_one(Footer).say(words if kept or step >= 0 else "no earlier packet is kept any longer")
            return
        self._index = int(found[0])
        self._show()
        if not kept:
            self.query_one(Footer).say("what was opened is no longer kept: this is the first that is")

    def action_mark(self) -> None:
        self._session.toggle_mark(self._index)
        self._show_head()

    def action_copy(self) -> None:
        """The line under the cursor; from the hex pane the bytes of the field."""
        hex_view = self.query_one(HexView)
        text = hex_view.field_hex() if hex_view.has_focus else self.query_one(DetailTree).field_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.query_one(Footer).say(f"copied  {text}")

    def action_follow(self) -> None:
        """What both ends of the packet's conversation said; from there the list may go to another packet."""
        from netwatch.app.stream_screen import open_stream

        def back(shown: int | None) -> None:
            if shown is not None:
                self.dismiss(shown)

        open_stream(self, self._session, self._look, self._index, back, self._directory)

    def action_tshark(self) -> None:
        """The packet as tshark explains it, and back."""
        if self._of_tshark:
            self._of_tshark = False
            self._show()
        elif self._tshark is None:
            self.query_one(Footer).say(
                "tshark is not here: install it (apt-get install tshark), leave out --no-tshark"
            )
        else:
            self.query_one(Footer).say("asking tshark …")
            self._ask_tshark(self._tshark, self._index)

    @work(thread=True, exclusive=True)
    def _ask_tshark(self, tshark: Tshark, index: int) -> None:
        row = self._session.store.rows(np.array([index]))
        linktype = self._session.source.interfaces[int(row.iface[0])].linktype
        try:
            items = tshark.ask(self._data, linktype, int(row.wirelen[0]), int(row.ts[0]))
        except TsharkError as error:
            self.app.call_from_thread(self.query_one(Footer).say, str(error))
        else:
            self.app.call_from_thread(self._show_tshark, index, items)

    def _show_tshark(self, index: int, items: list[Item]) -> None:
        if index == self._index:  # nobody has gone on meanwhile
            self.query_one(Footer).hush()
            self._of_tshark = True
            _number_frame(items, self._session.store.number(index))
            self._show_layers(replace(self._tree, layers=tuple(items), buffers=self._tree.buffers[:1]))

    def action_names(self) -> None:
        """Names of all sorts beside addresses and ports, of hosts alone, or none."""
        self._display.next_naming()
        self.query_one(DetailTree).say_again(self._line_of)
        self.query_one(Footer).say(said_of(self._display, self._session.statistics.last_ts), seconds=5)

    def _line_of(self, item: Item) -> str:
        latest, flows = self._session.statistics.last_ts, self._session.flows
        return named_line(item, self._display, self._look.glyphs, latest, flows=flows)

    def action_help(self) -> None:
        from netwatch.app.help_screen import HelpScreen

        self.app.push_screen(HelpScreen(self._look, at="An opened packet"))

    @on(Footer.Chosen)
    async def _hint_clicked(self, event: Footer.Chosen) -> None:
        await self.run_action(event.action)

    def _show(self) -> None:
        store = self._session.store
        row = store.rows(np.array([self._index]))
        self._data = store.data(self._index)
        interface = self._session.source.interfaces[int(row.iface[0])]
        self._missing = int(row.caplen[0]) - len(self._data)
        self._tree = self._session.explainer.tree(self._index)
        if self._missing:
            gone = f"file {self._session.shrank}: {self._missing:,} of {int(row.caplen[0]):,} bytes gone"
            self._tree = _not_cut(self._tree, gone)
        when = "no time" if row.marks[0] & UNTIMED else _moment(int(row.ts[0]))
        self._facts = (when, int(row.wirelen[0]), int(row.caplen[0]), escape(interface.name))
        self._of_tshark = False
        self._show_layers(self._tree)
        self._show_head()

    def _show_layers(self, tree: Tree) -> None:
        self._shown = tree
        self._styles = {layer.field.name: self._look.protocol(layer.field.name) for layer in tree.layers}
        fields = self.query_one(DetailTree)
        fields.show(tree.layers, self._styles, self._line_of)
        fields.border_title = "fields, as tshark has them, this packet alone" if self._of_tshark else "fields"
        self._buffer = -1
        self._show_buffer(0)

    def _show_buffer(self, which: int) -> None:
        if which == self._buffer:
            return
        self._buffer = which
        hex_view, data = self.query_one(HexView), self._shown.buffers[which].data
        hex_view.show(data, _byte_styles(self._shown, self._styles, which, len(data)))
        hex_view.border_subtitle = ""  # what it said was of other bytes
        self._show_title()

    def _show_title(self) -> None:
        """The names of the buffers, a sign at the one whose bytes are shown; where there is no room it alone."""
        hex_view, look, buffers = self.query_one(HexView), self._look, self._shown.buffers
        if len(buffers) == 1:
            hex_view.border_title = Content(f"{len(buffers[0].data):,} bytes")
            return
        title = Text()
        for number, buffer in enumerate(buffers):
            chosen = number == self._buffer
            words = f"{look.glyphs.closed if chosen else ' '}{buffer.name} {len(buffer.data):,}"
            title.append(words if number or chosen else words[1:], look["bright" if chosen else "dim"])
            title.append(" " if number < len(buffers) - 1 else "")
        if title.cell_len > hex_view.size.width > 0:
            buffer = buffers[self._buffer]
            title = Text(f"{buffer.name} {len(buffer.data):,}", look["bright"])
            title.append(f"  {self._buffer + 1} of {len(buffers)}", look["dim"])
        hex_view.border_title = Content.from_rich_text(title)

    def _show_item(self, item: Item) -> None:
        """The bytes of a field stand out; the borders name both."""
        self.query_one(HexView).highlight(item.start, item.size)
        self.query_one(DetailTree).border_subtitle = Content(item.field.name)
        self.query_one(HexView).border_subtitle = Content(_extent(item.start, item.size))

    def _show_head(self) -> None:
        when, wirelen, caplen, interface = self._facts
        number = self._session.store.number(self._index)
        look, tree = self._look, self._tree
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"Packet {number or 0:,}", look["bright"])
        if self._index in self._session.marked:
            head.append(f" {look.glyphs.marked}", look["marked"])
        for words, role in self._alarms():
            head.append("  ", look["text"])
            head.append(f" {words} ", look[role])
        head.append(f"  {when}  ", look["dim"])
        head.append(f"{wirelen:,} bytes", look["text"])
        if caplen < wirelen:
            head.append(f", {caplen:,} captured", look["truncated"])
        if self._display.owners is not None:
            self._display.owners.look()
            # In front of an interface of another namespace its name stands; no interface has a space in its own.
            program = self._display.owners.of_packet(tree) if " " not in interface else ""
            head.append(f"  program: {program}" if program else "", look["text"])
        head.append(f"  {interface}".rstrip(), look["dim"])
        head.append("\n")
        head.append(f"{tree.source} → {tree.destination}  ", look["text"])
        head.append(tree.protocol, self._look.protocol(tree.layers[-1].field.name) if tree.layers else look["text"])
        head.append(f"  {tree.info}", look["text"])
        if tree.verdict.kind != "ok":
            head.append("\n")
            head.append(tree.verdict.text, look["truncated" if tree.verdict.kind == "cut" else "malformed"])
        self.query_one("#detail-head", Static).update(head if look.glyphs.unicode else spelled_text(head))

    def _alarms(self) -> list[tuple[str, str]]:
        """What may not be overlooked here either: text and role."""
        session = self._session
        lost = session.loss.packets
        found = [(f"LOST {lost:,}", "alert-chip")] if lost else []
        if self._index not in session.store:
            found.append(("no longer kept", "pause-chip"))
        if self._missing:
            found.append((f"file {session.shrank}", "alert-chip"))
        if session.paused:
            found.append((f"PAUSED {session.new_since_pause:,} new", "pause-chip"))
        return found


def _moment(ts: int) -> str:
    """Date and time of day, here, with all nine digits."""
    second, fraction = divmod(ts, 1_000_000_000)
    try:
        local = datetime.fromtimestamp(second, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{second}.{fraction:09} s since 1970"
    return f"{local:%Y-%m-%d %H:%M:%S}.{fraction:09} {local:%Z}"


def _not_cut(tree: Tree, info: str) -> Tree:
    """What is left of a packet whose file shrank, without what the dissector says of bytes that it misses: they were
    captured."""
    if tree.verdict.kind != "cut":
        return replace(tree, info=info)
    layers = tuple(layer for layer in tree.layers if layer.field is not CUT)
    return replace(tree, layers=layers, info=info, verdict=Verdict("ok", "", 0))


def _number_frame(items: list[Item], number: int | None) -> None:
    """tshark counts from one in the file that it was given: the packet's number here goes in its place."""
    frames = [item for item in items if item.field.name == "frame"]
    for item in [*frames, *(child for frame in frames for child in frame.children)]:
        if item.field.name in ("frame", "frame.number"):
            item.said = re.sub(r"^(Frame|Frame Number:) \d+", rf"\1 {number or '?'}", item.said)


def _extent(start: int, size: int) -> str:
    return f"bytes {start}-{start + size - 1}" if size > 1 else f"byte {start}" if size else ""


def _byte_styles(tree: Tree, styles: dict[str, Style], buffer: int, size: int) -> list[Style]:
    """The style of each byte of a buffer: that of the innermost layer that it belongs to."""
    made = [Style.null()] * size
    for layer in tree.layers:
        if layer.buffer != buffer:
            continue
        style = styles[layer.field.name]
        stop = min(layer.start + layer.size, size)
        made[layer.start : stop] = [style] * max(0, stop - layer.start)
    return made
