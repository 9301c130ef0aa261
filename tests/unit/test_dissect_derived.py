"""Names that follow from other fields, and what records say: `--fields` and filters take them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from netwatch.capture.block import Block, Interface
from netwatch.capture.columns import UNTIMED
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import items_named
from netwatch.capture.fields import FieldError, FieldWriter
from netwatch.capture.filter import FilterError
from netwatch.capture.filter.parser import parse

ETHERNET = bytes.fromhex("01005e0000fb 0200000000a0 0800")
OPTIONS = bytes.fromhex("020405b4 0402 080a0000000100000000 01 030307")


def ipv4(protocol: int, payload: bytes) -> bytes:
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + bytes(range(1, 9)) + payload


def tcp(flags: int, payload: bytes = b"", options: bytes = b"", *, seq: int = 1, ack: int = 1) -> bytes:
    word = (20 + len(options)) // 4 << 12 | flags
    header = struct.pack(">HHIIHHHH", 50000, 443, seq, ack, word, 512, 0, 0)
    return ETHERNET + ipv4(6, header + options + payload)


def udp(payload: bytes) -> bytes:
    return ETHERNET + ipv4(17, struct.pack(">HHHH", 50000, 50001, 8 + len(payload), 0) + payload)


def values(names: str, *packets: bytes, marks: int = 0, interfaces: tuple[Interface, ...] = ()) -> list[list[str]]:
    sizes = np.array([len(packet) for packet in packets], np.int64)
    n = len(packets)
    block = Block(
        raw=np.frombuffer(b"".join(packets), np.uint8),
        offsets=sizes.cumsum() - sizes,
        caplen=sizes.astype(np.uint32),
        wirelen=sizes.astype(np.uint32),
        ts=np.arange(n, dtype=np.int64) * 250_000_000 + 1_767_323_045_000_000_000,
        linktype=np.ones(n, np.uint16),
        iface=np.zeros(n, np.uint16),
        marks=np.full(n, marks, np.uint16),
        pos=np.zeros(n, np.int64),
        owned=True,
    )
    writer = FieldWriter(names.split(","))
    writer.interfaces = interfaces
    return [line.split("\t") for line in writer.lines(block, Decoder(fields=True).decode(block)).splitlines()]


def only(name: str, packet: bytes) -> str:
    [[value]] = values(name, packet)
    return value


def test_what_the_record_says() -> None:
    names = "frame.time,frame.time_delta_displayed,frame.marked,frame.ignored,frame.encap_type,frame.offset_shift"
    first, second = values(names, udp(b"x"), udp(b"y"))
    assert first == ["Jan  2, 2026 03:04:05.000000000 UTC", "0.000000000", "0", "0", "1", "0.000000000"]
    assert second[1] == "0.250000000"
    assert values("frame.time,_ws.col.Time,frame.marked", udp(b"x"), marks=UNTIMED) == [["", "", "0"]]


def test_columns_of_the_list_go_by_their_old_and_new_names() -> None:
    names = "_ws.col.No.,_ws.col.Time,_ws.col.Length,_ws.col.protocol,_ws.col.info,_ws.col.def_src,_ws.col.Protocol"
    writer = FieldWriter(names.split(","))
    assert writer.header() == names.replace(",", "\t") + "\n"
    _, second = values(names, udp(b"x"), udp(b"y"))
    assert second == ["2", "0.250000", "43", "UDP", "50000 → 50001 Len=1", "1.2.3.4", "UDP"]


def test_an_interface_is_told_where_the_capture_describes_it() -> None:
    names = "frame.interface_id,frame.interface_name"
    assert values(names, udp(b"x"), interfaces=(Interface("eth0", 1),)) == [["0", "eth0"]]
    assert values(names, udp(b"x"), interfaces=(Interface("", 1),)) == [["0", "unknown"]]
    assert values(names, udp(b"x"), interfaces=(Interface("", 1, described=False),)) == [["", ""]]


@pytest.mark.parametrize(
    ("packet", "protocols"),
    [
        (udp(b"x"), "eth:ethertype:ip:udp:data"),
        (tcp(0x10), "eth:ethertype:ip:tcp"),
        (ETHERNET + ipv4(1, b"\3\1" + bytes(6) + ipv4(17, bytes(8))), "eth:ethertype:ip:icmp:ip:udp"),
    ],
)
def test_the_layers_of_a_packet(packet: bytes, protocols: str) -> None:
    assert only("frame.protocols", packet) == protocols


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eth.addr", "01:00:5e:00:00:fb"),
        ("eth.dst_resolved", "01:00:5e:00:00:fb"),
        ("eth.src.oui", str(0x020000)),
        ("eth.ig", "1"),
        ("eth.src.ig", "0"),
        ("eth.src.lg", "1"),
        ("eth.src.oui_resolved", ""),
        ("ip.host", "1.2.3.4"),
        ("ip.dst_host", "5.6.7.8"),
        ("udp.payload", "68656c6c6f"),
        ("data.len", "5"),
        ("udp.port", "50000"),
        ("tcp.payload", ""),
    ],
)
def test_what_follows_from_a_datagram(name: str, value: str) -> None:
    assert only(name, udp(b"hello")) == value
    assert only(f"frame.number,{name}".split(",")[1], udp(b"hello") + b"\0" * 9) == value  # padding is no payload


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp.flags.str", "··········S·"),
        ("tcp.options.mss", "020405b4"),
        ("tcp.options.sack_perm", "0402"),
        ("tcp.options.nop", "01"),
        ("tcp.options.timestamp", "080a0000000100000000"),
        ("tcp.options.wscale", "030307"),
        ("tcp.options.wscale.multiplier", "128"),
        ("tcp.options.sack.count", ""),
        ("tcp.payload", "6869"),
    ],
)
def test_what_follows_from_a_segment(name: str, value: str) -> None:
    assert only(name, tcp(0x002, b"hi", OPTIONS)) == value


def test_a_payload_that_was_cut_is_as_much_as_there_is() -> None:
    assert only("tcp.payload", tcp(0x018, b"hello")[:-3]) == b"he".hex()
    assert only("udp.payload", udp(b"hello")[:-3]) == b"he".hex()
    assert only("tcp.payload", tcp(0x018, b"hello")[:-5]) == ""


def test_every_flag_has_its_letter() -> None:
    assert only("tcp.flags.str", tcp(0xFFF)) == "RRRACEUAPRSF"


def test_the_card_that_an_ipv6_address_was_made_of() -> None:
    source = bytes.fromhex("fe80000000000000 6e626dfffe2ac74e")
    packet = ETHERNET[:12] + b"\x86\xdd\x60\0\0\0\0\0\x3b\x40" + source + bytes(16)
    assert values("ipv6.src_slaac_mac,ipv6.dst_slaac_mac,ipv6.host,ip.version", packet) == [
        ["6c:62:6d:2a:c7:4e", "", "fe80::6e62:6dff:fe2a:c74e", "6"]
    ]


def test_names_of_protocols_that_were_renamed() -> None:
    hello = bytes.fromhex("15 0303 0002 0228")
    assert values("ssl.record.version,tls.record.version", tcp(0x018, hello)) == [["0x0303", "0x0303"]]
    assert FieldWriter(["bootp.type"]).header() == "bootp.type\n"
    with pytest.raises(FieldError, match=r"unknown field 'ssl\.nothing'"):
        FieldWriter(["ssl.nothing"])
    parse("ssl.record.version == 0x0303 and bootp.type == 1")


def test_filters_find_both_ends() -> None:
    names = frozenset({"eth.addr", "ip.host", "udp.payload"})
    found = items_named(names, packet := udp(b"hello"), 1, len(packet))
    assert [item.value.hex() for item in found["eth.addr"]] == ["01005e0000fb", "0200000000a0"]
    assert [item.text for item in found["ip.host"]] == ["1.2.3.4", "5.6.7.8"]
    assert [item.value for item in found["udp.payload"]] == [b"hello"]
    with pytest.raises(FilterError, match="connections have no numbers"):
        parse("udp.stream == 1")


CLIENT, SERVER = b"\1\2\3\4", b"\5\6\7\x08"


def answered(flags: int, payload: bytes = b"", options: bytes = b"", *, seq: int, ack: int) -> bytes:
    """A segment of the other side."""
    sent = tcp(flags, payload, options, seq=seq, ack=ack)
    return sent[:26] + SERVER + CLIENT + sent[36:38] + sent[34:36] + sent[38:]


CONNECTION = (
    tcp(0x002, options=bytes.fromhex("01030307"), seq=100, ack=0),
    answered(0x012, options=bytes.fromhex("01030308"), seq=500, ack=101),
    tcp(0x010, seq=101, ack=501),
    tcp(0x010, b"hello", seq=101, ack=501),
    tcp(0x018, b"world!", seq=106, ack=501),
    answered(0x010, seq=501, ack=106),
    answered(0x011, seq=501, ack=112),
    tcp(0x018, b"world!", seq=106, ack=502),
    tcp(0x011, seq=112, ack=502),
)


def of_connection(name: str) -> list[str]:
    return [row[0] for row in values(name, *CONNECTION)]


def test_what_is_acknowledged_and_after_what_time() -> None:
    assert of_connection("tcp.analysis.acks_frame") == ["", "1", "2", "", "", "4", "5", "7", ""]
    rtt = of_connection("tcp.analysis.ack_rtt")
    assert (rtt[1], rtt[5], rtt[6]) == ("0.250000000", "0.500000000", "0.500000000")
    assert of_connection("tcp.analysis.initial_rtt")[:3] == ["", "", "0.500000000"]


def test_what_is_under_way() -> None:
    assert of_connection("tcp.analysis.bytes_in_flight") == ["", "", "", "5", "11", "", "", "6", ""]
    assert of_connection("tcp.analysis.push_bytes_sent") == ["", "", "", "5", "11", "", "", "6", ""]
    assert of_connection("tcp.analysis.flags")[7:] == ["1", ""]


def test_how_far_a_connection_is() -> None:
    assert of_connection("tcp.completeness") == ["0", "1", "3", "7", "15", "15", "15", "31", "31"]
    assert of_connection("tcp.connection.syn") == ["1", *[""] * 8]
    assert of_connection("tcp.connection.fin_active") == [*[""] * 6, "1", "", ""]
    assert of_connection("tcp.connection.fin_passive") == [*[""] * 8, "1"]
    assert of_connection("tcp.time_relative")[4] == "1.000000000"
    assert of_connection("tcp.time_delta")[:2] == ["0.000000000", "0.250000000"]


def test_by_what_a_window_is_scaled() -> None:
    assert of_connection("tcp.window_size_scalefactor")[:6] == ["", "", "128", "128", "128", "256"]
    assert only("tcp.window_size_scalefactor", tcp(0x010)) == "-1"
    plain = (tcp(0x002), answered(0x012, seq=500, ack=2), tcp(0x010, seq=2, ack=501))
    assert values("tcp.window_size_scalefactor", *plain)[2] == ["-2"]


def test_datagrams_have_streams_and_times() -> None:
    other = udp(b"y")[:34] + b"\x11\x11" + udp(b"y")[36:]
    names = "udp.stream,udp.time_relative,udp.time_delta"
    assert values(names, udp(b"x"), other, udp(b"z"), udp(b"z")) == [
        ["0", "0.000000000", "0.000000000"],
        ["1", "0.000000000", "0.000000000"],
        ["0", "0.500000000", "0.500000000"],
        ["0", "0.750000000", "0.250000000"],
    ]


def test_filters_say_what_they_cannot_know() -> None:
    with pytest.raises(FilterError, match=r"tcp\.analysis\.ack_rtt takes all packets of its conversation"):
        parse("tcp.analysis.ack_rtt > 0.1")


def echo(kind: int, sequence: int) -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, 7, sequence) + b"payload"


def test_which_request_an_echo_answers() -> None:
    reply = ETHERNET + ipv4(1, echo(0, 1))[:12] + SERVER + CLIENT + echo(0, 1)
    packets = (ETHERNET + ipv4(1, echo(8, 1)), ETHERNET + ipv4(1, echo(8, 2)), reply, reply)
    rows = values("icmp.resp_to,icmp.resptime,icmp.ident_le", *packets)
    assert rows[2][:3] == ["1", "500", str(0x0700)]
    assert rows[3][:2] == ["", ""]


@pytest.mark.parametrize(
    ("head", "version"),
    [("1164", "2"), ("1100", "1"), ("1200", "1"), ("1600", "2"), ("1700", "2"), ("2200", "3"), ("1300", "")],
)
def test_the_version_of_igmp(head: str, version: str) -> None:
    assert only("igmp.version", ETHERNET + ipv4(2, bytes.fromhex(head) + bytes(6))) == version


def test_the_checksum_that_a_header_should_have() -> None:
    assert only("ip.checksum_calculated", ETHERNET + ipv4(2, bytes.fromhex("1700") + bytes(6))) == "0x6acc"


def test_questions_again_and_answers_to_none() -> None:
    question = bytes.fromhex("0001 0100 0001 0000 0000 0000 0161 00 0001 0001")
    asked = udp(question)[:36] + b"\0\x35" + udp(question)[38:]
    answer = asked[:26] + SERVER + CLIENT + b"\0\x35" + asked[34:36] + asked[38:42]
    answer += bytes.fromhex("0002 8180") + question[4:]
    rows = values("dns.retransmit_request,dns.unsolicited,dns.time", asked, asked, answer)
    assert rows == [["", "", ""], ["1", "", ""], ["", "1", ""]]


def test_what_a_radio_heard() -> None:
    radiotap = bytes.fromhex("0000 0f00 2c000000 16 00 8509 a000 d6".replace(" ", ""))
    found = items_named(
        frozenset({"wlan_radio.signal_dbm", "wlan_radio.data_rate", "wlan_radio.channel", "wlan_radio.frequency"}),
        data := radiotap + bytes.fromhex("d400 0000 0200000000a0"),
        127,
        len(data),
    )
    assert {name: [item.text for item in items] for name, items in found.items()} == {
        "wlan_radio.data_rate": ["11"],
        "wlan_radio.frequency": ["2437"],
        "wlan_radio.channel": ["6"],
        "wlan_radio.signal_dbm": ["-42"],
    }


REGISTER = b"""REGISTER sip:host.example SIP/2.0\r
Via: SIP/2.0/UDP 192.0.2.1:5060;rport=40000;received=192.0.2.9;branch=z9hG4bKx\r
From: "Ann Example" <sip:ann@host.example>;tag=abc\r
To: <sip:ann@host.example>\r
Call-ID: 1\r
CSeq: 1 REGISTER\r
Authorization: Digest username="ann", realm="here", nonce="00ff", uri="sip:h", response="12ab",nc=00000001\r
Content-Length: 0\r
\r
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sip.Via.rport", "40000"),
        ("sip.Via.received", "192.0.2.9"),
        ("sip.from.display.info", '"Ann Example"'),
        ("sip.tag", "abc"),
        ("sip.auth.username", '"ann"'),
        ("sip.auth.realm", '"here"'),
        ("sip.auth.digest.response", '"12ab"'),
        ("sip.auth.nc", "00000001"),
    ],
)
def test_what_a_telephone_says_of_itself(name: str, value: str) -> None:
    sent = udp(REGISTER)
    assert only(name, sent[:36] + (5060).to_bytes(2, "big") + sent[38:]) == value


