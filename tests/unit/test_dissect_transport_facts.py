"""What headers before and around a segment make of it: routes, quotations, options, one-sided handshakes."""

from __future__ import annotations

import struct

from tests.unit.handmade import CLIENT, ETHERNET, RAW, SERVER, Talk, ip, tcp

from netwatch.capture.dissect import Context, Tree, dissect, find
from netwatch.capture.dissect.checksum import GOOD

HERE, THERE, FAR, HOME = (bytes(15) + bytes([last]) for last in (1, 2, 9, 7))
SYN, ACK, RST = 0x02, 0x10, 0x04


def ones_sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def datagram(pair: bytes) -> bytes:
    """A UDP datagram of four bytes with the checksum that these addresses make."""
    pseudo = pair + struct.pack("!II", 12, 17)
    head = struct.pack("!HHH", 1000, 2000, 12)
    return head + struct.pack("!H", ones_sum(pseudo + head + bytes(2) + b"data") ^ 0xFFFF) + b"data"


def ipv6(following: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + HERE + THERE + payload


def value(tree: Tree, name: str) -> object:
    item = find(tree, name)
    return None if item is None else item.value


def test_the_checksum_counts_the_end_of_the_route() -> None:
    route = bytes([17, 2, 0, 1, 0, 0, 0, 0]) + FAR
    tree = dissect(ipv6(43, route + datagram(HERE + FAR)), RAW, 200)
    assert value(tree, "udp.checksum.status") == GOOD
    assert (tree.source, tree.destination) == ("::1", "::9")
    assert value(tree, "ipv6.dst") == THERE


def test_a_route_that_was_gone_through_changes_nothing() -> None:
    route = bytes([17, 2, 0, 0, 0, 0, 0, 0]) + FAR
    tree = dissect(ipv6(43, route + datagram(HERE + THERE)), RAW, 200)
    assert value(tree, "udp.checksum.status") == GOOD
    assert tree.destination == "::2"


def test_segment_routing_lists_the_last_segment_first() -> None:
    route = bytes([17, 4, 4, 1, 1, 0, 0, 5]) + FAR + HOME
    tree = dissect(ipv6(43, route + datagram(HERE + FAR)), RAW, 200)
    assert value(tree, "udp.checksum.status") == GOOD
    assert value(tree, "ipv6.routing.srh.last_entry") == 1
    assert value(tree, "ipv6.routing.srh.tag") == b"\x00\x05"


def test_a_home_address_is_the_source() -> None:
    option = bytes([17, 2, 1, 2, 0, 0, 0xC9, 16]) + HOME
    tree = dissect(ipv6(60, option + datagram(HOME + THERE)), RAW, 200)
    assert value(tree, "udp.checksum.status") == GOOD
    assert tree.source == "::7"
    assert value(tree, "ipv6.opt.mipv6.home_address") == HOME


def test_a_source_route_of_ipv4_ends_elsewhere() -> None:
    end = bytes([1, 1, 1, 1])
    payload = datagram(b"")
    pseudo = CLIENT + end + struct.pack("!HH", 17, 12)
    payload = payload[:6] + struct.pack("!H", ones_sum(pseudo + payload[:6] + bytes(2) + b"data") ^ 0xFFFF) + b"data"
    options = bytes([131, 7, 4]) + end + b"\0"
    header = struct.pack("!BBHHHBBH4s4s", 0x47, 0, 28 + len(payload), 1, 0, 64, 17, 0, CLIENT, SERVER)
    tree = dissect(header + options + payload, RAW, 40)
    assert value(tree, "udp.checksum.status") == GOOD
    assert tree.destination == "1.1.1.1"
    assert value(tree, "ip.dst") == SERVER


def test_time_stamps_of_ipv4_stand_behind_their_addresses() -> None:
    options = bytes([68, 12, 13, 0x21, 2, 2, 2, 2, 0, 0, 1, 0])
    header = struct.pack("!BBHHHBBH4s4s", 0x48, 0, 32, 1, 0, 64, 99, 0, CLIENT, SERVER)
    tree = dissect(header + options, RAW, 32)
    names = ("ip.opt.ptr", "ip.opt.overflow", "ip.opt.flag", "ip.opt.time_stamp_addr", "ip.opt.time_stamp")
    assert [value(tree, name) for name in names] == [13, 2, 1, b"\x02\x02\x02\x02", 256]


def test_a_number_without_its_flag_is_shown_as_it_is() -> None:
    talk = Talk(80)
    talk.say(b"x")
    talk.say(b"y", back=True)
    data = tcp(40000, 80, b"", flags=RST, numbers=(1001, 0))
    tree = dissect(data, RAW, len(data), context=talk.context, number=3)
    assert value(tree, "tcp.ack") == 0


def scaled(flags: int, *, back: bool) -> bytes:
    """A SYN whose window scale is 7."""
    options = bytes([3, 3, 7, 1])
    ports = (80, 40000) if back else (40000, 80)
    return ip(struct.pack("!HHIIHHHH", *ports, 1, 1, 6 << 12 | flags, 512, 0, 0) + options, 6, back=back)


def test_one_seen_handshake_packet_scales_the_windows_of_its_side() -> None:
    for flags, back in ((SYN, False), (SYN | ACK, True)):
        context = Context()
        dissect(scaled(flags, back=back), RAW, 44, context=context, number=1)
        for side, window in ((back, 512 << 7), (not back, 512)):
            ports = (80, 40000) if side else (40000, 80)
            data = tcp(*ports, b"", back=side, flags=ACK, numbers=(2, 2))
            tree = dissect(data, RAW, len(data), context=context, number=2)
            assert value(tree, "tcp.window_size") == window


def test_an_answer_without_the_option_scales_nothing() -> None:
    context = Context()
    dissect(scaled(SYN, back=False), RAW, 44, context=context, number=1)
    answer = tcp(80, 40000, b"", back=True, flags=SYN | ACK, numbers=(9, 2))
    dissect(answer, RAW, len(answer), context=context, number=2)
    data = tcp(40000, 80, b"", flags=ACK, numbers=(2, 10))
    assert value(dissect(data, RAW, len(data), context=context, number=3), "tcp.window_size") == 512


def test_a_connection_that_is_quoted_has_its_number() -> None:
    context = Context()
    quoted = tcp(40000, 443, b"abcd")
    error = ip(bytes([3, 1, 0, 0, 0, 0, 0, 0]) + quoted, 1, back=True)
    tree = dissect(error, RAW, len(error), context=context, number=1)
    assert value(tree, "tcp.stream") == 0
    other = tcp(40000, 80, b"")
    assert value(dissect(other, RAW, len(other), context=context, number=2), "tcp.stream") == 1
    assert value(dissect(quoted, RAW, len(quoted), context=context, number=3), "tcp.stream") == 0


def test_a_signature_of_tcp_is_named() -> None:
    options = bytes([19, 18]) + bytes(range(16)) + bytes(2)
    data = ip(struct.pack("!HHIIHHHH", 179, 40000, 1, 1, 10 << 12 | ACK, 512, 0, 0) + options, 6)
    tree = dissect(data, RAW, len(data))
    assert tree.info.endswith("Len=0 MD5")
    assert value(tree, "tcp.options.md5.digest") == bytes(range(16))


def test_selective_acknowledgements_count_from_the_other_sides_first() -> None:
    talk = Talk(80)
    talk.say(b"x")
    options = bytes([1, 1, 5, 10]) + struct.pack("!II", 1005, 1010)
    answer = ip(struct.pack("!HHIIHHHH", 80, 40000, 5000, 1001, 8 << 12 | ACK, 512, 0, 0) + options, 6, back=True)
    tree = dissect(answer, RAW, len(answer), context=talk.context, number=2)
    assert (value(tree, "tcp.options.sack_le"), value(tree, "tcp.options.sack_re")) == (6, 11)
    assert tree.info.endswith("SLE=6 SRE=11")


def test_a_query_may_ask_for_authenticity() -> None:
    question = b"\x01a\x00\x00\x01\x00\x01"
    for flags, shown in ((0x0120, 1), (0x0100, None)):
        message = struct.pack("!HHHHHH", 7, flags, 1, 0, 0, 0) + question
        data = ip(struct.pack("!HHHH", 40000, 53, 8 + len(message), 0) + message, 17)
        assert value(dissect(data, RAW, len(data)), "dns.flags.authenticated") == shown


def test_the_name_of_a_service_is_three() -> None:
    name = b"\x04_sip\x04_tcp\x07example\x00"
    record = name + struct.pack("!HHIH", 33, 1, 5, 9) + struct.pack("!HHH", 1, 2, 5060) + b"\x01h\x00"
    message = struct.pack("!HHHHHH", 7, 0x8180, 0, 1, 0, 0) + record
    data = ip(struct.pack("!HHHH", 53, 40000, 8 + len(message), 0) + message, 17)
    tree = dissect(data, RAW, len(data))
    names = ("dns.srv.service", "dns.srv.proto", "dns.srv.name", "dns.resp.name")
    assert [value(tree, each) for each in names] == ["_sip", "_tcp", "example", None]


def test_what_keeps_a_nat_awake_is_its_own() -> None:
    data = bytes(12) + b"\x08\x00" + ip(struct.pack("!HHHH", 4500, 4500, 9, 0) + b"\xff", 17)
    assert dissect(data, ETHERNET, len(data)).protocol == "UDPENCAP"
