"""What a protocol remembers of a conversation, bounded: a sender chooses how much there is."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MOST", "remember"]

MOST: Final = 256
"""Entries of one protocol in one conversation; beyond, the oldest is forgotten."""


def remember(memory: dict[Any, Any], key: Any, value: Any, most: int = MOST) -> None:
    """Keeps `value` under `key`, as the newest."""
    memory.pop(key, None)
    while len(memory) >= most:
        del memory[next(iter(memory))]
    memory[key] = value
