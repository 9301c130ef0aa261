"""How the person wants things shown: one object that all panes of a screen share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from netwatch.capture.name_index import Learner
    from netwatch.capture.names import Name

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
    named: bool = False
    """Names in place of addresses, where there are any."""
    learner: Learner | None = None
    """Whose names; None: nobody learns any."""

    def next_time_format(self) -> None:
        """What `T` does."""
        formats = list(TIME_FORMATS)
        self.time_format = formats[(formats.index(self.time_format) + 1) % len(formats)]

    def name_of(self, address: str) -> Name | None:
        """What stands in place of an address; None: itself."""
        return self.learner.names.of(address) if self.named and self.learner is not None else None

    def volume(self, bytes_per_second: float) -> float:
        """A rate in the unit that is shown."""
        return bytes_per_second * 8 if self.bits else bytes_per_second

    @property
    def volume_unit(self) -> str:
        return "bit/s" if self.bits else "B/s"
