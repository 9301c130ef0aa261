"""What files and streams say in the same words."""

from __future__ import annotations

from netwatch.capture.sources.records import Parser

__all__ = ["cut_short", "reason", "remarks"]


def cut_short(left: int, need: int) -> str:
    """Why a capture whose last record has `left` bytes of the `need` it must have at least is damaged."""
    return f"the last packet is cut short: {left:,} bytes are left of the {need:,} it needs"


def remarks(parser: Parser | None) -> list[str]:
    """Notes for the person: that packets were lost when the capture was made, if it says so itself, and what else is
    not as it should be but no damage (`notes` of parsers that have such)."""
    lost = parser.lost if parser is not None else 0
    told = [f"{lost:,} packets were lost when this was captured, by its own count"] if lost else []
    return told + list(getattr(parser, "notes", ()))


def reason(error: OSError | ValueError) -> str:
    """Why something cannot be read, in the system's words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
