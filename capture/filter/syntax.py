"""Display filter: the syntax tree. It says what is asked, not how: compile.py answers it from columns, and what only
a dissector names from the packets' trees."""

from __future__ import annotations

from dataclasses import dataclass

from netwatch.capture.filter.fields import Field
from netwatch.capture.filter.literals import Literal
from netwatch.capture.filter.values import Range

__all__ = ["And", "Bits", "Compare", "Dissected", "Everything", "Exists", "Member", "Node", "Not", "Or", "Protocol"]


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty filter, or `frame`."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """`tcp`: the protocol is somewhere in the packet."""

    names: frozenset[str]
    """Wireshark's name, or several that share one (`ssl`)."""


@dataclass(frozen=True, slots=True)
class Exists:
    """`vlan.id`: the packet has the field."""

    field: Field


@dataclass(frozen=True, slots=True)
class Compare:
    """`tcp.port == 443`. What a field with two values means is in compile.FOLD."""

    field: Field
    operator: str
    value: Range


@dataclass(frozen=True, slots=True)
class Member:
    """`tcp.port in {80, 8000..8010}`: one of the field's values lies in one of the ranges."""

    field: Field
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Bits:
    """`tcp.flags & 0x12`: one of the bits is set."""

    field: Field
    mask: int


@dataclass(frozen=True, slots=True)
class Dissected:
    """`http.host == "docs.example"`: a field that only a dissector names."""

    name: str
    operator: str
    """One of FOLD, `contains`, `in`, `&`; empty: the field is there."""
    values: tuple[tuple[Literal, Literal], ...] = ()
    """First and last of each value or range."""


@dataclass(frozen=True, slots=True)
class Not:
    """The packets that `operand` does not match."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """All of the operands match."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the operands matches."""

    operands: tuple[Node, ...]


Node = Everything | Protocol | Exists | Compare | Member | Bits | Dissected | Not | And | Or
