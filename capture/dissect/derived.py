"""Names that follow from fields beside them: `ip.host` from an address, `tcp.flags.str` from the flags, a payload.

Scripts ask for them, no tree has lines for them: they are made where `--fields` or a filter wants them, and cost
nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.checksum import ones_sum
from netwatch.capture.dissect.kit import Field, Item, address, flag, number, octets, text
from netwatch.capture.text import mac
from netwatch.capture.vendors import known_vendors

if TYPE_CHECKING:
    from netwatch.capture.dissect.outcome import Buffer

__all__ = ["Following", "following", "made_of"]

Convert = Callable[[Item, Sequence["Buffer"]], Any]
"""The value that follows from an item of a tree with these buffers; None: there is none."""
Following = dict[str, list[tuple[Field, Convert]]]
"""Name → what is to be made of its items."""

_DERIVED: Final[dict[str, list[tuple[str, Field, Convert]]]] = {}
"""Name → the names that it follows from."""


@lru_cache(64)
def following(wanted: frozenset[str]) -> Following:
    """What has to be made, and of which items, for those of the names that follow from others."""
    found: Following = {}
    for name in wanted:
        if name.endswith(".oui_resolved"):
            known_vendors()
        for source, field, convert in _DERIVED.get(name, ()):
            found.setdefault(source, []).append((field, convert))
    return found


def made_of(item: Item, field: Field, convert: Convert, buffers: Sequence[Buffer]) -> Item | None:
    """The item of `field` that follows from `item`, in the same place."""
    value = convert(item, buffers)
    return None if value is None else Item(field, value, item.start, item.size, buffer=item.buffer)


def _derive(field: Field, convert: Convert, *sources: str) -> None:
    _DERIVED.setdefault(field.name, []).extend((source, field, convert) for source in sources)


def _same(item: Item, _: Sequence[Buffer]) -> Any:
    return item.value


def _bytes(item: Item, buffers: Sequence[Buffer]) -> bytes:
    return buffers[item.buffer].data[item.start : item.end]


def _child(item: Item, name: str) -> Any:
    return next((child.value for child in item.children if child.field.name == name), None)


# Addresses: what is not resolved reads like the address


def _oui(item: Item, _: Sequence[Buffer]) -> Any:
    return int.from_bytes(item.value[:3], "big")


def _organisation(item: Item, _: Sequence[Buffer]) -> str | None:
    # Of an address that nobody was given the vendors tell what it is for; this is the block's owner.
    return None if item.value[0] & 3 else known_vendors().organisation(mac(item.value)) or None


def _local(item: Item, _: Sequence[Buffer]) -> bool:
    return bool(item.value[0] & 2)


def _multicast(item: Item, _: Sequence[Buffer]) -> bool:
    return bool(item.value[0] & 1)


def _macs(name: str, label: str, *sources: str) -> None:
    _derive(address(f"{name}_resolved", f"{label} (resolved)", 6), _same, *sources)
    _derive(number(f"{name}.oui", f"{label} OUI"), _oui, *sources)
    _derive(text(f"{name}.oui_resolved", f"{label} OUI (resolved)"), _organisation, *sources)


_ETHERNET: Final = ("eth.dst", "eth.src")
_macs("eth.dst", "Destination", "eth.dst")
_macs("eth.src", "Source", "eth.src")
_macs("eth.addr", "Address", *_ETHERNET)
_derive(address("eth.addr", "Address", 6), _same, *_ETHERNET)
for _name, _sources in (("eth", _ETHERNET), ("eth.dst", ("eth.dst",)), ("eth.src", ("eth.src",))):
    _derive(flag(f"{_name}.lg", "LG bit"), _local, *_sources)
    _derive(flag(f"{_name}.ig", "IG bit"), _multicast, *_sources)
_WLAN: Final = tuple(f"wlan.{end}" for end in ("ra", "da", "ta", "sa", "bssid", "staa"))
_derive(address("wlan.addr", "Hardware address", 6), _same, *_WLAN)
_derive(address("wlan.addr_resolved", "Hardware address (resolved)", 6), _same, *_WLAN)
for _name in _WLAN:
    _derive(address(f"{_name}_resolved", "Hardware address (resolved)", 6), _same, _name)
for _protocol, _size in (("ip", 4), ("ipv6", 16)):
    _ends = (f"{_protocol}.src", f"{_protocol}.dst")
    _derive(address(f"{_protocol}.addr", "Source or Destination Address", _size), _same, *_ends)
    _derive(address(f"{_protocol}.host", "Source or Destination Host", _size), _same, *_ends)
    for _name in _ends:
        _derive(address(f"{_name}_host", "Host", _size), _same, _name)


def _from_slaac(item: Item, _: Sequence[Buffer]) -> bytes | None:
    """The MAC address that an interface identifier was made of (RFC 4291, appendix A)."""
    value = item.value
    return bytes((value[8] ^ 2, *value[9:11], *value[13:])) if value[11:13] == b"\xff\xfe" else None


for _name, _sources in (("", ("ipv6.src", "ipv6.dst")), ("src_", ("ipv6.src",)), ("dst_", ("ipv6.dst",))):
    _derive(address(f"ipv6.{_name}slaac_mac", "SLAAC MAC", 6), _from_slaac, *_sources)
_derive(number("ip.version", "Version"), _same, "ipv6.version")  # of both protocols


# Ports


for _protocol in ("tcp", "udp", "sctp", "dccp"):
    _ports = (f"{_protocol}.srcport", f"{_protocol}.dstport")
    _derive(number(f"{_protocol}.port", "Source or Destination Port"), _same, *_ports)


# TCP and UDP

_LETTERS: Final = "CEUAPRSF"


def _drawn(item: Item, _: Sequence[Buffer]) -> str:
    """A letter for each bit that is set, the highest first: `·······AP···`."""
    bits = "".join(letter if item.value & 0x80 >> at else "·" for at, letter in enumerate(_LETTERS))
    reserved = "".join("R" if item.value & bit else "·" for bit in (0x800, 0x400, 0x200))
    return reserved + ("A" if item.value & 0x100 else "·") + bits


def _segment(item: Item, buffers: Sequence[Buffer]) -> bytes | None:
    header, size = _child(item, "tcp.hdr_len"), _child(item, "tcp.len")
    if not header or not size:
        return None
    start = item.start + header
    return buffers[item.buffer].data[start : start + size] or None


def _datagram(item: Item, buffers: Sequence[Buffer]) -> bytes | None:
    size, data = _child(item, "udp.length"), buffers[item.buffer].data
    if size == 0:
        return data[item.start + 8 :] or None  # a jumbogram (RFC 2675, 4)
    return None if size is None else data[item.start + 8 : item.start + size] or None


_derive(text("tcp.flags.str", "TCP Flags"), _drawn, "tcp.flags")
_derive(octets("tcp.payload", "TCP payload"), _segment, "tcp")
_derive(octets("udp.payload", "UDP payload"), _datagram, "udp")


def _opening(bits: int, mask: int) -> Convert:
    return lambda item, _: True if item.value & mask == bits else None


for _name, _bits, _mask in (("syn", 2, 0x12), ("synack", 0x12, 0x12), ("fin", 1, 1), ("rst", 4, 4)):
    _derive(flag(f"tcp.connection.{_name}", "Connection"), _opening(_bits, _mask), "tcp.flags")


def _option(kind: int) -> Convert:
    return lambda item, buffers: _bytes(item, buffers) if item.value == kind else None


for _kind, _name in ((1, "nop"), (2, "mss"), (3, "wscale"), (4, "sack_perm"), (5, "sack"), (8, "timestamp")):
    _derive(octets(f"tcp.options.{_name}", "TCP Option"), _option(_kind), "tcp.option_kind")
_derive(
    number("tcp.options.wscale.multiplier", "Multiplier"),
    lambda item, _: 1 << min(item.value, 14),
    "tcp.options.wscale.shift",
)
_derive(
    number("tcp.options.sack.count", "TCP SACK Count"),
    lambda item, _: (item.size - 2) // 8 if item.value == 5 else None,
    "tcp.option_kind",
)
_derive(number("data.len", "Length"), lambda item, _: len(item.value), "data.data")


# Others


def _option_value(item: Item, buffers: Sequence[Buffer]) -> bytes | None:
    return _bytes(item, buffers)[2:] or None


def _flags_of(item: Item, buffers: Sequence[Buffer]) -> int:
    """The word behind the transaction's number."""
    return int.from_bytes(buffers[item.buffer].data[item.start + 2 : item.start + 4], "big")


