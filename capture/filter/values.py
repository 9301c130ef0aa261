"""Display filter: the literals. Each is read as an inclusive range of integers: one value, or a whole network.

A range makes one comparison do for `443`, `10.0.0.0/8` and `8000..8010`, and on a network it means the same as
comparing the masked address: below a network is below its first address.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from enum import Enum, auto
from typing import Final, NamedTuple

__all__ = ["Range", "Type", "number", "parse", "partial_network", "to_address"]


class Type(Enum):
    """What the values of a field are."""

    NUMBER = auto()
    FLAG = auto()
    IPV4 = auto()
    IPV6 = auto()
    MAC = auto()
    TIME = auto()
    """Nanoseconds since 1970, written as seconds."""


class Range(NamedTuple):
    """first <= value <= last."""

    first: int
    last: int


_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,19}|0[xX][0-9a-fA-F]{1,16}|0[bB][01]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:.-][0-9a-fA-F]{2}){5}")
_FLAGS: Final = {"0": 0, "1": 1, "false": 0, "true": 1}
_PREFIX: Final = re.compile(r"[0-9]{1,3}")
_PARTIAL: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}")


def number(text: str) -> int:
    """A number as in `443`, `0x1bb`, `0b101`. Raises ValueError with a message for the person."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text}' is not a number")
    return int(text, 0)


def to_address(text: str) -> tuple[Type, Range] | None:
    """An IPv4, IPv6 or MAC address, IP with an optional prefix length; None if `text` does not look like one.

    Raises ValueError, with a message, for what can only be meant as one but is none.
    """
    if _MAC.fullmatch(text):
        value = int(re.sub("[:.-]", "", text), 16)
        return Type.MAC, Range(value, value)
    host, slash, prefix = text.partition("/")
    if ":" in host:
        return Type.IPV6, _network(text, host, prefix if slash else "128", 128)
    if re.fullmatch(r"[0-9]+(\.[0-9]+)+", host):
        return Type.IPV4, _network(text, host, prefix if slash else "32", 32)
    return None


def partial_network(text: str) -> Range | None:
    """tcpdump's `net 10`, `net 192.168`: leading bytes alone; None if `text` is something else."""
    if not _PARTIAL.fullmatch(text):
        return None
    parts = [int(part) for part in text.split(".")]
    if max(parts) > 255:
        return None
    free = 32 - 8 * len(parts)
    first = int.from_bytes(parts, "big") << free
    return Range(first, first + (1 << free) - 1)


def parse(kind: Type, text: str) -> Range:
    """`text` as a value of `kind`. Raises ValueError with a message for the person."""
    return _PARSERS[kind](text)


def _network(text: str, host: str, prefix: str, width: int) -> Range:
    make = ipaddress.IPv4Address if width == 32 else ipaddress.IPv6Address
    name = "IPv4" if width == 32 else "IPv6"
    try:
        value = int(make(host))
    except ValueError:
        raise ValueError(f"'{text}' is not an {name} address") from None
    if not _PREFIX.fullmatch(prefix) or int(prefix) > width:
        raise ValueError(f"'/{prefix}' is not a prefix length from 0 to {width}")
    free = width - int(prefix)
    first = value >> free << free
    return Range(first, first + (1 << free) - 1)


def _address(kind: Type, what: str, text: str) -> Range:
    found = to_address(text)
    if found is None or found[0] is not kind:
        raise ValueError(f"'{text}' is not {what}")
    return found[1]


def _single(value: int) -> Range:
    return Range(value, value)


def _flag(text: str) -> Range:
    if text.lower() not in _FLAGS:
        raise ValueError(f"'{text}' is neither 1 nor 0")
    return _single(_FLAGS[text.lower()])


def _time(text: str) -> Range:
    if not _SECONDS.fullmatch(text):
        raise ValueError(f"'{text}' is not a time in seconds since 1970")
    return _single(int(Decimal(text) * 10**9))


_PARSERS: Final = {
    Type.NUMBER: lambda text: _single(number(text)),
    Type.FLAG: _flag,
    Type.IPV4: lambda text: _address(Type.IPV4, "an IPv4 address, as 10.0.0.1 or 10.0.0.0/8", text),
    Type.IPV6: lambda text: _address(Type.IPV6, "an IPv6 address, as fe80::1 or 2001:db8::/32", text),
    Type.MAC: lambda text: _address(Type.MAC, "a MAC address, as 00:00:5e:00:53:01", text),
    Type.TIME: _time,
}
