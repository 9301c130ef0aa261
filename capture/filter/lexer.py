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
    STRING = auto()
    """Text in double quotes; `symbol` is what it says."""
    COMPARE = auto()
    CONTAINS = auto()
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
    """Of an operator its one form: `==` also for `eq`. Of a string the characters that it stands for."""


_WORD: Final = re.compile(r"[\w.:/%-]+", re.ASCII)
_RUN: Final = re.compile(r"[=!<>&|~]+")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS: Final = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}

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
    "contains": (Kind.CONTAINS, "contains"),
}
NO_EXPRESSIONS: Final = (
    "regular expressions are not for packets of strangers: one can hold the screen up; use contains"
)


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
        elif char == '"':
            string = _STRING.match(text, at)
            if string is None:
                raise FilterError("this '\"' is not closed", at)
            found.append(Token(Kind.STRING, string[0], at, _ESCAPE.sub(_meant, string[1])))
            at = string.end()
        elif word := _WORD.match(text, at):
            if word[0].lower() == "matches":
                raise FilterError(NO_EXPRESSIONS, at)
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
    if run == "~":
        raise FilterError(NO_EXPRESSIONS, at)
    hint = "; equal is '=='" if run == "=" else ""
    raise FilterError(f"{run!r} was not expected here{hint}", at)


def _meant(escape: re.Match[str]) -> str:
    """What an escape stands for: those that text from packets is shown with, and any other character itself."""
    said = escape[1]
    if len(said) == 1:
        return _LETTERS.get(said, said)
    code = int(said[1:], 16)
    # A byte that is no UTF-8 is shown as \xNN, and kept as `surrogateescape` has it.
    return chr(code + 0xDC00) if said[0] == "x" and code >= 0x80 else chr(code)
