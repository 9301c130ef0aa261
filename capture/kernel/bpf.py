"""Capture filters: tcpdump's words, compiled by the system's libpcap, to the kernel's classic BPF.

Instructions are (code, jt, jf, k) as in linux/filter.h. Two things are done to what libpcap compiles: loopback's
outgoing copy is rejected first, and a program written against the LINUX_SLL2 header is turned into one for sockets
that see packets without any link header.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import socket
import struct
from collections.abc import Sequence
from typing import Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = [
    "Matcher",
    "Program",
    "accept",
    "attach",
    "compile_filter",
    "discarded_after_capture",
    "libpcap_version",
    "without_loopback_copies",
    "without_sll2",
]

Program = tuple[tuple[int, int, int, int], ...]
"""Instructions: (code, jump if true, jump if false, k)."""

_LIBRARIES: Final = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so")
_NETMASK_UNKNOWN: Final = 0xFFFFFFFF
_ERRBUF_SIZE: Final = 256
_LONGEST: Final = 262_144
"""Bytes of the longest packet."""

_LINKTYPE_ETHERNET: Final = 1
_LINKTYPE_RAW: Final = 101
_DLT: Final = {_LINKTYPE_RAW: 12}
"""Where the file's LINKTYPE_ number is not libpcap's DLT_ number on Linux."""

# Instruction codes (linux/bpf_common.h)
_CLASS, _LD, _LDX = 0x07, 0x00, 0x01
_MODE, _ABS, _IND, _MSH = 0xE0, 0x20, 0x40, 0xA0
_SIZE, _WORD, _HALF, _BYTE = 0x18, 0x00, 0x08, 0x10
_LDB_ABS: Final = 0x30
_LDH_ABS: Final = 0x28
_JEQ_K: Final = 0x15
_RET_K: Final = 0x06

# Loads that reach the kernel's metadata in place of bytes (linux/filter.h)
_SKF_AD_OFF: Final = 0x1_0000_0000 - 0x1000
_AD_PROTOCOL: Final = _SKF_AD_OFF + 0
_AD_PKTTYPE: Final = _SKF_AD_OFF + 4
_AD_IFINDEX: Final = _SKF_AD_OFF + 8
_AD_HATYPE: Final = _SKF_AD_OFF + 28
_AD_VLAN_TAG_PRESENT: Final = _SKF_AD_OFF + 48

_PACKET_OUTGOING: Final = 4
_ARPHRD_LOOPBACK: Final = 772

_SO_ATTACH_FILTER: Final = 26
_MAX_JUMP: Final = 255

_SLL2_SIZE: Final = 20
_SLL2_METADATA: Final = {
    (0, _HALF): _AD_PROTOCOL,
    (4, _WORD): _AD_IFINDEX,
    (8, _HALF): _AD_HATYPE,
    (10, _BYTE): _AD_PKTTYPE,
}
"""Fields of the LINUX_SLL2 header by offset and size of the load, and where the kernel keeps the same."""


class _Insn(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class _BpfProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("insns", ctypes.POINTER(_Insn)))


def accept(length: int) -> Program:
    """Take the first `length` bytes of every packet."""
    return ((_RET_K, 0, 0, length),)


def attach(sock: socket.socket, program: Program) -> None:
    """Let `program` decide what the socket gets, and how much of it. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(held)))


def compile_filter(expression: str, linktype: int, snaplen: int, interface: str | None = None) -> Program:
    """`expression` in pcap-filter(7) syntax -> a program that takes `snaplen` bytes of what matches.

    `interface`: the Ethernet interface that it is for. The kernel takes VLAN tags out of packets; only a handle that
    is open on an interface makes libpcap look for them where the kernel keeps them, so `vlan` asks for one.
    Raises CaptureError 2 with libpcap's own message.
    """
    pcap = _libpcap()
    if not expression.isascii():
        raise CaptureError(f"capture filter: not ASCII: {expression!r}", EXIT_USAGE)
    handle = None
    if interface is not None and linktype == _LINKTYPE_ETHERNET and "vlan" in expression:
        # Any Ethernet does; this one may be down.
        handle = _open_on(pcap, interface) or _open_on(pcap, "lo")
    handle = handle or pcap.pcap_open_dead(_DLT.get(linktype, linktype), snaplen)
    if not handle:
        raise CaptureError("capture filter: libpcap has no memory", EXIT_USAGE)
    try:
        program = _BpfProgram()
        if pcap.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, _NETMASK_UNKNOWN):
            reason = pcap.pcap_geterr(handle).decode("utf-8", "replace")
            raise CaptureError(f"capture filter {expression!r}: {reason}", EXIT_USAGE)
        made = tuple((i.code, i.jt, i.jf, i.k) for i in program.insns[: program.length])
        pcap.pcap_freecode(ctypes.byref(program))
    finally:
        pcap.pcap_close(handle)
    return tuple((code, jt, jf, snaplen if code == _RET_K and k else k) for code, jt, jf, k in made)


