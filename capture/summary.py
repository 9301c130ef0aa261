"""`--summary`, `--json`, `--report`: what a capture held, as text or as one JSON object (CONTRACT.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from netwatch.capture.block import Damage, Loss
from netwatch.capture.paths import MAX_PATHS, PATHS
from netwatch.capture.stats import Statistics
from netwatch.capture.table import table
from netwatch.capture.talkers import COUNTS, HostRow
from netwatch.capture.text import escape

__all__ = ["Summary", "as_dict", "as_json", "as_text", "lost"]

TOP_HOSTS: Final = 20
"""Hosts that the text lists; the JSON has them all."""
_BYTES: Final = COUNTS.index("bytes")


@dataclass(slots=True)
class Summary:
    """All that is known at the end of a run."""

    name: str
    """Of the source."""
    statistics: Statistics
    loss: Loss = field(default_factory=Loss)
    evicted: int = 0
    """Packets that were counted but are no longer kept."""
    hidden_filters: tuple[str, ...] = ()
    """Of the kernel, that kept something out at any time: the own SSH session, say. In pcap-filter(7) words."""
    damage: Damage | None = None


def as_dict(summary: Summary) -> dict[str, Any]:
    """The object of `--json`; `error` is there only where the capture is damaged.

    Where hosts are not exact `hosts_error_bytes` is there: no host had more bytes above what is said of it.
    `protocols_exact` is there, and false, where some packets count at the outer part of their path, because there
    were too many shapes.
    """
    counted = summary.statistics
    made: dict[str, Any] = {
        "packets": counted.packets,
        "bytes": counted.bytes,
        "captured_bytes": counted.captured_bytes,
        "truncated": counted.truncated,
        "malformed": counted.malformed,
        "first_ts": _seconds(counted.first_ts),
        "last_ts": _seconds(counted.last_ts),
        "dropped": asdict(summary.loss),
        "evicted": summary.evicted,
        "hidden_filters": list(summary.hidden_filters),
        "protocols": [row._asdict() for row in counted.protocols()],
        "hosts": [_host(row) for row in counted.hosts()],
        "hosts_exact": counted.talkers.exact,
    }
    if not PATHS.exact:
        made["protocols_exact"] = False
    if not counted.talkers.exact:
        made["hosts_error_bytes"] = counted.talkers.error
        others = dict(zip(COUNTS, counted.talkers.others.tolist(), strict=True))
        made["hosts"].append({"address": "others", **others})
    if summary.damage is not None:
        made["error"] = asdict(summary.damage)
    return made


def as_json(made: dict[str, Any]) -> str:
    """One line, ASCII only: nothing in it can reach a terminal as a control code."""
    import json  # not for text: it takes 2 ms to load

    return json.dumps(made, separators=(", ", ": ")) + "\n"


def as_text(summary: Summary) -> str:
    """A few aligned tables for people."""
    return "\n".join([*_totals(summary), *_protocols(summary.statistics), *_hosts(summary.statistics)]) + "\n"


def lost(loss: Loss) -> str:
    """`1,234 lost (ring 1,200, interface 34)`, or `none lost`."""
    causes = [(name, count) for name, count in asdict(loss).items() if count and name != "freezes"]
    if not causes:
        return "none lost"
    return f"{loss.packets:,} lost ({', '.join(f'{name} {count:,}' for name, count in causes)})"


def _seconds(ts: int | None) -> str | None:
    """Nanoseconds as a string of seconds with nine digits: exact, where a JSON number would be a float."""
    if ts is None:
        return None
    seconds, fraction = divmod(abs(ts), 1_000_000_000)
    return f"{'-' if ts < 0 else ''}{seconds}.{fraction:09}"


def _host(row: HostRow) -> dict[str, Any]:
    return {"address": row.address, **{name: getattr(row, name) for name in COUNTS}}


def _totals(summary: Summary) -> Iterator[str]:
    counted = summary.statistics
    plural = "" if counted.packets == 1 else "s"
    yield f"{escape(summary.name)}: {counted.packets:,} packet{plural}, {counted.bytes:,} bytes on the wire"
    if counted.first_ts is not None and counted.last_ts is not None:
        span = counted.duration
        rates = (
            f": {counted.packets / span:,.0f} packets/s, {counted.bytes * 8 / span / 1e6:,.3f} Mbit/s" if span else ""
        )
        yield f"{_clock(counted.first_ts)} to {_clock(counted.last_ts)} UTC, {span:,.3f} s{rates}"
    yield (
        f"{counted.captured_bytes:,} bytes captured, {counted.truncated:,} packets truncated, "
        f"{counted.malformed:,} malformed, {lost(summary.loss)}"
    )
    if summary.evicted:
        yield f"{summary.evicted:,} packets counted but no longer kept"
    for hidden in summary.hidden_filters:
        yield f"hidden by the kernel: {escape(hidden)}"


def _clock(ts: int) -> str:
    seconds, fraction = divmod(ts, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{fraction:09}"
    except (OverflowError, ValueError, OSError):
        return str(_seconds(ts))


def _protocols(counted: Statistics) -> list[str]:
    rows = [
        (
            "  " * row.path.count(":") + row.name,
            f"{row.packets:,}",
            _share(row.packets, counted.packets),
            f"{row.bytes:,}",
            _share(row.bytes, counted.bytes),
            f"{row.own_packets:,}",
        )
        for row in counted.protocols()
    ]
    head = ("protocol", "packets", "share", "bytes", "share", "own packets")
    told = [] if PATHS.exact else [f"beyond {MAX_PATHS:,} shapes packets count at the outer part of theirs"]
    return ["", *table([head, *rows], frozenset({0})), *told] if rows else []


def _hosts(counted: Statistics) -> Iterator[str]:
    rows = counted.top(TOP_HOSTS)
    if not rows:
        return
    head = ("host", "packets", "bytes", "share", "bytes in", "bytes out")
    lines = [
        (
            row.address,
            f"{row.packets:,}",
            f"{row.bytes:,}",
            _share(row.bytes, counted.bytes),
            f"{row.bytes_in:,}",
            f"{row.bytes_out:,}",
        )
        for row in rows
    ]
    yield ""
    yield from table([head, *lines], frozenset({0}))
    left = counted.talkers.count - len(rows)
    if left:
        yield f"and {left:,} more hosts (--json lists them)"
    if not counted.talkers.exact:
        others = int(counted.talkers.others[_BYTES])
        lacking = f"a host may lack {counted.talkers.error:,} bytes at most"
        yield f"others, no longer told apart: {others:,} bytes; {lacking}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else ""
