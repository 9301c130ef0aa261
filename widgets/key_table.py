"""A table whose cursor belongs to a key: what the protocol and the talkers panes have in common."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style

from netwatch.widgets.painting import line
from netwatch.widgets.pane import Label, Pane, thumb_rows

if TYPE_CHECKING:
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["KeyTable"]

Row = TypeVar("Row")

_PERIOD: Final = 1.0
"""Seconds between two looks at the model: rows that change places faster cannot be read."""


class KeyTable(Pane, Generic[Row]):
    """Rows by rank, looked up once a second. The row under the cursor keeps its line, whatever its rank becomes."""

    def __init__(
        self,
        session: Session,
        look: Look,
        display: Display,
        *,
        clock: Callable[[], float] = monotonic,
        id: str | None = None,
    ) -> None:
        super().__init__(look, id=id)
        self.session = session
        self.display_as = display
        self.rows: list[Row] = []
        """As they stand on the screen from the top of the table on."""
        self.cursor: Hashable | None = None
        """Key of the selected row; None before the pane had the focus."""
        self._clock = clock
        self._looked = -_PERIOD
        self._counted: float | None = None
        """Of what is to be counted, when the rows were looked up; None: all."""
        self._line = 0
        self._top = 0
        self._statistics: object = None
        """Whose rows they are: with others the selected row need not stand still."""

    def fetch(self) -> list[Row]:
        """The rows by rank."""
        raise NotImplementedError

    def key_of(self, row: Row) -> Hashable:
        """What the cursor belongs to."""
        raise NotImplementedError

    def pieces(self, row: Row, inner: int) -> list[tuple[str, Style]]:
        """The line of a row, `inner` cells wide."""
        raise NotImplementedError

    def scope_label(self, inner: int) -> Label:
        """For the lower line of the frame, `inner` cells wide: what the rows are statistics of."""
        if self.session.shown_statistics is self.session.statistics:
            return (1, " of all ", self.look["dim"])
        return self.counting_label("of the filter", inner) or (1, " of the filter ", self.look["filter-chip"])

    def counting_label(self, scope: str, inner: int) -> Label | None:
        """How far it is counted, until all is."""
        if self._counted is None:
            return None
        words = f"counting {int(100 * self._counted)} %"
        both = f" {scope}, {words} "
        return (1, both if len(both) < inner else f" {words} ", self.look["busy-chip"])

    @property
    def cursor_line(self) -> int:
        """Line of the body on which the cursor stands."""
        return self._line

    @property
    def selected_row(self) -> Row | None:
        """The row under the cursor."""
        position = self._position()
        return self.rows[position] if position is not None else None

    @property
    def rows_visible(self) -> int:
        """Lines that rows have."""
        return max(1, self.size.height - 2)

    @property
    def page(self) -> int:
        return self.rows_visible

    def look_up(self, *, now: bool = False) -> None:
        """Take the model's rows if a second went by since the last time, or at once."""
        moment = self._clock()
        if not now and self.rows and moment - self._looked < _PERIOD:
            return
        self._looked = moment
        self._counted = self.session.counted
        statistics = self.session.shown_statistics
        self.rows = self.placed(self.fetch())
        if self.has_focus and self.cursor is None and self.rows:
            self.cursor = self.key_of(self.rows[0])
        position = self._position()
        if position is None:
            self._top = max(0, min(self._top, len(self.rows) - self.rows_visible))
        elif self.has_focus and self._statistics is statistics:
            # Off the ends of the table if need be: the selected row stands still until the next move.
            self._top = position - self._line
        else:
            self._top = max(0, min(position - self._line, len(self.rows) - self.rows_visible))
            self._line = position - self._top
        # Until the selected row is among them, the rows are only beginning to be counted.
        self._statistics = statistics if position is not None or self.cursor is None else None
        self.paint()

    def placed(self, fresh: list[Row]) -> list[Row]:
        """`fresh`, with the row under the cursor moved so that it can keep its line without a gap in the table."""
        if not self.has_focus or self.cursor is None:
            return fresh
        rank = next((at for at, row in enumerate(fresh) if self.key_of(row) == self.cursor), None)
        if rank is None:
            return fresh
        top = max(0, min(rank - self._line, len(fresh) - self.rows_visible))
        row = fresh.pop(rank)
        fresh.insert(top + self._line, row)
        return fresh

    def move(self, rows: int) -> None:
        if not self.rows:
            return
        position = self._position()
        if position is None:
            self._select(min(self._top, len(self.rows) - 1))
        else:
            self._select(max(0, min(position + rows, len(self.rows) - 1)))

    def go_first(self) -> None:
        if self.rows:
            self._select(0)

    def go_last(self) -> None:
        if self.rows:
            self._select(len(self.rows) - 1)

    def scroll_rows(self, rows: int) -> None:
        top = max(0, min(self._top + rows, len(self.rows) - self.rows_visible))
        if top != self._top and self.rows:
            self._top = top
            if self.cursor is not None:
                self._line = max(0, min((self._position() or 0) - top, self.rows_visible - 1))
                self.cursor = self.key_of(self.rows[top + self._line])
            self.paint()

    def select_line(self, y: int) -> bool:
        if not 0 <= y < self.rows_visible or not 0 <= self._top + y < len(self.rows):
            return False
        self._select(self._top + y)
        return True

    def on_focus(self) -> None:
        if self.cursor is None and self.rows:
            self._select(self._top)
        else:
            self.paint()

    def on_resize(self) -> None:
        position = self._position()
        if position is not None:
            self._select(position)

    def thumb(self, rows: int) -> range:
        return thumb_rows(max(0, self._top), rows, len(self.rows))

    def body(self, inner: int, rows: int) -> list[list[Segment]]:
        blank = [Segment(" " * inner, self.look.ground)]
        lines: list[list[Segment]] = []
        for position in range(self._top, self._top + rows):
            if not 0 <= position < len(self.rows):
                lines.append(blank)
                continue
            row = self.rows[position]
            pieces = self.pieces(row, inner)
            if self.cursor is not None and self.key_of(row) == self.cursor:
                pieces = [(text, self.look.selected(style, self.has_focus)) for text, style in pieces]
            lines.append(list(line(pieces, inner, self.look.ground)))
        return lines

    def _position(self) -> int | None:
        if self.cursor is None:
            return None
        return next((at for at, row in enumerate(self.rows) if self.key_of(row) == self.cursor), None)

    def _select(self, position: int) -> None:
        """Move the cursor; scroll no further than it takes, and never past an end."""
        self.cursor = self.key_of(self.rows[position])
        top = max(0, min(self._top, len(self.rows) - self.rows_visible))
        self._top = min(max(top, position - self.rows_visible + 1), position)
        self._line = position - self._top
        self.paint()
