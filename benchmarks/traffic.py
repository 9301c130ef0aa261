"""A million packets of a realistic mix, made from nothing but the demo capture.

The conversations of capture/data/demo.pcapng are templates: their payloads travel again between a few thousand other
addresses, interleaved, with handshakes and acknowledgements; some end in a download of many full segments. What is
not TCP (DNS, mDNS, ARP, ICMP, RTP, NTP, tunnels, fragments, broken packets …) is repeated as it was recorded. TCP
checksums stay 0, as in a capture taken on a sender whose network card computes them.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DEMO", "make"]

DEMO: Final = Path(__file__).parent.parent / "capture" / "data" / "demo.pcapng"
SEGMENT4, SEGMENT6 = 1448, 1428
"""Payload of a full TCP segment with the time stamp option, over IPv4 and IPv6."""
ACTIVE: Final = 64
"""Connections that are open at the same time."""
DOWNLOADS: Final = 0.03
"""Share of the connections that end in a download: a quarter of the packets, most of the bytes."""
LONGEST: Final = 400
"""Segments of the longest download."""
OTHERS: Final = 0.18
"""Share of the packets that are not TCP."""
SYN, ACK, PUSH, FIN = 0x02, 0x10, 0x08, 0x01

IPV4 = struct.Struct("!BBHHHBBH4s4s")
IPV6 = struct.Struct("!IHBB16s16s")
TCP = struct.Struct("!HHIIBBHHHBBBBII")
"""With the options: two NOP and the time stamps (RFC 7323)."""
RECORD = struct.Struct("<4I")

Template = list[tuple[bool, bytes]]
"""What both sides say: (from the client, payload)."""


def records(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Nanoseconds, bytes and wire length of each packet of a capture file."""
    from netwatch.capture.sources.files import open_file

    source = open_file(str(path))
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            for ts, at, size, wire in zip(block.ts, block.offsets, block.caplen, block.wirelen, strict=True):
                yield int(ts), block.raw[at : at + size].tobytes(), int(wire)


def templates() -> tuple[list[tuple[int, Template]], list[bytes]]:
    """The demo capture as conversations (server's port, what is said) and as frames that are not TCP."""
    said: dict[tuple[bytes, int, int], Template] = {}
    others = []
    for _, frame, _ in records(DEMO):
        start = tcp_start(frame)
        if not start:
            others.append(frame)
            continue
        source, target, size = (*struct.unpack_from("!HH", frame, start), frame[start + 12] >> 4)
        ends = frame[start - 32 : start] if frame[12] == 0x86 else frame[start - 8 : start]
        forward = source > target
        half = len(ends) // 2
        pair = ends if forward else ends[half:] + ends[:half]
        talk = said.setdefault((pair, max(source, target), min(source, target)), [])
        payload = frame[start + size * 4 :]
        if payload:
            talk.append((forward, payload))
    spoken = [(port, talk) for (_, _, port), talk in said.items() if len(talk) > 1]
    return spoken, others


def tcp_start(frame: bytes) -> int:
    """Where the TCP header is, in a frame without VLAN tag, IP options or fragments; 0: nowhere."""
    if frame[12:15] == b"\x08\x00\x45" and frame[23] == 6 and len(frame) >= 54 and frame[20] & 0x3F == 0:
        return 34
    return 54 if frame[12:14] == b"\x86\xdd" and frame[20] == 6 and len(frame) >= 74 else 0


@dataclass(slots=True)
class Side:
    """One end of a connection."""

    mac: bytes
    address: bytes
    port: int
    sequence: int
    seen: int = 0
    """The other side's next byte."""
    clock: int = 1000

    def frame(self, other: Side, flags: int, payload: bytes = b"") -> bytes:
        """The next segment to `other`."""
        self.clock += 1
        head = TCP.pack(
            self.port, other.port, self.sequence, self.seen if flags & ACK else 0, 0x80, flags, 502, 0, 0,
            1, 1, 8, 10, self.clock, other.clock,
        )  # fmt: skip
        self.sequence = (self.sequence + len(payload) + (1 if flags & (SYN | FIN) else 0)) & 0xFFFFFFFF
        other.seen = self.sequence
        size = len(head) + len(payload)
        if len(self.address) == 16:
            network = b"\x86\xdd" + IPV6.pack(6 << 28, size, 6, 64, self.address, other.address)
        else:
            network = b"\x08\x00" + self.ipv4(other, 20 + size)
        return other.mac + self.mac + network + head + payload

    def ipv4(self, other: Side, length: int) -> bytes:
        """An IPv4 header with its checksum (RFC 1071)."""
        ident = self.sequence & 0xFFFF
        head = IPV4.pack(0x45, 0, length, ident, 0x4000, 64, 6, 0, self.address, other.address)
        total: int = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~(total + (total >> 16)) & 0xFFFF
        return head[:10] + checksum.to_bytes(2) + head[12:]