def _first(item: Item, buffers: Sequence[Buffer]) -> int:
    return buffers[item.buffer].data[item.start]


_OPTION: Final = "dhcp.option.type"
_derive(octets("dhcp.option.value", "Value"), _option_value, _OPTION)
_derive(
    number("dhcp.option.end", "Option End"), lambda item, _: 255 if item.value == 255 else None, "dhcp.option.type"
)
_derive(number("nbns.flags", "Flags", digits=4), _flags_of, "nbns")
_derive(number("ntp.flags", "Flags", digits=2), _first, "ntp")


def _summed(item: Item, buffers: Sequence[Buffer]) -> int | None:
    """What the checksum of an IPv4 header should be."""
    size, data = _child(item, "ip.hdr_len"), buffers[item.buffer].data[item.start :]
    if not size or size < 20 or len(data) < size:
        return None
    rest = ones_sum(data[:10] + bytes(2) + data[12:size])
    return 0xFFFF - rest


_derive(number("ip.checksum_calculated", "Calculated Checksum", digits=4), _summed, "ip")


# NTLMv2's answer (MS-NLMP 2.2.2.8): a proof, then what it is made of, the client's challenge in it


def _proof(item: Item, _: Sequence[Buffer]) -> bytes | None:
    return item.value[:16] if len(item.value) > _NTLM_V1 else None


