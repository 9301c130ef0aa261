"""What addresses and ports are called before any packet came: read once, while all files may still be read."""

from __future__ import annotations

from dataclasses import dataclass, field

from netwatch.capture.hosts import read_hosts
from netwatch.capture.services import Services
from netwatch.capture.vendors import Vendors, known_vendors

__all__ = ["Tables"]


@dataclass(frozen=True, slots=True)
class Tables:
    """Empty, but for what netwatch itself knows of services."""

    hosts: dict[str, str] = field(default_factory=dict)
    services: Services = field(default_factory=lambda: Services({}, {}))
    vendors: Vendors = field(default_factory=Vendors.none)

    @classmethod
    def read(cls) -> Tables:
        """Those of this machine, and the IEEE's list. Some 20 ms."""
        return cls(read_hosts(), Services.read(), known_vendors())
