"""Connections that a capture is to leave out, rejected in the kernel: classic BPF in front of the capture filter.

A load behind the end of a packet ends a program, and rejects the packet; so lengths are looked at before anything is
read, and what is too short to belong to a connection goes on to the capture filter. The same holds for later
fragments of IPv4 packets and for IPv6 packets with extension headers: no ports are seen in them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from netwatch.capture.kernel.bpf import Program

__all__ = ["MOST", "Endpoint", "endpoint_words", "filter_words", "without"]

MOST: Final = 16
"""Connections that are hidden at most: each costs every packet some instructions."""

_LINKTYPE_ETHERNET: Final = 1
_LINKTYPE_RAW: Final = 101
_LINKTYPE_LINUX_SLL2: Final = 276
_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_MOST_TAGS: Final = 2
"""VLAN tags that are still inside of a packet; the outermost is usually in the metadata."""
_PROTOCOLS: Final = {"tcp": 6, "udp": 17}
_PORTS: Final = 4
"""Bytes of the two ports, with which TCP and UDP begin."""

# Instruction codes (linux/bpf_common.h)
_LD_LEN, _LD_MEM = 0x80, 0x60
_LDH_ABS, _LDB_ABS = 0x28, 0x30
_LD_IND, _LDH_IND, _LDB_IND = 0x40, 0x48, 0x50
_LDX_IMM, _ST, _TAX = 0x01, 0x02, 0x07
_ADD_K, _SUB_K, _AND_K, _LSH_K = 0x04, 0x14, 0x54, 0x64
_ADD_X, _TXA = 0x0C, 0x87
_JA, _JEQ_K, _JGT_K, _JGE_K, _JGE_X, _JSET_K = 0x05, 0x15, 0x25, 0x35, 0x3D, 0x45
_RET_K: Final = 0x06
_AD_PROTOCOL: Final = 0xFFFF_F000
"""A load from here has the EtherType that the kernel keeps (linux/filter.h, SKF_AD_PROTOCOL)."""

# Scratch memory: what the packet is, once it is known. IPv6 addresses take four words.
_PROTOCOL, _SOURCE, _DESTINATION, _PORT_PAIR = 0, 1, 5, 9


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connection as one end of it, this machine, has it. What is None may be anything."""

    protocol: str
    """`tcp` or `udp`"""
    local: str | None
    """IPv4 or IPv6 address, without zone."""
    local_port: int | None
    remote: str | None = None
    remote_port: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what is no connection, or would be all of them."""
        if self.protocol not in _PROTOCOLS:
            raise ValueError(f"{self.protocol!r} has no ports")
        if self.local_port is None and self.remote_port is None:
            raise ValueError("a connection needs a port")
        if any(port is not None and not 0 < port < 1 << 16 for port in (self.local_port, self.remote_port)):
            raise ValueError("a port lies between 1 and 65535")
        if len({len(_packed(each)) for each in (self.local, self.remote) if each is not None}) > 1:
            raise ValueError("both addresses are of one family")

    @property
    def versions(self) -> tuple[int, ...]:
        """EtherTypes of the packets that it may consist of."""
        for address in (self.local, self.remote):
            if address is not None:
                return (_IPV6,) if ":" in address else (_IPV4,)
        return (_IPV4, _IPV6)


def filter_words(endpoint: Endpoint) -> str:
    """What the kernel's filter does, in pcap-filter(7) words."""
    words = [endpoint.protocol]
    for address, port in ((endpoint.local, endpoint.local_port), (endpoint.remote, endpoint.remote_port)):
        words += [f"host {address}"] if address is not None else []
        words += [f"port {port}"] if port is not None else []
    return f"not ({' and '.join(words)})"


def endpoint_words(endpoint: Endpoint, arrow: str = " → ") -> str:
    """`192.0.2.7:50122 → 192.0.2.1:22`, from the terminal to this machine; `udp 192.0.2.1:60001` where the other end
    may be anywhere."""
    here = _place(endpoint.local, endpoint.local_port)
    if endpoint.remote is None:
        return f"{endpoint.protocol} {here}"
    return f"{_place(endpoint.remote, endpoint.remote_port)}{arrow}{here}"


