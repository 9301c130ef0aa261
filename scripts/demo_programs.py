"""The small programs that run inside the namespaces of record_demo.py, where no ready-made one does it.

    python3 demo_programs.py PROGRAM ARGUMENTS…

Only the standard library: whatever Python runs record_demo.py runs these too.
"""

from __future__ import annotations

import argparse
import heapq
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

ETH_P_ALL: Final = 3
PACKET_OUTGOING: Final = 4
PACKET_AUXDATA: Final = 8
SOL_PACKET: Final = 263
AUXDATA: Final = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata of <linux/if_packet.h>: status, len, snaplen, mac, net, vlan_tci, vlan_tpid."""
TP_STATUS_VLAN_VALID: Final = 1 << 4
VLAN_TAG: Final = 0x8100


# --- a cable with a delay, and a switch port that tags ---------------------------------------------------------


def packet_socket(interface: str) -> socket.socket:
    """A socket that sees and sends whole Ethernet frames of `interface`."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    opened.bind((interface, 0))
    return opened


def receive(opened: socket.socket) -> bytes | None:
    """The next frame, with the VLAN tag that the kernel moved aside put back. None: our own, going out."""
    frame, ancillary, _, address = opened.recvmsg(65536, 64)
    if address[2] == PACKET_OUTGOING:
        return None
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tci, tpid = AUXDATA.unpack(data[: AUXDATA.size])
            if status & TP_STATUS_VLAN_VALID:
                frame = frame[:12] + struct.pack("!HH", tpid or VLAN_TAG, tci) + frame[12:]
    return frame


def retag(frame: bytes, tag: int, *, adding: bool) -> bytes | None:
    """`frame` with the tag added, or without it. None where it does not carry this tag."""
    if adding:
        return frame[:12] + struct.pack("!HH", VLAN_TAG, tag) + frame[12:]
    if struct.unpack_from("!HH", frame, 12) == (VLAN_TAG, tag):
        return frame[:12] + frame[16:]
    return None


def wire(inner: str, outer: str, delay_ms: float, loss: float, tag: int) -> None:
    """Carry frames between two interfaces: late, some lost; tagged on the outer side if `tag` is not 0."""
    ends = {packet_socket(inner): True, packet_socket(outer): False}
    other = dict(zip(ends, reversed(ends), strict=True))
    dice = random.Random(tag + 1)
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    order = count()
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(list(ends), [], [], timeout)[0]:
            frame = receive(end)
            if frame is not None and tag:
                frame = retag(frame, tag, adding=ends[end])
            if frame is not None and dice.random() >= loss:
                heapq.heappush(waiting, (time.monotonic() + delay_ms / 1000, next(order), other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            end.send(frame)


# --- conversations ---------------------------------------------------------------------------------------------


def echo(port: int) -> None:
    """A TCP echo server (RFC 862), IPv4 and IPv6."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    open_sockets = [server]
    while True:
        for ready in select.select(open_sockets, [], [])[0]:
            if ready is server:
                open_sockets.append(server.accept()[0])
            elif data := ready.recv(4096):
                ready.sendall(data)
            else:
                open_sockets.remove(ready)
                ready.close()


LINES: Final = (
    "hello, is anybody there?",
    "the packets go out and come back",
    "äöü, λ and 漢字 travel as UTF-8",
    "short",
    "a line that is a little longer than the others, so that the length column has something to show",
    "good bye",
)


def chat(host: str, port: int, pause: float, rounds: int) -> None:
    """Say a few lines to an echo server and wait for each to come back."""
    with socket.create_connection((host, port)) as talk:
        for _ in range(rounds):
            for line in LINES:
                talk.sendall(line.encode() + b"\r\n")
                talk.recv(4096)
                time.sleep(pause)


def bursts(host: str, port: int, every: float, size: int, seconds: float) -> None:
    """Measured values as small UDP datagrams, `size` at a time, as a sensor gateway sends them."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    out = socket.socket(family, kind)
    dice = random.Random(port)
    for number in ticks(every, seconds):
        for sensor in range(size):
            value = 20 + 3 * dice.random()
            out.sendto(f"hall{number % 4}.sensor{sensor}.celsius:{value:.2f}|g".encode(), address)


def sink(ports: list[str]) -> None:
    """Take what comes on some UDP ports and say nothing."""
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in ports]
    for one, port in zip(opened, ports, strict=True):
        one.bind(("", int(port)))
    while True:
        for ready in select.select(opened, [], [])[0]:
            ready.recv(65536)


def syslog(host: str, name: str, every: float, seconds: float) -> None:
    """Log lines over UDP (RFC 5424)."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    events = ("session opened", "job 7 done in 0.31 s", "cache cleaned, 42 entries", "session closed")
    for number in ticks(every, seconds):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        out.sendto(f"<134>1 {stamp} {name} app - - - {events[number % len(events)]}".encode(), (host, 514))


def rtp(host: str, port: int, every: float, seconds: float) -> None:
    """A stream of RTP packets (RFC 3550), payload type 0, 20 ms of silence each."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in ticks(every, seconds):
        out.sendto(struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0x0D5E11E5) + b"\xff" * 160, (host, port))


def ticks(every: float, seconds: float) -> Iterator[int]:
    """0, 1, 2 … each `every` seconds until `seconds` are over."""
    start = time.monotonic()
    for number in range(int(seconds / every)):
        time.sleep(max(0.0, start + number * every - time.monotonic()))
        yield number


