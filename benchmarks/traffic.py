"""A million packets of a realistic mix, made from nothing but the demo capture.

The conversations of capture/data/demo.pcapng are templates: their payloads travel again between a few thousand other
addresses, interleaved, each connection with a port of its own, from its handshake to its end. What is neither TCP nor
a look-up (mDNS, ARP, ICMP, RTP, NTP, tunnels, fragments, broken packets …) is repeated as it was recorded. Checksums
of TCP stay 0, as in a capture taken on a sender whose network card computes them.

`web`, the usual mix, follows what studies of access and campus networks agree on: most connections are short (about
twenty packets in the median, thirty in the mean), few long ones carry most of the bytes; names are looked up
before most connections, by a query and an answer from a new port; some connections are refused or get no answer; some
segments come twice; packets are either small or full, about 500 bytes in the mean; few servers have most of the
clients. `plain` has smaller packets, no look-ups of its own and more that is neither TCP nor a look-up.
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

__all__ = ["DEMO", "MIXES", "make", "records"]

DEMO: Final = Path(__file__).parent.parent / "capture" / "data" / "demo.pcapng"
SEGMENT4, SEGMENT6 = 1448, 1428
"""Payload of a full TCP segment with the time stamp option, over IPv4 and IPv6."""
ACTIVE: Final = 64
"""Connections that are open at the same time."""
LONGEST: Final = 400
"""Segments of the longest download."""
LONG: Final = 100
"""Messages of a conversation that somebody types, as over SSH."""
RESOLVERS: Final = (b"\xc6\x12\xff\x01", b"\xc6\x12\xff\x02")
CLIENTS, SERVERS = 4000, 200


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of something, between 0 and 1."""

    others: float
    """Of the packets: not TCP and no look-up."""
    lookups: float = 0.0
    """Of the connections: names are looked up before."""
    objects: float = 0.0
    """Of the connections: an answer of some segments follows what the template says."""
    downloads: float = 0.0
    """Of the connections: one of many segments does."""
    refused: float = 0.0
    """Of the connections: the first segment is answered by a reset, or not at all and sent again."""
    acknowledged: float = 0.6
    """Of the messages: a bare acknowledgement follows."""
    interactive: float = 1.0
    """Of the drawn templates of more than LONG messages: they are taken, else another is drawn."""
    repeated: float = 0.0
    """Of the full segments: sent twice."""
    popular: float = 1.0
    """Exponent of the servers' popularity: 1 all alike, above it the first ones have most clients."""


MIXES: Final = {
    "web": Mix(
        others=0.06,
        lookups=0.6,
        objects=0.5,
        downloads=0.0155,
        refused=0.05,
        acknowledged=0.3,
        interactive=0.1,
        repeated=0.01,
        popular=3.0,
    ),
    "plain": Mix(others=0.18, downloads=0.03),
}
SYN, ACK, PUSH, FIN, RESET = 0x02, 0x10, 0x08, 0x01, 0x04

IPV4 = struct.Struct("!BBHHHBBH4s4s")
IPV6 = struct.Struct("!IHBB16s16s")
TCP = struct.Struct("!HHIIBBHHH")
TIMES = struct.Struct("!BBBBII")
"""Options of every segment but the first two: two NOP and the time stamps (RFC 7323)."""
SYN_OPTIONS = struct.Struct("!BBHBBBBIIBBBB")
"""Maximum segment size, SACK permitted, time stamps, window scale: what a SYN has since long."""
UDP = struct.Struct("!4H")
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


@dataclass(slots=True)
class Templates:
    """What the demo capture says."""

    spoken: list[tuple[int, Template]]
    """Conversations over TCP: the server's port, what is said."""
    lookups: list[tuple[bytes, bytes]]
    """Messages of DNS: query, answer."""
    others: list[bytes]
    """Frames that are neither."""
    content: bytes
    """What downloads consist of."""


