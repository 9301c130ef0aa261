"""Link layer protocols: their rows as tshark has them, field values, cuts and lies."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from tests.unit.handmade import ETHERNET, PING, Sample, Samples, texts, value

from netwatch.capture.dissect import dissect, summarise

WIRELESS, RADIOTAP, PPI, COOKED = 105, 127, 192, 113
A, B, C, D = (bytes.fromhex(f"0200000000{last}") for last in ("0a", "0b", "0c", "0d"))
SNAP_IP = bytes.fromhex("aaaa030000000800")


def eth(payload: bytes, kind: int) -> bytes:
    return bytes.fromhex("0180c200000e020000000001") + struct.pack("!H", kind) + payload


def llc(payload: bytes) -> bytes:
    return eth(payload, len(payload))


def wlan(control: str, payload: bytes = b"", *, fourth: bytes = b"") -> bytes:
    """Addresses A, B, C; sequence number 291."""
    return bytes.fromhex(control) + b"\x2c\0" + A + B + C + b"\x30\x12" + fourth + payload


def radiotap(frame: bytes) -> bytes:
    """Flags (a check sequence ends the frame), rate, channel, signal, antenna."""
    head = struct.pack("<BBHIBBHHbB", 0, 0, 16, 0x082E, 0x10, 12, 2437, 0xA0, -40, 1)
    return head + frame + struct.pack("<I", crc32(frame))


def tlv(kind: int, body: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(body)) + body


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, 4 + len(body)) + body


TAGS = bytes.fromhex(
    "0008686f6d65206e6574 010882848b960c121824 030106 050400010000 0706444520010d14 2a0104"
    "30140100000fac040100000fac040100000fac020000 dd160050f20101000050f20201000050f20201000050f202"
)
BEACON = wlan("8000", bytes.fromhex("15cd5b0700000000 6400 1104") + TAGS)
KEY = bytes.fromhex("0203005f 02 008a 0010 0000000000000001") + bytes(range(32)) + bytes(50)
BPDU = bytes.fromhex("8001020000000001 00000004 8001020000000002 8002 0100 1400 0200 0f00")
SIDE = bytes.fromhex("14 8000 020000000001 000a 00ff 0003 3d 000000")
LACP = b"\x01\x01" + SIDE + b"\x02" + SIDE + bytes.fromhex("03100000") + bytes(12 + 52)
CISCO = (
    record(1, b"r1.example")
    + record(2, bytes.fromhex("00000001 0101cc 0004 c0000201"))
    + record(3, b"Gi0/1")
    + record(4, bytes.fromhex("00000029"))
    + record(10, b"\0\x05")
    + record(11, b"\x01")
)
LLDP = (
    tlv(1, b"\x04" + A)
    + tlv(2, b"\x05eth0")
    + tlv(3, b"\0\x78")
    + tlv(5, b"switch1")
    + tlv(7, bytes.fromhex("00140004"))
    + tlv(8, bytes.fromhex("0501c0000201020000000300"))
    + tlv(127, bytes.fromhex("0080c20300640576") + b"lan5")
    + tlv(127, bytes.fromhex("00120f0405ee"))
    + tlv(0, b"")
)


def ppp(protocol: int, code: int, body: bytes) -> bytes:
    inner = struct.pack("!HBBH", protocol, code, 1, 4 + len(body)) + body
    return eth(struct.pack("!BBHH", 0x11, 0, 7, len(inner)) + inner, 0x8864)


SAMPLES = [
    Sample(
        BEACON,
        WIRELESS,
        "802.11",
        'Beacon frame, SN=291, FN=0, Flags=........, BI=100, SSID="home net"',
        {
            "wlan.fc.type_subtype": "0x0008",
            "wlan.fc": "0x8000",
            "wlan.bssid": "02:00:00:00:00:0c",
            "wlan.seq": "291",
            "wlan.fixed.timestamp": "123456789",
            "wlan.fixed.capabilities.privacy": "1",
            "wlan.ds.current_channel": "6",
            "wlan.tim.dtim_period": "1",
            "wlan.country_info.code": "DE",
            "wlan.rsn.pcs": "1027076",
            "wlan.rsn.pcs.type": "4",
            "wlan.rsn.akms.type": "2",
            "wlan.wfa.ie.wpa.mcs.type": "2",
        },
    ),
    Sample(
        wlan("4000", bytes.fromhex("0000 010402040b16")),
        WIRELESS,
        "802.11",
        "Probe Request, SN=291, FN=0, Flags=........, SSID=Wildcard (Broadcast)",
        {"wlan.supported_rates": "2"},
    ),
    Sample(
        wlan("c000", b"\x07\0"),
        WIRELESS,
        "802.11",
        "Deauthentication, SN=291, FN=0, Flags=........",
        {"wlan.fixed.reason_code": "0x0007"},
    ),
    Sample(
        wlan("b000", bytes.fromhex("000001000000")),
        WIRELESS,
        "802.11",
        "Authentication, SN=291, FN=0, Flags=........",
        {"wlan.fixed.auth.alg": "0", "wlan.fixed.auth_seq": "0x0001", "wlan.fixed.status_code": "0x0000"},
    ),
    Sample(
        bytes.fromhex("d4000000") + A,
        WIRELESS,
        "802.11",
        "Acknowledgement, Flags=........",
        {"wlan.ra": "02:00:00:00:00:0a", "wlan.ta": "", "wlan.duration": "0"},
    ),
    Sample(
        bytes.fromhex("84000000") + A + B + bytes.fromhex("05003012"),
        WIRELESS,
        "802.11",
        "802.11 Block Ack Req, Flags=........",
        {"wlan.ba.control.ba_type": "0x2", "wlan.fixed.ssc.sequence": "291"},
    ),
    Sample(
        bytes.fromhex("a40001c0") + A + B,
        WIRELESS,
        "802.11",
        "Power-Save poll, Flags=........",
        {"wlan.aid": "1", "wlan.bssid": "02:00:00:00:00:0a"},
    ),
    Sample(
        wlan("0801", SNAP_IP + PING),
        WIRELESS,
        "ICMP",
        "Echo (ping) request  id=0x0000, seq=0/0, ttl=64",
        {
            "wlan.bssid": "02:00:00:00:00:0a",
            "wlan.sa": "02:00:00:00:00:0b",
            "wlan.da": "02:00:00:00:00:0c",
            "llc.type": "0x0800",
            "ip.src": "10.0.0.1",
        },
    ),
    Sample(
        wlan("0803", SNAP_IP + PING, fourth=D),
        WIRELESS,
        "ICMP",
        "Echo (ping) request  id=0x0000, seq=0/0, ttl=64",
        {"wlan.da": "02:00:00:00:00:0c", "wlan.sa": "02:00:00:00:00:0d", "wlan.bssid": ""},
    ),
    Sample(
        wlan("8802", b"\x06\0" + SNAP_IP + PING),
        WIRELESS,
        "ICMP",
        "Echo (ping) request  id=0x0000, seq=0/0, ttl=64",
        {"wlan.qos.tid": "6", "wlan.bssid": "02:00:00:00:00:0b", "wlan.sa": "02:00:00:00:00:0c"},
    ),
    Sample(
        wlan("8841", b"\0\0" + bytes.fromhex("0102002004030201") + bytes(16)),
        WIRELESS,
        "802.11",
        "QoS Data, SN=291, FN=0, Flags=.p.....T",
        {"wlan.ccmp.extiv": "0x010203040201"},
    ),
    Sample(
        radiotap(wlan("0802", SNAP_IP + PING)),
        RADIOTAP,
        "ICMP",
        "Echo (ping) request  id=0x0000, seq=0/0, ttl=64",
        {
            "radiotap.length": "16",
            "radiotap.channel.freq": "2437",
            "radiotap.dbm_antsignal": "-40",
            "radiotap.datarate": "6",
            "wlan.fcs.status": "1",
        },
    ),
    Sample(
        struct.pack("<BBHI", 0, 0, 8, 105) + wlan("4801"),
        PPI,
        "802.11",
        "Null function (No data), SN=291, FN=0, Flags=.......T",
        {"ppi.dlt": "105"},
    ),
    Sample(
        wlan("8802", b"\x06\0" + bytes.fromhex("aaaa03000000888e") + KEY),
        WIRELESS,
        "EAPOL",
        "Key (Message 1 of 4)",
        {"wlan_rsna_eapol.keydes.msgnr": "1", "eapol.keydes.replay_counter": "1", "eapol.keydes.key_len": "16"},
    ),
    Sample(
        eth(bytes.fromhex("0100000a0201000a01") + b"alice", 0x888E),
        ETHERNET,
        "EAP",
        "Response, Identity",
        {"eap.code": "2", "eap.identity": "alice"},
    ),
    Sample(
        llc(b"\x42\x42\x03" + bytes.fromhex("000002023c") + BPDU + b"\0"),
        ETHERNET,
        "STP",
        "RST. Root = 32768/1/02:00:00:00:00:01  Cost = 4  Port = 0x8002",
        {"stp.flags.port_role": "3", "stp.hello": "2", "llc.dsap": "0x42", "llc.control": "0x0003"},
    ),
    Sample(
        llc(bytes.fromhex("aaaa0300000c010b 0000000000") + BPDU + bytes.fromhex("0000000002 0005")[1:]),
        ETHERNET,
        "STP",
        "Conf. Root = 32768/1/02:00:00:00:00:01  Cost = 4  Port = 0x8002",
        {"llc.oui": "12", "llc.cisco_pid": "0x010b", "stp.pvst.origvlan": "5"},
    ),
    Sample(
        eth(b"\x01" + LACP, 0x8809),
        ETHERNET,
        "LACP",
        "v1 ACTOR 02:00:00:00:00:01 P: 3 K: 10 **DCSG*A PARTNER 02:00:00:00:00:01 P: 3 K: 10 **DCSG*A",
        {"lacp.actor.sysid": "02:00:00:00:00:01", "lacp.partner.port": "3", "lacp.actor.state.timeout": "0"},
    ),
    Sample(
        llc(bytes.fromhex("aaaa0300000c2000 02b40000") + CISCO),
        ETHERNET,
        "CDP",
        "Device ID: r1.example  Port ID: Gi0/1  ",
        {
            "cdp.deviceid": "r1.example",
            "cdp.nrgyz.ip_address": "192.0.2.1",
            "cdp.capabilities.switch": "1",
            "cdp.native_vlan": "5",
            "cdp.duplex": "1",
            "cdp.checksum.status": "0",
        },
    ),
    Sample(
        eth(LLDP, 0x88CC),
        ETHERNET,
        "LLDP",
        "MA/02:00:00:00:00:0a IN/eth0 120 SysN=switch1 ",
        {
            "lldp.chassis.id.mac": "02:00:00:00:00:0a",
            "lldp.tlv.system_cap.router": "1",
            "lldp.mgn.addr.ip4": "192.0.2.1",
            "lldp.mgn.interface.number": "3",
            "lldp.ieee.802_1.vlan.name": "vlan5",
            "lldp.ieee.802_3.max_frame_size": "1518",
        },
    ),
    Sample(
        ppp(0xC021, 1, bytes.fromhex("010405d4 0305c22305 050612345678")),
        ETHERNET,
        "PPP LCP",
        "Configuration Request",
        {"lcp.opt.mru": "1492", "lcp.opt.auth_protocol": "0xc223", "lcp.opt.magic_number": "0x12345678"},
    ),
    Sample(
        ppp(0x8021, 3, bytes.fromhex("0306c0000201 810608080808")),
        ETHERNET,
        "PPP IPCP",
        "Configuration Nak",
        {"ipcp.opt.ip_address": "192.0.2.1", "ipcp.opt.pri_dns_address": "8.8.8.8", "pppoe.session_id": "0x0007"},
    ),
    Sample(
        ppp(0x8057, 1, bytes.fromhex("010a0200000000000001")),
        ETHERNET,
        "PPP IPV6CP",
        "Configuration Request",
        {"ipv6cp.interface_identifier": "0200000000000001"},
    ),
    Sample(
        eth(bytes.fromhex("0001ffff") + bytes(42), 0x8808),
        ETHERNET,
        "MAC CTRL",
        "Pause: pause_time: 65535 quanta",
        {"macc.pause_time": "65535"},
    ),
    Sample(
        eth(bytes.fromhex("000002000200000000010100") + b"\x07\0" + bytes(32), 0x9000),
        ETHERNET,
        "LOOP",
        "Forward Data",
        {"loop.forwarding_address": "02:00:00:00:00:01", "loop.receipt_number": "7"},
    ),
    Sample(
        eth(bytes.fromhex("00000000000100800000000000000000"), 0x893A),
        ETHERNET,
        "ieee1905",
        "Topology discovery",
        {"ieee1905.message_id": "0x0001", "ieee1905.last_fragment": "1"},
    ),
    Sample(
        eth(bytes.fromhex("2c00000000010200000000010001") + bytes(40), 0x88E5),
        ETHERNET,
        "MACSEC",
        "MACsec frame",
        {"macsec.PN": "1", "macsec.SCI.port_identifier": "1", "macsec.TCI.SC": "1"},
    ),
    Sample(
        bytes.fromhex("00000001000602000000000100000800") + PING,
        COOKED,
        "ICMP",
        "Echo (ping) request  id=0x0000, seq=0/0, ttl=64",
        {"sll.src.eth": "02:00:00:00:00:01", "sll.etype": "0x0800"},
    ),
    Sample(
        llc(
            bytes.fromhex("fefe03 831b0100100100 00 02 000000000002 0009 002f 40 00000000000209")
            + bytes.fromhex("8102 8ecc 0104 03490000 8404 0a000002")
        ),
        ETHERNET,
        "ISIS HELLO",
        "L2 HELLO, System-ID: 0000.0000.0002",
        {"isis.type": "16", "isis.hello.priority": "64", "isis.hello.clv_ipv4_int_addr": "10.0.0.2"},
    ),
]


class TestLinkSamples(Samples):
    samples = SAMPLES


def test_an_aggregate_shows_each_of_its_packets() -> None:
    subframe = A + B + struct.pack("!H", len(SNAP_IP + PING)) + SNAP_IP + PING
    padded = subframe + bytes(-len(subframe) % 4)
    tree = dissect(wlan("8802", b"\x80\0" + padded + subframe), WIRELESS)
    assert texts(tree).count("A-MSDU Length: 36") == 2
    assert sum("Internet Protocol Version 4" in said for said in texts(tree)) == 2
    assert tree.protocol == "ICMP"


def test_a_wrong_check_sequence_is_said_and_hides_nothing() -> None:
    data = radiotap(wlan("0802", SNAP_IP + PING))
    tree = dissect(data[:-1] + bytes([data[-1] ^ 1]), RADIOTAP)
    assert value(tree, "wlan.fcs.status") == "0"
    assert tree.protocol == "ICMP"


def test_radiotap_fields_that_nobody_knows_do_not_move_the_frame() -> None:
    head = struct.pack("<BBHIB", 0, 0, 16, 1 << 28 | 1 << 16 | 0x02, 0x00) + bytes(7)
    tree = dissect(head + wlan("4801"), RADIOTAP)
    assert tree.info == "Null function (No data), SN=291, FN=0, Flags=.......T"


def test_radiotap_words_that_never_end() -> None:
    data = struct.pack("<BBH", 0, 0, 4000) + b"\xff\xff\xff\xff" * 999
    assert dissect(data, RADIOTAP).verdict.kind == "malformed"


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"plain", '"plain"'), (b"", "Wildcard (Broadcast)"), (b"\0\0", "0000"), (b"\x1b[2J", "1b5b324a")],
)
def test_a_network_may_be_called_anything(name: bytes, shown: str) -> None:
    tree = dissect(wlan("4000", bytes([0, len(name)]) + name), WIRELESS)
    assert tree.info.endswith(f", SSID={shown}")
    assert value(tree, "wlan.ssid") == name.hex()


def test_four_messages_agree_on_a_key() -> None:
    said = []
    for word, nonce, size in ((0x008A, 1, 0), (0x010A, 1, 22), (0x13CA, 1, 22), (0x030A, 0, 0)):
        body = struct.pack("!BHHQ", 2, word, 16, 1) + bytes([nonce]) * 32 + bytes(48) + struct.pack("!H", size)
        body += bytes.fromhex("30140100000fac040100000fac040100000fac020000")[:size]
        tree = dissect(eth(struct.pack("!BBH", 2, 3, len(body)) + body, 0x888E), ETHERNET)
        assert tree.verdict.kind == "ok"
        said.append(tree.info)
    assert said == [f"Key (Message {number} of 4)" for number in (1, 2, 3, 4)]


def test_instances_of_a_spanning_tree() -> None:
    region = struct.pack("!HB32sH16s", 64 + 16, 0, b"region", 1, bytes(16)) + bytes.fromhex(
        "00000000800102000000000114"
    )
    instance = bytes.fromhex("7c8001020000000001000000048080") + b"\x14"
    tree = dissect(llc(b"\x42\x42\x03" + bytes.fromhex("000003027c") + BPDU + b"\0" + region + instance), ETHERNET)
    assert tree.info.startswith("MST. Root")
    assert (value(tree, "mstp.config_name"), value(tree, "mstp.msti.msti_id")) == ("region", "1")


@pytest.mark.parametrize(
    ("control", "info"),
    [
        ("aaaa7f", "U P, func=SABME; DSAP SNAP Individual, SSAP SNAP Command"),
        ("f0f10104", "S, func=RR, N(R)=2; DSAP NetBIOS Individual, SSAP NetBIOS Response"),
        ("04050003", "I P, N(R)=1, N(S)=0; DSAP SNA Path Control Individual, SSAP SNA Path Control Response"),
        ("aaaa031234561234", "U, func=UI; SNAP, OUI 0x123456 (Unknown), PID 0x1234"),
    ],
)
def test_llc_says_what_it_controls(control: str, info: str) -> None:
    tree = dissect(llc(bytes.fromhex(control) + bytes(4)), ETHERNET)
    assert (tree.protocol, tree.info) == ("LLC", info)


def test_an_lldp_frame_whose_order_is_wrong_is_malformed() -> None:
    tree = dissect(eth(tlv(2, b"\x05eth0") + tlv(0, b""), 0x88CC), ETHERNET)
    assert tree.verdict.kind == "malformed"
    assert tree.info == "Invalid Chassis ID TLV"


@pytest.mark.parametrize("size", [0, 3])
def test_a_cdp_length_that_does_not_move_on(size: int) -> None:
    tree = dissect(llc(bytes.fromhex("aaaa0300000c2000 02b40000") + struct.pack("!HH", 1, size)), ETHERNET)
    assert tree.verdict.kind == "malformed"


def test_a_row_says_no_more_of_cdp_than_the_tree_does() -> None:
    """What stands behind a broken value is in neither."""
    body = record(1, b"r1") + record(2, b"\0\0\0\1\1") + record(3, b"Gi0/1")
    data = llc(bytes.fromhex("aaaa0300000c2000 02b40000") + body)
    tree = dissect(data, ETHERNET)
    assert tree.verdict.kind == "malformed"
    assert tree.info == summarise(data, ETHERNET).info == "Device ID: r1  [Malformed Packet]"
