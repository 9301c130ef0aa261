"""Network layer protocols, DCCP, SCTP and UDP-Lite: their rows as tshark has them, field values, cuts and lies."""

from __future__ import annotations

import struct
import zlib

import pytest
from tests.unit.handmade import ETHERNET, PING, RAW, Sample, Samples, holds, ip, texts, udp, value

from netwatch.capture.dissect import Context, dissect, find, summarise
from netwatch.capture.dissect.checksum import ones_sum

ECHO = "Echo (ping) request  id=0x0000, seq=0/0, ttl=64"
QUOTED = bytes.fromhex("4500002400010000401166c60a0000010a000002 03e80035001056196162636465666768")
SIX = bytes.fromhex("20010db8000000000000000000000001")


def ip6(payload: bytes, following: int) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), following, 255, SIX, SIX) + payload


def summed(data: str, at: int) -> bytes:
    """With a right checksum at `at`."""
    raw = bytes.fromhex(data)
    return raw[:at] + struct.pack("!H", 0xFFFF - ones_sum(raw)) + raw[at + 2 :]


def ospf(kind: int, body: str) -> bytes:
    raw = bytes.fromhex(body)
    return ip(struct.pack("!BBHII", 2, kind, 24 + len(raw), 0x01010101, 0) + bytes(12) + raw, 89)


def lsa(kind: int, body: str) -> str:
    return f"000102{kind:02x} 0a000001 01010101 80000001 0000 {20 + len(bytes.fromhex(body)):04x} {body}"


def dccp(kind: int, rest: str, sequence: int = 7, words: int = 6) -> bytes:
    head = struct.pack("!HHBBHBBHI", 5000, 6000, words, 0, 0, kind << 1 | 1, 0, 0, sequence)
    return ip(head + bytes.fromhex(rest), 33)


def sctp(*chunks: tuple[int, int, str]) -> bytes:
    data = struct.pack("!HHII", 2905, 2906, 1, 0)
    for kind, flags, body in chunks:
        raw = bytes.fromhex(body)
        data += struct.pack("!BBH", kind, flags, 4 + len(raw)) + raw + bytes(-len(raw) % 4)
    return ip(data, 132)


def gre(head: str, payload: bytes) -> bytes:
    return ip(bytes.fromhex(head) + payload, 47)


def icmp(data: bytes) -> bytes:
    return ip(summed(data.hex(), 2), 1)


def isis(kind: int, rest: str) -> bytes:
    raw = bytes.fromhex(f"fefe03 831b0100 {kind:02x} 010000 {rest}")
    return bytes(12) + struct.pack("!H", len(raw)) + raw


def appletalk(kind: int, payload: str) -> bytes:
    raw = bytes.fromhex(payload)
    head = struct.pack("!HHHHBBBBB", 13 + len(raw), 0, 10, 20, 1, 2, 3, 4, kind)
    return bytes(12) + b"\x80\x9b" + head + raw


FRAME = bytes(12) + b"\x08\0" + PING