def trace(host: str, hops: int) -> None:
    """What traceroute does: UDP to ports where nobody listens, with a time to live of 1, 2, 3 …"""
    for ttl in range(1, hops + 1):
        for probe in range(3):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            out.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            out.sendto(b"traceroute probe", (host, 33434 + 3 * ttl + probe))
            time.sleep(0.04)


MDNS: Final = ("224.0.0.251", 5353)
PTR: Final = 12


def mdns(address: str, names: list[str]) -> None:
    """Ask the link for services (RFC 6762), as a file manager does that looks for printers."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    out.bind(("", MDNS[1]))
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    out.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MDNS[0]) + socket.inet_aton(address))
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    for name in names:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        out.sendto(struct.pack("!6H", 0, 0, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, PTR, 1), MDNS)
        time.sleep(0.3)


# --- packets that no sane program sends ------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ipv4(source: str, target: str, protocol: int, payload: bytes, length: int = 0, first: int = 0x45) -> bytes:
    """An IPv4 packet; `length` and `first` (version and header length) may lie."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", first, 0, length or 20 + len(payload), 7, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(flags: int, offset: int = 5, payload: bytes = b"") -> bytes:
    """A TCP segment to port 80 whose checksum is wrong."""
    return struct.pack("!HHIIBBHHH", 40666, 80, 0x1000, 0, offset << 4, flags, 1024, 0xBAD0, 0) + payload


def udp(port: int, payload: bytes, length: int = 0, total: int = 0) -> bytes:
    """A UDP datagram; `length` may lie; a checksum of 0 says that there is none."""
    return struct.pack("!4H", 40666, port, length or 8 + len(payload), total) + payload


def ipv6(source: str, target: str, following: int, payload: bytes, length: int = 0) -> bytes:
    """An IPv6 packet; `length` may lie."""
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack("!IHBB", 6 << 28, length or len(payload), following, 64) + ends + payload


def broken(source: str, target: str, source6: str, target6: str) -> list[tuple[int, bytes]]:
    """EtherType and payload of each broken packet."""
    looped_name = struct.pack("!6H", 0x2A2A, 0x0100, 1, 0, 0, 0) + b"\x04loop\xc0\x0c" + struct.pack("!HH", 1, 1)
    escape = b"GET /\x1b[31mred\x1b]0;title\x07 HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    return [
        (0x0800, ipv4(source, target, 6, tcp(0x02))),  # TCP checksum wrong
        (0x0800, ipv4(source, target, 17, udp(9999, b"checksum is wrong", total=0xDEAD))),
        (0x0800, ipv4(source, target, 17, udp(9999, b"too short"))[:12]),  # header cut
        (0x0800, ipv4(source, target, 6, tcp(0x10), length=1500)),  # total length lies
        (0x0800, ipv4(source, target, 6, tcp(0x10), first=0x43)),  # header of 12 bytes
        (0x0800, ipv4(source, target, 6, tcp(0x10), first=0x75)),  # version 7
        (0x0800, ipv4(source, target, 6, tcp(0x12, offset=2))),  # data offset inside the header
        (0x0800, ipv4(source, target, 6, tcp(0x29))),  # FIN, PSH, URG: a "Christmas tree"
        (0x0800, ipv4(source, target, 17, udp(9999, b"length below eight", length=4))),
        (0x0800, ipv4(source, target, 17, udp(53, looped_name))),  # a name that points at itself
        (0x0800, ipv4(source, target, 6, tcp(0x18, payload=escape))),  # control codes for a terminal
        (0x86DD, ipv6(source6, target6, 17, udp(9999, b"payload length lies"), length=1000)),
        (0x86DD, ipv6(source6, target6, 0, bytes([17, 250]) + bytes(6))),  # option header longer than the packet
        (0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6)),  # ARP cut
        (0x9000, b"an EtherType of a loopback test"),
    ]


def misfits(interface: str, macs: list[str], addresses: list[str], every: float) -> None:
    """Send every broken packet once, `every` seconds apart. `macs`: source, target; `addresses`: v4, v4, v6, v6."""
    out = packet_socket(interface)
    source_mac, target_mac = (bytes.fromhex(mac.replace(":", "")) for mac in macs)
    for ethertype, payload in broken(*addresses):
        out.send(target_mac + source_mac + struct.pack("!H", ethertype) + payload)
        time.sleep(every)


def main() -> None:
    """Run the program that the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    programs = parser.add_subparsers(dest="program", required=True)

    def program(run: Callable[..., None], **options: type[str] | type[int] | type[float] | str) -> None:
        sub = programs.add_parser(run.__name__, help=run.__doc__)
        sub.set_defaults(run=run)
        for name, kind in options.items():
            if kind == "list":
                sub.add_argument(f"--{name}", nargs="+", required=True)
            elif not isinstance(kind, str):
                sub.add_argument(f"--{name}", type=kind, required=True)

    program(wire, inner=str, outer=str, delay_ms=float, loss=float, tag=int)
    program(echo, port=int)
    program(chat, host=str, port=int, pause=float, rounds=int)
    program(bursts, host=str, port=int, every=float, size=int, seconds=float)
    program(sink, ports="list")
    program(syslog, host=str, name=str, every=float, seconds=float)
    program(rtp, host=str, port=int, every=float, seconds=float)
    program(trace, host=str, hops=int)
    program(mdns, address=str, names="list")
    program(misfits, interface=str, macs="list", addresses="list", every=float)
    options = vars(parser.parse_args())
    run = options.pop("run")
    del options["program"]
    run(**options)


if __name__ == "__main__":
    main()
