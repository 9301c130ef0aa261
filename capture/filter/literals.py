"""Display filter: what is compared with fields that dissectors name, whose values are of any kind."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.filter.values import Range, Type, to_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netwatch.capture.dissect import Item
    from netwatch.capture.filter.syntax import Dissected

__all__ = ["Literal", "holds", "to_number"]

_INTEGER: Final = re.compile(r"-?(?:[0-9]{1,40}|0[xX][0-9a-fA-F]{1,32}|0[bB][01]{1,128})")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,20}")
_OCTETS: Final = re.compile(r"[0-9a-fA-F]{2}(?:[:.-]?[0-9a-fA-F]{2})*")
_FLAGS: Final = {"true": 1, "false": 0}
_SIZES: Final = {Type.IPV4: 4, Type.MAC: 6, Type.IPV6: 16}

_EVERY: Final = frozenset({"!=", "==="})
"""Operators that must hold for all items of the name, as in compile.FOLD; the others for one of them."""


class Literal:
    """A word or a quoted text, and what it can mean: which of it depends on the item it is compared with."""

    def __init__(self, text: str, *, quoted: bool = False) -> None:
        self.text = text
        self.quoted = quoted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and (self.text, self.quoted) == (other.text, other.quoted)

    def __hash__(self) -> int:
        return hash((self.text, self.quoted))

    def __repr__(self) -> str:
        return f"Literal({self.text!r}, quoted={self.quoted})"

    @cached_property
    def number(self) -> int | Decimal | None:
        """`443`, `0x1bb`, `-1`, `0.5`, `true`."""
        found = _FLAGS.get(self.text.lower())
        return to_number(self.text) if found is None else found

    @cached_property
    def address(self) -> tuple[int, Range] | None:
        """An address or a network, and its size in bytes."""
        try:
            found = to_address(self.text)
        except ValueError:
            return None
        return None if found is None else (_SIZES[found[0]], found[1])

    @cached_property
    def octets(self) -> bytes | None:
        """`0a:0b:0c`; colons, dots and dashes may be left out."""
        if self.quoted or not _OCTETS.fullmatch(self.text):
            return None
        return bytes.fromhex(re.sub("[:.-]", "", self.text))

    @cached_property
    def raw(self) -> bytes:
        """The text as it goes over the wire."""
        return self.text.encode("utf-8", "surrogateescape")


def to_number(text: str) -> int | Decimal | None:
    """The number that `text` is, as filters and `--fields` write numbers."""
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text.lstrip("-")[1:2] in "xXbB" else 10)
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def holds(node: Dissected, items: Sequence[Item]) -> bool:
    """Whether a packet whose tree has these items of the name passes; without any none does."""
    if not node.operator:
        return bool(items)
    quantified = all if node.operator in _EVERY else any
    return bool(items) and quantified(_compare(node, item) for item in items)


def _compare(node: Dissected, item: Item) -> bool:
    if node.operator == "in":
        return any(_within(item, first, last) for first, last in node.values)
    literal = node.values[0][0]
    if node.operator == "contains":
        return _contains(item, literal)
    if node.operator == "&":
        value, mask = item.value, literal.number
        return isinstance(value, int) and isinstance(mask, int) and value & mask != 0
    if node.operator in ("==", "==="):
        return _within(item, literal, literal)
    if node.operator in ("!=", "!=="):
        return not _within(item, literal, literal)
    found = _comparable(item, literal)
    if found is None:
        return False
    value, low, high = found
    return bool(
        {"<": value < low, "<=": value <= high, ">": value > high, ">=": value >= low}[node.operator],
    )


def _within(item: Item, first: Literal, last: Literal) -> bool:
    lower = _comparable(item, first)
    upper = lower if last is first else _comparable(item, last)
    return lower is not None and upper is not None and bool(lower[1] <= lower[0] and upper[0] <= upper[2])


def _comparable(item: Item, literal: Literal) -> tuple[Any, Any, Any] | None:
    """The item's value, and the first and last that the literal stands for, of one kind; None: it means none."""
    value, field = item.value, item.field
    if value is None:
        return (1, literal.number, literal.number) if literal.number is not None else None
    if isinstance(value, int):
        if literal.number is None:
            name = None if field.names is None else field.names.get(value)
            return (0, 0, 0) if name == literal.text else None
        shown = to_number(field.plain(value))
        return (value if shown is None else shown), literal.number, literal.number
    if isinstance(value, bytes | bytearray):
        if literal.address is not None and literal.address[0] == len(value):
            return int.from_bytes(value, "big"), *literal.address[1]
        if literal.octets is not None and field.plain(value) == value.hex():
            return bytes(value), literal.octets, literal.octets
    return field.plain(value), literal.text, literal.text


def _contains(item: Item, literal: Literal) -> bool:
    value = item.value
    if value is None:
        return False
    if isinstance(value, bytes | bytearray):
        return literal.raw in value or (literal.octets is not None and literal.octets in value)
    return literal.text in item.field.plain(value)
