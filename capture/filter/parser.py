"""Display filter: tokens -> syntax tree.

    or     = and { ("or" | "||") and }
    and    = not { ("and" | "&&") not }
    not    = ("not" | "!") not | "(" or ")" | test
    test   = field [ compare value | "contains" value | "&" number
                     | ["not"] "in" "{" value [".." value] { [","] … } "}" ]
           | protocol [ words ] | words | number | address
    words  = ["src" | "dst"] ( "port" number | "portrange" number "-" number | "host" address | "net" network )
           | ("src" | "dst") ( number | address ) | ("less" | "greater") number

As in Wireshark 4, "and" binds tighter than "or"; tcpdump's words have no other precedence here. The value of
a field that only a dissector names may be a text in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from netwatch.capture.field_names import canonical
from netwatch.capture.filter import syntax, values
from netwatch.capture.filter.fields import ALIASES, FIELDS, MAC_ADDRESS, PORT, Field, dissected, near, sided
from netwatch.capture.filter.lexer import FilterError, Kind, Token, tokens
from netwatch.capture.filter.literals import Literal
from netwatch.capture.filter.values import Range, Type
from netwatch.capture.protocols import ID

__all__ = ["MAX_DEPTH", "parse"]

_OF_CONVERSATION: Final = frozenset(
    f"tcp.{name}"
    for name in (
        "completeness", "time_relative", "time_delta", "window_size_scalefactor", "connection.fin_active",
        "connection.fin_passive", "analysis.acks_frame", "analysis.ack_rtt", "analysis.initial_rtt",
        "analysis.bytes_in_flight", "analysis.push_bytes_sent",
    )
) | {"udp.time_relative", "udp.time_delta"}  # fmt: skip
"""What follows from packets before that a filter, which looks at some of them, may not have seen."""

MAX_DEPTH: Final = 64
"""Levels of parentheses. The parser calls itself once a level; nobody types more."""

_ADDRESS_FIELDS: Final = {Type.IPV4: FIELDS["ip.addr"], Type.IPV6: FIELDS["ipv6.addr"]}


def parse(text: str) -> syntax.Node:
    """The tree of `text`; of an empty text Everything. Raises FilterError."""
    parser = _Parser(tokens(text))
    return parser.all()


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0
        self.depth = 0

    # -- the levels of precedence

    def all(self) -> syntax.Node:
        if self.peek().kind is Kind.END:
            return syntax.Everything()
        node = self.either()
        if self.peek().kind is not Kind.END:
            raise unexpected(self.peek())
        return node

    def either(self) -> syntax.Node:
        operands = [self.both()]
        while self.accept(Kind.OR):
            operands.append(self.both())
        return operands[0] if len(operands) == 1 else syntax.Or(tuple(operands))

    def both(self) -> syntax.Node:
        operands = [self.negation()]
        while self.accept(Kind.AND):
            operands.append(self.negation())
        return operands[0] if len(operands) == 1 else syntax.And(tuple(operands))

    def negation(self) -> syntax.Node:
        negated = False
        while self.accept(Kind.NOT):
            negated = not negated
        node = self.group() if self.peek().kind is Kind.OPEN else self.test()
        return syntax.Not(node) if negated else node

    def group(self) -> syntax.Node:
        opened = self.expect(Kind.OPEN, "'('")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"more than {MAX_DEPTH} levels of parentheses", opened.position)
        node = self.either()
        if self.peek().kind is Kind.END:
            raise FilterError("this '(' is not closed", opened.position)
        self.expect(Kind.CLOSE, "')'")
        self.depth -= 1
        return node

    # -- one test

    def test(self) -> syntax.Node:
        word = self.expect(Kind.WORD, "a protocol, a field, a port or an address")
        name = word.text.lower()
        if name in _WORDS:
            return _WORDS[name](self, word)
        if name in FIELDS:
            return self.relation(FIELDS[name])
        if name == "frame":
            return syntax.Everything()
        if name in ALIASES or name in ID:
            return self.protocol(word, ALIASES.get(name, frozenset({name})))
        if _NAME.fullmatch(word.text):
            known = dissected()
            for spelled in (word.text, name, canonical(word.text), canonical(name)):
                if spelled in known:
                    return self.dissected(spelled)
        return self.literal(word, "")

    def protocol(self, word: Token, names: frozenset[str]) -> syntax.Node:
        """`tcp`, and tcpdump's `tcp port 80`, which means both."""
        following = self.peek()
        if following.kind in (Kind.COMPARE, Kind.IN, Kind.BITS, Kind.CONTAINS):
            hint = _with_value(names)
            raise FilterError(f"'{word.text}' is a protocol and has no value{hint}", word.position)
        node = syntax.Protocol(names)
        if following.kind is Kind.WORD and following.text.lower() in _WORDS:
            return syntax.And((node, self.test()))
        return node

    def literal(self, word: Token, side: str) -> syntax.Node:
        """A bare port or address."""
        try:
            if word.text.isdigit():
                return self.port_is(word, side)
            address = values.to_address(word.text)
        except ValueError as error:
            raise FilterError(str(error), word.position) from None
        if address is None:
            raise unknown(word)
        return address_is(*address, side)

    def port_is(self, word: Token, side: str) -> syntax.Node:
        return syntax.Compare(PORT[side], "==", bounded(PORT[side], word))

    def relation(self, field: Field) -> syntax.Node:
        """What follows a field's name; nothing: the field exists."""
        token = self.peek()
        if self.accept(Kind.COMPARE):
            return syntax.Compare(field, token.symbol, bounded(field, self.expect(Kind.WORD, "a value")))
        if self.accept(Kind.IN):
            return syntax.Member(field, self.ranges(field))
        if token.kind is Kind.NOT and self.tokens[self.at + 1].kind is Kind.IN:
            self.at += 2
            return syntax.Not(syntax.Member(field, self.ranges(field)))
        if self.accept(Kind.BITS):
            if field.type is not Type.NUMBER:
                raise FilterError(f"'&' needs a number, and {field.name} is none", token.position)
            return syntax.Bits(field, bounded(field, self.expect(Kind.WORD, "a number")).first)
        if token.kind is Kind.CONTAINS:
            raise FilterError(f"'contains' needs a text, and {field.name} is none", token.position)
        return syntax.Exists(field)

    def dissected(self, name: str) -> syntax.Node:
        """What follows the name of a field that only a dissector knows."""
        if name in ("tcp.stream", "udp.stream"):
            # How many conversations came before is not known where packets are looked at newest first.
            raise FilterError("connections have no numbers here; 'f' follows one", self.tokens[self.at - 1].position)
        if name in _OF_CONVERSATION:
            raise FilterError(
                f"{name} takes all packets of its conversation: --fields has it", self.tokens[self.at - 1].position
            )
        token = self.peek()
        if self.accept(Kind.COMPARE) or self.accept(Kind.CONTAINS):
            value = self.value(name)
            return syntax.Dissected(name, token.symbol, ((value, value),))
        if self.accept(Kind.IN):
            return syntax.Dissected(name, "in", self.values(name))
        if token.kind is Kind.NOT and self.tokens[self.at + 1].kind is Kind.IN:
            self.at += 2
            return syntax.Not(syntax.Dissected(name, "in", self.values(name)))
        if self.accept(Kind.BITS):
            word = self.expect(Kind.WORD, "a number")
            mask = Literal(word.text)
            if not isinstance(mask.number, int):
                raise FilterError(f"{name}: '{word.text}' is not a number", word.position)
            return syntax.Dissected(name, "&", ((mask, mask),))
        return syntax.Dissected(name, "")

    def value(self, name: str) -> Literal:
        """A value of that field."""
        token = self.peek()
        if self.accept(Kind.STRING):
            return Literal(token.symbol, quoted=True)
        self.expect(Kind.WORD, "a value")
        return _plausible(name, Literal(token.text), token)

    def values(self, name: str) -> tuple[tuple[Literal, Literal], ...]:
        """A set of values of that field."""
        opened = self.expect(Kind.OPEN_SET, "'{'")
        found: list[tuple[Literal, Literal]] = []
        while not self.accept(Kind.CLOSE_SET):
            if self.peek().kind is Kind.END:
                raise FilterError("this '{' is not closed", opened.position)
            if found:
                self.accept(Kind.COMMA)
            token = self.peek()
            first, dots, last = token.text.partition("..")
            if token.kind is Kind.WORD and dots:
                self.at += 1
                found.append(
                    (_plausible(name, Literal(first), token), _plausible(name, Literal(last), token)),
                )
            else:
                value = self.value(name)
                found.append((value, value))
        if not found:
            raise FilterError("a set needs at least one value", opened.position)
        return tuple(found)

    def ranges(self, field: Field) -> tuple[Range, ...]:
        opened = self.expect(Kind.OPEN_SET, "'{'")
        found: list[Range] = []
        while not self.accept(Kind.CLOSE_SET):
            if self.peek().kind is Kind.END:
                raise FilterError("this '{' is not closed", opened.position)
            if found:
                self.accept(Kind.COMMA)
            found.append(span(field, self.expect(Kind.WORD, "a value")))
        if not found:
            raise FilterError("a set needs at least one value", opened.position)
        return tuple(found)

    # -- tcpdump's words; each gets its first word

    def side(self, word: Token) -> syntax.Node:
        """`src port 53`, `dst host …`, or `src 10.0.0.1`."""
        side = word.text.lower()
        following = self.expect(Kind.WORD, "a port or an address")
        qualifier = _QUALIFIERS.get(following.text.lower())
        return qualifier(self, following, side) if qualifier else self.literal(following, side)

    def port(self, _word: Token, side: str = "") -> syntax.Node:
        return self.port_is(self.expect(Kind.WORD, "a port number"), side)

    def portrange(self, _word: Token, side: str = "") -> syntax.Node:
        token = self.expect(Kind.WORD, "a range of ports as 1-1024")
        first, dash, last = token.text.partition("-")
        if not dash:
            raise FilterError(f"'{token.text}' is not a range of ports as 1-1024", token.position)
        return syntax.Compare(PORT[side], "==", joined(PORT[side], first, last, token.position))

    def host(self, _word: Token, side: str = "") -> syntax.Node:
        token = self.expect(Kind.WORD, "an address")
        try:
            address = values.to_address(token.text)
        except ValueError as error:
            raise FilterError(str(error), token.position) from None
        if address is None:
            raise FilterError(f"'{token.text}' is not an address; names are not looked up", token.position)
        return address_is(*address, side)

    def net(self, word: Token, side: str = "") -> syntax.Node:
        partial = values.partial_network(self.peek().text)
        if partial is None:
            return self.host(word, side)
        self.at += 1
        return address_is(Type.IPV4, partial, side)

    def length(self, word: Token) -> syntax.Node:
        """tcpdump's `less` and `greater` include the length itself."""
        operator = {"less": "<=", "greater": ">="}[word.text.lower()]
        field = FIELDS["frame.len"]
        return syntax.Compare(field, operator, bounded(field, self.expect(Kind.WORD, "a length")))

    # -- tokens

    def peek(self) -> Token:
        return self.tokens[self.at]

    def accept(self, kind: Kind) -> bool:
        """Step over a token of `kind`, if it is the next."""
        if self.peek().kind is not kind:
            return False
        self.at += 1
        return True

    def expect(self, kind: Kind, what: str) -> Token:
        token = self.peek()
        if not self.accept(kind):
            if token.kind is Kind.END:
                raise FilterError(f"{what} is missing at the end", token.position)
            raise unexpected(token)
        return token


