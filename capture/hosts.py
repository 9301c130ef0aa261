"""/etc/hosts: what the person who looks after this machine calls addresses. Read once, when netwatch starts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

__all__ = ["read_hosts"]

_HOSTS: Final = "/etc/hosts"
_MOST_BYTES: Final = 1 << 20
"""Some list a hundred thousand names to block."""
_MOST: Final = 32_768
_LOCALHOST: Final = "localhost"


def read_hosts(path: str = _HOSTS) -> dict[str, str]:
    """Address, as text → its first name in a hosts file (hosts(5)); empty where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            lines = file.read(_MOST_BYTES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        address = _address(words[0])
        if address is None or address.is_unspecified:
            continue  # 0.0.0.0 is where names to block are sent
        found.setdefault(str(address), words[1])
        if len(found) >= _MOST:
            break
    # That is what they are (RFC 6761, 6.3), whatever else stands before it: the machine's own name, or one to block.
    for address in (IPv4Address("127.0.0.1"), IPv6Address("::1")):
        if str(address) in found:
            found[str(address)] = _LOCALHOST
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.partition("%")[0])  # packets do not say which link
    except ValueError:
        return None
