"""The packet list: a window on the session's view, painted line by line.

The cursor belongs to a packet, by its row index, and never to a place: packets that arrive, packets that are evicted
and a filter that changes move the rows under it, and it keeps both its packet and its line on the screen.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.segment import Segment
from textual.cache import LRUCache
from textual.timer import Timer

from netwatch.capture.text import escape
from netwatch.widgets.naming import fit_name, with_services
from netwatch.widgets.packet_row import (
    Layout,
    Row,
    decimals_of,
    event_segments,
    heads,
    plain_text,
    rows_of,
    segments,
    time_text,
)
from netwatch.widgets.painting import fit_middle
from netwatch.widgets.pane import Label, Pane, thumb_rows
from netwatch.widgets.row_words import RowWords
from netwatch.widgets.units import exact

if TYPE_CHECKING:
    from netwatch.capture.dissect import Summary
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.header import RunState
    from netwatch.widgets.palette import Look

__all__ = ["PacketList"]

_DISSECT_BUDGET: Final = 0.008
"""Seconds a frame for words of rows that came into view; what is left over follows with the next frame."""

_SOON: Final = 0.02

_NAMES_PERIOD: Final = 1.0
"""Seconds for which lines stay as they are while names change."""

_FEW: Final = 8
"""Rows that came into view at once whose words are made for good before they are shown: there is time for them."""


class PacketList(Pane):
    """Number, time, source, destination, protocol, length and info of each packet that the filter shows."""

    DEFAULT_CSS = "PacketList { width: 1fr; height: 1fr; }"

    def __init__(
        self,
        session: Session,
        look: Look,
        display: Display,
        state: RunState,
        *,
        follow: bool,
        id: str | None = None,
    ) -> None:
        super().__init__(look, id=id)
        self.session = session
        self.display_as = display
        self.state = state
        self.follow = follow
        """The newest packet stays in view. Every move away turns it off, `go_last` turns it on."""
        self._cursor: int | None = None
        self._wanted: int | None = None
        """What the person selected: the cursor stands on it, or on the nearest row while a filter hides it."""
        self._line = 0
        self._top = 0
        """Position of the first line; negative while lines above the cursor's were evicted."""
        self._rearranged = True
        self._base: int | None = None
        self._decimals = 6
        self._words = RowWords(session)
        self._settling = False
        self._painting_soon: Timer | None = None
        self._drawn: LRUCache[tuple[object, ...], list[Segment]] = LRUCache(1024)
        self._drawn_for: tuple[object, ...] = ()
        self._interfaces = (0, 0)
        """How many there are, and the length of the longest name."""
        self._named_as_of = -1
        self._named_at = 0.0

    # What is where

    @property
    def cursor(self) -> int | None:
        """Row index of the selected packet; None while there is none."""
        return self._cursor

    @property
    def cursor_line(self) -> int:
        """Line of the body, 0-based without the heads, on which the cursor stands."""
        return self._line

    @property
    def rows_visible(self) -> int:
        """Lines that packets have."""
        return max(1, self.size.height - 3)

    @property
    def total(self) -> int:
        """Rows that can be scrolled to."""
        return len(self.session.view)

    @property
    def time_base(self) -> int | None:
        """Zero of the time column, nanoseconds since 1970; None as long as there is none."""
        return self._base

    @property
    def settled(self) -> bool:
        """The rows on screen say all that they ever will."""
        return self._painting_soon is None

    def visible_range(self) -> tuple[int, int]:
        """First and last row index on screen; (0, -1) if there is none."""
        shown = self.session.view.indices(self._top, min(self._top + self.rows_visible, self.total))
        return (int(shown[0]), int(shown[-1])) if len(shown) else (0, -1)

    # Moves

    def move(self, rows: int) -> None:
        total = self.total
        if not total or not rows:
            return
        position = self._position(total)
        target = max(0, min(position + rows, total - 1))
        if self.follow and target >= position:
            return
        self.follow = False
        self._line = max(0, min(self._line + target - position, self.rows_visible - 1))
        self._select(target)

    def go_first(self) -> None:
        if self.total:
            self.follow = False
            self._line = 0
            self._select(0)

    def go_last(self) -> None:
        self.follow = not self.session.paused
        total = self.total
        if total:
            self._line = self.rows_visible - 1
            self._select(total - 1)

    def go_to(self, index: int) -> None:
        """Select the packet with this row index, or the next one shown, in the middle of the list."""
        total = self.total
        if not total:
            return
        self.follow = False
        self._line = self.rows_visible // 2
        self._select(min(self.session.view.position(index), total - 1))

    def scroll_rows(self, rows: int) -> None:
        total = self.total
        top = max(0, min(self._top + rows, total - self.rows_visible))
        if not total or top == self._top:
            return
        self.follow = False
        line = self._position(total) - top
        self._line = max(0, min(line, self.rows_visible - 1))
        self._select(top + self._line)

    def select_line(self, y: int) -> bool:
        line = y - 1
        if not 0 <= line < self.rows_visible or not 0 <= self._top + line < self.total:
            return False
        self.follow = False
        self._line = line
        self._select(self._top + line)
        return True

    def copy_text(self) -> str:
        """The selected packet as a line of text; empty if there is none."""
        if self._cursor is None or not self.total:
            return ""
        index = self._cursor
        row = self._rows([index])[0]
        if row.is_event:
            return escape(self.session.store.data(index))
        self._words.settle([row], 0)
        summary = self._words.alone(row)
        time = time_text(row.ts, self._base_of(row.row, row.ts), self.display_as.time_format, 32)
        source, destination = self._ends(row, summary)
        number = self.session.store.number(index)
        return plain_text(row, number, time, source, destination, summary.protocol, summary.info)

    # Painting

    def labels_above(self, inner: int) -> list[Label]:
        look, session = self.look, self.session
        labels: list[Label] = [(1, " Packets ", self.title_style)]
        if session.filter_text or session.switches:
            shown = f"{exact(session.matches)} of {exact(session.kept)}"
            if session.looked_at is not None:
                shown += f", looking … {session.looked_at} %"
            room = inner - len(shown) - 30
            text = session.filter_text if len(session.filter_text) <= room else session.filter_text[: room - 1] + "…"
            wanted = f" {text}  {shown} " if text else f" {shown} "
            labels.append((12, wanted, look["filter-chip"]))
        below = self.total - self._top - self.rows_visible
        if self.follow and not self.state.ended:
            labels.append((-2, f" following {look.glyphs.incoming} ", look["good"]))
        elif below > 0:
            labels.append((-2, f" {exact(below)} below ", look["dim"]))
        return labels

    def labels_below(self, inner: int) -> list[Label]:  # noqa: ARG002 - one layout for all widths
        store, damage, dim = self.session.store, self.session.source.damage, self.look["dim"]
        # While paused the gauge counts on: both are kept, one before the pause.
        until = " before the pause" if self.session.new_since_pause else ""
        notes = [(f" {exact(self.session.kept)} kept{until} ", dim)]
        if store.evicted:
            notes.append((f" {exact(store.evicted)} evicted ", dim))
        if damage is not None and self.state.ended:
            notes.append((f" damaged at byte {exact(damage.offset)} ", self.look["alert"]))
        labels: list[Label] = []
        at = 1
        for text, style in notes:
            labels.append((at, text, style))
            at += len(text) + 1
        if self._cursor is not None and self.total and (number := store.number(self._cursor)) is not None:
            labels.append((-2, f" packet {exact(number)} ", dim))
        return labels

    def thumb(self, rows: int) -> range:
        covered = thumb_rows(self._top, self.rows_visible, self.total)
        return range(covered.start + 1, min(covered.stop + 1, rows))

    def body(self, inner: int, rows: int) -> list[list[Segment]]:
        visible = rows - 1
        time_format = self.display_as.time_format
        layout = Layout.of_width(inner, time_format, self._interface_width())
        names = heads(layout, time_format, self.look["head"])
        total = self.total
        self._settle(total, visible)
        if not total:
            return [names, *self._empty(inner, visible)]
        self._decimals = self._decimals_for(layout.time)
        drawn_for = (layout, inner, time_format, self._decimals, self.display_as.naming, self._names_as_of())
        if drawn_for != self._drawn_for:
            self._drawn_for = drawn_for
            self._drawn.clear()
        gone = max(0, -self._top)
        blank = [Segment(" " * inner, self.look.ground)]
        return [names, *[blank] * gone, *self._packet_lines(layout, inner, visible - gone)]

    def rearrange(self) -> None:
        """The person changed what is shown: no line needs to stay empty for what is gone."""
        self._rearranged = True
        self.paint()

    def on_resize(self) -> None:
        self._rearranged = True

    def _settle(self, total: int, visible: int) -> None:
        """Find the cursor again after rows came and went, and put it on its line.

        Rows that are evicted above it leave their lines empty until the next move: the cursor stands still.
        """
        if not total:
            self._top = 0
            return
        if self.follow:
            self._cursor = self._wanted = self._index_at(total - 1)
            self._line = visible - 1
        elif self._wanted is None:
            self._wanted = self._index_at(0)
        elif self._wanted not in self.session.store:
            self._wanted = self._cursor
        position = self._position(total)
        nearest = self._index_at(position)
        if nearest != self._cursor:
            self._cursor, self._rearranged = nearest, True
        self._line = min(self._line, visible - 1)
        self._top = position - self._line
        if self.follow or self._rearranged or self._top > 0:
            self._top = max(0, min(self._top, total - visible))
            self._line = position - self._top
        self._rearranged = False

    def _packet_lines(self, layout: Layout, inner: int, count: int) -> list[list[Segment]]:
        session = self.session
        top = max(0, self._top)
        shown: list[int] = session.view.indices(top, top + count).tolist()
        above = self._times_above(shown) if self.display_as.time_format == "delta" else {}
        lit = 2 if self.has_focus else 1
        deadline = perf_counter() + _DISSECT_BUDGET
        waiting = [index for index in shown if not self._words.settled(index) and session.store.number(index)]
        # Before the first frame nothing is dissected: rows stand sooner than their words.
        ready = self._words.ready or self._settling
        # Rows that rush by are gone before there would be time to ask those before them.
        rushing = self.follow and sum(self._words.known(index) is None for index in waiting) > _FEW
        if waiting and ready and not rushing and (len(waiting) <= _FEW or self._settling):
            self._words.settle(self._rows(waiting), deadline)
        self._settling = False
        keys: list[tuple[object, ...]] = [
            (
                index,
                lit if index == self._cursor else 0,
                index in session.marked,
                above.get(index),
                self._words.settled(index),
            )
            for index in shown
        ]
        # Asked for once: a line that is kept may go for another one's sake while the others are made.
        drawn = [self._drawn.get(key) for key in keys]
        missing = [index for index, line in zip(shown, drawn, strict=True) if line is None]
        fresh = {row.row: row for row in self._rows(missing)} if missing else {}
        left_over = False
        lines = []
        for index, key, line in zip(shown, keys, drawn, strict=True):
            if line is None:
                row = fresh[index]
                in_time = (not left_over and perf_counter() < deadline) or index == missing[0]
                line, complete = self._line_of(row, layout, inner, key, in_time and ready)
                if complete:
                    self._drawn[key] = line
                left_over |= not complete
            lines.append(line)
        unsettled = not all(map(self._words.settled, waiting))
        if left_over or (unsettled and not rushing):
            self._paint_soon()
        return lines

    def _paint_soon(self) -> None:
        """Once more when there was time for keys: for words that wait, or are not for good yet."""
        if self._painting_soon is None:

            def paint() -> None:
                self._painting_soon = None
                self._settling = True
                self.paint()

            self._painting_soon = self.set_timer(_SOON, paint)

    def _line_of(
        self, row: Row, layout: Layout, inner: int, key: tuple[object, ...], dissect: bool
    ) -> tuple[list[Segment], bool]:
        """The line of a row, and whether it is complete: without time for the dissector, info waits."""
        _, selected, marked, above, _ = key
        base = above if isinstance(above, int) else self._base_of(row.row, row.ts)
        time = time_text(row.ts, base, self.display_as.time_format, layout.time, self._decimals)
        if row.is_untimed:
            time = " " * layout.time
        lit = int(bool(selected)) + int(selected == 2)
        if row.is_event:
            text = escape(self.session.store.data(row.row))
            return event_segments(text, time, inner, self.look, selected=lit), True
        summary = self._words.alone(row) if dissect else self._words.known(row.row)
        source, destination = self._ends(row, summary)
        line = segments(
            row,
            layout,
            self.look,
            number=self.session.store.number(row.row) if layout.number else None,
            time=time,
            source=self._end(source, layout.address),
            destination=self._end(destination, layout.address),
            protocol=None if summary is None else (summary.protocol, summary.name),
            info=self._info(summary) if summary is not None else self.look.glyphs.more,
            marked=bool(marked),
            selected=lit,
            interface=escape(self.session.source.interfaces[row.iface].name) if layout.interface else "",
        )
        return line, summary is not None

    def _empty(self, inner: int, visible: int) -> list[list[Segment]]:
        """What an empty list says: why it is empty, and what to do."""
        session, dim = self.session, self.look["dim"]
        source = session.source
        if session.filter_text or session.switches:
            sought = session.looked_at
            found = "no packet matches" if sought is None else f"no packet matches so far, looking … {sought} %"
            words = [found, "esc clears the filter, 0 the switches"]
        elif session.paused and session.store.packets:
            words = ["what was on screen had no room in the buffer", "space goes back to live"]
        elif source.exhausted:
            words = ["no packets in this capture"]
        elif session.flows:
            words = [f"listening on {escape(source.name)}", "the first packet will stand here"]
        else:
            words = ["reading…"]
        blank = [Segment(" " * inner, self.look.ground)]
        before = max(0, (visible - len(words)) // 2)
        return [blank] * before + [self.message_line(word, inner, dim) for word in words]

    # The model

    def _interface_width(self) -> int:
        """Cells of the longest name of an interface; 0 where there is one alone."""
        interfaces = self.session.source.interfaces
        if self._interfaces[0] != len(interfaces):
            longest = max((len(escape(each.name)) for each in interfaces), default=0)
            self._interfaces = (len(interfaces), longest if len(interfaces) > 1 else 0)
        return self._interfaces[1]

    def _position(self, total: int) -> int:
        position = self.session.view.position(self._wanted) if self._wanted is not None else 0
        return max(0, min(position, total - 1))

    def _select(self, position: int) -> None:
        self._cursor = self._wanted = self._index_at(position)
        self._rearranged = True
        self.paint()

    def _index_at(self, position: int) -> int:
        return int(self.session.view.indices(position, position + 1)[0])

    def _rows(self, indices: list[int]) -> list[Row]:
        return rows_of(indices, self.session.store.rows(np.array(indices, np.int64)))

    def _times_above(self, shown: list[int]) -> dict[int, int]:
        """Time of the row above each, for the delta format; the first of all is its own."""
        before = self.session.view.indices(max(0, self._top - 1), self._top).tolist()
        chain = [*before, *shown]
        times = self.session.store.rows(np.array(chain, np.int64)).ts.tolist()
        if not before:
            times.insert(0, times[0])
        return dict(zip(shown, times, strict=False))

    def _base_of(self, index: int, ts: int) -> int:
        """Zero of the time column: the first packet's time, also when that is long evicted."""
        if self._base is None:
            first = self.session.store.first
            self._base = int(self.session.store.rows(np.array([first], np.int64)).ts[0]) if first <= index else ts
        return self._base

    def _decimals_for(self, width: int) -> int:
        """Decimals for the longest time that the column may have to show."""
        counted, base = self.session.statistics, self._base
        if base is None or counted.first_ts is None or counted.last_ts is None:
            return 6
        ends = ((moment - base) // 1_000_000_000 for moment in (counted.first_ts, counted.last_ts))
        return min(decimals_of(seconds, width) for seconds in ends)

    def _names_as_of(self) -> int:
        """As which change of names the lines are drawn: all of them anew, once a second at most. -1: no names."""
        learner = self.display_as.learner
        if not self.display_as.named or learner is None:
            self._named_as_of = -1
        elif self._named_as_of != learner.names.changes and (
            self._named_as_of < 0 or perf_counter() - self._named_at >= _NAMES_PERIOD
        ):
            self._named_as_of, self._named_at = learner.names.changes, perf_counter()
        return self._named_as_of

    def _end(self, address: str, width: int) -> str:
        """An address or its name, `width` cells."""
        name = self.display_as.name_of(address)
        if name is None:
            return fit_middle(address, width, self.look.glyphs.more)
        return fit_name(name, width, self.look.glyphs)

    def _info(self, summary: Summary) -> str:
        """The info text, of a segment or datagram with the names of its ports."""
        if self.display_as.naming != "all" or summary.name not in ("tcp", "udp"):
            return summary.info
        return with_services(summary.info, self.display_as, udp=summary.name == "udp")

    @staticmethod
    def _ends(row: Row, summary: Summary | None) -> tuple[str, str]:
        if summary is not None and row.wants_inner:
            return summary.source or row.source, summary.destination or row.destination
        return row.source, row.destination