_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_Qualifier = Callable[[_Parser, Token, str], syntax.Node]
_QUALIFIERS: Final[dict[str, _Qualifier]] = {
    "port": _Parser.port,
    "portrange": _Parser.portrange,
    "host": _Parser.host,
    "net": _Parser.net,
}
_WORDS: Final[dict[str, Callable[[_Parser, Token], syntax.Node]]] = {
    "port": _Parser.port,
    "portrange": _Parser.portrange,
    "host": _Parser.host,
    "net": _Parser.net,
    "src": _Parser.side,
    "dst": _Parser.side,
    "less": _Parser.length,
    "greater": _Parser.length,
}


def address_is(kind: Type, value: Range, side: str) -> syntax.Node:
    """The packet's source or destination is, or lies in, `value`."""
    field = MAC_ADDRESS[side] if kind is Type.MAC else sided(_ADDRESS_FIELDS[kind], side)
    return syntax.Compare(field, "==", value)


def bounded(field: Field, token: Token) -> Range:
    """The token as a value that the field can have."""
    return _value(field, token.text, token.position)


def joined(field: Field, first: str, last: str, position: int) -> Range:
    """`first` to `last`, both included."""
    low, high = _value(field, first, position), _value(field, last, position)
    if low.first > high.last:
        raise FilterError(f"'{first}' is more than '{last}': the lower end comes first", position)
    return Range(low.first, high.last)


