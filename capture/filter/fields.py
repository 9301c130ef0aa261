"""Display filter: the fields that can be asked for, and the columns that answer.

The columns hold one value where a packet may have several (capture/columns.py): addresses are those of the outermost
IP header, ports those of the outermost transport, also where an ICMP error quotes it; in a tunnel that rides on UDP
they are the tunnel's. MAC addresses are kept only of packets without an IP header, so `eth.addr` is not among
these: it would quietly miss every other packet, and is looked for in their trees. A bare MAC address asks for what
the source and destination columns show.

Every other field that a dissector names is looked for in the packets' trees, one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC, PORTS
from netwatch.capture.filter.values import Type
from netwatch.capture.protocols import ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netwatch.capture.dissect import Field as DissectedField

__all__ = ["ALIASES", "FIELDS", "MAC_ADDRESS", "PORT", "Field", "Presence", "dissected", "near", "sided"]


@dataclass(frozen=True, slots=True)
class Presence:
    """When a packet has a field: all of what is not None must hold."""

    marks: int = 0
    """Bits that must be set in Columns.marks."""
    kind: int | None = None
    """The value of Columns.kind."""
    protocol: str | None = None
    """A protocol that must be in the path."""
    port_owner: str | None = None
    """The transport that sport and dport belong to."""
    tagged: bool = False
    """There is a VLAN tag."""


@dataclass(frozen=True, slots=True)
class Field:
    """One name of the filter language."""

    name: str
    """Wireshark's."""
    type: Type
    columns: tuple[str, ...]
    """The columns with its values, one each; of addresses the stem: `src` for src_hi and src_lo."""
    present: Presence
    highest: int = 0
    """The largest number that the field can hold."""
    bit: int = 0
    """Of a flag: the bit in the column."""
    help: str = ""
    """A few words for whoever types a filter."""


_HAS_PORTS: Final = Presence(marks=PORTS)
_SIDES: Final = {"": ("src", "dst"), "src": ("src",), "dst": ("dst",)}

PORT: Final = {
    side: Field(f"{side} port".strip(), Type.NUMBER, tuple(f"{end[0]}port" for end in ends), _HAS_PORTS, 0xFFFF)
    for side, ends in _SIDES.items()
}
"""The port of tcpdump's words, of any transport, by side (`""` is either)."""
MAC_ADDRESS: Final = {
    side: Field(f"{side} host".strip(), Type.MAC, ends, Presence(kind=KIND_MAC)) for side, ends in _SIDES.items()
}
"""A bare MAC address, or behind `host`, by side."""


def _addresses(protocol: str, type_: Type, kind: int) -> list[Field]:
    return [
        Field(f"{protocol}.{suffix}", type_, ends, Presence(kind=kind), help=words)
        for suffix, ends, words in (
            ("addr", ("src", "dst"), "source or destination address"),
            ("src", ("src",), "source address"),
            ("dst", ("dst",), "destination address"),
        )
    ]


def _ports(protocol: str) -> list[Field]:
    return [
        Field(f"{protocol}.{suffix}", Type.NUMBER, columns, Presence(PORTS, port_owner=protocol), 0xFFFF, help=words)
        for suffix, columns, words in (
            ("port", ("sport", "dport"), "source or destination port"),
            ("srcport", ("sport",), "source port"),
            ("dstport", ("dport",), "destination port"),
        )
    ]


_TCP: Final = Presence(protocol="tcp")
# RFC 9293 section 3.1, RFC 3168, RFC 3540; Wireshark's names.
_FLAGS: Final = {
    "fin": 0x001,
    "syn": 0x002,
    "reset": 0x004,
    "push": 0x008,
    "ack": 0x010,
    "urg": 0x020,
    "ece": 0x040,
    "cwr": 0x080,
    "ns": 0x100,
}

FIELDS: Final[dict[str, Field]] = {
    field.name: field
    for field in (
        Field("frame.len", Type.NUMBER, ("wirelen",), Presence(), 0xFFFFFFFF, help="length on the wire"),
        Field("frame.cap_len", Type.NUMBER, ("caplen",), Presence(), 0xFFFFFFFF, help="captured length"),
        Field("frame.time_epoch", Type.TIME, ("ts",), Presence(), help="seconds since 1970"),
        Field("frame.interface_id", Type.NUMBER, ("iface",), Presence(), 0xFFFF, help="index of the interface"),
        Field("vlan.id", Type.NUMBER, ("vlan",), Presence(tagged=True), 0xFFF, help="id of the outermost tag"),
        *_addresses("ip", Type.IPV4, KIND_IPV4),
        Field("ip.proto", Type.NUMBER, ("ip_proto",), Presence(protocol="ip"), 0xFF, help="protocol number"),
        *_addresses("ipv6", Type.IPV6, KIND_IPV6),
        Field("icmp.type", Type.NUMBER, ("icmp_type",), Presence(protocol="icmp"), 0xFF, help="message type"),
        Field("icmpv6.type", Type.NUMBER, ("icmp_type",), Presence(protocol="icmpv6"), 0xFF, help="message type"),
        *_ports("tcp"),
        Field("tcp.flags", Type.NUMBER, ("tcp_flags",), _TCP, 0xFFF, help="all twelve bits"),
        *(
            Field(f"tcp.flags.{name}", Type.FLAG, ("tcp_flags",), _TCP, bit=bit, help=f"{name.upper()} is set")
            for name, bit in _FLAGS.items()
        ),
        *_ports("udp"),
        *_ports("sctp"),
    )
}
"""By name. Every name here is one that Wireshark knows, with the same meaning."""

ALIASES: Final[dict[str, frozenset[str]]] = {
    "ssl": frozenset({"tls"}),
    "bootp": frozenset({"dhcp"}),
    # tcpdump's words
    "ether": frozenset({"eth"}),
    "ip6": frozenset({"ipv6"}),
    "icmp6": frozenset({"icmpv6"}),
}
"""Other names of protocols."""


def sided(field: Field, side: str) -> Field:
    """`ip.addr` and "src" -> `ip.src`; the field itself for either side."""
    return FIELDS[f"{field.name.partition('.')[0]}.{side}"] if side else field


def dissected() -> Mapping[str, DissectedField]:
    """What dissectors name. The first call loads them all, a tenth of a second: for a name not known otherwise."""
    from netwatch.capture.dissect.kit import FIELDS as NAMED

    return NAMED


def near(name: str, count: int = 3) -> list[str]:
    """Names of fields and protocols that look like `name`, the likeliest first."""
    name = name.lower()
    names = dict.fromkeys([*FIELDS, *ID, *ALIASES])
    if "." in name:
        # Not all ten thousand of them, which takes as long as a repaint may: those of the likeliest protocol.
        known = dissected()
        protocol = get_close_matches(name.partition(".")[0], {each.partition(".")[0] for each in known}, 1)
        names |= dict.fromkeys(each for each in known if each.startswith(f"{protocol[0]}.")) if protocol else {}
    return get_close_matches(name, names, count)
