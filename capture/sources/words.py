"""What files and streams say in the same words."""

from __future__ import annotations

from netwatch.capture.sources.records import Parser

__all__ = ["cut_short", "lost_before", "reason"]


def cut_short(left: int, need: int) -> str:
    """Why a capture whose last record has `left` bytes of the `need` it must have at least is damaged."""
    return f"the last packet is cut short: {left:,} bytes are left of the {need:,} it needs"


def lost_before(parser: Parser | None) -> list[str]:
    """A note for the person where the capture itself says that packets were lost when it was made; else none."""
    lost = parser.lost if parser is not None else 0
    return [f"{lost:,} packets were lost when this was captured, by its own count"] if lost else []


def reason(error: OSError | ValueError) -> str:
    """Why something cannot be read, in the system's words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
