"""The tables that say what comes next, by the codes that headers carry. Empty here: layers enter themselves."""

from __future__ import annotations

from typing import Final

from netwatch.capture.decode.walk import Table

__all__ = [
    "BSD_FAMILY",
    "CISCO_TYPE",
    "ETHERTYPE",
    "GRE_PROTOCOL",
    "IP_PROTOCOL",
    "IP_VERSION",
    "LINKTYPE",
    "LLC_SAP",
    "NLPID",
    "PPP_PROTOCOL",
    "RANK_APPLICATION",
    "RANK_EXTENSION",
    "RANK_FRAME",
    "RANK_IN_UDP",
    "RANK_LINK",
    "RANK_NETWORK",
    "RANK_SHIM",
    "RANK_TRANSPORT",
    "RANK_TUNNEL",
    "TCP_PORT",
    "UDP_PORT",
]

BSD_FAMILY: Final = Table(256)
"""Address families of BSD loopback headers."""
CISCO_TYPE: Final = Table(65536)
"""Types of SNAP with Cisco's organisation code."""
LINKTYPE: Final = Table(65536)
"""https://www.tcpdump.org/linktypes.html"""
ETHERTYPE: Final = Table(65536)
"""Codes up to 1500 are lengths (IEEE 802.3) and not entered."""
LLC_SAP: Final = Table(256)
"""Destination service access points of IEEE 802.2."""
NLPID: Final = Table(256)
"""Network layer protocol ids of frame relay (RFC 2427)."""
PPP_PROTOCOL: Final = Table(65536)
GRE_PROTOCOL: Final = Table(65536)
"""EtherTypes that mean something else in GRE; ETHERTYPE is asked next."""
IP_PROTOCOL: Final = Table(256)
"""Protocols of IPv4 and next headers of IPv6."""
IP_VERSION: Final = Table(16)
"""By the first four bits, where nothing else tells what follows."""
TCP_PORT: Final = Table(65536)
UDP_PORT: Final = Table(65536)
"""Ports of tunnels in UDP."""

RANK_FRAME: Final = 10
RANK_LINK: Final = 20
RANK_SHIM: Final = 25
RANK_NETWORK: Final = 30
RANK_EXTENSION: Final = 35
RANK_TUNNEL: Final = 40
RANK_TRANSPORT: Final = 50
RANK_IN_UDP: Final = 60
RANK_APPLICATION: Final = 70
