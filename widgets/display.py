"""How the person wants things shown: one object that all panes of a screen share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from netwatch.capture.name_tables import Tables
from netwatch.capture.names import Name, Origin

if TYPE_CHECKING:
    from netwatch.capture.name_index import Learner
    from netwatch.capture.owners import Owners
    from netwatch.capture.resolver import Resolver

__all__ = ["NAMINGS", "TIME_FORMATS", "Display", "Naming", "TimeFormat"]

TimeFormat = Literal["start", "delta", "local", "utc"]

TIME_FORMATS: Final[dict[TimeFormat, str]] = {
    "start": "seconds since the first packet",
    "delta": "seconds since the packet above",
    "local": "time of day, here",
    "utc": "time of day, UTC",
}
"""In the order in which `T` goes through them, and what they are called."""

Naming = Literal["none", "all", "hosts"]

NAMINGS: Final[dict[Naming, str]] = {
    "none": "addresses and numbers",
    "all": "names: hosts, services, vendors",
    "hosts": "names: hosts",
}
"""In the order in which `R` goes through them, and what they are called."""


@dataclass
class Display:
    """Preferences that change while the program runs."""

    time_format: TimeFormat = "start"
    bits: bool = True
    """Rates in bits per second; False: bytes."""
    naming: Naming = "none"
    """Which names stand in place of addresses and ports, where there are any."""
    learner: Learner | None = None
    """Whose names; None: nobody learns any."""
    tables: Tables = field(default_factory=Tables)
    resolver: Resolver | None = None
    """Who asks for the name of an address that has none; None: nobody does."""

    owners: Owners | None = None
    """Who knows which programs of this host speak; None: nobody, as with a file."""

    def next_time_format(self) -> None:
        """What `T` does."""
        formats = list(TIME_FORMATS)
        self.time_format = formats[(formats.index(self.time_format) + 1) % len(formats)]

    def next_naming(self) -> None:
        """What `R` does."""
        if self.learner is not None:
            namings = list(NAMINGS)
            self.naming = namings[(namings.index(self.naming) + 1) % len(namings)]

    @property
    def named(self) -> bool:
        """Whether there are names on screen."""
        return self.naming != "none" and self.learner is not None

    def name_of(self, address: str) -> Name | None:
        """What stands in place of an address; None: itself. An address of a host that has no name is asked for."""
        if self.naming == "none" or self.learner is None:
            return None
        name = self.learner.names.of(address)
        if name is None:
            if _is_mac(address):
                label = self.tables.vendors.label(address) if self.naming == "all" else ""
                return Name(label, Origin.VENDOR, 0) if label else None
            if self.resolver is not None:
                self.resolver.want(address)
        return name

    def organisation_of(self, mac: str) -> str:
        """Whose address a MAC address is, in words; empty where nobody knows, or no vendors are shown."""
        shown = self.naming == "all" and self.learner is not None
        return self.tables.vendors.organisation(mac) if shown else ""

    def service_of(self, port: int, *, udp: bool) -> str:
        """What stands in place of a port; empty: itself."""
        return self.tables.services.of(port, udp=udp) if self.naming == "all" and self.learner is not None else ""

    def volume(self, bytes_per_second: float) -> float:
        """A rate in the unit that is shown."""
        return bytes_per_second * 8 if self.bits else bytes_per_second

    @property
    def volume_unit(self) -> str:
        return "bit/s" if self.bits else "B/s"


def _is_mac(address: str) -> bool:
    return len(address) == 17 and address[2::3] == ":::::" and address.count(":") == 5
