"""Protocol breakdown: the hierarchy with packets, bytes and share of each protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from rich.style import Style

from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import ID, PROTOCOLS
from netwatch.capture.stats import ProtocolRow
from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.painting import bar, fit, fit_left
from netwatch.widgets.pane import Label
from netwatch.widgets.units import exact, quantity

__all__ = ["Branch", "Breakdown"]

_NUMBER: Final = 5
_PERCENT: Final = 4
_WITH_BYTES: Final = 28
"""Cells from which on bytes stand beside packets: below, the names need the room."""


class Branch(NamedTuple):
    """One line: a protocol at its place in the hierarchy."""

    protocol: ProtocolRow
    depth: int
    """Levels below the outermost that is shown."""
    children: bool
    folded: bool


class Breakdown(KeyTable[Branch]):
    """What the packets are, as a tree that folds. Its cursor belongs to a path such as `eth:ip:tcp`."""

    DEFAULT_CSS = "Breakdown { width: 1fr; height: 1fr; }"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._folded: set[str] = set()

    def fetch(self) -> list[Branch]:
        rows = self.session.shown_statistics.protocols()
        if self.has_focus:
            rows = self._in_old_order(rows)
        hidden = _common_root(rows)
        parents = {row.path.rpartition(":")[0] for row in rows}
        branches = []
        closed: str | None = None
        for row in rows:
            if closed is not None and row.path.startswith(closed):
                continue
            closed = None
            if row.path == hidden:
                continue
            folded = row.path in self._folded and row.path in parents
            depth = row.path.count(":") - (1 if hidden is not None else 0)
            branches.append(Branch(row, depth, row.path in parents, folded))
            if folded:
                closed = row.path + ":"
        return branches

    def key_of(self, row: Branch) -> Hashable:
        return row.protocol.path

    def placed(self, fresh: list[Branch]) -> list[Branch]:
        return fresh  # a branch out of its place would be a lie; `fetch` keeps the order instead

    def fold(self, opened: bool) -> None:
        """`h`: close, or go to the parent; `l`: open, or go to the first child."""
        row = self.selected_row
        if row is None:
            return
        path = row.protocol.path
        if opened and row.folded:
            self._folded.discard(path)
        elif not opened and row.children and not row.folded:
            self._folded.add(path)
        else:
            self._go_beside(path, opened=opened, children=row.children)
            return
        self.look_up(now=True)
        self.move(0)

    def labels_above(self, inner: int) -> list[Label]:
        look = self.look
        _, numbers_at, bytes_at, bar_at, _ = _columns(inner)
        title = " Protocols "
        start = max(numbers_at, 1 + len(title))
        labels: list[Label] = [
            (1, title, self.title_style),
            (start, "pkts ".rjust(numbers_at + _NUMBER + 1 - start), look["head"]),
        ]
        if bytes_at is not None:
            labels.append((bytes_at, "bytes ", look["head"]))
        return [*labels, (bar_at, "share ", look["head"])]

    def labels_below(self, inner: int) -> list[Label]:
        look, session = self.look, self.session
        statistics = session.shown_statistics
        labels = [self.scope_label(inner)]
        if statistics.malformed:
            labels.append(
                (-2, f" {look.glyphs.malformed} {exact(statistics.malformed)} malformed ", look["malformed"])
            )
        elif not PATHS.exact:
            labels.append((-2, " too many shapes: some at their outer part ", look["dim"]))
        return labels

    def pieces(self, row: Branch, inner: int) -> list[tuple[str, Style]]:
        look, glyphs = self.look, self.look.glyphs
        name_width, _, bytes_at, _, bar_width = _columns(inner)
        protocol = row.protocol
        known = PROTOCOLS[ID.get(protocol.name, 0)]
        style = look.families[known.family]
        sign = glyphs.closed if row.folded else glyphs.opened if row.children else glyphs.leaf
        total = self.session.shown_statistics.packets
        share = protocol.packets / total if total else 0.0
        filled, track = bar(share, bar_width, glyphs)
        indent = " " * min(row.depth, max(0, name_width - 8))
        size = [] if bytes_at is None else [(fit_left(quantity(protocol.bytes), _NUMBER) + " ", look["dim"])]
        return [
            (f"{indent}{sign} ", look["group"]),
            (fit(known.label, name_width - len(indent) - 2, glyphs.more) + " ", style),
            (fit_left(quantity(protocol.packets), _NUMBER) + " ", look["text"]),
            *size,
            (filled, style),
            (track, look["track"]),
            (fit_left(_percent(share), _PERCENT + 1), look["dim"]),
        ]

    def _go_beside(self, path: str, *, opened: bool, children: bool) -> None:
        wanted = None if opened else path.rpartition(":")[0]
        for at, row in enumerate(self.rows):
            other = row.protocol.path
            if other == wanted or (opened and children and other.rpartition(":")[0] == path):
                self._select(at)
                return

    def _in_old_order(self, rows: list[ProtocolRow]) -> list[ProtocolRow]:
        """Siblings as they stood; new ones behind them. While somebody reads the tree it does not turn over."""
        rank = {row.protocol.path: at for at, row in enumerate(self.rows)}
        children: defaultdict[str, list[ProtocolRow]] = defaultdict(list)
        for row in rows:
            children[row.path.rpartition(":")[0]].append(row)
        for siblings in children.values():
            siblings.sort(key=lambda row: rank.get(row.path, len(rank)))
        ordered: list[ProtocolRow] = []
        waiting = children[""][::-1]
        while waiting:
            row = waiting.pop()
            ordered.append(row)
            waiting += children[row.path][::-1]
        return ordered


def _columns(inner: int) -> tuple[int, int, int | None, int, int]:
    """Width of the name, where packets, bytes (None: left out) and bar begin, width of the bar."""
    with_bytes = inner >= _WITH_BYTES
    numbers = (_NUMBER + 1) * (1 + with_bytes)
    name = max(4, min(max(13, inner // 4), 26, inner - numbers - _PERCENT - 2))
    packets = name + 1
    start = packets + numbers
    return name, packets, start - _NUMBER - 1 if with_bytes else None, start, max(0, inner - start - _PERCENT - 1)


def _common_root(rows: list[ProtocolRow]) -> str | None:
    """The link layer, where all packets share it and more is known of each: it says nothing."""
    roots = [row for row in rows if ":" not in row.path]
    if len(roots) == 1 and not roots[0].own_packets and len(rows) > 1:
        return roots[0].path
    return None


def _percent(share: float) -> str:
    """`0%`, `<1%`, `37%`, `100%`."""
    if 0 < share < 0.01:
        return "<1%"
    return f"{int(share * 100)}%"
