"""Names of fields, and the answer to one that there is not. Without numpy: a typing error is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = ["COLUMN_NAMES", "PROTOCOLS", "ROW_COLUMNS", "FieldError", "canonical", "check_names"]

COLUMN_NAMES: Final = (
    "frame.number", "frame.time", "frame.time_epoch", "frame.time_relative", "frame.time_delta",
    "frame.time_delta_displayed", "frame.offset_shift", "frame.len", "frame.cap_len", "frame.marked", "frame.ignored",
    "frame.encap_type", "frame.interface_id", "frame.interface_name", "_ws.col.No.", "_ws.col.Time", "_ws.col.Length",
    "eth.dst", "eth.src", "eth.addr", "eth.type", "vlan.id", "vlan.priority", "ieee8021ad.id", "arp.opcode",
    "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac", "arp.dst.proto_ipv4", "ip.len", "ip.id", "ip.ttl",
    "ip.proto", "ip.src", "ip.dst", "ip.addr", "ipv6.plen", "ipv6.nxt", "ipv6.hlim", "ipv6.src", "ipv6.dst",
    "ipv6.addr", "tcp.srcport", "tcp.dstport", "tcp.port", "tcp.flags", "tcp.window_size_value", "udp.srcport",
    "udp.dstport", "udp.port", "udp.length", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code",
)  # fmt: skip
"""Those that fields.py reads for a whole block at once."""
ROW_COLUMNS: Final = ("_ws.col.Protocol", "_ws.col.Info", "_ws.col.Source", "_ws.col.Destination")
"""What the packet list shows."""
PROTOCOLS: Final = "frame.protocols"
_COLUMN: Final = "_ws.col."
_COLUMNS: Final = {
    name.lower(): name for name in (*ROW_COLUMNS, "_ws.col.No.", "_ws.col.Time", "_ws.col.Length")
} | {
    "_ws.col.no": "_ws.col.No.", "_ws.col.number": "_ws.col.No.", "_ws.col.packet_length": "_ws.col.Length",
    "_ws.col.def_src": "_ws.col.Source", "_ws.col.def_dst": "_ws.col.Destination", "_ws.col.cls_time": "_ws.col.Time",
}  # fmt: skip
"""As later versions of tshark spell columns."""
_LEGACY: Final = {"ssl": "tls", "bootp": "dhcp"}
"""What protocols were called, in names that scripts still have."""

_USUAL: Final = ("frame.number", "ip.src", "ip.dst", "tcp.dstport", "udp.dstport", "_ws.col.Info")
_EXAMPLES: Final = 6
"""Names of the same layer that a mistake is answered with."""


class FieldError(CaptureError):
    """A field that is not among `known` (the usual ones first); the message names what is near, or else some."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches  # only who mistypes waits for it

        by_lower = {each.lower(): each for each in known}
        lower = name.lower()
        near = [lower] if lower in by_lower else get_close_matches(lower, by_lower)
        hint = f"did you mean {', '.join(by_lower[each] for each in near)}?"
        if not near:
            layer = lower.partition(".")[0] + "."
            of_layer = [by_lower[each] for each in by_lower if each.startswith(layer)]
            hint = f"there are {', '.join(of_layer[:_EXAMPLES] or _USUAL)} and others"
        super().__init__(f"unknown field {name!r}: {hint}", EXIT_USAGE)


def canonical(name: str) -> str:
    """The name under which a field is known here: `ssl.record.version` is `tls.record.version`; others stay."""
    if name.startswith(_COLUMN):
        return _COLUMNS.get(name.lower(), name)
    protocol, dot, rest = name.partition(".")
    return f"{_LEGACY[protocol]}.{rest}" if dot and protocol in _LEGACY else name


def check_names(names: Sequence[str]) -> None:
    """Raises FieldError for the first one that nothing knows. Loads dissectors where one of theirs is asked for."""
    known_here = {*COLUMN_NAMES, *ROW_COLUMNS, PROTOCOLS}
    others = [name for name in names if canonical(name) not in known_here]
    if not others:
        return
    from netwatch.capture.dissect import field_names

    known = field_names()
    for name in others:
        if canonical(name) not in known:
            raise FieldError(name, [*COLUMN_NAMES, *ROW_COLUMNS, PROTOCOLS, *sorted(known)])
