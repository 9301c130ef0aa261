"""The interfaces of this machine: which there are, their addresses and counters, which one to capture by default."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = ["InterfaceFacts", "default_interface", "list_interfaces", "own_addresses"]

_ROUTES_V4: Final = Path("/proc/thread-self/net/route")
"""Of the thread's own network namespace; /proc/net is the main thread's."""
_ROUTES_V6: Final = Path("/proc/thread-self/net/ipv6_route")
_RTF_UP: Final = 0x1
_RTF_REJECT: Final = 0x200


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """What `--list` shows of one interface. Counters since the interface exists."""

    name: str
    up: bool
    loopback: bool
    mac: str
    """Empty where there is none."""
    addresses: tuple[str, ...]
    """IPv4 and IPv6, without prefix length and zone."""
    speed: int
    """Mbit/s, 0 if unknown."""
    mtu: int
    packets_in: int
    packets_out: int
    bytes_in: int
    bytes_out: int
    dropped_in: int


def list_interfaces() -> list[InterfaceFacts]:
    """All interfaces, by name; those that are up first."""
    import psutil

    addresses = psutil.net_if_addrs()
    counters = psutil.net_io_counters(pernic=True)
    facts = []
    for name, stats in psutil.net_if_stats().items():
        own = addresses.get(name, [])
        links = [address.address for address in own if address.family == psutil.AF_LINK]
        count = counters.get(name)
        facts.append(
            InterfaceFacts(
                name=name,
                up=stats.isup,
                loopback="loopback" in stats.flags.split(",") or name == "lo",
                mac=links[0] if links else "",
                addresses=tuple(address.address.split("%")[0] for address in own if address.family != psutil.AF_LINK),
                speed=stats.speed,
                mtu=stats.mtu,
                packets_in=count.packets_recv if count else 0,
                packets_out=count.packets_sent if count else 0,
                bytes_in=count.bytes_recv if count else 0,
                bytes_out=count.bytes_sent if count else 0,
                dropped_in=count.dropin if count else 0,
            )
        )
    return sorted(facts, key=lambda fact: (not fact.up, fact.name))


def own_addresses() -> list[str]:
    """IPv4 and IPv6 addresses of this machine: what tells in from out where a capture does not."""
    return sorted({address for fact in list_interfaces() for address in fact.addresses})


def default_interface() -> str:
    """The interface of the IPv4 default route, else of the IPv6 one, else the first that is up and no loopback.

    Raises CaptureError 2 if there is none.
    """
    for path, parse in ((_ROUTES_V4, _default_v4), (_ROUTES_V6, _default_v6)):
        with contextlib.suppress(OSError):
            routes = [route for line in path.read_text().splitlines() if (route := parse(line.split()))]
            if routes:
                return min(routes)[1]
    facts = list_interfaces()
    for fact in facts:
        if fact.up and not fact.loopback:
            return fact.name
    known = ", ".join(fact.name for fact in facts)
    raise CaptureError(f"no default route and no interface is up; choose one with -i: {known}, any", EXIT_USAGE)


def _default_v4(fields: list[str]) -> tuple[int, str] | None:
    """A line of /proc/net/route: name, destination, gateway, flags, 2 counters, metric, mask, ... -> metric, name."""
    if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
        return None
    usable = int(fields[3], 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP
    return (int(fields[6]), fields[0]) if usable else None


def _default_v6(fields: list[str]) -> tuple[int, str] | None:
    """A line of /proc/net/ipv6_route: destination, prefix length, ..., metric, two counters, flags, name."""
    if len(fields) < 10 or fields[0] != "0" * 32 or fields[1] != "00":
        return None
    usable = int(fields[8], 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP and fields[9] != "lo"
    return (int(fields[5], 16), fields[9]) if usable else None
