"""One packet as a line of the list: which columns a width has room for, and what stands in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from rich.segment import Segment
from rich.style import Style

from netwatch.capture.columns import (
    EVENT,
    MALFORMED,
    TRUNCATED,
    TUNNELLED,
    UNTIMED,
    Columns,
)
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import PROTOCOLS
from netwatch.capture.talkers import address_text
from netwatch.widgets.display import TimeFormat
from netwatch.widgets.painting import fit, fit_end, fit_left, harmless, spelled, width_of
from netwatch.widgets.palette import Look
from netwatch.widgets.units import length

__all__ = [
    "Layout",
    "Row",
    "address",
    "decimals_of",
    "event_segments",
    "heads",
    "plain_text",
    "rows_of",
    "segments",
    "time_text",
]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the columns, by the width of the pane alone: numbers that run move nothing."""

    number: int
    """0: no such column."""
    time: int
    address: int
    protocol: int
    length: int
    info: int
    interface: int = 0
    """0: no such column."""

    @classmethod
    def of_width(cls, inner: int, time_format: TimeFormat, interface: int = 0) -> Layout:
        """The columns that fit into `inner` cells. One space stands between two columns, a flag before all.
        `interface`: cells that the longest name of an interface takes; 0: all packets are of one."""
        number = 8 if inner >= 100 else 0
        clock = time_format in ("local", "utc")
        wide = inner >= 100
        time = {(True, True): 15, (True, False): 12, (False, True): 12, (False, False): 10}[wide, clock]
        address, protocol = 15, 6
        if inner >= 170:
            address, protocol = 28, 10
        elif inner >= 124:
            address, protocol = 20, 8
        elif inner >= 90:
            address, protocol = 17, 8
        length = 5
        interface = min(interface, 14 if wide else 8)
        columns = [width for width in (number, time, interface, address, address, protocol, length) if width]
        info = max(0, inner - 1 - sum(columns) - len(columns))
        return cls(number, time, address, protocol, length, info, interface)


class Row(NamedTuple):
    """What the columns say of one packet."""

    row: int
    """Row index."""
    ts: int
    wirelen: int
    caplen: int
    source: str
    destination: str
    protocol: int
    """Protocol id."""
    iface: int
    marks: int

    @property
    def is_event(self) -> bool:
        return bool(self.marks & EVENT)

    @property
    def is_untimed(self) -> bool:
        return bool(self.marks & UNTIMED)

    @property
    def wants_inner(self) -> bool:
        """Whether the dissector knows better than the columns who talks to whom: they hold the outermost."""
        return bool(self.marks & TUNNELLED) or not self.source


address = lru_cache(8192)(address_text)
"""`address_text`, remembered: a screen shows few different ones."""


def rows_of(indices: list[int], columns: Columns) -> list[Row]:
    """Rows for display; `columns` holds the rows of `indices`, in that order."""
    kinds = columns.kind.tolist()
    sources = map(address, kinds, columns.src_hi.tolist(), columns.src_lo.tolist())
    destinations = map(address, kinds, columns.dst_hi.tolist(), columns.dst_lo.tolist())
    return list(
        map(
            Row,
            indices,
            columns.ts.tolist(),
            columns.wirelen.tolist(),
            columns.caplen.tolist(),
            sources,
            destinations,
            PATHS.shown[columns.path].tolist(),
            columns.iface.tolist(),
            columns.marks.tolist(),
        )
    )


@lru_cache(64)
def _clock_of(second: int, utc: bool) -> str:
    moment = datetime.fromtimestamp(second, UTC)
    return (moment if utc else moment.astimezone()).strftime("%H:%M:%S")


def time_text(ts: int, base: int, time_format: TimeFormat, width: int, decimals: int = 6) -> str:
    """The time column: seconds since `base` (ns) or a time of day, with as many decimals as fit.

    Decimals are cut, never rounded: 59.9999999 stays in its second.
    """
    if time_format in ("local", "utc"):
        second, fraction = divmod(ts, _SECOND)
        try:
            day_time = _clock_of(second, time_format == "utc")
        except (ValueError, OverflowError, OSError):
            return fit_left("no such time", width)
        return f"{day_time}.{fraction:09}"[:width]
    distance = ts - base
    whole, fraction = divmod(abs(distance), _SECOND)
    text = f"{'-' if distance < 0 else ''}{whole}.{fraction:09}"
    point = text.index(".")
    # As many decimals in each row, so that the points stand under each other.
    return fit_left(text[: max(point, min(point + 1 + decimals, width))], width)