def test_a_port_that_is_only_asked_for() -> None:
    sent = udp(REGISTER.replace(b"rport=40000", b"rport"))
    assert only("sip.Via.rport", sent[:36] + (5060).to_bytes(2, "big") + sent[38:]) == "rport"


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


def test_what_a_kerberos_request_asks_for() -> None:
    body = der(
        0x30,
        der(0xA0, der(3, b"\0\x40\x81\0\x10")),
        der(0xA2, der(0x1B, b"EXAMPLE")),
        der(0xA5, der(0x18, b"20370913024805Z")),
        der(0xA7, der(2, b"\x0c\x22")),
        der(0xA8, der(0x30, der(2, b"\x12"), der(2, b"\x17"))),
    )
    prepared = der(0x30, der(0x30, der(0xA1, der(2, b"\2")), der(0xA2, der(4, b"x"))))
    message = der(
        0x6A, der(0x30, der(0xA1, der(2, b"\5")), der(0xA2, der(2, b"\n")), der(0xA3, prepared), der(0xA4, body))
    )
    sent = udp(message)
    names = "kerberos.pvno,kerberos.padata_type,kerberos.kdc_options,kerberos.till,kerberos.nonce,kerberos.ENCTYPE"
    assert values(names, sent[:36] + b"\0\x58" + sent[38:]) == [
        ["5", "2", "40810010", "Sep 13, 2037 02:48:05.000000000 UTC", str(0x0C22), "18"]
    ]