SAMPLES = [
    Sample(
        ip(summed("16000000e0000105", 2), 2),
        RAW,
        "IGMPv2",
        "Membership Report group 224.0.1.5",
        {"igmp.maddr": "224.0.1.5", "igmp.checksum.status": "1"},
    ),
    Sample(ip(summed("1100000000000000", 2), 2), RAW, "IGMPv1", "Membership Query", {"igmp.type": "0x11"}),
    Sample(
        ip(summed("11640000 e0000105 0a7d0002 c0000201 c0000202", 2), 2),
        RAW,
        "IGMPv3",
        "Membership Query, specific for group 224.0.1.5, sources {192.0.2.1, 192.0.2.2}",
        {"igmp.qrv": "2", "igmp.s": "1", "igmp.num_src": "2", "igmp.saddr": "192.0.2.1"},
    ),
    Sample(
        ip(summed("22000000 00000002 04000000e00000fb 01010001e0000105c0000201aabbccdd", 2), 2),
        RAW,
        "IGMPv3",
        "Membership Report / Join group 224.0.0.251 for any sources / Join group 224.0.1.5 for source {192.0.2.1}",
        {"igmp.num_grp_recs": "2", "igmp.aux_data": "aabbccdd"},
    ),
    Sample(
        ospf(1, "ffffff00 000a 02 01 00000028 0a000001 0a000002 02020202"),
        RAW,
        "OSPF",
        "Hello Packet",
        {
            "ospf.hello.network_mask": "255.255.255.0",
            "ospf.v2.options.e": "1",
            "ospf.hello.designated_router": "10.0.0.1",
            "ospf.hello.active_neighbor": "2.2.2.2",
        },
    ),
    Sample(
        ospf(2, "05dc4207 00001234" + lsa(1, "")),
        RAW,
        "OSPF",
        "DB Description",
        {"ospf.db.interface_mtu": "1500", "ospf.dbd.ms": "1", "ospf.lsa.id": "10.0.0.1"},
    ),
    Sample(
        ospf(
            4,
            "00000003"
            + lsa(1, "00000001 0a000002 0a000001 0200000a")
            + lsa(2, "ffffff00 01010101 02020202")
            + lsa(5, "ffffff00 80000014 00000000 00000007"),
        ),
        RAW,
        "OSPF",
        "LS Update",
        {
            "ospf.ls.number_of_lsas": "3",
            "ospf.lsa.router.linkdata": "10.0.0.1",
            "ospf.lsa.router.metric0": "10",
            "ospf.lsa.network.attchrtr": "1.1.1.1",
            "ospf.lsa.asext.extrttag": "7",
        },
    ),
    Sample(
        ip(summed("21016401 00010000 c0000201 0000000000000000", 6), 112),
        RAW,
        "VRRP",
        "Announcement (v2)",
        {"vrrp.prio": "100", "vrrp.ip_addr": "192.0.2.1", "vrrp.checksum.status": "1"},
    ),
    Sample(
        udp(1985, 1985, bytes.fromhex("000010030a780100") + b"cisco\0\0\0" + bytes.fromhex("c0000201")),
        RAW,
        "HSRP",
        "Hello (state Active)",
        {"hsrp.auth_data": "cisco", "hsrp.virt_ip": "192.0.2.1"},
    ),
    Sample(
        udp(
            1985,
            1985,
            bytes.fromhex("0128020006040001001122334455000000640000 0bb800002710c0000201")
            + bytes(12)
            + b"\x03\x08cisco\0\0\0",
        ),
        RAW,
        "HSRPv2",
        "Hello (state Active)",
        {"hsrp2.group": "1", "hsrp2.virt_ip": "192.0.2.1", "hsrp2.auth_data": "cisco"},
    ),
    Sample(
        udp(520, 520, bytes.fromhex("02020000 000200010a000000ff0000000000000000000001")),
        RAW,
        "RIPv2",
        "Response",
        {"rip.ip": "10.0.0.0", "rip.netmask": "255.0.0.0", "rip.metric": "1", "rip.route_tag": "1"},
    ),
    Sample(
        udp(521, 521, bytes.fromhex("02010000") + SIX + bytes.fromhex("00002001")),
        RAW,
        "RIPng",
        " Command Response, Version 1",
        {"ripng.rte.ipv6_prefix": "2001:db8::1", "ripng.rte.prefix_length": "32"},
    ),
    Sample(
        ip(summed("0205000000000000000000000000000000000064 0001000c0100010000 00000f 000400080c000102", 2), 88),
        RAW,
        "EIGRP",
        "Hello",
        {"eigrp.as": "100", "eigrp.par.k1": "1", "eigrp.par.holdtime": "15", "eigrp.release_version": "3072"},
    ),
    Sample(
        ip(summed("20000000 000100020069 0013000400000001 0014000412345678 0002000401f40bb8", 2), 103),
        RAW,
        "PIMv2",
        "Hello",
        {"pim.holdtime": "105", "pim.dr_priority": "1", "pim.propagation_delay": "500", "pim.cksum.status": "1"},
    ),
    Sample(
        ip(summed("23000000 0100c0000201 000100d2 01000020e0000105 00010000 01000720c0000201", 2), 103),
        RAW,
        "PIMv2",
        "Join/Prune",
        {"pim.unicast": "192.0.2.1", "pim.group": "224.0.1.5", "pim.numjoins": "1", "pim.mask_len": "32"},
    ),
    Sample(
        udp(49152, 3784, bytes.fromhex("20c80318 00000001 00000002 000f4240 000f4240 00000000")),
        RAW,
        "BFD Control",
        "Diag: No Diagnostic, State: Up, Flags: 0x08",
        {"bfd.sta": "0x03", "bfd.flags.c": "1", "bfd.my_discriminator": "0x00000001"},
    ),
    Sample(gre("00000800", PING), RAW, "ICMP", ECHO, {"gre.proto": "0x0800"}),
    Sample(gre("300088be00000005 00000006 1005180300000007", FRAME), RAW, "ICMP", ECHO, {"erspan.spanid": "3"}),
    Sample(
        gre("100022eb00000001 2005180300000007 00018000", FRAME),
        RAW,
        "ICMP",
        ECHO,
        {"erspan.version": "2", "erspan.timestamp": "7"},
    ),
    Sample(gre("000088be", FRAME), RAW, "ICMP", ECHO, {"gre.proto": "0x88be", "eth.type": "0x0800"}),
    Sample(
        udp(1, 4789, bytes.fromhex("0800000000007b00") + FRAME),
        RAW,
        "ICMP",
        ECHO,
        {"vxlan.vni": "123", "vxlan.flag_i": "1"},
    ),
    Sample(udp(1, 4790, bytes.fromhex("0c00000100007b00") + PING), RAW, "ICMP", ECHO, {"vxlan.next_proto": "1"}),
    Sample(
        udp(1, 6081, bytes.fromhex("02c0655800007b00 01020301aabbccdd") + FRAME),
        RAW,
        "ICMP",
        ECHO,
        {"geneve.vni": "0x00007b", "geneve.option.class": "0x0102", "geneve.option.unknown.data": "aabbccdd"},
    ),
    Sample(
        udp(2152, 2152, bytes.fromhex("34ff002400000001 00000085 01100900") + PING),
        RAW,
        "GTP <ICMP>",
        ECHO,
        {
            "gtp.teid": "0x00000001",
            "gtp.ext_hdr.pdu_ses_con.pdu_type": "1",
            "gtp.ext_hdr.pdu_ses_con.qos_flow_id": "9",
        },
    ),
    Sample(
        udp(40000, 3544, bytes.fromhex("0000ffff3f3f3f3f") + ip6(bytes.fromhex("8000000000010002"), 58)),
        RAW,
        "ICMPv6",
        "Echo (ping) request id=0x0001, seq=2, hop limit=255",
        {"teredo.orig.port": "0", "teredo.orig.addr": "192.192.192.192"},
    ),
    Sample(
        icmp(bytes.fromhex("030400000000 0578") + QUOTED),
        RAW,
        "ICMP",
        "Destination unreachable (Fragmentation needed)",
        {"icmp.mtu": "1400", "udp.srcport": "1000"},
    ),
    Sample(
        icmp(
            bytes.fromhex("0b00000000200000") + QUOTED.ljust(128, b"\0") + bytes.fromhex("20000000 00080101 00018101")
        ),
        RAW,
        "ICMP",
        "Time-to-live exceeded (Time to live exceeded in transit)",
        {"icmp.ext.class": "1", "icmp.mpls.label": "24", "icmp.mpls.ttl": "1"},
    ),
    Sample(
        icmp(bytes.fromhex("0900000001020708 c0000201 00000005")),
        RAW,
        "ICMP",
        "Mobile IP Advertisement (Normal router advertisement)",
        {"icmp.num_addrs": "1", "icmp.lifetime": "1800", "icmp.router_address": "192.0.2.1", "icmp.pref_level": "5"},
    ),
    Sample(
        ip6(
            bytes.fromhex("86000000 40c80708 00000000 00000000 0101020000000001 05010000000005dc")
            + bytes.fromhex("1f03000000000e10 07")
            + b"example\x03org\0"
            + bytes(3)
            + bytes.fromhex("1802200800000e10 20010db800010000"),
            58,
        ),
        RAW,
        "ICMPv6",
        "Router Advertisement from 02:00:00:00:00:01",
        {
            "icmpv6.opt.mtu": "1500",
            "icmpv6.nd.ra.flag.m": "1",
            "icmpv6.opt.dnssl": "example.org",
            "icmpv6.opt.route_lifetime": "3600",
        },
    ),
    Sample(
        ip6(bytes.fromhex("82000000 27100000") + SIX + bytes.fromhex("0a7d0001") + SIX, 58),
        RAW,
        "ICMPv6",
        "Multicast Listener Query",
        {"icmpv6.mld.maximum_response_code": "10000", "icmpv6.mld.flag.qrv": "2", "icmpv6.mld.nb_sources": "1"},
    ),
    Sample(
        dccp(0, "00000064", words=5),
        RAW,
        "DCCP",
        "5000 → 6000 [Request] Seq=7 (service=Unknown (100))",
        {"dccp.type": "0", "dccp.seq_raw": "7", "dccp.service_code": "100"},
    ),
    Sample(
        dccp(7, "00000000 00000005 03000000", words=7),
        RAW,
        "DCCP",
        "5000 → 6000 [Reset] Seq=7 (Ack=5) (code=No Connection)",
        {"dccp.ack_raw": "5", "dccp.reset_code": "3"},
    ),
    Sample(
        dccp(1, "00000000 00000005 00000064 2005010203 01 2604c041 0000", words=10),
        RAW,
        "DCCP",
        "5000 → 6000 [Response] Seq=7 (Ack=5) (service=Unknown (100))",
        {"dccp.option_type": "32", "dccp.feature_number": "1"},
    ),
    Sample(
        sctp((1, 0, "00000001 00010000 000a 0005 00000001 00050008c0000201")),
        RAW,
        "SCTP",
        "INIT ",
        {"sctp.init_nr_out_streams": "10", "sctp.parameter_ipv4_address": "192.0.2.1"},
    ),
    Sample(
        sctp((3, 0, "00000005 00010000 0001 0001 0002 0003 00000004")),
        RAW,
        "SCTP",
        "SACK (Ack=5+3, Arwnd=65536) ",
        {"sctp.sack_gap_block_end": "3", "sctp.sack_duplicate_tsn": "4"},
    ),
    Sample(
        sctp((6, 1, "000c0007627965"), (0, 3, "00000001 0001 0002 0000003c 6e676170")),
        RAW,
        "SCTP",
        "ABORT DATA (TSN=1) ",
        {"sctp.cause_code": "0x000c", "sctp.abort_t_bit": "1", "sctp.data_payload_proto_id": "60"},
    ),
    Sample(
        ip(
            summed("10010000 40000024 000c01010a2200011100000a 000c0b070a1f00010000000a 00040000", 2),
            46,
        ),
        RAW,
        "RSVP",
        "PATH Message. SESSION: IPv4, Destination 10.34.0.1, Protocol 17, Port 10. ",
        {"rsvp.session.port": "10", "rsvp.checksum.status": "1"},
    ),
    Sample(
        isis(25, "0023 000000000002 00 0000000000000000 ffffffffffffffff"),
        ETHERNET,
        "ISIS CSNP",
        "L2 CSNP, Source-ID: 0000.0000.0002.00, Start LSP-ID: 0000.0000.0000.00-00, End LSP-ID: ffff.ffff.ffff.ff-ff",
        {"isis.csnp.pdu_length": "35"},
    ),
    Sample(
        isis(20, "002a 04b0 0000000000020000 00000497 a369 03 8903727432 870800000001 18c0a839"),
        ETHERNET,
        "ISIS LSP",
        "L2 LSP, LSP-ID: 0000.0000.0002.00-00, Sequence: 0x00000497, Lifetime:  1200s",
        {"isis.lsp.hostname": "rt2", "isis.lsp.ext_ip_reachability.metric": "1"},
    ),
    Sample(
        appletalk(2, "2101 000a0180 00 0161 0162 012a"),
        ETHERNET,
        "NBP",
        "Op: lookup  Count: 1",
        {"nbp.object": "a", "nbp.type": "b", "nbp.zone": "*", "ddp.src.net": "20"},
    ),
    Sample(
        bytes(12) + bytes.fromhex("80f3 0001809b06040001 020000000001 00 002ecb 000000000000 00 00513e"),
        ETHERNET,
        "AARP",
        "Who has 81.62?  Tell 46.203",
        {"aarp.src.proto.net": "46", "aarp.dst.proto.node": "62"},
    ),
    Sample(
        bytes(12)
        + bytes.fromhex("0022 ffff0022 0004 13000001 ffffffffffff 0452 13000001 020000000001 4008 0003 0004"),
        ETHERNET,
        "IPX SAP",
        "Nearest Query",
        {"ipx.src.net": "0x13000001", "ipxsap.packet_type": "3", "ipxsap.server.type": "0x0004"},
    ),
]


