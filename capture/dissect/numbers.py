"""Tables of numbers that several protocols share: EtherTypes, IP protocols.

Sources: IANA "IEEE 802 Numbers", "Protocol Numbers". The names are the short ones that a person reads.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ETHERTYPES", "IP_PROTOCOLS"]

ETHERTYPES: Final = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x0842: "Wake on LAN",
    0x6003: "DECnet",
    0x6558: "Transparent Ethernet bridging",
    0x8035: "RARP",
    0x809B: "AppleTalk",
    0x80F3: "AARP",
    0x8100: "802.1Q Virtual LAN",
    0x8137: "IPX",
    0x86DD: "IPv6",
    0x8808: "Ethernet flow control",
    0x8809: "Slow Protocols",
    0x880B: "PPP",
    0x8847: "MPLS label switched packet",
    0x8848: "MPLS multicast",
    0x8863: "PPPoE Discovery",
    0x8864: "PPPoE Session",
    0x888E: "802.1X Authentication",
    0x88A8: "802.1ad Provider Bridge",
    0x88B8: "GOOSE",
    0x88BE: "ERSPAN Type II",
    0x88CC: "LLDP",
    0x88E5: "802.1AE (MACsec)",
    0x88F7: "PTPv2 over Ethernet",
    0x22EB: "ERSPAN Type III",
    0x9000: "Loopback",
    0x9100: "802.1Q double tag",
}

IP_PROTOCOLS: Final = {
    0: "IPv6 hop-by-hop option",
    1: "ICMP",
    2: "IGMP",
    3: "GGP",
    4: "IPIP",
    5: "Stream",
    6: "TCP",
    8: "EGP",
    9: "IGRP",
    17: "UDP",
    27: "RDP",
    33: "DCCP",
    36: "XTP",
    39: "TP++",
    41: "IPv6",
    43: "Routing Header for IPv6",
    44: "Fragment Header for IPv6",
    46: "Reservation Protocol",
    47: "Generic Routing Encapsulation",
    50: "Encap Security Payload",
    51: "Authentication Header",
    58: "ICMPv6",
    59: "IPv6 no next header",
    60: "Destination Options for IPv6",
    88: "EIGRP",
    89: "OSPF IGP",
    94: "IPIP",
    97: "EtherIP",
    103: "PIM",
    108: "IPComp",
    112: "VRRP",
    115: "L2TP",
    132: "SCTP",
    135: "Mobility",
    136: "UDPlite",
    137: "MPLS in IP",
    139: "HIP",
    140: "Shim6",
}