def templates(dice: random.Random) -> Templates:
    """Take the demo capture apart."""
    said: dict[tuple[bytes, int, int], Template] = {}
    asked: dict[tuple[bytes, bytes], bytes] = {}
    others, lookups = [], []
    for _, frame, _ in records(DEMO):
        start = tcp_start(frame)
        if not start:
            others.append(frame)
            if frame[12:15] == b"\x08\x00\x45" and frame[23] == 17 and b"\x00\x35" in (frame[34:36], frame[36:38]):
                message, client = frame[42:], frame[26:30] if frame[36:38] == b"\x00\x35" else frame[30:34]
                if not message[2] & 0x80:
                    asked[client, message[:2]] = message
                elif query := asked.get((client, message[:2])):
                    lookups.append((query, message))
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
    return Templates(spoken, lookups, others, dice.randbytes(LONGEST * SEGMENT4))


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
        options = b""
        if flags & SYN:
            options = SYN_OPTIONS.pack(2, 4, SEGMENT4 + 12, 4, 2, 8, 10, self.clock, other.clock, 1, 3, 3, 7)
        head = TCP.pack(
            *(self.port, other.port, self.sequence, self.seen if flags & ACK else 0),
            *(0xA0 if flags & SYN else 0x80, flags, 502, 0, 0),
        )
        head += options or TIMES.pack(1, 1, 8, 10, self.clock, other.clock)
        self.sequence = (self.sequence + len(payload) + (1 if flags & (SYN | FIN) else 0)) & 0xFFFFFFFF
        other.seen = self.sequence
        return self.packet(other, 6, head + payload)

    def datagram(self, other: Side, message: bytes) -> bytes:
        """A UDP datagram over IPv4, without checksum as RFC 768 allows."""
        return self.packet(other, 17, UDP.pack(self.port, other.port, UDP.size + len(message), 0) + message)

    def packet(self, other: Side, protocol: int, body: bytes) -> bytes:
        """Ethernet and IP in front of `body`."""
        if len(self.address) == 16:
            network = b"\x86\xdd" + IPV6.pack(6 << 28, len(body), protocol, 64, self.address, other.address)
        else:
            network = b"\x08\x00" + self.ipv4(other, protocol, 20 + len(body))
        return other.mac + self.mac + network + body

    def ipv4(self, other: Side, protocol: int, length: int) -> bytes:
        """An IPv4 header with its checksum (RFC 1071)."""
        ident = self.sequence & 0xFFFF
        head = IPV4.pack(0x45, 0, length, ident, 0x4000, 64, protocol, 0, self.address, other.address)
        total: int = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~(total + (total >> 16)) & 0xFFFF
        return head[:10] + checksum.to_bytes(2) + head[12:]


