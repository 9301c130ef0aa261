"""`?`: every key, and what the screen means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from netwatch.app.keys import (
    DETAIL_KEYS,
    GROUPS,
    HELP_KEYS,
    KEYS,
    PICKER_KEYS,
    PROGRAM_KEYS,
    STREAM_KEYS,
    Key,
    bindings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netwatch.widgets.palette import Look

__all__ = ["HelpScreen"]

_KEY_WIDTH: Final = 11
_EXAMPLE_WIDTH: Final = 40
_COLUMN: Final = 66
"""Columns that one column of keys takes; twice that and the keys stand in two."""

_FILTERS: Final = (
    ("dns", "a protocol, by Wireshark's name"),
    ("443   10.0.0.0/8   fe80::1", "of either side: port, net, host"),
    ("src host 192.0.2.7 and not port 22", "tcpdump's words, and or not ( )"),
    ("tcp.port == 443 || frame.len > 1000", "Wireshark's fields, comparisons"),
    ("tcp.flags.syn and ip.addr != 192.0.2.1", "!= where neither side is equal"),
    ('http.host contains "example"', "any field of a packet's tree: takes a while"),
)

_PLACES: Final = (
    ("1234   1,234", "a packet number"),
    ("14:03:07.5   2026-11-22 14:03", "a time of day, here; always with colons"),
    ("4m10s   2h02m20s   12.5", "since the start, as the line of time shows it"),
    ("-3", "seconds before the newest packet"),
)

_MEANINGS: Final = (
    ("malformed", "a header is short or its length lies; what was read is shown"),
    ("truncated", "cut by the snap length (-s): nothing is wrong with the packet"),
    ("learned", "a name in place of an address: learned from packets (R)"),
    ("marked", "marked with m; n and N go from mark to mark"),
)

_NOTES: Final = (
    "Packets/s counts what the kernel hands over: receive offload (GRO) joins TCP segments, so one packet of 64 kB "
    "may have been forty on the wire.",
    "Lost, by cause: ring (the kernel's ring had no room; a larger --ring helps), interface (the card or its driver "
    "had none), writer (the disk took no more of -w). queue is always 0: what the screen has no time for waits in "
    "the ring. Evicted packets were seen and counted, but are no longer kept (--buffer).",
    "The gauge: memory that packets take, of --buffer; packets that are kept; the time that they cover.",
    "Conversations (v) are of what is kept when you ask for them, and of all that comes while they are shown. In "
    "and out are those of the end at the left, which has the higher port.",
    "In the fields of an opened packet → and ← unfold and fold; of a line that is cut → shows the rest. In its bytes "
    "the arrows go from byte to byte. b: bytes that were put together or decrypted for it, where it has such.",
    "A followed stream (f) is put together from what is kept. Of bytes that came twice and differ the first ones are "
    "shown; a line names both packets and what the second one says. Bytes behind the end (FIN) or with a reset are "
    "left out, and told. As text a backslash is doubled: a single one begins an escape. A saved "
    "stream has nothing in place of what is missing.",
    "Names (R) with a sign were learned from packets, by strangers' word: DNS, mDNS, LLMNR, NBNS, DHCP, the server "
    "name of TLS and QUIC, and the host of HTTP. Those without are from /etc/hosts; vendors of cards from the IEEE's "
    "list, services from /etc/services. Nobody is asked, but with --resolve name servers are. +2: the address had "
    "two other names. Filters and copies keep to addresses. -n learns none.",
    "Your own SSH session is what carries this dashboard. The kernel leaves its packets out: they are neither "
    "counted nor kept, and the header says which. It is looked for every two seconds, for tmux or screen may be "
    "attached from elsewhere. x shows it from then on; where -w writes a file it is shown until x hides it.",
    "In and out in the table of talkers are the address's own: in is what it received. It wears the colour of the "
    "protocol that it spoke most of late.",
)


class HelpScreen(ModalScreen[None], inherit_bindings=False):
    """Closed by any key that opened it or goes back."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(HELP_KEYS))

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        & > VerticalScroll {
            width: auto; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 2; background: $surface; scrollbar-size-vertical: 1;
        }
        &.-ascii > VerticalScroll { border: ascii $border; }
        &.-square > VerticalScroll { border: solid $border; }
        & Static { width: auto; height: auto; }
    }
    """

    def __init__(self, look: Look, notes: tuple[str, ...] = (), *, at: str = "") -> None:
        """`notes`: further lines, of this run (what the screen costs the link). `at`: the heading of the keys that it
        opens at."""
        super().__init__()
        self._at = at
        self._look = look
        self._notes = notes

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_title = "netwatch: keys"
            scroll.border_subtitle = "esc closes"
            yield Static(id="help-text")

    def on_mount(self) -> None:
        self.add_class(self._look.glyphs.frame)

    def on_resize(self, event: events.Resize) -> None:
        text = self._text(event.size.width - 8)
        self.query_one("#help-text", Static).update(text)
        if self._at:
            row = text.plain[: text.plain.index(self._at)].count("\n")
            self.call_after_refresh(self.query_one(VerticalScroll).scroll_to, y=row, animate=False)

    def action_scroll(self, lines: int) -> None:
        """Up and down, as everywhere."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 1), animate=False)

    def action_edge(self, end: bool) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_to(y=scroll.max_scroll_y if end else 0, animate=False)

    def action_close(self) -> None:
        self.dismiss()

    def _text(self, width: int) -> Text:
        beside = width >= 2 * _COLUMN
        each = _COLUMN - 2 if beside else width
        blocks = [
            self._keys(group, [key for key in (*KEYS, *PROGRAM_KEYS) if key.group == group], each) for group in GROUPS
        ]
        blocks.append(self._keys("An opened packet", list(DETAIL_KEYS), each))
        blocks.append(self._keys("A followed stream", list(STREAM_KEYS), each))
        blocks.append(self._keys("Interfaces", list(PICKER_KEYS), each))
        if beside:
            text = _side_by_side(blocks, _COLUMN)
        else:
            text = Text("\n\n").join(Text("\n").join(block) for block in blocks)
        width = min(width, 2 * _COLUMN)
        filters = self._block("Display filter, after /", _FILTERS, _EXAMPLE_WIDTH, width)
        places = self._block("Go to, after :", _PLACES, _EXAMPLE_WIDTH, width)
        for lines in (filters, places, self._meanings(width), self._prose(width)):
            text.append("\n\n")
            text.append_text(Text("\n").join(lines))
        return text

    def _heading(self, words: str) -> Text:
        return Text(words, self._look["title-focus"])

    def _keys(self, title: str, keys: list[Key], width: int) -> list[Text]:
        return self._block(title, [(key.shown, key.tooltip) for key in keys], _KEY_WIDTH, width)

    def _block(self, title: str, rows: Sequence[tuple[str, str]], column: int, width: int) -> list[Text]:
        """A heading, and words with their meanings, which begin at `column`."""
        lines = [self._heading(title)]
        for words, meaning in rows:
            lines += self._explained(Text(words, self._look["key"]), meaning, column, width)
        return lines

    def _explained(self, words: Text, meaning: str, column: int, width: int) -> list[Text]:
        """Lines of at most `width` cells; where `column` leaves a meaning too little room, it stands below."""
        below = column > width // 2
        indent = 2 if below else column
        lines = [
            Text(" " * indent) + part
            for part in Text(meaning, self._look["text"]).wrap(self.app.console, width - indent)
        ]
        if below:
            return [words, *lines]
        words.pad_right(column - words.cell_len)
        return [words + lines[0][column:], *lines[1:]]

    def _meanings(self, width: int) -> list[Text]:
        look = self._look
        lines = [self._heading("Signs")]
        for role, meaning in _MEANINGS:
            sign = Text(getattr(look.glyphs, role), look["text" if role == "learned" else role])
            lines += self._explained(sign, meaning, _KEY_WIDTH, width)
        return lines

    def _prose(self, width: int) -> list[Text]:
        lines = [self._heading("What is counted")]
        for note in (*_NOTES, *self._notes):
            lines += Text(note, self._look["text"]).wrap(self.app.console, width)
        return lines


def _side_by_side(blocks: list[list[Text]], width: int) -> Text:
    """Blocks of lines in two columns of about the same height."""
    columns: list[list[Text]] = [[], []]
    for block in blocks:
        shorter = min(columns, key=len)
        if shorter:
            shorter.append(Text())
        shorter += block
    lines = []
    for row in range(max(map(len, columns))):
        left, right = (column[row].copy() if row < len(column) else Text() for column in columns)
        left.truncate(width - 2, overflow="ellipsis")
        left.pad_right(width - left.cell_len)
        lines.append(left + right)
    return Text("\n").join(lines)