def without_loopback_copies(program: Program) -> Program:
    """`program`, after a test that rejects what a loopback interface sends: the same packet also comes in there."""
    return (
        (_LDH_ABS, 0, 0, _AD_PKTTYPE),
        (_JEQ_K, 0, 3, _PACKET_OUTGOING),
        (_LDH_ABS, 0, 0, _AD_HATYPE),
        (_JEQ_K, 0, 1, _ARPHRD_LOOPBACK),
        (_RET_K, 0, 0, 0),
        *program,
    )


def discarded_after_capture(handled: Sequence[int]) -> Program:
    """Takes one byte of what comes in with a VLAN tag in the metadata and none of the protocols `handled`.

    Once captures have it, the kernel throws that away and counts it as dropped by the interface.
    """
    handled = handled[:_MAX_JUMP]
    tests = [(_JEQ_K, len(handled) - at, 0, protocol) for at, protocol in enumerate(handled)]
    return (
        (_LDB_ABS, 0, 0, _AD_VLAN_TAG_PRESENT),
        (_JEQ_K, 2, 0, 0),
        (_LDH_ABS, 0, 0, _AD_PKTTYPE),
        (_JEQ_K, 0, 1, _PACKET_OUTGOING),
        (_RET_K, 0, 0, 0),
        (_LDH_ABS, 0, 0, _AD_PROTOCOL),
        *tests,
        (_RET_K, 0, 0, 1),
        (_RET_K, 0, 0, 0),
    )


def without_sll2(program: Program) -> Program:
    """A program for LINUX_SLL2 packets -> one for sockets that see them from the network header on (SOCK_DGRAM).

    Raises CaptureError 2 where it reads a field of that header that the kernel does not keep.
    """
    return tuple((code, jt, jf, _moved(code, k)) for code, jt, jf, k in program)


def _moved(code: int, k: int) -> int:
    reads = code & _CLASS in (_LD, _LDX) and code & _MODE in (_ABS, _IND, _MSH)
    if not reads or k >= _SKF_AD_OFF:
        return k
    if k >= _SLL2_SIZE:
        return k - _SLL2_SIZE
    kept = _SLL2_METADATA.get((k, code & _SIZE)) if code & _MODE == _ABS else None
    if kept is None:
        raise CaptureError(
            "capture filter: reads the link header, which is not there on cooked interfaces", EXIT_USAGE
        )
    return kept


class Matcher:
    """A capture filter for packets that did not come through the kernel, run by libpcap's own interpreter."""

    def __init__(self, expression: str, linktype: int) -> None:
        """`expression` in pcap-filter(7) syntax. Raises CaptureError 2 with libpcap's own message."""
        program = compile_filter(expression, linktype, _LONGEST)
        self._instructions = (_Insn * len(program))(*(_Insn(*instruction) for instruction in program))
        self._run = _libpcap().bpf_filter

    def __call__(self, address: int, wirelen: int, caplen: int) -> bool:
        """Whether the packet of `caplen` captured bytes at `address` in memory matches."""
        return bool(self._run(self._instructions, address, wirelen, caplen))


def libpcap_version() -> str | None:
    """As libpcap says it (`libpcap version 1.10.3 (with TPACKET_V3)`), None where there is none."""
    try:
        pcap = _libpcap()
    except CaptureError:
        return None
    version: bytes = pcap.pcap_lib_version()
    return version.decode("ascii", "replace")


def _open_on(pcap: ctypes.CDLL, interface: str) -> int | None:
    """A pcap_t that is open on `interface`; None where that fails, as on one that is down."""
    reason = ctypes.create_string_buffer(_ERRBUF_SIZE)
    handle: int | None = pcap.pcap_create(interface.encode(), reason)
    if handle and (pcap.pcap_activate(handle) < 0 or pcap.pcap_datalink(handle) != _LINKTYPE_ETHERNET):
        pcap.pcap_close(handle)
        return None
    return handle


@functools.cache
def _libpcap() -> ctypes.CDLL:
    found: ctypes.CDLL | None = None
    for name in _LIBRARIES:
        try:
            found = ctypes.CDLL(name)
            break
        except OSError:
            continue
    else:
        # Runs ldconfig or a compiler: only where the usual names fail.
        elsewhere = ctypes.util.find_library("pcap")
        found = ctypes.CDLL(elsewhere) if elsewhere else None
    if found is None:
        raise CaptureError(
            "capture filters need libpcap, which is not installed (Debian: apt install libpcap0.8)", EXIT_USAGE
        )
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[object, tuple[object, ...]]] = {
        "pcap_open_dead": (pointer, (number, number)),
        "pcap_create": (pointer, (text, text)),
        "pcap_activate": (number, (pointer,)),
        "pcap_datalink": (number, (pointer,)),
        "pcap_compile": (number, (pointer, ctypes.POINTER(_BpfProgram), text, number, ctypes.c_uint32)),
        "pcap_freecode": (None, (ctypes.POINTER(_BpfProgram),)),
        "pcap_geterr": (text, (pointer,)),
        "pcap_close": (None, (pointer,)),
        "pcap_lib_version": (text, ()),
        "bpf_filter": (ctypes.c_uint, (ctypes.POINTER(_Insn), pointer, ctypes.c_uint, ctypes.c_uint)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(found, name)
        function.restype = result
        function.argtypes = arguments
    return found
