"""Display filter: syntax tree -> mask over columns.

Every test touches only the columns that it names. A path (`eth:ip:tcp`) is looked up once in a table by path id, so a
protocol costs one gather a row however many headers there are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce, singledispatch
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT, NO_VLAN, Columns
from netwatch.capture.filter import syntax
from netwatch.capture.filter.fields import Field, Presence
from netwatch.capture.filter.parser import parse
from netwatch.capture.filter.values import Range, Type
from netwatch.capture.paths import MAX_PATHS, PATHS

__all__ = ["Filter", "compile"]

Mask = NDArray[np.bool_]

_WIDE: Final = frozenset({Type.IPV6})
_ADDRESSES: Final = frozenset({Type.IPV4, Type.IPV6, Type.MAC})
_LOW: Final = (1 << 64) - 1


class Filter:
    """A display filter, ready to be asked."""

    def __init__(self, text: str, tree: syntax.Node) -> None:
        self.text = text
        self.tree = tree

    @property
    def everything(self) -> bool:
        """The filter is empty: it shows all rows, events included."""
        return not self.text.strip()

    def mask(self, rows: Columns) -> Mask:
        """shape (len(rows),): the packets that match. Rows that are no packets match only the empty filter."""
        if self.everything:
            return np.ones(len(rows), np.bool_)
        found = evaluate(self.tree, rows)
        found &= (rows.marks & EVENT) == 0
        return found

    def __repr__(self) -> str:
        return f"Filter({self.text!r})"


def compile(text: str) -> Filter:
    """The filter that `text` says; of an empty text all rows. Raises FilterError."""
    return Filter(text, parse(text))


@singledispatch
def evaluate(node: syntax.Node, _rows: Columns) -> Mask:
    """shape (len(rows),): where `node` holds; a fresh array."""
    raise TypeError(f"no evaluation for {type(node).__name__}")


@evaluate.register
def _(_node: syntax.Everything, rows: Columns) -> Mask:
    return np.ones(len(rows), np.bool_)


@evaluate.register
def _(node: syntax.Protocol, rows: Columns) -> Mask:
    return _has_any(node.names).of(rows)


@evaluate.register
def _(node: syntax.Exists, rows: Columns) -> Mask:
    return _present(node.field.present, rows)


@evaluate.register
def _(node: syntax.Compare, rows: Columns) -> Mask:
    test, fold = FOLD[node.operator]
    found = reduce(fold, [test(value, node.value) for value in _values(node.field, rows)])
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Member, rows: Columns) -> Mask:
    found = np.zeros(len(rows), np.bool_)
    for value in _values(node.field, rows):
        for wanted in node.ranges:
            found |= value.within(wanted)
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Bits, rows: Columns) -> Mask:
    found = np.zeros(len(rows), np.bool_)
    for value in _values(node.field, rows):
        found |= (value.low & value.low.dtype.type(node.mask)) != 0
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Not, rows: Columns) -> Mask:
    return ~evaluate(node.operand, rows)


@evaluate.register
def _(node: syntax.And, rows: Columns) -> Mask:
    found = evaluate(node.operands[0], rows)
    for operand in node.operands[1:]:
        found &= evaluate(operand, rows)
    return found


@evaluate.register
def _(node: syntax.Or, rows: Columns) -> Mask:
    found = evaluate(node.operands[0], rows)
    for operand in node.operands[1:]:
        found |= evaluate(operand, rows)
    return found


class _Values:
    """One value a row: up to 64 bits in `low`, the upper half of an IPv6 address in `high`."""

    def __init__(self, low: NDArray[Any], high: NDArray[np.uint64] | None = None) -> None:
        self.low = low
        self.high = high

    def at_least(self, bound: int) -> Mask:
        return self._beyond(bound, np.greater_equal)

    def at_most(self, bound: int) -> Mask:
        return self._beyond(bound, np.less_equal)

    def within(self, wanted: Range) -> Mask:
        if wanted.first == wanted.last:
            return self._equal(wanted.first)
        found = self.at_least(wanted.first)
        found &= self.at_most(wanted.last)
        return found

    def _equal(self, value: int) -> Mask:
        found: Mask = self.low == self.low.dtype.type(value & _LOW)
        if self.high is not None:
            found &= self.high == np.uint64(value >> 64)
        return found

    def _beyond(self, bound: int, inclusive: np.ufunc) -> Mask:
        """low >= bound or low <= bound; of 128 bits the upper half decides unless it is equal."""
        low: Mask = inclusive(self.low, self.low.dtype.type(bound & _LOW))
        if self.high is None:
            return low
        upper = np.uint64(bound >> 64)
        low &= self.high == upper
        low |= inclusive(self.high, upper) & (self.high != upper)
        return low


_Test = Callable[[_Values, Range], Mask]
_ANY: Final = np.logical_or
_ALL: Final = np.logical_and
FOLD: Final[dict[str, tuple[_Test, np.ufunc]]] = {
    "==": (_Values.within, _ANY),
    "===": (_Values.within, _ALL),
    "!=": (lambda value, wanted: ~value.within(wanted), _ALL),
    "!==": (lambda value, wanted: ~value.within(wanted), _ANY),
    "<": (lambda value, wanted: ~value.at_least(wanted.first), _ANY),
    "<=": (lambda value, wanted: value.at_most(wanted.last), _ANY),
    ">": (lambda value, wanted: ~value.at_most(wanted.last), _ANY),
    ">=": (lambda value, wanted: value.at_least(wanted.first), _ANY),
}
"""What a comparison means on a field with two values: `tcp.port == 80`, one of them is 80; `tcp.port != 80`, neither
is; `===` both are; `!==` one of them is not. A packet without the field matches none of these."""


def _values(field: Field, rows: Columns) -> list[_Values]:
    """The field's values, one _Values an occurrence."""
    if field.type in _WIDE:
        return [_Values(getattr(rows, f"{end}_lo"), getattr(rows, f"{end}_hi")) for end in field.columns]
    if field.type in _ADDRESSES:
        return [_Values(getattr(rows, f"{end}_lo")) for end in field.columns]
    arrays = [getattr(rows, column) for column in field.columns]
    if field.type is Type.FLAG:
        arrays = [((array & field.bit) != 0).view(np.uint8) for array in arrays]
    return [_Values(array) for array in arrays]


