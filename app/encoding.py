"""What the terminal reads."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["terminal_encoding"]

_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python itself puts into LC_CTYPE where the system lacks the locale that LANG names (PEP 538)."""


def terminal_encoding(environment: Mapping[str, str]) -> str:
    """By the locale; one that says nothing means UTF-8, as terminals do today."""
    coerced = environment.get("LC_CTYPE") in _COERCED and "." in environment.get("LANG", "")
    keys = ("LC_ALL", "LANG") if coerced else ("LC_ALL", "LC_CTYPE", "LANG")
    name = next((environment[key] for key in keys if environment.get(key)), "")
    if name in ("C", "POSIX"):
        return "ascii"  # somebody said so
    _, dot, encoding = name.partition(".")
    return encoding.partition("@")[0] if dot else "utf-8"
