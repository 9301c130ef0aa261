"""Programs that hide connections: exactly their packets are rejected, whatever else comes."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.capture.kernel import bpf
from netwatch.capture.kernel.hiding import MOST, Endpoint, filter_words, without

ETHERNET, RAW, SLL2, RADIO = 1, 101, 276, 127
TAKEN = 96

SSH = Endpoint("tcp", "192.0.2.1", 22, "198.51.100.7", 50122)
SSH6 = Endpoint("tcp", "fe80::1", 22, "fe80::2", 50122)
MOSH = Endpoint("udp", "192.0.2.1", 60001)
ANY_ADDRESS = Endpoint("udp", None, 60002)


def run(program: bpf.Program, packet: bytes, protocol: int) -> int:
    """What the kernel does with a program (networking/filter.rst): a load behind the end rejects the packet."""
    a = x = at = 0
    memory: dict[int, int] = {}
    while True:
        code, jt, jf, k = program[at]
        at += 1
        where = {0x28: k, 0x30: k, 0x40: k + x, 0x48: k + x, 0x50: k + x}.get(code)
        if where is not None:
            size = {0x00: 4, 0x08: 2, 0x10: 1}[code & 0x18]
            if where == 0xFFFF_F000:
                a = protocol
            elif where + size > len(packet):
                return 0
            else:
                a = int.from_bytes(packet[where : where + size])
        elif code == 0x80:
            a = len(packet)
        elif code == 0x60:
            a = memory[k]
        elif code == 0x02:
            memory[k] = a
        elif code == 0x01:
            x = k
        elif code == 0x07:
            x = a
        elif code == 0x87:
            a = x
        elif code in (0x04, 0x0C, 0x14):
            a = (a + {0x04: k, 0x0C: x, 0x14: -k}[code]) & 0xFFFF_FFFF
        elif code == 0x54:
            a &= k
        elif code == 0x64:
            a = a << k & 0xFFFF_FFFF
        elif code == 0x05:
            at += k
        elif code in (0x15, 0x25, 0x35, 0x3D, 0x45):
            holds = {0x15: a == k, 0x25: a > k, 0x35: a >= k, 0x3D: a >= x, 0x45: bool(a & k)}[code]
            at += jt if holds else jf
        else:
            assert code == 0x06
            return k


def transport(endpoint: Endpoint, *, outgoing: bool, sport: int = 0, dport: int = 0) -> bytes:
    ports = (endpoint.local_port or 1, endpoint.remote_port or 1)
    source, destination = ports if outgoing else ports[::-1]
    return struct.pack("!2H", sport or source, dport or destination) + bytes(16)


def addresses(endpoint: Endpoint, *, outgoing: bool) -> tuple[bytes, bytes]:
    six = ":" in (endpoint.local or "")
    ends = [
        ipaddress.ip_address(each or ("2001:db8::9" if six else "203.0.113.9")).packed
        for each in (endpoint.local, endpoint.remote)
    ]
    return (ends[0], ends[1]) if outgoing else (ends[1], ends[0])


def ip_packet(endpoint: Endpoint, *, outgoing: bool = True, options: int = 0, fragment: int = 0) -> bytes:
    payload = transport(endpoint, outgoing=outgoing)
    source, destination = addresses(endpoint, outgoing=outgoing)
    number = {"tcp": 6, "udp": 17}[endpoint.protocol]
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), number, 64) + source + destination + payload
    head = struct.pack("!BBHHHBBH", 0x45 + options, 0, 0, 1, fragment, 64, number, 0)
    return head + source + destination + b"\1" * 4 * options + payload


def ethertype(packet: bytes) -> int:
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def on_link(linktype: int, packet: bytes, *tags: int) -> tuple[bytes, int]:
    """What a socket sees, and the EtherType that the kernel keeps beside it."""
    kinds = [*tags, ethertype(packet)]
    if linktype == RAW:
        return packet, ethertype(packet)
    inner = b"".join(struct.pack("!2H", 5, kind) for kind in kinds[1:]) + packet
    if linktype == SLL2:
        return inner, kinds[0]
    return bytes(12) + struct.pack("!H", kinds[0]) + inner, kinds[0]


def taken(endpoints: list[Endpoint], linktype: int, packet: bytes, *tags: int) -> bool:
    program = without(endpoints, bpf.accept(TAKEN), linktype)
    return run(program, *on_link(linktype, packet, *tags)) == TAKEN


@pytest.mark.parametrize("linktype", [ETHERNET, RAW, SLL2])
@pytest.mark.parametrize("outgoing", [True, False])
@pytest.mark.parametrize("endpoint", [SSH, SSH6, MOSH, ANY_ADDRESS, replace(SSH, remote_port=22)])
def test_both_directions_on_every_link(linktype: int, outgoing: bool, endpoint: Endpoint) -> None:
    others = [Endpoint("tcp", "192.0.2.8", 22, "192.0.2.9", number) for number in range(1, MOST)]
    packet = ip_packet(endpoint, outgoing=outgoing)
    assert not taken([endpoint], linktype, packet)
    assert not taken([*others, endpoint], linktype, packet)
    assert taken(others, linktype, packet)


@pytest.mark.parametrize("linktype", [ETHERNET, SLL2])
@pytest.mark.parametrize("tags", [(0x8100,), (0x88A8, 0x8100), (0x9100, 0x8100)])
def test_vlan_tags_that_are_still_inside(linktype: int, tags: tuple[int, ...]) -> None:
    for endpoint in (SSH, SSH6):
        assert not taken([endpoint], linktype, ip_packet(endpoint), *tags)
        assert taken([endpoint], linktype, ip_packet(endpoint, outgoing=False)[:-17], *tags)


@pytest.mark.parametrize("options", range(11))
def test_ipv4_options_move_the_ports(options: int) -> None:
    assert not taken([SSH], ETHERNET, ip_packet(SSH, options=options))
    assert taken([SSH], ETHERNET, ip_packet(replace(SSH, remote_port=50123), options=options))


@pytest.mark.parametrize(("fragment", "hidden"), [(0x2000, True), (0x4000, True), (0x2001, False), (185, False)])
def test_later_fragments_have_no_ports(fragment: int, hidden: bool) -> None:
    assert taken([SSH], ETHERNET, ip_packet(SSH, fragment=fragment)) is not hidden


@pytest.mark.parametrize("linktype", [ETHERNET, RAW, SLL2])
@pytest.mark.parametrize("endpoint", [SSH, SSH6])
def test_every_shorter_length_goes_on_to_the_capture_filter(linktype: int, endpoint: Endpoint) -> None:
    program = without([SSH, SSH6], bpf.accept(TAKEN), linktype)
    whole, protocol = on_link(linktype, ip_packet(endpoint))
    ports_end = len(whole) - 16
    for size in range(len(whole) + 1):
        assert (run(program, whole[:size], protocol) == TAKEN) is (size < ports_end)


@pytest.mark.parametrize("endpoint", [SSH, SSH6], ids=["IPv4", "IPv6"])
def test_each_of_the_five_must_be_the_same(endpoint: Endpoint) -> None:
    other = "192.0.2.99" if endpoint is SSH else "fe80::1:0:0:1"
    changed = [
        replace(endpoint, protocol="udp"),
        replace(endpoint, local=other),
        replace(endpoint, remote=other),
        replace(endpoint, local_port=23),
        replace(endpoint, remote_port=50123),
        replace(endpoint, local=endpoint.remote, remote=endpoint.local),
    ]
    for each in changed:
        for outgoing in (True, False):
            assert taken([endpoint], ETHERNET, ip_packet(each, outgoing=outgoing)), each


def test_what_is_no_ip_of_that_version_is_left_alone() -> None:
    packet = bytearray(ip_packet(SSH))
    for first in (0x44, 0x40, 0x55, 0x65):
        packet[0] = first
        frame = bytes(12) + b"\x08\0" + packet
        assert run(without([SSH], bpf.accept(TAKEN), ETHERNET), frame, 0x0800) == TAKEN
    arp = bytes(12) + b"\x08\x06" + ip_packet(SSH)
    assert run(without([SSH], bpf.accept(TAKEN), ETHERNET), arp, 0x0806) == TAKEN


words = st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.7"])
ports = st.sampled_from([22, 50122, 80])
connections = st.builds(Endpoint, st.sampled_from(["tcp", "udp"]), words, ports, words, ports)


@given(
    st.lists(connections, max_size=5),
    connections,
    st.sampled_from([ETHERNET, RAW, SLL2]),
    st.integers(0, 10),
    st.booleans(),
)
def test_exactly_the_packets_of_the_connections(
    hidden: list[Endpoint], sent: Endpoint, linktype: int, options: int, outgoing: bool
) -> None:
    same = {(e.protocol, frozenset({(e.local, e.local_port), (e.remote, e.remote_port)})) for e in hidden}
    mine = (sent.protocol, frozenset({(sent.local, sent.local_port), (sent.remote, sent.remote_port)}))
    assert taken(hidden, linktype, ip_packet(sent, outgoing=outgoing, options=options)) is (mine not in same)


@given(st.binary(max_size=90), st.sampled_from([ETHERNET, RAW, SLL2]), st.integers(0, 0xFFFF))
def test_any_bytes_are_judged_by_the_capture_filter(data: bytes, linktype: int, protocol: int) -> None:
    program = without([SSH, SSH6, MOSH], bpf.accept(TAKEN), linktype)
    assert run(program, data, protocol) == TAKEN


@given(st.lists(connections, max_size=30), st.sampled_from([ETHERNET, RAW, SLL2]))
def test_the_kernel_can_take_the_program(hidden: list[Endpoint], linktype: int) -> None:
    program = without(hidden, bpf.accept(TAKEN), linktype)
    for at, (code, jt, jf, k) in enumerate(program):
        struct.pack("=HBBI", code, jt, jf, k)
        if code & 7 == 5:
            assert at + 1 + (k if code == 5 else max(jt, jf)) < len(program)
    assert len(program) < 4096


@pytest.mark.skipif(bpf.libpcap_version() is None, reason="needs libpcap")
@pytest.mark.parametrize("packet", [ip_packet(SSH), ip_packet(SSH, options=3), ip_packet(MOSH), ip_packet(SSH6)])
def test_libpcap_runs_it_likewise(packet: bytes) -> None:
    import ctypes

    frame, _ = on_link(ETHERNET, packet)
    for endpoints in ([SSH], [MOSH], [SSH6], [SSH, SSH6, MOSH]):
        program = without(endpoints, bpf.accept(TAKEN), ETHERNET)
        instructions = (bpf._Insn * len(program))(*(bpf._Insn(*each) for each in program))
        said = bpf._libpcap().bpf_filter(instructions, ctypes.create_string_buffer(frame), len(frame), len(frame))
        assert said == run(program, frame, 0)


def test_before_a_capture_filter() -> None:
    only_one_byte = bpf.accept(1)
    assert without([SSH], only_one_byte, ETHERNET)[-1] == only_one_byte[0]
    assert without([], only_one_byte, ETHERNET) == only_one_byte
    assert without([SSH], only_one_byte, RADIO) == only_one_byte


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (SSH, "not (tcp and host 192.0.2.1 and port 22 and host 198.51.100.7 and port 50122)"),
        (SSH6, "not (tcp and host fe80::1 and port 22 and host fe80::2 and port 50122)"),
        (MOSH, "not (udp and host 192.0.2.1 and port 60001)"),
        (ANY_ADDRESS, "not (udp and port 60002)"),
    ],
)
def test_in_words_that_libpcap_knows(endpoint: Endpoint, said: str) -> None:
    assert filter_words(endpoint) == said
    if bpf.libpcap_version() is not None:
        assert bpf.compile_filter(said, ETHERNET, TAKEN)


@pytest.mark.parametrize(
    "values",
    [
        ("sctp", "192.0.2.1", 22),
        ("tcp", "192.0.2.1", None),
        ("tcp", "192.0.2.1", 0),
        ("tcp", "192.0.2.1", 65536),
        ("tcp", "192.0.2.256", 22),
        ("tcp", "fe80::1%eth0", 22),
        ("tcp", "192.0.2.1", 22, "::1", 50122),
    ],
)
def test_what_is_no_connection(values: tuple[str, str, int]) -> None:
    with pytest.raises(ValueError, match=r"port|address|family"):
        Endpoint(*values)
