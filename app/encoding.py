"""What the terminal reads."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["terminal_encoding"]


def terminal_encoding(environment: Mapping[str, str]) -> str:
    """By the locale; one that says nothing means UTF-8, as terminals do today."""
    name = next((environment[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(key)), "")
    if name in ("C", "POSIX"):
        return "ascii"  # somebody said so
    _, dot, encoding = name.partition(".")
    return encoding.partition("@")[0] if dot else "utf-8"
