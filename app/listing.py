"""`--list`: the interfaces, as a table."""

from __future__ import annotations

from netwatch.capture.kernel.interfaces import InterfaceFacts, list_interfaces
from netwatch.capture.table import table
from netwatch.capture.text import escape

__all__ = ["listing"]

_HEAD = ("interface", "state", "packets in", "bytes in", "packets out", "bytes out", "dropped", "addresses")
_WORDS = frozenset({0, 1, 7})
"""Columns of words; the others are numbers."""


def listing() -> str:
    """One line an interface, those that are up first."""
    rows = [_HEAD, *(_row(facts) for facts in list_interfaces())]
    return "".join(f"{line}\n" for line in table(rows, _WORDS))


def _row(facts: InterfaceFacts) -> tuple[str, ...]:
    numbers = (facts.packets_in, facts.bytes_in, facts.packets_out, facts.bytes_out, facts.dropped_in)
    addresses = [*facts.addresses, *([facts.mac] if facts.mac and not facts.loopback else [])]
    return (
        escape(facts.name),
        "up" if facts.up else "down",
        *(f"{number:,}" for number in numbers),
        ", ".join(addresses),
    )