def body(port: int, content: bytes, segments: int, segment: int) -> Iterator[bytes]:
    """The segments of an answer: TLS records of up to 16 KiB on port 443, an HTTP message elsewhere."""
    size = segments * segment
    if port == 443:
        length = min(1 << 14, size)
        record = b"\x17\x03\x03" + length.to_bytes(2) + content[:length]
        whole = record * (size // length)
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        whole = head.encode() + content[:size]
    for at in range(0, len(whole), segment):
        yield whole[at : at + segment]


def ends(dice: random.Random, mix: Mix, port: int) -> tuple[Side, Side, int]:
    """A client and a server, and the size of a full segment between them."""
    client_number, server_number = dice.randrange(CLIENTS), int(SERVERS * dice.random() ** mix.popular)
    if dice.random() < 0.35:
        network = bytes.fromhex("20010db8") + bytes(10)
        numbers, size = (client_number, 0x8000 | server_number), SEGMENT6
    else:
        network = bytes((198, 18))
        numbers, size = (client_number, 0xF000 | server_number), SEGMENT4
    there, here = (network + number.to_bytes(2) for number in numbers)
    client_mac, server_mac = b"\x02\x00\x5e\x30" + there[-2:], b"\x02\x00\x5e\x40" + here[-2:]
    client = Side(client_mac, there, dice.randrange(32768, 61000), dice.getrandbits(32))
    return client, Side(server_mac, here, port, dice.getrandbits(32)), size


def lookup(dice: random.Random, client: Side, messages: tuple[bytes, bytes]) -> Iterator[bytes]:
    """A query from a new port, and its answer."""
    resolver = dice.choice(RESOLVERS)
    address = client.address if len(client.address) == 4 else b"\xc6\x12" + client.address[-2:]
    asking = Side(client.mac, address, dice.randrange(32768, 61000), dice.getrandbits(16))
    answering = Side(b"\x02\x00\x5e\x50" + resolver[-2:], resolver, 53, dice.getrandbits(16))
    number = dice.randbytes(2)
    query, answer = (number + message[2:] for message in messages)
    yield asking.datagram(answering, query)
    yield answering.datagram(asking, answer)


def connection(dice: random.Random, mix: Mix, known: Templates) -> Iterator[bytes]:
    """The frames of one connection between two drawn hosts, from the look-up of a name to the last ACK."""
    port, talk = dice.choice(known.spoken)
    while len(talk) > LONG and dice.random() >= mix.interactive:
        port, talk = dice.choice(known.spoken)
    client, server, size = ends(dice, mix, port)
    if dice.random() < mix.lookups:
        for _ in range(dice.randrange(1, 3)):
            yield from lookup(dice, client, dice.choice(known.lookups))
    opening = client.frame(server, SYN)
    yield opening
    if dice.random() < mix.refused:
        yield server.frame(client, RESET | ACK) if dice.random() < 0.5 else opening
        return
    yield server.frame(client, SYN | ACK)
    yield client.frame(server, ACK)
    for forward, payload in talk:
        speaker, listener = (client, server) if forward else (server, client)
        yield speaker.frame(listener, PUSH | ACK, payload[:size])
        if dice.random() < mix.acknowledged:
            yield listener.frame(speaker, ACK)
    kind, segments = dice.random(), 0
    if kind < mix.downloads:
        segments = dice.randrange(40, LONGEST)
    elif kind < mix.downloads + mix.objects:
        segments = 2 + int(dice.expovariate(1 / 8))
    for number, segment in enumerate(body(port, known.content, segments, size) if segments else ()):
        frame = server.frame(client, ACK, segment)
        yield frame
        if dice.random() < mix.repeated:
            yield frame
        if number % 2:
            yield client.frame(server, ACK)
    yield client.frame(server, FIN | ACK)
    yield server.frame(client, FIN | ACK)
    yield client.frame(server, ACK)


def frames(count: int, mix: Mix, seed: int = 1) -> Iterator[bytes]:
    """`count` frames of the mix; the same for the same seed."""
    dice = random.Random(seed)
    known = templates(dice)
    active = [connection(dice, mix, known) for _ in range(ACTIVE)]
    other = 0
    for _ in range(count):
        if dice.random() < mix.others:
            yield known.others[other]
            other = (other + 1) % len(known.others)
            continue
        which = int(dice.random() * ACTIVE)
        frame = next(active[which], None)
        if frame is None:
            active[which] = connection(dice, mix, known)
            frame = next(active[which])
        yield frame


def write_mix(path: Path, count: int, mix: Mix) -> None:
    """Write `count` packets of a mix, 20 µs apart, as a pcap file."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        at = 1_800_000_000_000_000
        for frame in frames(count, mix):
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


def make(path: Path, count: int, source: Path | str = "web") -> int:
    """Write about `count` packets: one of MIXES, or the file `source` repeated; returns how many.

    In a process of its own: what this one had in memory at the time would count as the peak of the programs that it
    starts later.
    """
    command = [sys.executable, "-m", "benchmarks.traffic", str(path), str(count), str(source)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=DEMO.parents[2]).stdout)


def main(path: str, count: str, source: str = "web") -> None:
    """Write the file, print the number of packets."""
    if source in MIXES:
        write_mix(Path(path), int(count), MIXES[source])
        print(count)
    else:
        print(repeat(Path(source), Path(path), int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
