"""What ports are called: by this machine's /etc/services, and a few by us where it has none."""

from __future__ import annotations

from typing import Final

__all__ = ["Services"]

_SERVICES: Final = "/etc/services"
_MOST_BYTES: Final = 1 << 20
_RANGE: Final = "/proc/sys/net/ipv4/ip_local_port_range"
_USUAL_RANGE: Final = (32_768, 60_999)
"""Linux's own (ip(7))."""
_DYNAMIC: Final = 49_152
"""From here on ports belong to no service (RFC 6335, 6)."""
_LONGEST: Final = 15
"""Characters of a name (RFC 6335, 5.1)."""
_KNOWN: Final = """
ftp-data/20 ftp/21 ssh/22 telnet/23 smtp/25 domain/53 bootps/67 bootpc/68 tftp/69 http/80 kerberos/88 pop3/110
ntp/123 netbios-ns/137 netbios-dgm/138 netbios-ssn/139 imap/143 snmp/161 snmp-trap/162 bgp/179 ldap/389
https/443 microsoft-ds/445 isakmp/500 syslog/514 ipp/631 ldaps/636 domain-s/853 imaps/993 pop3s/995 socks/1080
openvpn/1194 ms-sql-s/1433 l2tp/1701 radius/1812 radius-acct/1813 mqtt/1883 nfs/2049 iscsi-target/3260
mysql/3306 ms-wbt-server/3389 ipsec-nat-t/4500 vxlan/4789 sip/5060 sips/5061 postgresql/5432 mdns/5353
llmnr/5355 amqp/5672 redis/6379 http-alt/8080 secure-mqtt/8883 prometheus/9090 elasticsearch/9200
memcached/11211 mongodb/27017
"""
"""Those that are asked for most: IANA's names."""


class Services:
    """Port → service. Ports that the kernel hands out to clients have no name, whatever the table says."""

    def __init__(self, tcp: dict[int, str], udp: dict[int, str], dynamic: tuple[int, int] = _USUAL_RANGE) -> None:
        """`dynamic`: first and last port that clients get by themselves."""
        known = {int(port): name for name, _, port in (word.partition("/") for word in _KNOWN.split())}
        self._tables = (known | tcp, known | udp)
        self._first, self._last = dynamic

    @classmethod
    def read(cls, path: str = _SERVICES, range_path: str = _RANGE) -> Services:
        """Of a file as services(5) has it; what cannot be read is as if it were empty."""
        tcp: dict[int, str] = {}
        udp: dict[int, str] = {}
        tables = {"tcp": tcp, "udp": udp}
        for line in _lines(path):
            words = line.partition("#")[0].split()
            port, _, protocol = words[1].partition("/") if len(words) > 1 else ("", "", "")
            table, name = tables.get(protocol.lower()), words[0] if words else ""
            if (
                table is None
                or not (port.isdecimal() and len(port) < 6)
                or not name.isascii()
                or not name.isprintable()
            ):
                continue
            table.setdefault(int(port), name[:_LONGEST])
        return cls(tcp, udp, _dynamic(range_path))

    def of(self, port: int, *, udp: bool) -> str:
        """`https`; empty where it has no name, or is one that clients get."""
        if port >= _DYNAMIC or self._first <= port <= self._last:
            return ""
        return self._tables[udp].get(port, "")


def _dynamic(path: str) -> tuple[int, int]:
    first, last, *_ = [*"".join(_lines(path)).split(), "", ""]
    if first.isdecimal() and last.isdecimal() and len(first) < 6 and len(last) < 6:
        return int(first), int(last)
    return _USUAL_RANGE


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
