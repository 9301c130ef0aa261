"""`I`: interfaces and network namespaces to choose from; what is typed narrows them down."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.style import Style
from textual import events

from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.painting import fit, fit_left, harmless
from netwatch.widgets.pane import Label, thumb_rows

if TYPE_CHECKING:
    from netwatch.capture.kernel.namespaces import Place
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["Choice", "Picker"]

_STATE, _PACKETS, _RATE = 10, 7, 7
_NAME_LEAST, _NAME_MOST = 18, 32
"""Cells of the columns; what is left is for addresses and programs."""
_LONGEST: Final = 40
"""Characters that can be typed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A line: an interface, or a namespace that has more of them."""

    name: str
    interface: str = ""
    """As the kernel calls it; empty: this is a namespace."""
    place: Place | None = None
    """The namespace, where this is one."""
    request: dict[str, object] = field(default_factory=dict, compare=False)
    """How the helper is asked for it."""
    state: str = ""
    up: bool = True
    captured: bool = False
    """It is captured now."""
    packets: str = ""
    rate: str = ""
    """Packets a second."""
    words: str = ""
    """Addresses, or programs."""

    @property
    def key(self) -> Hashable:
        return self.interface or self.request.get("inode", 0)

    def matches(self, text: str) -> bool:
        """Whether what was typed leads here."""
        return text.lower() in f"{self.name} {self.state} {self.words}".lower()


class Picker(KeyTable[Choice]):
    """Choices, of which several interfaces may be marked."""

    DEFAULT_CSS = "Picker { width: 1fr; height: 1fr; }"

    def __init__(self, session: Session, look: Look, display: Display, *, id: str | None = None) -> None:
        super().__init__(session, look, display, id=id)
        self.title = ""
        self.note = ""
        """What else is to be said, in the lower line of the frame."""
        self.typed = ""
        """Only what has this in it is shown."""
        self.marked: set[str] = set()
        """Interfaces that were chosen with others."""
        self._choices: list[Choice] = []

    def show(self, choices: list[Choice]) -> None:
        """These are there now."""
        self._choices = choices
        self.marked &= {choice.interface for choice in choices}
        self.rows = [choice for choice in choices if choice.matches(self.typed)]
        position = self._position()
        if position is None and self.rows:
            position = next((at for at, choice in enumerate(self.rows) if choice.captured), 0)
        if position is not None:
            self._select(position)
        else:
            self.paint()

    def clear(self) -> None:
        """Others will come: nothing is typed, marked or selected."""
        self.typed, self.cursor, self._top = "", None, 0
        self.marked.clear()
        self.show([])

    def type(self, text: str) -> None:
        """Show only what has `text` in it."""
        self.typed = text[:_LONGEST]
        self.cursor, self._top = None, 0
        self.show(self._choices)

    def toggle_mark(self) -> None:
        """Mark the interface under the cursor, or take its mark away, and go on to the next."""
        choice = self.selected_row
        if choice is not None and choice.interface:
            self.marked ^= {choice.interface}
            self.move(1)
            self.paint()

    def on_key(self, event: events.Key) -> None:
        """Letters narrow down, whatever they do elsewhere."""
        if event.is_printable and event.character is not None and event.character not in " ?":
            event.stop()
            event.prevent_default()
            self.type(self.typed + event.character)

    @property
    def rows_visible(self) -> int:
        return max(1, self.size.height - 3)

    def select_line(self, y: int) -> bool:
        return super().select_line(y - 1)

    def key_of(self, row: Choice) -> Hashable:
        return row.key

    def labels_above(self, inner: int) -> list[Label]:  # noqa: ARG002 - one layout for all widths
        labels: list[Label] = [(1, f" {harmless(self.title)} ", self.title_style)]
        if self.typed:
            labels.append((-2, f" {harmless(self.typed)}  {len(self.rows)} of {len(self._choices)} ", self._chip))
        else:
            labels.append((-2, " type to narrow down ", self.look["dim"]))
        return labels

    @property
    def _chip(self) -> Style:
        return self.look["filter-chip" if self.rows else "alert-chip"]

    def labels_below(self, inner: int) -> list[Label]:
        labels: list[Label] = []
        if self.marked:
            labels.append((1, f" {len(self.marked)} marked ", self.look["marked"]))
        room = inner - 16
        note = fit(harmless(self.note), room, self.look.glyphs.more).rstrip() if self.note else ""
        labels.append((-2, f" {note} " if note else "", self.look["dim"]))
        return labels

    def thumb(self, rows: int) -> range:
        covered = thumb_rows(max(0, self._top), self.rows_visible, len(self.rows))
        return range(covered.start + 1, min(covered.stop + 1, rows))

    def body(self, inner: int, rows: int) -> list[list[Segment]]:
        name = self._name_width(inner)
        words = fit("  Interface", name + 2) + " " + fit("State", _STATE) + " " + fit_left("Packets", _PACKETS)
        words = fit(f"{words} {fit_left('a second', _RATE + 1)}  Addresses", inner)
        return [[Segment(words, self.look["head"])], *super().body(inner, rows - 1)]

    def pieces(self, row: Choice, inner: int) -> list[tuple[str, Style]]:
        look, more, width = self.look, self.look.glyphs.more, self._name_width(inner)
        marked = bool(row.interface) and row.interface in self.marked
        sign = look.glyphs.marked if marked else " " if row.interface else look.glyphs.closed
        text = look["text"] if row.up else look["dim"]
        style = look["good"] if row.captured else text
        words = f"{'captured now  ' if row.captured else ''}{row.words}"
        if not row.interface:
            room = max(0, inner - width - 5)
            pieces = [
                (fit(harmless(row.name), width + 1, more), text),
                (fit(harmless(words), room, more), look["dim"]),
            ]
        else:
            room = max(0, inner - width - _STATE - _PACKETS - _RATE - 8)
            numbers = f"{fit_left(row.packets, _PACKETS)} {fit_left(row.rate, _RATE + 1)}  "
            pieces = [
                (fit(harmless(row.name), width, more) + " ", style),
                (fit(row.state, _STATE) + " ", text if row.up else look["truncated"]),
                (numbers, text),
                (fit(harmless(words), room, more), look["dim"]),
            ]
        return [(f"{sign} ", look["marked"] if marked else look["dim"]), *pieces]

    @staticmethod
    def _name_width(inner: int) -> int:
        return min(max(inner // 4, _NAME_LEAST), _NAME_MOST)