def without(endpoints: Sequence[Endpoint], program: Program, linktype: int) -> Program:
    """`program`, after a test that rejects the packets of `endpoints`, in both directions.

    `linktype`: LINKTYPE_ value; LINUX_SLL2 stands for a socket that sees packets from the network header on. Frames
    of radio links are left alone: what they carry is encrypted.
    """
    endpoints = endpoints[:MOST]
    code = _Code()
    if not endpoints or not _find_network_header(code, linktype):
        return program
    for version, read in ((_IPV4, _read_ipv4), (_IPV6, _read_ipv6)):
        code.mark(version)
        mine = [endpoint for endpoint in endpoints if version in endpoint.versions]
        if mine:
            read(code)
        for endpoint in mine:
            _reject(code, endpoint)
        code.go_on()
    return code.before(program)


class _Code:
    """Instructions whose jumps lead to marks further on."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, object, object, int]] = []
        self._marks: dict[object, int] = {}

    def put(self, code: int, k: int = 0) -> None:
        self._lines.append((code, None, None, k))

    def jump(self, code: int, k: int, yes: object = None, no: object = None) -> None:
        """To a mark; None: the next instruction."""
        self._lines.append((code, yes, no, k))

    def mark(self, name: object) -> None:
        self._marks[name] = len(self._lines)

    def go_on(self) -> None:
        """To the capture filter, which may be further away than a conditional jump leads."""
        self._lines.append((_JA, self, None, 0))

    def before(self, program: Program) -> Program:
        self._marks[self] = len(self._lines)
        made: list[tuple[int, int, int, int]] = []
        for at, (code, yes, no, k) in enumerate(self._lines):
            then, otherwise = (0 if name is None else self._marks[name] - at - 1 for name in (yes, no))
            made.append((code, 0, 0, then) if code == _JA else (code, then, otherwise, k))
        return (*made, *program)


def _find_network_header(code: _Code, linktype: int) -> bool:
    """Jump to the mark of the packet's version, with X where its header begins; False: there is none to be found."""
    if linktype == _LINKTYPE_RAW:
        _need(code, 1, "other")
        code.put(_LDB_ABS, 0)
        code.put(_AND_K, 0xF0)
        code.jump(_JEQ_K, 0x40, "v4 at 0")
        code.jump(_JEQ_K, 0x60, "v6 at 0", "other")
        _choose(code, 0)
    elif linktype in (_LINKTYPE_ETHERNET, _LINKTYPE_LINUX_SLL2):
        at = 14 if linktype == _LINKTYPE_ETHERNET else 0
        if at:
            _need(code, at, "other")
        for tags in range(_MOST_TAGS + 1):
            start = at + 4 * tags
            code.put(_LDH_ABS, start - 2 if start else _AD_PROTOCOL)
            code.jump(_JEQ_K, _IPV4, f"v4 at {start}")
            code.jump(_JEQ_K, _IPV6, f"v6 at {start}")
            if tags < _MOST_TAGS:
                for tag in _TAGS[:-1]:
                    code.jump(_JEQ_K, tag, f"tag at {start}")
                code.jump(_JEQ_K, _TAGS[-1], None, "other")
                code.mark(f"tag at {start}")
                _need(code, start + 4, "other")
        code.go_on()
        for tags in range(_MOST_TAGS + 1):
            _choose(code, at + 4 * tags)
    else:
        return False
    code.mark("other")
    code.go_on()
    return True


def _choose(code: _Code, start: int) -> None:
    """The packet's version is known, and that its header begins at `start`."""
    for name, version, size in (("v4", _IPV4, 20), ("v6", _IPV6, 40)):
        code.mark(f"{name} at {start}")
        _need(code, start + size + _PORTS, "other")
        code.put(_LDX_IMM, start)
        code.jump(_JA, 0, version)