def download(dice: random.Random, port: int, content: bytes, segment: int) -> Iterator[bytes]:
    """The segments of a large answer: TLS records of 16 KiB on port 443, an HTTP message elsewhere."""
    size = dice.randrange(40, LONGEST) * segment
    if port == 443:
        record = b"\x17\x03\x03\x40\x00" + content[: 1 << 14]
        body = record * (size // len(record) + 1)
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        body = head.encode() + content[:size]
    for at in range(0, len(body), segment):
        yield body[at : at + segment]


def connection(dice: random.Random, spoken: list[tuple[int, Template]], content: bytes) -> Iterator[bytes]:
    """The frames of one connection between two drawn hosts, from the first SYN to the last ACK."""
    port, talk = dice.choice(spoken)
    client_number, server_number = dice.randrange(4000), dice.randrange(200)
    if dice.random() < 0.35:
        network = bytes.fromhex("20010db8") + bytes(10)
        numbers, size = (client_number, 0x8000 | server_number), SEGMENT6
    else:
        network = bytes((198, 18))
        numbers, size = (client_number, 0xF000 | server_number), SEGMENT4
    there, here = (network + number.to_bytes(2) for number in numbers)
    client_mac, server_mac = b"\x02\x00\x5e\x30" + there[-2:], b"\x02\x00\x5e\x40" + here[-2:]
    client = Side(client_mac, there, dice.randrange(32768, 61000), dice.getrandbits(32))
    server = Side(server_mac, here, port, dice.getrandbits(32))
    yield client.frame(server, SYN)
    yield server.frame(client, SYN | ACK)
    yield client.frame(server, ACK)
    for forward, payload in talk:
        speaker, listener = (client, server) if forward else (server, client)
        yield speaker.frame(listener, PUSH | ACK, payload[:size])
        if dice.random() < 0.6:
            yield listener.frame(speaker, ACK)
    if dice.random() < DOWNLOADS:
        for number, segment in enumerate(download(dice, port, content, size)):
            yield server.frame(client, ACK, segment)
            if number % 2:
                yield client.frame(server, ACK)
    yield client.frame(server, FIN | ACK)
    yield server.frame(client, FIN | ACK)
    yield client.frame(server, ACK)


def frames(count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` frames of the mix; the same for the same seed."""
    dice = random.Random(seed)
    spoken, others = templates()
    content = dice.randbytes(LONGEST * SEGMENT4)
    active = [connection(dice, spoken, content) for _ in range(ACTIVE)]
    other = 0
    for _ in range(count):
        if dice.random() < OTHERS:
            yield others[other]
            other = (other + 1) % len(others)
            continue
        which = int(dice.random() * ACTIVE)
        frame = next(active[which], None)
        if frame is None:
            active[which] = connection(dice, spoken, content)
            frame = next(active[which])
        yield frame


def write_mix(path: Path, count: int, seed: int = 1) -> None:
    """Write `count` packets of the mix, 20 µs apart, as a pcap file."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        at = 1_800_000_000_000_000
        for frame in frames(count, seed):
            at += 20
            out.write(RECORD.pack(at // 1_000_000, at % 1_000_000, len(frame), len(frame)) + frame)


def repeat(source: Path, path: Path, count: int) -> int:
    """Write `source` as often as fits into `count` packets, each time later and between other IPv4 hosts.

    With the same hosts each connection would be one long retransmission, which an analyser that follows connections
    passes over. Returns how many packets were written.
    """
    packets = list(records(source))
    times = max(1, count // len(packets))
    length = max(ts for ts, _, _ in packets) - min(ts for ts, _, _ in packets) + 1_000_000
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number in range(times):
            for ts, frame, wire in packets:
                at = (ts + number * length) // 1000
                moved = other_hosts(frame, number)
                out.write(RECORD.pack(at // 1_000_000, at % 1_000_000, len(moved), wire) + moved)
    return len(packets) * times


def other_hosts(frame: bytes, number: int) -> bytes:
    """`frame` with `number` mixed into both IPv4 addresses, and the header's checksum for that (RFC 1624)."""
    if frame[12:15] != b"\x08\x00\x45" or len(frame) < 34 or number == 0:
        return frame
    checksum, source, target = (int.from_bytes(frame[at : at + 2]) for at in (24, 26, 30))
    total = ~checksum & 0xFFFF
    for word in (source, target):
        total += (~word & 0xFFFF) + (word ^ number)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    words = (checksum.to_bytes(2), (source ^ number).to_bytes(2), frame[28:30], (target ^ number).to_bytes(2))
    return frame[:24] + b"".join(words) + frame[32:]


def make(path: Path, count: int, source: Path | None = None) -> int:
    """Write about `count` packets: the mix, or `source` repeated; returns how many.

    In a process of its own: what this one had in memory at the time would count as the peak of the programs that it
    starts later.
    """
    command = [sys.executable, "-m", "benchmarks.traffic", str(path), str(count), *([str(source)] if source else [])]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(path: str, count: str, source: str = "") -> None:
    """Write the file, print the number of packets."""
    if source:
        print(repeat(Path(source), Path(path), int(count)))
    else:
        write_mix(Path(path), int(count))
        print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