class TestNetworkSamples(Samples):
    samples = SAMPLES


def test_dccp_numbers_count_from_the_request() -> None:
    context = Context()
    rows = [
        dissect(dccp(0, "00000064", 100, 5), RAW, context=context, number=1).info,
        dissect(dccp(2, "", 105, 4), RAW, context=context, number=2).info,
    ]
    assert rows == ["5000 → 6000 [Request] Seq=100 (service=Unknown (100))", "5000 → 6000 [Data] Seq=5"]


@pytest.mark.parametrize(
    "data",
    [
        ip(struct.pack("!HHBBHBBHI", 5000, 6000, 2, 0, 0, 1, 0, 0, 7) + bytes(4), 33),
        ip(struct.pack("!HHBBHBBH", 5000, 6000, 4, 0, 0, 0, 0, 0) + bytes(8), 33),
        sctp((1, 0, "00000001 00010000 000a 0005 00000001 0005 0002")),
        ip(struct.pack("!HHII", 1, 2, 3, 4) + bytes.fromhex("00000002"), 132),
        ospf(4, "00000001" + lsa(1, "")[:-5].replace("0014", "0003")),
        ip(summed("0205000000000000000000000000000000000064 00010003", 2), 88),
        ip(summed("10010000 4000000c 00020101", 2), 46),
        ip(summed("23000000 0500c0000201", 2), 103),
    ],
)  # fmt: skip
def test_a_length_that_cannot_be_is_malformed(data: bytes) -> None:
    tree = dissect(data, RAW)
    assert tree.verdict.kind == "malformed"
    holds(tree, len(data))