def test_what_an_answer_of_ntlm_is_made_of() -> None:
    from netwatch.capture.dissect.derived import following, made_of
    from netwatch.capture.dissect.kit import Item, octets

    answer = bytes(range(16)) + b"\1\1" + bytes(14) + b"CLIENT12" + bytes(8)
    response = octets("ntlmssp.auth.ntresponse", "NTLM Response")
    names = frozenset({"ntlmssp.ntlmv2_response.ntproofstr", "ntlmssp.ntlmv2_response.chal"})
    made = [
        made_of(Item(response, value, 0, len(value)), field, convert, ())
        for value in (answer, answer[:24])
        for field, convert in following(names)["ntlmssp.auth.ntresponse"]
    ]
    assert {item.value for item in made[:2] if item} == {answer[:16], b"CLIENT12"}
    assert made[2:] == [None, None]


NOTIFY = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: upnp:rootdevice\r\n\r\n"


def test_what_a_device_asks_for_and_tells() -> None:
    sent = [udp(head + NOTIFY[6:]) for head in (b"NOTIFY", b"M-SEARCH")]
    told = [packet[:36] + (1900).to_bytes(2, "big") + packet[38:] for packet in sent]
    assert values("http.request,http.notification,http.chat,http.request.full_uri", *told) == [
        ["", "1", "1", "http://239.255.255.250:1900*"],
        ["1", "", "1", "http://239.255.255.250:1900*"],
    ]