def span(field: Field, token: Token) -> Range:
    """An element of a set: a value, or `first..last`."""
    first, dots, last = token.text.partition("..")
    return joined(field, first, last, token.position) if dots else bounded(field, token)


def _value(field: Field, text: str, position: int) -> Range:
    try:
        value = values.parse(field.type, text)
    except ValueError as error:
        raise FilterError(f"{field.name}: {error}", position) from None
    if field.type is Type.NUMBER and value.last > field.highest:
        raise FilterError(f"{field.name}: {text} is out of range, it goes up to {field.highest}", position)
    return value


def _plausible(name: str, literal: Literal, token: Token) -> Literal:
    """The literal, unless the field can only hold a number and this is none."""
    field = dissected()[name]
    if field.plain is str and field.names is None and literal.number is None:
        raise FilterError(f"{name}: '{token.text}' is not a number", token.position)
    return literal


def unexpected(token: Token) -> FilterError:
    """The grammar has no place for `token`."""
    return FilterError(f"'{token.text}' was not expected here", token.position)


def unknown(word: Token) -> FilterError:
    """A word that means nothing."""
    kind = "field" if "." in word.text else "protocol or field"
    close = near(word.text)
    hint = f"; near: {', '.join(close)}" if close else ""
    return FilterError(f"unknown {kind} '{word.text}'{hint}", word.position)


def _with_value(protocols: frozenset[str]) -> str:
    fields = [name for name in FIELDS if name.partition(".")[0] in protocols]
    return f"; its fields: {', '.join(fields)}" if fields else ""
