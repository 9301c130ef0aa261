"""The strip of protocol switches: one key each, with live counts."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from netwatch.capture.protocols import SWITCHES
from netwatch.widgets.painting import Piece, fit_left, line, width_of
from netwatch.widgets.pane import Lines
from netwatch.widgets.units import quantity, short

if TYPE_CHECKING:
    from netwatch.capture.session import Session
    from netwatch.widgets.palette import Look

__all__ = ["Switches"]

_PERIOD: Final = 0.5
"""Seconds between two counts: they cost a millisecond, and nobody reads faster."""

_WIDE: Final = 106
"""Columns from which on there is air between the switches."""
_NARROW: Final = 78
"""Columns under which the counts would push switches out."""

_ON: Final = Style(reverse=True, bold=True)


class Switches(Lines):
    """A switch that is on is reversed and has its key in brackets; while any is on, the others are dim."""

    DEFAULT_CSS = "Switches { width: 1fr; height: 1; }"

    @dataclass
    class Toggled(Message):
        """A switch was clicked; `key` is `0` for the one that clears them all."""

        switches: Switches
        key: str

        @property
        def control(self) -> Switches:
            return self.switches

    def __init__(self, session: Session, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.session = session
        self._spans: list[tuple[range, str]] = []
        self._packets = {switch.key: 0 for switch in SWITCHES}
        self._counted = 0
        self._looked = 0.0

    def draw(self, width: int, height: int) -> list[Strip]:
        look, ground = self.look, self.look.ground
        counts = self._counts()
        room = 5 if width >= _WIDE else 4 if width >= _NARROW else 0
        pieces: list[Piece] = []
        self._spans = []
        column = 0
        for switch in SWITCHES:
            start = column
            cell = self._switch(switch.key, switch.label, switch.family, counts[switch.key], room)
            pieces += cell
            column += sum(width_of(text) for text, _ in cell)
            self._spans.append((range(start, column), switch.key))
        clear = [(" ", ground), ("0", look["key"]), (" all", look["dim"])]
        if self.session.switches and column + 6 <= width:
            pieces += clear
            self._spans.append((range(column + 1, column + 6), "0"))
        return [line(pieces, width, ground)] + [Strip.blank(width, ground)] * (height - 1)

    def _counts(self) -> dict[str, int]:
        """Packets of each switch: anew where packets came and half a second went by, or all could be told at once."""
        packets, now = self.session.statistics.packets, monotonic()
        if packets != self._counted and (now - self._looked >= _PERIOD or self._counted == 0):
            self._counted, self._looked = packets, now
            self._packets = self.session.statistics.switch_packets()
        return self._packets

    def on_click(self, event: events.Click) -> None:
        """A click is the key."""
        for span, key in self._spans:
            if event.x in span:
                self.post_message(self.Toggled(self, key))

    def _switch(self, key: str, label: str, family: str, count: int, room: int) -> list[Piece]:
        """Brackets and blanks take the same cells: nothing moves when a switch is turned. `room`: for the count."""
        look = self.look
        wide = room >= 5
        gap = " " if wide else ""
        number = fit_left(quantity(count) if wide else short(count), room)
        color = look.families[family]
        after: Piece = ("   " if wide else "", look.ground)
        if key in self.session.switches:
            return [(f"[{key}]{gap}{label} {number}", color + _ON), after]
        others = bool(self.session.switches)
        return [
            (f" {key} {gap}", look["faint" if others else "key"]),
            (f"{label} ", look["faint"] if others else color),
            (number, look["faint" if others else "dim"]),
            after,
        ]