def _need(code: _Code, size: int, otherwise: object) -> None:
    code.put(_LD_LEN)
    code.jump(_JGE_K, size, None, otherwise)


def _read_ipv4(code: _Code) -> None:
    """RFC 791: a header of 20 to 60 bytes, and the ports behind it unless this is a later fragment."""
    code.put(_LDB_IND, 0)
    code.jump(_JGE_K, 0x45, None, "not IPv4")
    code.jump(_JGT_K, 0x4F, "not IPv4")
    code.put(_LDH_IND, 6)
    code.jump(_JSET_K, 0x1FFF, "not IPv4")
    _read_protocol(code, 9, "not IPv4")
    code.put(_LD_IND, 12)
    code.put(_ST, _SOURCE)
    code.put(_LD_IND, 16)
    code.put(_ST, _DESTINATION)
    code.put(_LDB_IND, 0)
    code.put(_AND_K, 0x0F)
    code.put(_LSH_K, 2)
    code.put(_ADD_X)
    code.put(_ADD_K, _PORTS)
    code.put(_TAX)
    code.put(_LD_LEN)
    code.jump(_JGE_X, 0, "ports", "not IPv4")
    code.mark("not IPv4")
    code.go_on()
    code.mark("ports")
    code.put(_TXA)
    code.put(_SUB_K, _PORTS)
    code.put(_TAX)
    code.put(_LD_IND, 0)
    code.put(_ST, _PORT_PAIR)


def _read_ipv6(code: _Code) -> None:
    """RFC 8200: a header of 40 bytes."""
    code.put(_LDB_IND, 0)
    code.put(_AND_K, 0xF0)
    code.jump(_JEQ_K, 0x60, None, "not IPv6")
    _read_protocol(code, 6, "not IPv6")
    code.jump(_JA, 0, "addresses")
    code.mark("not IPv6")
    code.go_on()
    code.mark("addresses")
    for word in range(4):
        code.put(_LD_IND, 8 + 4 * word)
        code.put(_ST, _SOURCE + word)
        code.put(_LD_IND, 24 + 4 * word)
        code.put(_ST, _DESTINATION + word)
    code.put(_LD_IND, 40)
    code.put(_ST, _PORT_PAIR)


def _read_protocol(code: _Code, at: int, otherwise: str) -> None:
    code.put(_LDB_IND, at)
    code.jump(_JEQ_K, _PROTOCOLS["tcp"], f"protocol at {at}")
    code.jump(_JEQ_K, _PROTOCOLS["udp"], None, otherwise)
    code.mark(f"protocol at {at}")
    code.put(_ST, _PROTOCOL)


def _reject(code: _Code, endpoint: Endpoint) -> None:
    here, there = (endpoint.local, endpoint.local_port), (endpoint.remote, endpoint.remote_port)
    for source, destination in ((here, there), (there, here)):
        other = object()
        code.put(_LD_MEM, _PROTOCOL)
        code.jump(_JEQ_K, _PROTOCOLS[endpoint.protocol], None, other)
        for (_, port), mask, shift in ((source, 0xFFFF_0000, 16), (destination, 0xFFFF, 0)):
            if port is not None:
                code.put(_LD_MEM, _PORT_PAIR)
                code.put(_AND_K, mask)
                code.jump(_JEQ_K, port << shift, None, other)
        for (address, _), slot in ((source, _SOURCE), (destination, _DESTINATION)):
            for word, value in enumerate(_words(address)):
                code.put(_LD_MEM, slot + word)
                code.jump(_JEQ_K, value, None, other)
        code.put(_RET_K, 0)
        code.mark(other)


def _words(address: str | None) -> tuple[int, ...]:
    return tuple(number for (number,) in struct.iter_unpack("!I", _packed(address))) if address is not None else ()


def _packed(address: str) -> bytes:
    """Raises ValueError."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError as error:
        raise ValueError(f"{address!r} is no address") from error


def _place(address: str | None, port: int | None) -> str:
    if address is None:
        return f"port {port}"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