def ipcomp(index: int, payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(payload) + packer.flush()
    return ip(struct.pack("!BBH", 4, 0, index) + packed, 108)


@pytest.mark.parametrize("index", [2, 0xEED1])
def test_a_compressed_payload_is_unpacked(index: int) -> None:
    tree = dissect(ipcomp(index, PING), RAW)
    assert (tree.protocol, tree.info) == ("ICMP", ECHO)
    assert (tree.buffers[1].name, tree.buffers[1].data) == ("Decompressed IPComp", PING)


def test_what_would_unpack_to_more_than_a_packet_is_data() -> None:
    tree = dissect(ipcomp(2, bytes(10_000_000)), RAW)
    assert (tree.protocol, len(tree.buffers)) == ("IPComp", 1)


def test_an_ethertype_that_says_ipv6_of_something_else() -> None:
    tree = dissect(bytes(12) + b"\x86\xdd\x10" + bytes(60), ETHERNET)
    assert (tree.protocol, tree.info, tree.verdict.kind) == ("0x86dd", "IPv6", "malformed")


def test_a_wrong_checksum_is_said() -> None:
    tree = dissect(ip(bytes.fromhex("16001234e0000105"), 2), RAW)
    assert value(tree, "igmp.checksum.status") == "0"
    assert tree.info == "Membership Report group 224.0.1.5"


def test_what_an_extension_of_an_error_lies_about() -> None:
    head = bytes.fromhex("0b00000000200000") + QUOTED.ljust(128, b"\0")
    tree = dissect(icmp(head + bytes.fromhex("20000000 ffff0101")), RAW)
    assert tree.verdict.kind == "malformed"
    assert value(tree, "udp.srcport") == "1000"


def test_thousands_of_records_are_bounded() -> None:
    records = struct.pack("!BBHHH", 0x22, 0, 0, 0, 8000) + b"\x04\0\0\0\xe0\0\0\xfb" * 8000
    tree = dissect(ip(records[:65000], 2), RAW)
    assert tree.verdict.kind == "stopped"
    holds(tree, 65020)


def test_the_second_tag_says_what_follows() -> None:
    tree = dissect(bytes(12) + bytes.fromhex("88a8 0007 8100 0008 0806") + bytes(28), ETHERNET)
    assert (value(tree, "vlan.etype"), value(tree, "ieee8021ah.etype")) == ("0x0806", "0x8100")
    assert texts(tree).count("DEI: Ineligible (0)") == 2


def test_a_fragment_offset_is_in_units_of_eight_bytes() -> None:
    tree = dissect(ip6(bytes.fromhex("1100 00a1 00000005") + bytes(8), 44), RAW)
    assert value(tree, "ipv6.fraghdr.offset") == "20"
    assert "Offset: 20 (160 bytes)" in texts(tree)


def test_transmission_numbers_count_from_the_first_of_the_association() -> None:
    context = Context()
    for count, tsn in enumerate((7000, 7001)):
        chunk = bytes.fromhex(f"00030011 {tsn:08x} 0000 0000 00000000 61 000000")
        tree = dissect(ip(bytes.fromhex("03e807d0 00000001 00000000") + chunk, 132), RAW, context=context)
        assert (value(tree, "sctp.data_tsn"), value(tree, "sctp.data_tsn_raw")) == (str(count), str(tsn))
        assert f"TSN={count}" in tree.info
    alone = dissect(ip(bytes.fromhex("03e807d0 00000001 00000000") + chunk, 132), RAW)
    assert (value(alone, "sctp.data_tsn"), value(alone, "sctp.data_tsn_raw")) == ("", "7001")


@pytest.mark.parametrize("size", [8, 20])
def test_a_quoted_segment_has_a_number_and_no_length(size: int) -> None:
    segment = bytes.fromhex("03e80050 00001388 00000000 5002 2000 0000 0000")[:size]
    quoting = dissect(ip(bytes.fromhex("0300000000000000") + ip(segment, 6), 1), RAW)
    assert value(quoting, "tcp.seq") == "5000"
    assert not any(value(quoting, name) for name in ("tcp.len", "tcp.nxtseq", "tcp.seq_raw"))
    assert (value(quoting, "tcp.ack_raw") == "0") is (size == 20)


def test_addresses_of_routes_go_by_the_pointer() -> None:
    def route(kind: int, pointer: int) -> list[str]:
        options = bytes([kind, 11, pointer, 1, 1, 1, 1, 2, 2, 2, 2, 0])
        header = bytes.fromhex("48000020 00010000 40010000 0a000001 0a000002")
        items = [find(dissect(header + options, RAW), name) for name in names]
        return [name for name, item in zip(names, items, strict=True) if item is not None]

    names = ("ip.rec_rt", "ip.empty_rt", "ip.cur_rt", "ip.src_rt")
    assert route(7, 8) == ["ip.rec_rt", "ip.empty_rt"]
    assert route(131, 4) == ["ip.cur_rt"]
    assert route(131, 8) == ["ip.rec_rt"]


def test_how_packets_want_to_be_treated_is_named() -> None:
    four = bytearray(PING)
    four[1] = 0xB9
    assert "Differentiated Services Field: 0xb9 (DSCP: EF PHB, ECN: ECT(1))" in texts(dissect(bytes(four), RAW))
    six = ip6(b"", 59)
    assert {"Traffic Class: 0x00 (DSCP: CS0, ECN: Not-ECT)", "Flow Label: 0x00000"} <= set(texts(dissect(six, RAW)))


def test_no_checksum_is_illegal_over_ipv6() -> None:
    datagram = bytes.fromhex("03e807d0 0009 0000 61")
    assert summarise(ip6(datagram, 17), RAW).info == "1000 → 2000 Len=1 [ILLEGAL CHECKSUM (0)]"
    assert summarise(ip(datagram, 17), RAW).info == "1000 → 2000 Len=1"


@pytest.mark.parametrize(
    ("opcode", "protocol", "info"),
    [
        (3, "RARP", "Who is 02:00:00:00:00:02? Tell 02:00:00:00:00:01"),
        (8, "Inverse ARP", "Who is 02:00:00:00:00:02? Tell 02:00:00:00:00:01"),
        (9, "Inverse ARP", "02:00:00:00:00:01 is at 10.0.0.1"),
    ],
)
def test_variants_of_arp(opcode: int, protocol: str, info: str) -> None:
    body = f"0001 0800 06 04 {opcode:04x} 020000000001 0a000001 020000000002 0a000002"
    row = summarise(bytes(12) + bytes.fromhex(f"0806 {body}"), ETHERNET)
    assert (row.protocol, row.info) == (protocol, info)


@pytest.mark.parametrize(
    ("body", "info"),
    [
        ("0000 0100 aabb", "Reply"),
        ("0800 0200 112233445566 0100 aabb", "Reply"),
        ("0300 0100 aabb", "No valid function found"),
        ("0000 0500 aabb", "Unknown function (5)"),
    ],
)
def test_the_function_where_the_skip_count_leads(body: str, info: str) -> None:
    assert summarise(bytes(12) + bytes.fromhex("9000" + body) + bytes(30), ETHERNET).info == info


def test_a_name_service_request_has_no_flags_of_answers() -> None:
    question = "20" + b"CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".hex() + "00 0021 0001"
    head = " 0001 0000 0000 0000 "
    tree = dissect(udp(137, 137, bytes.fromhex("0001 0115" + head + question)), RAW)
    assert value(tree, "nbns.flags.recdesired") == "1"
    assert not any(value(tree, f"nbns.flags.{name}") for name in ("rcode", "recavail", "authoritative"))
    answer = dissect(udp(137, 137, bytes.fromhex("0001 8583" + head + question)), RAW)
    assert value(answer, "nbns.flags.rcode") == "3"


def test_forms_of_routers_words() -> None:
    said = ip(
        struct.pack("!BBHII", 2, 1, 44, 0x01010101, 0) + bytes.fromhex("0000 0001") + b"password" + bytes(20), 89
    )
    assert value(dissect(said, RAW), "ospf.auth.simple") == "password"
    router = dissect(ip(bytes.fromhex("21 01 64 00 00 01 0000"), 112), RAW)
    assert value(router, "vrrp.typever") == "33"
    assert "Version, Packet type: 0x21" in texts(router)
