"""How the person wants things shown: one object that all panes of a screen share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["TIME_FORMATS", "Display", "TimeFormat"]

TimeFormat = Literal["start", "delta", "local", "utc"]

TIME_FORMATS: Final[dict[TimeFormat, str]] = {
    "start": "seconds since the first packet",
    "delta": "seconds since the packet above",
    "local": "time of day, here",
    "utc": "time of day, UTC",
}
"""In the order in which `T` goes through them, and what they are called."""


@dataclass
class Display:
    """Preferences that change while the program runs."""

    time_format: TimeFormat = "start"
    bits: bool = True
    """Rates in bits per second; False: bytes."""

    def next_time_format(self) -> None:
        """What `T` does."""
        formats = list(TIME_FORMATS)
        self.time_format = formats[(formats.index(self.time_format) + 1) % len(formats)]

    def volume(self, bytes_per_second: float) -> float:
        """A rate in the unit that is shown."""
        return bytes_per_second * 8 if self.bits else bytes_per_second

    @property
    def volume_unit(self) -> str:
        return "bit/s" if self.bits else "B/s"
