"""BGP, OpenVPN, WireGuard, BitTorrent, SNMP, syslog: messages made by hand, whole, in pieces, and wrong."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import CLIENT, RAW, Talk, tcp, udp, value

from netwatch.capture.dissect import dissect, fields_text, find, summarise

# BGP


def bgp(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(code: int, raw: bytes, flags: int = 0x40) -> bytes:
    return struct.pack("!BBB", flags, code, len(raw)) + raw


def update(withdrawn: bytes, attributes: bytes, reachable: bytes) -> bytes:
    lengths = struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes)) + attributes
    return bgp(2, lengths + reachable)


PATH = attribute(2, struct.pack("!BBII", 2, 2, 65001, 4200000000))
ATTRIBUTES = (
    attribute(1, b"\0")
    + PATH
    + attribute(3, bytes([192, 0, 2, 1]))
    + attribute(8, bytes.fromhex("fde80064ffffff01"), 0xC0)
    + attribute(32, struct.pack("!III", 65001, 1, 2), 0xC0)
)


def test_an_update_names_its_networks_and_how_to_get_there() -> None:
    tree = Talk(179).say(update(b"\x10\x0a\x01", ATTRIBUTES, b"\x18\xc0\x00\x02\x00"))
    assert (tree.protocol, tree.info) == ("BGP", "UPDATE Message")
    assert value(tree, "bgp.withdrawn_prefix") == "10.1.0.0"
    assert value(tree, "bgp.nlri_prefix") == "192.0.2.0"
    assert value(tree, "bgp.update.path_attribute.as_path_segment.as4") == "65001"
    assert value(tree, "bgp.update.path_attribute.next_hop") == "192.0.2.1"
    assert value(tree, "bgp.update.path_attribute.community_as") == "65000"
    assert value(tree, "bgp.update.path_attribute.community_wellknown") == "0xffffff01"
    assert value(tree, "bgp.large_communities") == "65001:1:2"
    item = find(tree, "bgp.update.nlri")
    assert item is not None
    assert item.text == "192.0.2.0/24, 0.0.0.0/0"


def test_as_numbers_of_two_bytes_are_told_from_four() -> None:
    short = attribute(2, struct.pack("!BBHH", 2, 2, 65001, 65002))
    tree = Talk(179).say(update(b"", short, b""))
    assert value(tree, "bgp.update.path_attribute.as_path_segment.as2") == "65001"
    assert find(tree, "bgp.update.path_attribute.as_path_segment.as4") is None


def test_ipv6_networks_stand_in_an_attribute() -> None:
    hop = bytes.fromhex("20010db8000000000000000000000001")
    reach = struct.pack("!HBB", 2, 1, 16) + hop + b"\0" + b"\x20\x20\x01\x0d\xb8"
    tree = Talk(179).say(update(b"", attribute(14, reach, 0x80), b""))
    assert value(tree, "bgp.mp_reach_nlri_ipv6_prefix") == "2001:db8::"
    assert value(tree, "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6") == "2001:db8::1"


def test_an_open_and_why_a_session_ends() -> None:
    capabilities = b"\x01\x04\0\x02\0\x01" + b"\x41\x04" + struct.pack("!I", 4200000000)
    body = (
        struct.pack("!BHH4sB", 4, 23456, 180, CLIENT, 2 + len(capabilities))
        + bytes([2, len(capabilities)])
        + capabilities
    )
    tree = Talk(179).say(bgp(1, body) + bgp(4))
    assert tree.info == "OPEN Message, KEEPALIVE Message"
    assert value(tree, "bgp.cap.4as") == "4200000000"
    tree = Talk(179).say(bgp(3, b"\x06\x02\x07closing"))
    assert value(tree, "bgp.notify.minor_error_cease") == "2"
    assert value(tree, "bgp.notify.communication") == "closing"


def test_a_prefix_that_is_too_long_is_malformed() -> None:
    tree = Talk(179).say(update(b"", b"", b"\x21" + bytes(5)))
    assert tree.verdict.kind == "malformed"


# OpenVPN

SESSION = bytes(range(8))


@pytest.mark.parametrize("digest", [0, 20, 32, 64])
def test_openvpns_numbers_are_found_behind_any_digest(digest: int) -> None:
    signed = bytes([0xA5]) * digest + (struct.pack("!II", 1, 1700000000) if digest else b"")
    reset = b"\x38" + SESSION + signed + b"\0" + struct.pack("!I", 0)
    tree = Talk(1194, "udp").say(reset)
    assert (tree.protocol, tree.info) == ("OpenVPN", "MessageType: P_CONTROL_HARD_RESET_CLIENT_V2")
    assert value(tree, "openvpn.sessionid") == str(0x0001020304050607)
    assert value(tree, "openvpn.mpid") == "0"
    assert value(tree, "openvpn.hmac") == "a5" * digest
    assert (find(tree, "openvpn.hmac") is None) == (digest == 0)
    assert Talk(5000, "udp").say(reset).protocol == "OpenVPN"


def test_tls_within_the_control_channel_may_span_messages() -> None:
    hello = bytes.fromhex("0303") + bytes(32) + bytes.fromhex("00 0002 1301 01 00 0000")
    record = struct.pack("!BHH", 22, 0x0301, 4 + len(hello)) + b"\x01" + len(hello).to_bytes(3, "big") + hello
    talk = Talk(1194)

    def control(number: int, data: bytes) -> bytes:
        message = b"\x20" + SESSION + b"\0" + struct.pack("!I", number) + data
        return struct.pack("!H", len(message)) + message

    first = talk.say(control(1, record[:20]))
    assert first.protocol == "OpenVPN"
    tree = talk.say(control(2, record[20:]))
    assert tree.info == "Client Hello"
    assert tree.protocol.startswith("TLSv1")


def test_data_says_only_whose_it_is() -> None:
    tree = Talk(1194, "udp").say(b"\x48\0\0\x07" + bytes(40))
    assert tree.info == "MessageType: P_DATA_V2"
    assert value(tree, "openvpn.peerid") == "7"


# WireGuard


def test_data_on_another_port_is_wireguards_after_its_handshake() -> None:
    data = b"\4\0\0\0" + struct.pack("<IQ", 5, 6) + bytes(48)
    assert Talk(40001, "udp").say(data).protocol == "UDP"
    talk = Talk(40001, "udp")
    assert talk.say(b"\1\0\0\0" + bytes(144)).info == "Handshake Initiation, sender=0x00000000"
    assert talk.say(data).info == "Transport Data, receiver=0x00000005, counter=6, datalen=32"
    assert value(talk.say(b"\1\0\0\0" + bytes(144)), "wg.ephemeral") == "A" * 43 + "="
    assert talk.say(data[:32]).info == "Keepalive, receiver=0x00000005, counter=6"


# BitTorrent

HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + b"H" * 20 + b"P" * 20


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!IB", 1 + len(body), kind) + body


def test_messages_follow_the_handshake_and_pieces_span_segments() -> None:
    talk = Talk(6881)
    tree = talk.say(HANDSHAKE + message(5, b"\xff\0") + message(1) + bytes(4))
    assert tree.info == "Handshake  Bitfield, Len:0x2  Unchoke  KeepAlive  "
    assert (
        talk.say(message(6, struct.pack("!III", 1, 0x4000, 0x4000))).info
        == "Request, Piece (Idx:0x1,Begin:0x4000,Len:0x4000)  "
    )
    piece = message(7, struct.pack("!II", 1, 0) + bytes(3000))
    assert talk.say(piece[:1000], back=True).protocol == "TCP"
    assert talk.say(piece[1000:], back=True).info == "Piece, Idx:0x1,Begin:0x0,Len:0xbb8  "


def test_a_hundred_messages_in_a_segment() -> None:
    talk = Talk(6881)
    talk.say(HANDSHAKE)
    tree = talk.say(b"".join(message(4, struct.pack("!I", piece)) for piece in range(100)))
    assert tree.verdict.kind == "ok"
    assert tree.info.endswith("Have, Piece (Idx:0x63)  ")


def test_bytes_behind_a_gap_are_no_message() -> None:
    talk = Talk(6881)
    talk.say(HANDSHAKE)
    assert talk.say(b"\x89random bytes of a piece").info == "Continuation data  "


def test_the_hash_table_is_bencoded() -> None:
    query = b"d1:ad2:id20:" + b"\x01" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe"
    tree = Talk(6882, "udp").say(query)
    assert (tree.protocol, tree.info) == ("BT-DHT", "BitTorrent DHT Protocol")
    assert value(tree, "bt-dht.bencoded.string") == "a"


@pytest.mark.parametrize(
    "nested", [b"d1:ad" + b"1:al" * 4000, b"d1:ad1:a" + b"l" * 4000, b"d1:ad9999999999:x", b"d1:adi-e"]
)
def test_bencoding_that_lies_is_malformed(nested: bytes) -> None:
    assert Talk(6882, "udp").say(nested).verdict.kind in ("malformed", "stopped")


# SNMP


def ber(tag: int, body: bytes) -> bytes:
    return bytes([tag]) + (bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack("!H", len(body))) + body


NAME = ber(6, bytes.fromhex("2b06010201010300"))


def pdu(tag: int, *values: bytes) -> bytes:
    bindings = ber(0x30, b"".join(ber(0x30, NAME + each) for each in values))
    return ber(tag, ber(2, b"\x07") + ber(2, b"\0") + ber(2, b"\0") + bindings)


def test_values_have_their_types() -> None:
    answer = pdu(0xA2, ber(0x43, b"\x30\x39"), ber(0x40, bytes([192, 0, 2, 9])), ber(4, b"Linux"), ber(2, b"\xf9"))
    tree = Talk(161, "udp").say(ber(0x30, ber(2, b"\1") + ber(4, b"public") + answer), back=True)
    assert tree.info == "get-response" + " 1.3.6.1.2.1.1.3.0" * 4
    assert value(tree, "snmp.value.timeticks") == "12345"
    assert value(tree, "snmp.value.ipv4") == "192.0.2.9"
    assert value(tree, "snmp.value.octets") == b"Linux".hex()
    assert value(tree, "snmp.value.int") == "-7"


@pytest.mark.parametrize(
    ("flags", "info"), [(4, "get-request 1.3.6.1.2.1.1.3.0"), (7, "encryptedPDU: privKey Unknown")]
)
def test_version_3_says_who_asks(flags: int, info: str) -> None:
    head = ber(0x30, ber(2, b"\1") + ber(2, b"\0\xff\xe3") + ber(4, bytes([flags])) + ber(2, b"\3"))
    user = ber(
        0x30, ber(4, b"\x80engine") + ber(2, b"\5") + ber(2, b"\x10") + ber(4, b"admin") + ber(4, b"") + ber(4, b"")
    )
    data = ber(4, bytes(40)) if flags & 2 else ber(0x30, ber(4, b"engine") + ber(4, b"") + pdu(0xA0, ber(5, b"")))
    tree = Talk(161, "udp").say(ber(0x30, ber(2, b"\3") + head + ber(4, user) + data))
    assert tree.info == info
    assert value(tree, "snmp.msgUserName") == "admin"


def test_syslog_of_both_forms() -> None:
    talk = Talk(514, "udp")
    tree = talk.say(b"<34>Oct 11 22:14:15 mymachine su[7]: 'su root' failed")
    assert tree.info == "AUTH.CRIT: Oct 11 22:14:15 mymachine su[7]: 'su root' failed"
    assert (value(tree, "syslog.hostname"), value(tree, "syslog.procid")) == ("mymachine", "7")
    tree = talk.say(b"<165>1 2003-10-11T22:14:15.003Z host app - ID47 - text")
    assert (value(tree, "syslog.appname"), value(tree, "syslog.msgid")) == ("app", "ID47")


# What lies

SAMPLES = [
    (179, "tcp", update(b"\x10\x0a\x01", ATTRIBUTES, b"\x18\xc0\x00\x02")),
    (6881, "tcp", HANDSHAKE + message(20, b"\0d1:md1:a1:bee") + message(7, bytes(20))),
    (6882, "udp", b"d1:ad2:id20:" + b"\x01" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe"),
    (
        1194,
        "udp",
        b"\x20" + SESSION + b"\x01" + bytes(4) + SESSION + struct.pack("!I", 1) + bytes.fromhex("160301000401000000"),
    ),
    (161, "udp", ber(0x30, ber(2, b"\1") + ber(4, b"public") + pdu(0xA4, ber(6, b"\x2b\xff\xff")))),
]


@pytest.mark.parametrize(("port", "transport", "payload"), SAMPLES)
def test_cut_or_changed_at_every_byte_nothing_fails(port: int, transport: str, payload: bytes) -> None:
    for at in range(len(payload)):
        for changed in (payload[:at], payload[:at] + b"\xff" + payload[at + 1 :]):
            talk = Talk(port, transport)
            for back in (False, True):
                assert talk.say(changed, back=back).verdict.kind != "failed", at


@pytest.mark.parametrize(("port", "transport", "payload"), SAMPLES)
def test_the_row_says_what_the_tree_says(port: int, transport: str, payload: bytes) -> None:
    packet = (tcp if transport == "tcp" else udp)(40000, port, payload)
    tree, row = dissect(packet, RAW), summarise(packet, RAW)
    assert (tree.protocol, tree.info) == (row.protocol, row.info)


# DHCP, DHCPv6, NTP


def dhcp(*options: tuple[int, bytes]) -> bytes:
    head = struct.pack("!BBBBIHH16x6s10x", 2, 1, 6, 0, 0x1234, 0, 0, b"\2\0\0\0\0\1") + bytes(192)
    made = b"".join(bytes([code, len(raw)]) + raw for code, raw in options)
    return head + bytes.fromhex("63825363") + made + b"\xff"


def test_options_of_dhcp_with_parts() -> None:
    tree = Talk(67, "udp", client=68).say(
        dhcp(
            (53, b"\5"),
            (61, b"\1\2\0\0\0\0\1"),
            (119, b"\7example\3org\0\3sub\xc0\0"),
            (121, bytes.fromhex("180a0001 0a000002 00 0a000001")),
            (82, b"\1\2ab\2\3cde"),
            (43, b"\1\2xy\xff"),
            (81, b"\4\0\0\2pc\0"),
        ),
        back=True,
    )
    assert (tree.protocol, tree.info) == ("DHCP", "DHCP ACK      - Transaction ID 0x1234")
    assert value(tree, "dhcp.option.dhcp_dns_domain_search_list_fqdn") == "example.org"
    route = find(tree, "dhcp.option.classless_static_route")
    assert route is not None
    assert (route.text, fields_text(route)) == ("10.0.1.0/24-10.0.0.2", "180a00010a000002")
    assert value(tree, "dhcp.option.agent_information_option.agent_remote_id") == b"cde".hex()
    assert value(tree, "dhcp.fqdn.name") == "pc"


def test_a_search_list_that_points_at_itself_is_marked() -> None:
    tree = Talk(67, "udp", client=68).say(dhcp((53, b"\5"), (119, b"\xc0\0" * 40)), back=True)
    assert tree.verdict.kind == "malformed"


def test_a_dhcpv6_client_is_known_by_its_link() -> None:
    duid = bytes.fromhex("000300010200000000ab")
    host = b"\0\2pc\7example\0"
    body = struct.pack("!HH", 1, len(duid)) + duid + struct.pack("!HH", 39, len(host)) + host
    tree = Talk(547, "udp", client=546).say(b"\1\0\0\x07" + body)
    assert tree.info == "Solicit XID: 0x000007 CID: 000300010200000000ab "
    assert value(tree, "dhcpv6.duidll.link_layer_addr") == "02:00:00:00:00:ab"
    assert value(tree, "dhcpv6.client_domain") == "pc.example"


def test_ntp_is_signed_behind_its_extensions() -> None:
    body = b"\x24\1\6\xe8" + bytes(8) + b"GPS\0" + bytes(32)
    extension = struct.pack("!HH", 0x0104, 16) + b"u" * 12
    tree = Talk(123, "udp").say(body + extension + b"\0\0\0\1" + b"k" * 16)
    assert value(tree, "ntp.ext.type") == "0x0104"
    assert value(tree, "ntp.keyid") == "00000001"
    assert value(tree, "ntp.mac") == (b"k" * 16).hex()
    reference = find(tree, "ntp.refid")
    assert reference is not None
    assert (reference.text, fields_text(reference)) == ("GPS", b"GPS\0".hex())