def _restricted(found: Mask, field: Field, rows: Columns) -> Mask:
    """`found` where the row has the field: a column holds zeros where it does not."""
    if found.any():
        found &= _present(field.present, rows)
    return found


def _present(presence: Presence, rows: Columns) -> Mask:
    parts: list[Mask] = []
    if presence.marks:
        parts.append((rows.marks & presence.marks) == presence.marks)
    if presence.kind is not None:
        parts.append(rows.kind == presence.kind)
    if presence.tagged:
        parts.append(rows.vlan != NO_VLAN)
    if presence.protocol is not None:
        parts.append(_has_any(frozenset({presence.protocol})).of(rows))
    if presence.port_owner is not None:
        parts.append(_owns_ports(presence.port_owner).of(rows))
    return reduce(np.logical_and, parts) if parts else np.ones(len(rows), np.bool_)


class _PathSet:
    """The paths for which a predicate holds, as a table by path id that grows with PATHS."""

    def __init__(self, predicate: Callable[[list[str]], bool]) -> None:
        self._predicate = predicate
        self._table = np.zeros(MAX_PATHS, np.bool_)
        self._known = 0

    def of(self, rows: Columns) -> Mask:
        """shape (len(rows),): whether the row's path is in the set; a fresh array."""
        end = len(PATHS)
        for path in range(self._known, end):
            self._table[path] = self._predicate(PATHS.names[path].split(":"))
        self._known = end
        return self._table[rows.path]


@cache
def _has_any(names: frozenset[str]) -> _PathSet:
    return _PathSet(lambda path: not names.isdisjoint(path))


_TRANSPORTS: Final = frozenset({"tcp", "udp", "udplite", "sctp", "dccp"})


@cache
def _owns_ports(transport: str) -> _PathSet:
    """sport and dport are those of the outermost transport."""
    return _PathSet(lambda path: next((name for name in path if name in _TRANSPORTS), "") == transport)