def _challenge(item: Item, _: Sequence[Buffer]) -> bytes | None:
    return item.value[32:40] if len(item.value) > _NTLM_V1 else None


_NTLM_V1: Final = 24
"""Bytes of the older answer, or fewer."""
_derive(octets("ntlmssp.ntlmv2_response.ntproofstr", "NTProofStr"), _proof, "ntlmssp.auth.ntresponse")
_derive(octets("ntlmssp.ntlmv2_response.chal", "NTLMv2 Client Challenge"), _challenge, "ntlmssp.auth.ntresponse")
_derive(octets("ntlmssp.ntlmclientchallenge", "NTLM Client Challenge"), _challenge, "ntlmssp.auth.ntresponse")


def _together(item: Item, buffers: Sequence[Buffer]) -> bytes | None:
    return next((each.data for each in buffers[1:] if "TCP" in each.name and len(each.data) == item.value), None)


_derive(octets("tcp.reassembled.data", "Reassembled TCP Data"), _together, "tcp.reassembled.length")
_derive(flag("http.chat", "Formatted text"), _same, "http.request", "http.response", "http.notification")


# Radio


def _channel(item: Item, _: Sequence[Buffer]) -> int | None:
    """The channel of a frequency in MHz (IEEE 802.11, annex E)."""
    frequency = item.value
    if frequency == 2484:
        return 14
    if 2412 <= frequency <= 2472:
        return int(frequency - 2407) // 5
    return int(frequency - 5000) // 5 if 5000 < frequency < 5950 else None


def _signed(item: Item, _: Sequence[Buffer]) -> Any:
    return item.value - 256 if item.value > 127 else item.value


def _rate(item: Item, _: Sequence[Buffer]) -> str:
    """Units of 500 kb/s in Mb/s."""
    return f"{item.value / 2:g}"


for _name in ("signal", "noise"):
    _derive(number(f"wlan_radio.{_name}_dbm", "Strength (dBm)"), _signed, f"radiotap.dbm_ant{_name}")
_derive(text("wlan_radio.data_rate", "Data rate"), _rate, "radiotap.datarate")
for _name, _source in (
    ("frequency", "channel.freq"),
    ("timestamp", "mactime"),
):
    _derive(number(f"wlan_radio.{_name}", "802.11 radio information"), _same, f"radiotap.{_source}")
_derive(number("wlan_radio.channel", "Channel"), _channel, "radiotap.channel.freq")
_derive(number("stun.attribute", "Attribute Type", digits=4), _same, "stun.att.type")


def _swapped(item: Item, _: Sequence[Buffer]) -> Any:
    return (item.value & 0xFF) << 8 | item.value >> 8


_derive(number("icmp.ident_le", "Identifier (LE)"), _swapped, "icmp.ident")
