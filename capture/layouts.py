"""Every header as a numpy structured dtype: the only place where a layout stands for the decoder.

Addresses are two unsigned words where numpy has no type of their width. Numbers are big-endian as on the wire
unless the header says otherwise; widen them (`wide`) before any arithmetic, numpy wraps silently.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AH",
    "ARP",
    "ETHERNET",
    "EXTENSION",
    "FRAGMENT_HEADER",
    "GENEVE",
    "GRE",
    "GTP",
    "ICMP",
    "IPV4",
    "IPV6",
    "LITTLE16",
    "LITTLE32",
    "PORT_PAIR",
    "PPPOE",
    "RADIOTAP",
    "SLL",
    "SLL2",
    "SNAP",
    "TAG",
    "TCP",
    "TCP_AND_OPTION",
    "TCP_FIRST",
    "TEREDO_ORIGIN",
    "UDP",
    "VXLAN",
    "WORD16",
    "WORD32",
    "gather",
    "pick",
    "wide",
]

Layout = np.dtype[np.void]

ETHERNET: Final[Layout] = np.dtype(
    [("dst_hi", ">u2"), ("dst_lo", ">u4"), ("src_hi", ">u2"), ("src_lo", ">u4"), ("type", ">u2")]
)
"""IEEE 802.3, 3.1.1; 48-bit addresses as 16 + 32 bits."""

TAG: Final[Layout] = np.dtype([("tci", ">u2"), ("type", ">u2")])
"""IEEE 802.1Q, 9.6: what follows the tag's EtherType; the VLAN id is the low 12 bits of tci."""

SNAP: Final[Layout] = np.dtype([("oui_hi", "u1"), ("oui_lo", ">u2"), ("type", ">u2")])
"""RFC 1042, what follows the three or four bytes of LLC."""

SLL: Final[Layout] = np.dtype(
    [
        ("packet_type", ">u2"),
        ("arphrd", ">u2"),
        ("address_length", ">u2"),
        ("address_hi", ">u2"),
        ("address_lo", ">u4"),
        ("unused", ">u2"),
        ("protocol", ">u2"),
    ]
)
"""LINKTYPE_LINUX_SLL."""

SLL2: Final[Layout] = np.dtype(
    [
        ("protocol", ">u2"),
        ("reserved", ">u2"),
        ("ifindex", ">u4"),
        ("arphrd", ">u2"),
        ("packet_type", "u1"),
        ("address_length", "u1"),
        ("address_hi", ">u2"),
        ("address_lo", ">u4"),
        ("unused", ">u2"),
    ]
)
"""LINKTYPE_LINUX_SLL2."""

RADIOTAP: Final[Layout] = np.dtype([("version", "u1"), ("pad", "u1"), ("length", "<u2"), ("present", "<u4")])
"""radiotap.org, little-endian; the fields that `present` names follow."""

PPPOE: Final[Layout] = np.dtype([("version_type", "u1"), ("code", "u1"), ("session", ">u2"), ("length", ">u2")])
"""RFC 2516, section 4."""

ARP: Final[Layout] = np.dtype(
    [("hardware", ">u2"), ("protocol", ">u2"), ("hardware_size", "u1"), ("protocol_size", "u1"), ("opcode", ">u2")]
)
"""RFC 826; addresses follow."""

