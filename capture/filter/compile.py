"""Display filter: syntax tree -> mask over columns, and what is asked of trees where columns do not know.

Every test touches only the columns that it names. A path (`eth:ip:tcp`) is looked up once in a table by path id, so a
protocol costs one gather a row however many headers there are.

What only a dissector names is not in the columns: `evaluate` then gives the rows that may match (`assume`), or those
that match whatever it is, and a `Judge` decides on the rows between the two by their trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, reduce, singledispatch
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT, NO_VLAN, Columns
from netwatch.capture.filter import literals, syntax
from netwatch.capture.filter.fields import Field, Presence
from netwatch.capture.filter.parser import parse
from netwatch.capture.filter.values import Range, Type
from netwatch.capture.paths import MAX_PATHS, PATHS
from netwatch.capture.protocols import ID, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netwatch.capture.dissect import Item

__all__ = ["Filter", "Judge", "compile"]

Mask = NDArray[np.bool_]

_WIDE: Final = frozenset({Type.IPV6})
_ADDRESSES: Final = frozenset({Type.IPV4, Type.IPV6, Type.MAC})
_LOW: Final = (1 << 64) - 1


class Filter:
    """A display filter, ready to be asked."""

    def __init__(self, text: str, tree: syntax.Node) -> None:
        self.text = text
        self.tree = tree

        self.names = _names(tree)
        """Fields that only dissectors name."""

    @property
    def slow(self) -> bool:
        """Columns do not answer it: `possible`, `certain` and `judge` do, and not `mask`."""
        return bool(self.names)

    @property
    def everything(self) -> bool:
        """The filter is empty: it shows all rows, events included."""
        return not self.text.strip()

    def mask(self, rows: Columns) -> Mask:
        """shape (len(rows),): the packets that match. Rows that are no packets match only the empty filter."""
        if self.everything:
            return np.ones(len(rows), np.bool_)
        if self.slow:
            raise TypeError(f"{self!r} needs more than columns")
        return self.certain(rows)

    def possible(self, rows: Columns) -> Mask:
        """shape (len(rows),): the packets that match, and those that may."""
        found = evaluate(self.tree, rows, True)
        found &= (rows.marks & EVENT) == 0
        return found

    def certain(self, rows: Columns) -> Mask:
        """shape (len(rows),): the packets that match whatever is in their trees."""
        found = evaluate(self.tree, rows, False)
        found &= (rows.marks & EVENT) == 0
        return found

    def judge(self, rows: Columns) -> Judge:
        """Who decides on each of these rows."""
        return Judge(self.tree, rows)

    @property
    def of_headers(self) -> bool:
        """It asks for what a bare TCP header may hold."""
        return any(name.partition(".")[0] in _BARE for name in self.names)

    def __repr__(self) -> str:
        return f"Filter({self.text!r})"


def compile(text: str) -> Filter:
    """The filter that `text` says; of an empty text all rows. Raises FilterError."""
    return Filter(text, parse(text))


class Judge:
    """Decides on rows with their trees: what columns answer was looked up for all of them."""

    def __init__(self, tree: syntax.Node, rows: Columns) -> None:
        self._tree = tree
        self._masks = {id(leaf): evaluate(leaf, rows, False) for leaf in _leaves(tree)}

    def holds(self, row: int, found: Mapping[str, Sequence[Item]]) -> bool:
        """Whether the row passes whose tree has these items, by name."""
        return self._holds(self._tree, row, found)

    def _holds(self, node: syntax.Node, row: int, found: Mapping[str, Sequence[Item]]) -> bool:
        match node:
            case syntax.Not(operand):
                return not self._holds(operand, row, found)
            case syntax.And(operands):
                return all(self._holds(operand, row, found) for operand in operands)
            case syntax.Or(operands):
                return any(self._holds(operand, row, found) for operand in operands)
            case syntax.Dissected(name):
                return literals.holds(node, found.get(name, ()))
        return bool(self._masks[id(node)][row])


def _leaves(node: syntax.Node) -> Iterator[syntax.Node]:
    """The parts that columns answer."""
    match node:
        case syntax.Not(operand):
            yield from _leaves(operand)
        case syntax.And(operands) | syntax.Or(operands):
            for operand in operands:
                yield from _leaves(operand)
        case syntax.Dissected():
            return
        case _:
            yield node


def _names(node: syntax.Node) -> frozenset[str]:
    match node:
        case syntax.Not(operand):
            return _names(operand)
        case syntax.And(operands) | syntax.Or(operands):
            return frozenset[str]().union(*map(_names, operands))
        case syntax.Dissected(name):
            return frozenset({name})
    return frozenset()


@singledispatch
def evaluate(node: syntax.Node, _rows: Columns, _assume: bool) -> Mask:
    """shape (len(rows),): where `node` holds; a fresh array. Where only a tree could tell: where it may hold if
    `assume`, else where it must."""
    raise TypeError(f"no evaluation for {type(node).__name__}")


@evaluate.register
def _(_node: syntax.Everything, rows: Columns, _assume: bool) -> Mask:
    return np.ones(len(rows), np.bool_)


@evaluate.register
def _(node: syntax.Protocol, rows: Columns, _assume: bool) -> Mask:
    return _has_any(node.names).of(rows)


@evaluate.register
def _(node: syntax.Exists, rows: Columns, _assume: bool) -> Mask:
    return _present(node.field.present, rows)


@evaluate.register
def _(node: syntax.Compare, rows: Columns, _assume: bool) -> Mask:
    test, fold = FOLD[node.operator]
    found = reduce(fold, [test(value, node.value) for value in _values(node.field, rows)])
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Member, rows: Columns, _assume: bool) -> Mask:
    found = np.zeros(len(rows), np.bool_)
    for value in _values(node.field, rows):
        for wanted in node.ranges:
            found |= value.within(wanted)
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Bits, rows: Columns, _assume: bool) -> Mask:
    found = np.zeros(len(rows), np.bool_)
    for value in _values(node.field, rows):
        found |= (value.low & value.low.dtype.type(node.mask)) != 0
    return _restricted(found, node.field, rows)


@evaluate.register
def _(node: syntax.Dissected, rows: Columns, assume: bool) -> Mask:
    return _may_name(node.name.partition(".")[0]).of(rows) if assume else np.zeros(len(rows), np.bool_)


@evaluate.register
def _(node: syntax.Not, rows: Columns, assume: bool) -> Mask:
    return ~evaluate(node.operand, rows, not assume)


@evaluate.register
def _(node: syntax.And, rows: Columns, assume: bool) -> Mask:
    found = evaluate(node.operands[0], rows, assume)
    for operand in node.operands[1:]:
        found &= evaluate(operand, rows, assume)
    return found


@evaluate.register
def _(node: syntax.Or, rows: Columns, assume: bool) -> Mask:
    found = evaluate(node.operands[0], rows, assume)
    for operand in node.operands[1:]:
        found |= evaluate(operand, rows, assume)
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


_HEADERS: Final = frozenset({"link", "arp", "ip", "icmp", "tcp", "udp", "sctp"})
"""Families of protocols that the decoder of batches finds in every packet that has them …"""
_OPEN: Final = frozenset({"data", "ip", "ipv6", "udp"})
"""… unless the path ends with one of these, or the families below: then it may be within what the decoder leaves."""
_OPEN_FAMILIES: Final = frozenset({"link", "tunnel"})
_BARE: Final = frozenset({"eth", "vlan", "ieee8021ad", "ip", "ipv6", "tcp", "mptcp", "frame", "data"})
"""What fields of a TCP packet without payload begin with."""


@cache
def _may_name(prefix: str) -> _PathSet:
    """The paths of packets in whose trees there may be fields of this protocol."""
    if prefix not in ID or PROTOCOLS[ID[prefix]].family not in _HEADERS:
        return _PathSet(lambda _path: True)  # messages span packets: the path of the last one does not name it

    def may(path: list[str]) -> bool:
        last = PROTOCOLS[ID.get(path[-1], 0)]
        return prefix in path or last.name in _OPEN or last.family in _OPEN_FAMILIES

    return _PathSet(may)


_TRANSPORTS: Final = frozenset({"tcp", "udp", "udplite", "sctp", "dccp"})


@cache
def _owns_ports(transport: str) -> _PathSet:
    """sport and dport are those of the outermost transport."""
    return _PathSet(lambda path: next((name for name in path if name in _TRANSPORTS), "") == transport)
