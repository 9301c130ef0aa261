"""The protocols that netwatch tells apart: names, labels, switches and colour families, in one table.

`name` is Wireshark's display-filter name, `label` what its Protocol column shows. Ids are small integers so
that a column of them costs two bytes a packet (see paths.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ID", "PROTOCOLS", "SWITCHES", "Protocol", "Switch", "declare", "named"]


class Protocol(NamedTuple):
    """One protocol as the person sees it."""

    name: str
    """Wireshark's filter name, as in `tcp.port`."""
    label: str
    """The Protocol column."""
    family: str
    """Colour family; the palette in widgets/palette.py has one colour for each."""


PROTOCOLS: Final[tuple[Protocol, ...]] = (
    # Index 0 is what nothing recognised: a link type or EtherType that is listed as data.
    Protocol("data", "Data", "other"),
    # link
    Protocol("eth", "Ethernet", "link"),
    Protocol("llc", "LLC", "link"),
    Protocol("vlan", "VLAN", "link"),
    Protocol("ieee8021ad", "802.1ad", "link"),
    Protocol("sll", "SLL", "link"),
    Protocol("null", "Null", "link"),
    Protocol("raw", "Raw", "link"),
    Protocol("ppp", "PPP", "link"),
    Protocol("pppoed", "PPPoED", "link"),
    Protocol("pppoes", "PPPoES", "link"),
    Protocol("mpls", "MPLS", "link"),
    Protocol("stp", "STP", "link"),
    Protocol("lldp", "LLDP", "link"),
    Protocol("cdp", "CDP", "link"),
    Protocol("lacp", "LACP", "link"),
    Protocol("eapol", "EAPOL", "link"),
    Protocol("loop", "LOOP", "link"),
    Protocol("wlan", "802.11", "link"),
    Protocol("radiotap", "802.11", "link"),
    Protocol("lcp", "PPP LCP", "link"),
    Protocol("ipcp", "PPP IPCP", "link"),
    Protocol("ipv6cp", "PPP IPV6CP", "link"),
    Protocol("ccp", "PPP CCP", "link"),
    Protocol("pap", "PPP PAP", "link"),
    Protocol("chap", "PPP CHAP", "link"),
    # network
    Protocol("arp", "ARP", "arp"),
    Protocol("ip", "IPv4", "ip"),
    Protocol("ipv6", "IPv6", "ip"),
    Protocol("icmp", "ICMP", "icmp"),
    Protocol("icmpv6", "ICMPv6", "icmp"),
    Protocol("igmp", "IGMP", "routing"),
    Protocol("gre", "GRE", "tunnel"),
    Protocol("erspan", "ERSPAN", "tunnel"),
    Protocol("vxlan", "VXLAN", "tunnel"),
    Protocol("geneve", "GENEVE", "tunnel"),
    Protocol("gtp", "GTP", "tunnel"),
    Protocol("teredo", "Teredo", "tunnel"),
    Protocol("ah", "AH", "tunnel"),
    Protocol("esp", "ESP", "tunnel"),
    Protocol("ipcomp", "IPComp", "tunnel"),
    Protocol("l2tp", "L2TP", "tunnel"),
    Protocol("ospf", "OSPF", "routing"),
    Protocol("pim", "PIM", "routing"),
    Protocol("vrrp", "VRRP", "routing"),
    Protocol("eigrp", "EIGRP", "routing"),
    Protocol("hsrp", "HSRP", "routing"),
    Protocol("bfd", "BFD Control", "routing"),
    Protocol("bgp", "BGP", "routing"),
    Protocol("rip", "RIP", "routing"),
    # transport
    Protocol("tcp", "TCP", "tcp"),
    Protocol("udp", "UDP", "udp"),
    Protocol("udplite", "UDPlite", "udp"),
    Protocol("sctp", "SCTP", "sctp"),
    Protocol("dccp", "DCCP", "sctp"),
    # application
    Protocol("dns", "DNS", "dns"),
    Protocol("mdns", "MDNS", "dns"),
    Protocol("llmnr", "LLMNR", "dns"),
    Protocol("nbns", "NBNS", "dns"),
    Protocol("dhcp", "DHCP", "config"),
    Protocol("dhcpv6", "DHCPv6", "config"),
    Protocol("ntp", "NTP", "config"),
    Protocol("http", "HTTP", "web"),
    Protocol("http2", "HTTP2", "web"),
    Protocol("websocket", "WebSocket", "web"),
    Protocol("tls", "TLS", "tls"),
    Protocol("dtls", "DTLS", "tls"),
    Protocol("quic", "QUIC", "quic"),
    Protocol("ssh", "SSH", "ssh"),
    Protocol("ssdp", "SSDP", "discovery"),
    Protocol("snmp", "SNMP", "discovery"),
    Protocol("syslog", "Syslog", "discovery"),
    Protocol("tftp", "TFTP", "files"),
    Protocol("ftp", "FTP", "files"),
    Protocol("nbss", "NBSS", "files"),
    Protocol("nbdgm", "NBDS", "files"),
    Protocol("smb", "SMB", "files"),
    Protocol("smb2", "SMB2", "files"),
    Protocol("rpc", "RPC", "files"),
    Protocol("smtp", "SMTP", "mail"),
    Protocol("imap", "IMAP", "mail"),
    Protocol("pop", "POP", "mail"),
    Protocol("telnet", "TELNET", "ssh"),
    Protocol("sip", "SIP", "voice"),
    Protocol("rtp", "RTP", "voice"),
    Protocol("rtcp", "RTCP", "voice"),
    Protocol("rtsp", "RTSP", "voice"),
    Protocol("stun", "STUN", "voice"),
    Protocol("radius", "RADIUS", "config"),
    Protocol("ldap", "LDAP", "config"),
    Protocol("kerberos", "KRB5", "config"),
    Protocol("mqtt", "MQTT", "data"),
    Protocol("amqp", "AMQP", "data"),
    Protocol("redis", "RESP", "data"),
    Protocol("pgsql", "PGSQL", "data"),
    Protocol("mysql", "MySQL", "data"),
    Protocol("memcache", "MEMCACHE", "data"),
    Protocol("kafka", "Kafka", "data"),
    Protocol("wg", "WireGuard", "tunnel"),
    Protocol("openvpn", "OpenVPN", "tunnel"),
    Protocol("isakmp", "ISAKMP", "tunnel"),
    Protocol("modbus", "Modbus/TCP", "data"),
    Protocol("bittorrent", "BitTorrent", "files"),
    Protocol("echo", "ECHO", "other"),
    Protocol("netwatch", "Netwatch", "other"),
    Protocol("etherip", "EtherIP", "tunnel"),
    Protocol("udpencap", "UDPENCAP", "tunnel"),
    Protocol("mipv6", "MIPv6", "routing"),
    Protocol("hip", "HIP", "routing"),
    Protocol("mp", "PPP MP", "link"),
    Protocol("pwach", "PW", "tunnel"),
    Protocol("pwethheuristic", "PW", "tunnel"),
    Protocol("pwethcw", "PW", "tunnel"),
    Protocol("pwethnocw", "PW", "tunnel"),
    Protocol("lisp", "LISP", "tunnel"),
    Protocol("lisp-data", "LISP", "tunnel"),
    Protocol("nsh", "NSH", "tunnel"),
    Protocol("wlan_radio", "802.11", "link"),
    Protocol("fr", "FR", "link"),
    Protocol("chdlc", "CHDLC", "link"),
    Protocol("slow", "Slow", "link"),
    Protocol("browser", "BROWSER", "files"),
    Protocol("synphasor", "SYNCHROPHASOR", "data"),
    Protocol("gquic", "GQUIC", "quic"),
    Protocol("tr", "Token-Ring", "link"),
    Protocol("fddi", "FDDI", "link"),
    Protocol("ipfc", "IP/FC", "link"),
    Protocol("ap1394", "IEEE1394", "link"),
    Protocol("pflog", "PFLOG", "link"),
    Protocol("prism", "Prism", "link"),
    Protocol("wlancap", "802.11", "link"),
    Protocol("ppi", "PPI", "link"),
    Protocol("goose", "GOOSE", "data"),
    Protocol("ptp", "PTP", "config"),
    Protocol("rsvp", "RSVP", "routing"),
    Protocol("nhrp", "NHRP", "routing"),
    Protocol("ipx", "IPX", "ip"),
    Protocol("isis", "ISIS", "routing"),
    Protocol("netbios", "NetBIOS", "files"),
    Protocol("shim6", "SHIM6", "routing"),
    Protocol("macsec", "MACSEC", "link"),
    Protocol("cfm", "CFM", "link"),
    Protocol("igrp", "IGRP", "routing"),
    Protocol("pgm", "PGM", "data"),
    Protocol("capwap.data", "CAPWAP-Data", "tunnel"),
    Protocol("tzsp", "TZSP", "tunnel"),
    Protocol("cmd", "CMD", "link"),
    Protocol("osi", "OSI", "link"),
    Protocol("mbtcp", "Modbus/TCP", "data"),
    Protocol("x11", "X11", "other"),
    Protocol("irc", "IRC", "other"),
    Protocol("socks", "Socks", "other"),
    Protocol("vnc", "VNC", "other"),
    Protocol("tds", "TDS", "data"),
    Protocol("tpkt", "TPKT", "data"),
    Protocol("enip", "ENIP", "data"),
    Protocol("dnp3", "DNP 3.0", "data"),
    # A row that is no packet: the interface went away, came back, the link went down.
    Protocol("event", "—", "event"),
)
"""Every protocol; the index is its id. At most 255."""