def test_a_message_that_was_put_together() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
    packets = (tcp(0x018, head, seq=1), tcp(0x018, b"\r\n", seq=1 + len(head)))
    port = [packet[:36] + b"\0\x50" + packet[38:] for packet in packets]
    assert values("tcp.reassembled.data", *port) == [[""], [(head + b"\r\n").hex()]]


def test_a_body_ends_at_its_first_zero() -> None:
    body = b"text\0\1\2"
    sent = tcp(0x018, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n" + body)
    assert only("http.file_data", sent[:36] + b"\0\x50" + sent[38:]) == "text"


def test_json_has_numbers_in_the_units_that_are_shown() -> None:
    from netwatch.capture.dissect import Context, dissect
    from netwatch.capture.passing import Passed
    from netwatch.capture.tree_json import as_object

    radiotap = bytes.fromhex("00000f002c0000001600850900a0d6") + bytes.fromhex("d400 0000 0200000000a0")
    tree = dissect(radiotap, 127, len(radiotap))
    heard = as_object(Passed(1, 0, radiotap, 127, len(radiotap)), tree)["values"]
    assert (heard["radiotap.dbm_antsignal"], heard["radiotap.datarate"]) == ([-42], [11])
    segment = tcp(0x010)
    tree = dissect(segment, 1, len(segment), context=Context(), number=1)
    values_ = as_object(Passed(1, 0, segment, 1, len(segment)), tree)["values"]
    assert values_["tcp.time_relative"] == ["0.000000000"]
    assert values_["tcp.flags"] == [0x10]