IPV4: Final[Layout] = np.dtype(
    [
        ("version_ihl", "u1"),
        ("tos", "u1"),
        ("length", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("src", ">u4"),
        ("dst", ">u4"),
    ]
)
"""RFC 791, 3.1. `fragment`: 3 bits of flags, 13 bits of offset in units of 8 bytes."""

IPV6: Final[Layout] = np.dtype(
    [
        ("version_class_flow", ">u4"),
        ("length", ">u2"),
        ("next", "u1"),
        ("hop_limit", "u1"),
        ("src_hi", ">u8"),
        ("src_lo", ">u8"),
        ("dst_hi", ">u8"),
        ("dst_lo", ">u8"),
    ]
)
"""RFC 8200, section 3."""

EXTENSION: Final[Layout] = np.dtype([("next", "u1"), ("length", "u1")])
"""RFC 8200, section 4: the length is in units of 8 bytes without the first 8."""

FRAGMENT_HEADER: Final[Layout] = np.dtype([("next", "u1"), ("reserved", "u1"), ("fragment", ">u2"), ("id", ">u4")])
"""RFC 8200, 4.5. `fragment`: offset in bytes in the upper 13 bits, M in the lowest."""

AH: Final[Layout] = np.dtype([("next", "u1"), ("length", "u1"), ("reserved", ">u2"), ("spi", ">u4")])
"""RFC 4302, section 2: the length is in units of 4 bytes minus 2."""

TCP: Final[Layout] = np.dtype(
    [
        ("sport", ">u2"),
        ("dport", ">u2"),
        ("seq", ">u4"),
        ("ack", ">u4"),
        ("offset_flags", ">u2"),
        ("window", ">u2"),
        ("checksum", ">u2"),
        ("urgent", ">u2"),
    ]
)
"""RFC 9293, 3.1. `offset_flags`: header length in 4-byte words, 12 bits of flags."""

TCP_FIRST: Final[Layout] = np.dtype(TCP.descr[:6])
"""Ports, sequence numbers, data offset, flags and window: 16 bytes, without which no flags are told."""

TCP_AND_OPTION: Final[Layout] = np.dtype([*TCP.descr, ("option", "<u4")])
"""With the first four bytes of the options, or of what follows where there are none."""

UDP: Final[Layout] = np.dtype([("sport", ">u2"), ("dport", ">u2"), ("length", ">u2"), ("checksum", ">u2")])
"""RFC 768. UDP-Lite (RFC 3828), SCTP (RFC 9260) and DCCP (RFC 4340) begin with the same ports."""

ICMP: Final[Layout] = np.dtype([("type", "u1"), ("code", "u1"), ("checksum", ">u2"), ("rest", ">u4")])
"""RFC 792, RFC 4443."""

GRE: Final[Layout] = np.dtype([("flags", ">u2"), ("protocol", ">u2")])
"""RFC 2784, 2890, 1701 and 2637 (version 1)."""

VXLAN: Final[Layout] = np.dtype([("flags", ">u2"), ("group", ">u2"), ("vni", ">u4")])
"""RFC 7348, section 5."""

GENEVE: Final[Layout] = np.dtype([("version_length", "u1"), ("flags", "u1"), ("protocol", ">u2"), ("vni", ">u4")])
"""RFC 8926, 3.4: the length of the options is in 4-byte units."""

GTP: Final[Layout] = np.dtype([("flags", "u1"), ("type", "u1"), ("length", ">u2"), ("teid", ">u4")])
"""3GPP TS 29.281, 5.1 (version 1)."""

TEREDO_ORIGIN: Final = 8
"""RFC 4380, 5.1.1: bytes of an origin indication."""


PORT_PAIR: Final[Layout] = np.dtype([("sport", ">u2"), ("dport", ">u2")])
WORD16: Final[Layout] = np.dtype([("word", ">u2")])
WORD32: Final[Layout] = np.dtype([("word", ">u4")])
LITTLE16: Final[Layout] = np.dtype([("word", "<u2")])
LITTLE32: Final[Layout] = np.dtype([("word", "<u4")])


def gather(raw: NDArray[np.uint8], at: NDArray[np.intp], layout: np.dtype[Any]) -> NDArray[Any]:
    """The header at each offset: shape (m,) of `layout` for (m,) offsets that all lie within `raw`.

    An overlapping view of the memory as one void item a byte makes this a single indexed copy, whatever the width:
    3 to 5 ns a header.
    """
    size = layout.itemsize
    if len(raw) < size:
        return np.empty(0, layout)
    window: NDArray[Any] = np.ndarray((len(raw) - size + 1,), f"V{size}", buffer=raw.data, strides=(1,))
    return window[at].view(layout)


def pick(header: NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
    """Some of the headers that `gather` read, by a mask or positions.

    As opaque bytes: numpy copies structured items field by field, a hundred times slower.
    """
    picked: NDArray[Any] = header.view(f"V{header.dtype.itemsize}")[index].view(header.dtype)
    return picked


def wide(field: NDArray[Any]) -> NDArray[np.intp]:
    """A header's numbers wide enough for arithmetic."""
    return field.astype(np.intp)