ID: Final[dict[str, int]] = {protocol.name: index for index, protocol in enumerate(PROTOCOLS)}
"""Filter name → id."""

DISSECTED: Final[dict[str, Protocol]] = {}
"""Protocols that the batch decoder does not tell apart: their dissectors declare them."""


def declare(name: str, label: str, family: str = "other") -> None:
    """A protocol of a dissector's own: its label in the Protocol column, its colour. The first of a name stays."""
    if name not in ID:
        DISSECTED.setdefault(name, Protocol(name, label, family))


def named(name: str) -> Protocol:
    """The protocol with that filter name; unknown ones are data."""
    known = ID.get(name)
    return PROTOCOLS[known] if known is not None else DISSECTED.get(name, PROTOCOLS[0])


class Switch(NamedTuple):
    """A single-key protocol switch of the main screen."""

    key: str
    label: str
    family: str
    """The colour family it is painted in."""
    names: frozenset[str]
    """Protocols that turn it on when they are the innermost that was recognised."""
    carries: bool
    """Whether what rides on these counts too (TCP, UDP)."""


SWITCHES: Final[tuple[Switch, ...]] = (
    Switch("t", "TCP", "tcp", frozenset({"tcp"}), True),
    Switch("u", "UDP", "udp", frozenset({"udp", "udplite"}), True),
    Switch("c", "ICMP", "icmp", frozenset({"icmp", "icmpv6"}), False),
    Switch("d", "DNS", "dns", frozenset({"dns", "mdns", "llmnr", "nbns"}), False),
    Switch("w", "web", "web", frozenset({"http", "http2", "websocket"}), False),
    Switch("s", "TLS", "tls", frozenset({"tls", "dtls"}), False),
    Switch("a", "ARP", "arp", frozenset({"arp"}), False),
)
"""In the order in which the strip shows them (CONTRACT: keys of the main screen)."""