def decimals_of(seconds: int, width: int) -> int:
    """Decimals of a time column of `width` cells that has to hold `seconds`, with its sign: 3 to 6."""
    return max(3, min(6, width - 1 - len(str(seconds))))


def heads(layout: Layout, time_format: TimeFormat, style: Style) -> list[Segment]:
    """The line of column names."""
    time = {"start": "Time", "delta": "Delta", "local": "Local time", "utc": "UTC"}[time_format]
    texts = [" "]
    if layout.number:
        texts.append(fit_left("No.", layout.number) + " ")
    texts.append((fit(time, layout.time) if time_format in ("local", "utc") else fit_left(time, layout.time)) + " ")
    if layout.interface:
        texts.append(fit("Interface" if layout.interface >= 9 else "If", layout.interface) + " ")
    texts.append(fit("Source", layout.address) + " ")
    texts.append(fit("Destination", layout.address) + " ")
    texts.append(fit("Protocol" if layout.protocol >= 8 else "Proto", layout.protocol) + " ")
    texts.append(fit_left("Bytes" if layout.length >= 5 else "Len", layout.length) + " ")
    texts.append(fit("Info", layout.info))
    return [Segment("".join(texts), style)]


def _flag(look: Look, row: Row, marked: bool) -> tuple[str, Style]:
    """The first cell: the person's mark before what is wrong with the packet."""
    if marked:
        return look.glyphs.marked, look["marked"]
    if row.marks & MALFORMED:
        return look.glyphs.malformed, look["alert"]
    if row.marks & TRUNCATED:
        return look.glyphs.truncated, look["truncated"]
    return " ", look.ground


def segments(
    row: Row,
    layout: Layout,
    look: Look,
    *,
    number: int | None,
    time: str,
    source: str,
    destination: str,
    protocol: tuple[str, str] | None,
    info: str,
    marked: bool,
    selected: int,
    interface: str = "",
) -> list[Segment]:
    """The line of a packet. `source` and `destination`: as wide as their columns. `protocol`: what the
    dissector calls it and its filter name; None: only the columns know. `selected`: 0 no, 1 under the cursor, 2 under
    the cursor of the pane with the focus."""
    more = look.glyphs.more
    wrong = bool(row.marks & MALFORMED)
    text = look["malformed"] if wrong else look["text"]
    dim = look["malformed"] if wrong else look["dim"]
    # Neighbours of one style are one piece: each piece costs the link some forty bytes of colour.
    count = fit_left("" if number is None else str(number), layout.number) + " " if layout.number else ""
    sign, sign_style = _flag(look, row, marked)
    pieces = [(sign, sign_style), (f"{count}{time} ", dim)] if sign != " " else [(f" {count}{time} ", dim)]
    # Of a long name the end: before it stands the namespace.
    on = fit_end(spelled(harmless(interface)), layout.interface, more) + " " if layout.interface else ""
    ends = f"{on}{source} {destination} "
    known = PROTOCOLS[row.protocol]
    label, name = protocol if protocol is not None else (known.label, known.name)
    label = fit(harmless(label), layout.protocol, more) + " "
    said = harmless(info if look.glyphs.unicode else spelled(info))
    words = fit_left(length(row.wirelen), layout.length) + " " + fit(said, layout.info, more)
    pieces += [(ends, text), (label, look.protocol(name)), (words, text)]
    if selected:
        focused = selected == 2
        return [Segment(piece, look.selected(style, focused)) for piece, style in pieces]
    return [Segment(piece, style) for piece, style in pieces]


def event_segments(text: str, time: str, inner: int, look: Look, *, selected: int) -> list[Segment]:
    """The line of an event: it runs across the whole list, and nothing else does."""
    across = look.glyphs.across
    said = f"{across * 2} {time.strip()}  {harmless(text)} "
    said = fit(said, inner, look.glyphs.more) if width_of(said) > inner else said
    line = said + across * (inner - width_of(said))
    style = look["event"]
    return [Segment(line, look.selected(style, selected == 2) if selected else style)]


def plain_text(row: Row, number: int | None, time: str, source: str, destination: str, label: str, info: str) -> str:
    """The line as it is copied: tab-separated, nothing cut."""
    parts = ["" if number is None else str(number), time.strip(), source, destination, label, str(row.wirelen)]
    return "\t".join([*parts, harmless(info)])
