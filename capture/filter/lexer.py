"""Display filter, first step: text -> tokens with their positions."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple

__all__ = ["MAX_LENGTH", "FilterError", "Kind", "Token", "tokens"]

MAX_LENGTH: Final = 4096
"""Characters of a filter; longer ones are refused before any work is done."""


class FilterError(Exception):
    """The text is not a filter. `str()` is one line for the person, `position` the index of the character meant."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class Kind(Enum):
    """What a token is to the parser."""

    WORD = auto()
    """A name, a number or an address: which of them depends on where it stands."""
    COMPARE = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    IN = auto()
    BITS = auto()
    OPEN = auto()
    CLOSE = auto()
    OPEN_SET = auto()
    CLOSE_SET = auto()
    COMMA = auto()
    END = auto()


class Token(NamedTuple):
    """A piece of the text."""

    kind: Kind
    text: str
    """As typed."""
    position: int
    symbol: str
    """Of an operator its one form: `==` also for `eq`."""


_WORD: Final = re.compile(r"[\w.:/%-]+", re.ASCII)
_RUN: Final = re.compile(r"[=!<>&|~]+")

_SYMBOLS: Final = {
    "==": Kind.COMPARE,
    "!=": Kind.COMPARE,
    "===": Kind.COMPARE,
    "!==": Kind.COMPARE,
    "<": Kind.COMPARE,
    "<=": Kind.COMPARE,
    ">": Kind.COMPARE,
    ">=": Kind.COMPARE,
    "&&": Kind.AND,
    "||": Kind.OR,
    "!": Kind.NOT,
    "&": Kind.BITS,
}
_BRACKETS: Final = {
    "(": Kind.OPEN,
    ")": Kind.CLOSE,
    "{": Kind.OPEN_SET,
    "}": Kind.CLOSE_SET,
    ",": Kind.COMMA,
}
_WORD_OPERATORS: Final = {
    "and": (Kind.AND, "&&"),
    "or": (Kind.OR, "||"),
    "not": (Kind.NOT, "!"),
    "in": (Kind.IN, "in"),
    "eq": (Kind.COMPARE, "=="),
    "any_eq": (Kind.COMPARE, "=="),
    "all_eq": (Kind.COMPARE, "==="),
    "ne": (Kind.COMPARE, "!="),
    "all_ne": (Kind.COMPARE, "!="),
    "any_ne": (Kind.COMPARE, "!=="),
    "lt": (Kind.COMPARE, "<"),
    "le": (Kind.COMPARE, "<="),
    "gt": (Kind.COMPARE, ">"),
    "ge": (Kind.COMPARE, ">="),
    "bitand": (Kind.BITS, "&"),
}


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, an END at last. Raises FilterError for a character that has no place in a filter."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has at most {MAX_LENGTH} characters, this one has {len(text)}", MAX_LENGTH)
    found: list[Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char in _BRACKETS:
            found.append(Token(_BRACKETS[char], char, at, char))
            at += 1
        elif word := _WORD.match(text, at):
            kind, symbol = _WORD_OPERATORS.get(word[0].lower(), (Kind.WORD, word[0]))
            found.append(Token(kind, word[0], at, symbol))
            at = word.end()
        elif run := _RUN.match(text, at):
            found += _operators(run[0], at)
            at = run.end()
        else:
            raise FilterError(f"{char!r} was not expected here", at)
    found.append(Token(Kind.END, "", len(text), ""))
    return found


def _operators(run: str, at: int) -> list[Token]:
    """A run of operator characters: one operator, or `!` after `&&`, `||` or another `!`."""
    if run in _SYMBOLS:
        return [Token(_SYMBOLS[run], run, at, run)]
    head = run.rstrip("!")
    if head in ("", "&&", "||"):
        first = [Token(_SYMBOLS[head], head, at, head)] if head else []
        return first + [Token(Kind.NOT, "!", at + i, "!") for i in range(len(head), len(run))]
    hint = "; equal is '=='" if run == "=" else ""
    raise FilterError(f"{run!r} was not expected here{hint}", at)
