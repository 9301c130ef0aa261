"""Protocols of text lines, what they announce, and SSH: FTP, mail, Telnet, IRC, SIP, RTSP, SDP, RTP, RTCP, STUN."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text

RAW = 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
TLS = bytes.fromhex("1703030002 6162")


class Net:
    """Two hosts whose packets are dissected as they are sent."""

    def __init__(self) -> None:
        self.context = Context()
        self.number = 0

    def send(self, source: bytes, target: bytes, protocol: int, payload: bytes) -> Tree:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
        self.number += 1
        return dissect(head + source + target + payload, RAW, context=self.context, number=self.number)

    def udp(self, payload: bytes, ports: tuple[int, int], client: bool = True) -> Tree:
        ends = (CLIENT, SERVER) if client else (SERVER, CLIENT)
        return self.send(*ends, 17, struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload)


class Talk:
    """A TCP connection from a client to a server."""

    def __init__(self, net: Net, port: int, source: int = 40000, back: bool = False) -> None:
        self.net, self.ports, self.ends = net, (source, port), (SERVER, CLIENT) if back else (CLIENT, SERVER)
        self.next = [1000, 5000]
        self.say(True, b"", 0x02)
        self.say(False, b"", 0x12)

    def say(self, client: bool, data: bytes, flags: int = 0x18) -> Tree:
        side = 0 if client else 1
        ports, ends = (self.ports, self.ends) if client else (self.ports[::-1], self.ends[::-1])
        segment = struct.pack("!HHIIBBHHH", *ports, self.next[side], self.next[1 - side], 0x50, flags, 512, 0, 0)
        self.next[side] += len(data) + bool(flags & 3)
        return self.net.send(*ends, 6, segment + data)

    def client(self, data: bytes) -> Tree:
        return self.say(True, data)

    def server(self, data: bytes) -> Tree:
        return self.say(False, data)


def items(tree: Tree) -> Iterator[Item]:
    below = list(tree.layers)
    while below:
        item = below.pop(0)
        yield item
        below = item.children + below


def values(tree: Tree, name: str) -> list[str]:
    return [fields_text(item) for item in items(tree) if item.field.name == name]


def row(tree: Tree) -> tuple[str, str]:
    return tree.protocol, tree.info.strip()


# FTP


@pytest.mark.parametrize(
    ("asks", "says", "port", "method"),
    [
        (b"PASV", b"227 Entering Passive Mode (198,51,100,7,200,10).", 51210, "PASV"),
        (b"PASV", b"227 Entering Passive Mode (10,0,0,7,200,10).", 51210, "PASV"),  # rewritten in between
        (b"EPSV", b"229 Entering Extended Passive Mode (|||51234|)", 51234, "EPASV"),
    ],
)
def test_passive_transfers(asks: bytes, says: bytes, port: int, method: str) -> None:
    net = Net()
    control = Talk(net, 21)
    assert row(control.client(asks + b"\r\n")) == ("FTP", f"Request: {asks.decode()}")
    announced = control.server(says + b"\r\n")
    assert values(announced, "ftp.response.code") == [says[:3].decode()]
    control.client(b"RETR a.txt\r\n")
    tree = Talk(net, port, 40500).server(b"content")
    assert row(tree) == ("FTP-DATA", f"FTP Data: 7 bytes ({method}) (RETR a.txt)")
    assert values(tree, "ftp-data.setup-frame") == ["4"]
    assert Talk(net, port + 1, 40501).server(b"content").protocol == "TCP"


@pytest.mark.parametrize(
    "asks", [b"PORT 192,0,2,1,158,152", b"EPRT |1|192.0.2.1|40600|", b"EPRT !1!192.0.2.1!40600!"]
)
def test_active_transfers(asks: bytes) -> None:
    net = Net()
    control = Talk(net, 21)
    control.client(asks + b"\r\n")
    control.client(b"LIST\r\n")
    tree = Talk(net, 40600, 20, back=True).client(b"listing")
    assert row(tree) == ("FTP-DATA", f"FTP Data: 7 bytes ({asks[:4].decode()}) (LIST)")


@pytest.mark.parametrize(
    "said",
    [b"EPRT", b"EPRT |", b"EPRT |1|x|y|", b"EPRT |1|192.0.2.1|99999|", b"PORT 1,2,3", b"PORT 1,2,3,4,5,999"],
)
def test_what_announces_nothing(said: bytes) -> None:
    net = Net()
    assert Talk(net, 21).client(said + b"\r\n").verdict.kind == "ok"


def test_lines_over_segments_and_tls_afterwards() -> None:
    talk = Talk(Net(), 21)
    assert talk.client(b"US").protocol == "TCP"
    tree = talk.client(b"ER bob\r\n")
    assert row(tree) == ("FTP", "Request: USER bob")
    assert values(tree, "ftp.request.arg") == ["bob"]
    talk.client(b"AUTH TLS\r\n")
    assert talk.server(b"234 go\r\n").protocol == "FTP"
    assert talk.client(TLS).protocol.startswith("TLS")


# Mail


def test_a_mail_is_shown_by_the_packet_that_ends_it() -> None:
    talk = Talk(Net(), 25)
    assert row(talk.server(b"250-mx\r\n250-STARTTLS\r\n250 OK\r\n")) == ("SMTP", "S: 250-mx | STARTTLS | OK")
    assert row(talk.client(b"RCPT TO:<c@d>\r\nDATA\r\n")) == ("SMTP", "C: RCPT TO:<c@d> | DATA")
    assert row(talk.server(b"250 ok\r\n354 go\r\n")) == ("SMTP", "S: 250 ok | 354 go")
    first = b"From: a@b\r\nSubject: hi\r\n there\r\nContent-Type: text/plain; charset=x\r\n\r\nbody\r\n"
    assert row(talk.client(first)) == ("SMTP", f"C: DATA fragment, {len(first)} bytes")
    assert row(talk.client(b"..dot\r\n.\r")) == ("SMTP", "C: DATA fragment, 9 bytes")
    tree = talk.client(b"\nRSET\r\n")
    assert values(tree, "imf.from") == ["a@b"]
    assert values(tree, "imf.subject") == ["hi\\r\\n there"]
    assert values(tree, "imf.message_text") == ["body\\r\\n.dot\\r\\n"]
    assert values(tree, "smtp.req.command") == ["RSET"]
    assert row(talk.server(b"250 queued\r\n"))[1] == "S: 250 queued"
    assert row(talk.client(b"QUIT\r\n"))[1] == "C: QUIT"


def test_a_mail_alone_and_in_chunks() -> None:
    talk = Talk(Net(), 25)
    talk.server(b"354 go\r\n")
    tree = talk.client(b"From: a@b\r\nSubject: x\r\nContent-Type: text/plain\r\n\r\nhello\r\n.\r\n")
    assert row(tree) == ("SMTP/IMF", "from: a@b, subject: x,  (text/plain)")
    talk.client(b"BDAT 12 LAST\r\n")
    assert row(talk.client(b"From: x\r\n\r\ny")) == ("SMTP/IMF", "from: x, , y")
    assert row(talk.client(b"QUIT\r\n")) == ("SMTP", "C: QUIT")


def test_who_signs_in_and_tls_afterwards() -> None:
    talk = Talk(Net(), 587)
    talk.client(b"AUTH LOGIN\r\n")
    talk.server(b"334 VXNlcm5hbWU6\r\n")
    assert values(talk.client(b"dXNlcg==\r\n"), "smtp.auth.username") == ["dXNlcg=="]
    talk.server(b"334 UGFzc3dvcmQ6\r\n")
    tree = talk.client(b"cGFzcw==\r\n")
    assert row(tree) == ("SMTP", "C: Pass: cGFzcw==")
    assert values(tree, "smtp.auth.password") == ["cGFzcw=="]
    talk.client(b"STARTTLS\r\n")
    talk.server(b"220 go\r\n")
    assert talk.client(TLS).protocol.startswith("TLS")


def test_mail_without_an_end_is_bounded() -> None:
    talk = Talk(Net(), 25)
    talk.server(b"354 go\r\n")
    for _ in range(40):
        assert talk.client(b"x" * 50_000).protocol == "SMTP"
    tree = talk.client(b"\r\n.\r\n")
    assert max(len(buffer.data) for buffer in tree.buffers) <= 1 << 20


def test_pop_retrieves_a_message() -> None:
    talk = Talk(Net(), 110)
    talk.client(b"RETR 1\r\n")
    assert row(talk.server(b"+OK 60 octets\r\nFrom: a@b\r\n"))[1] == "S: +OK 60 octets"
    tree = talk.server(b"Subject: x\r\n\r\nbody\r\n.\r\n")
    assert row(tree) == ("POP/IMF", "from: a@b, subject: x, , body")
    assert row(talk.client(b"LIST\r\n")) == ("POP", "C: LIST")
    tree = talk.server(b"+OK 2\r\n1 120\r\n2 200\r\n.\r\n")
    assert row(tree) == ("POP", "S: +OK 2")
    assert values(tree, "pop.response.data") == ["1 120", "2 200", "."]
    talk.client(b"STLS\r\n")
    talk.server(b"+OK\r\n")
    assert talk.client(TLS).protocol.startswith("TLS")


def test_imap_literals() -> None:
    talk = Talk(Net(), 143)
    tree = talk.client(b'a1 LOGIN "u s" pw\r\na2 UID FETCH 1 (BODY[])\r\n')
    assert values(tree, "imap.request.username") == ["u s"]
    assert values(tree, "imap.request.password") == ["pw"]
    assert values(tree, "imap.request.command") == ["LOGIN", "FETCH"]
    mail = b"From: a\r\nSubject: b\r\n\r\nline\r\n"
    said = b"* 1 FETCH (BODY[] {%d}\r\n%s)\r\na2 OK done\r\n" % (len(mail), mail)
    assert talk.server(said[:30]).protocol == "TCP"
    tree = talk.server(said[30:])
    assert row(tree) == ("IMAP/IMF", "from: a, subject: b, , line")
    assert values(tree, "imap.response.status") == ["OK"]
    assert row(talk.client(b"a3 STARTTLS\r\n"))[1] == "Request: a3 STARTTLS"
    talk.server(b"a3 OK go\r\n")
    assert talk.client(TLS).protocol.startswith("TLS")


def test_imap_lines_are_whole() -> None:
    talk = Talk(Net(), 143)
    tree = talk.server(b"* OK ready\r\n* 1 EX")
    assert row(tree) == ("IMAP", "Response: * OK ready")
    assert row(talk.server(b"ISTS\r\n")) == ("IMAP", "Response: * 1 EXISTS")


# Telnet, IRC


def test_telnet_options_and_text() -> None:
    tree = Talk(Net(), 23).server(
        b"\xff\xfd\x18\xff\xfa\x18\x00xterm\xff\xf0\xff\xfa\x1f\0\x50\0\x18\xff\xf0lo\xff\xffgin\r\nnext\xff\xf9"
    )
    assert row(tree) == ("TELNET", "Telnet Data ...")
    assert values(tree, "telnet.cmd") == ["253", "250", "240", "250", "240", "249"]
    assert values(tree, "telnet.string_subopt.value") == ["xterm"]
    assert values(tree, "telnet.naws_subopt.width") == ["80"]
    assert len(values(tree, "telnet.data")) == 2


def test_irc() -> None:
    talk = Talk(Net(), 6667)
    tree = talk.client(b"NICK bob\r\nUSER bob 0 * :Bob B\r\nPRIV")
    assert row(tree) == ("IRC", "Request (NICK) (USER)")
    assert values(tree, "irc.request.command_parameter") == ["bob", "bob", "0", "*"]
    assert values(tree, "irc.request.trailer") == ["Bob B"]
    assert row(talk.client(b"MSG #a :hi\r\n")) == ("IRC", "Request (PRIVMSG)")
    tree = talk.server(b":srv 001 bob :Welcome\r\n:a!b@c JOIN #a\r\n")
    assert row(tree) == ("IRC", "Response (001) (JOIN)")
    assert values(tree, "irc.response.num_command") == ["1"]
    assert values(tree, "irc.response.prefix") == ["srv", "a!b@c"]


# Voice

DESCRIPTION = (
    b"v=0\r\no=alice 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 30000 RTP/AVP 8 96\r\na=rtpmap:96 opus/48000/2\r\na=rtcp:30011\r\na=sendrecv\r\n"
)
INVITE = (
    b"INVITE sip:bob@example.org:5070 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    b'From: "Alice" <sip:alice@example.org>;tag=t1\r\nt: <sip:bob@example.org>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\n'
    b"Content-Type: application/sdp\r\nl: %d\r\n\r\n" % len(DESCRIPTION)
)


def rtp(kind: int, marker: bool = False, first: int = 0x80, rest: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", first, kind | marker << 7, 7, 160, 0xABCDEF01) + rest


def test_a_call_announces_its_streams() -> None:
    net = Net()
    tree = net.udp(INVITE + DESCRIPTION, (5060, 5060))
    assert row(tree) == ("SIP/SDP", "Request: INVITE sip:bob@example.org:5070 |")
    for name, value in (
        ("sip.r-uri.user", "bob"),
        ("sip.r-uri.port", "5070"),
        ("sip.from.user", "alice"),
        ("sip.from.tag", "t1"),
        ("sip.to.host", "example.org"),
        ("sip.CSeq.seq", "7"),
        ("sip.Via.sent-by.address", "192.0.2.1"),
        ("sip.Via.branch", "z9hG4bK1"),
        ("sip.Call-ID", "c1"),
        ("sdp.owner.username", "alice"),
        ("sdp.media.port", "30000"),
        ("sdp.mime.type", "opus"),
        ("sdp.sample_rate", "48000"),
    ):
        assert values(tree, name) == [value], name
    assert row(net.udp(rtp(8), (40000, 30000), client=False)) == (
        "RTP",
        "PT=ITU-T G.711 PCMA, SSRC=0xABCDEF01, Seq=7, Time=160",
    )
    tree = net.udp(rtp(96, True), (30000, 40000))
    assert row(tree)[1] == "PT=opus, SSRC=0xABCDEF01, Seq=7, Time=160, Mark"
    assert values(tree, "rtp.payload") == [b"payload".hex()]
    assert values(tree, "rtp.setup-frame") == ["1"]
    report = bytes.fromhex("80c90001abcdef01 81ca0004abcdef01 0101 07 6d4065726865726500 0000")[:28]
    tree = net.udp(report, (40001, 30011), client=False)
    assert row(tree)[0] == "RTCP"
    assert net.udp(rtp(8), (40000, 30002), client=False).protocol == "UDP"


def test_a_header_with_sources_extension_and_padding() -> None:
    net = Net()
    net.udp(INVITE + DESCRIPTION, (5060, 5060))
    rest = struct.pack("!I", 9) + b"\xbe\xde\0\x01\x10\xaa\0\0" + b"data" + b"\0\0\x03"
    tree = net.udp(rtp(8, first=0xB1, rest=rest), (40000, 30000), client=False)
    assert values(tree, "rtp.csrc.item") == ["0x00000009"]
    assert values(tree, "rtp.hdr_ext") == ["10aa0000"]
    assert values(tree, "rtp.payload") == [b"data".hex()]
    assert tree.verdict.kind == "ok"


def test_rtcp_reports() -> None:
    net = Net()
    net.udp(INVITE + DESCRIPTION, (5060, 5060))
    sent = struct.pack("!BBHIIIIII", 0x81, 200, 12, 1, 2, 3, 4, 5, 6) + struct.pack(
        "!IIIIII", 7, 1 << 24 | 2, 3, 4, 5, 6
    )
    described = struct.pack("!BBHI", 0x81, 202, 3, 1) + b"\x01\x05a@b.c" + b"\0"
    bye = struct.pack("!BBHI", 0x81, 203, 1, 1)
    tree = net.udp(sent + described + bye, (40000, 30011), client=False)
    assert row(tree) == ("RTCP", "Sender Report   Source description   Goodbye")
    assert values(tree, "rtcp.sender.octetcount") == ["6"]
    assert values(tree, "rtcp.ssrc.fraction") == ["1"]
    assert values(tree, "rtcp.sdes.text") == ["a@b.c"]
    assert tree.verdict.kind == "ok"
    assert net.udp(sent[:-4], (40000, 30011), client=False).verdict.kind == "malformed"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"Contact: *\r\nExpires: 0\r\n", "(remove all bindings)"),
        (b"m: <sip:a@b>;expires=0\r\n", "(remove 1 binding)"),
        (b"Contact: <sip:a@b>, <sip:c@d>\r\n", "(2 bindings)"),
        (b"", "(fetch bindings)"),
    ],
)
def test_registrations(lines: bytes, said: str) -> None:
    tree = Net().udp(b"REGISTER sip:h SIP/2.0\r\nCSeq: 1 REGISTER\r\n" + lines + b"\r\n", (5060, 5060))
    assert row(tree) == ("SIP", f"Request: REGISTER sip:h  {said} |")


def test_sip_over_tcp_and_two_answers_in_a_segment() -> None:
    talk = Talk(Net(), 5060)
    whole = INVITE + DESCRIPTION
    for at in range(0, len(whole) - 100, 100):
        assert talk.client(whole[at : at + 100]).protocol == "TCP"
    assert row(talk.client(whole[at + 100 :]))[0] == "SIP/SDP"
    answers = b"SIP/2.0 100 Trying\r\nl: 0\r\n\r\nSIP/2.0 180 Ringing\r\nl: 0\r\n\r\n"
    assert row(talk.server(answers)) == ("SIP", "Status: 100 Trying | Status: 180 Ringing |")


def test_rtsp_sets_up_and_carries_streams() -> None:
    net = Net()
    talk = Talk(net, 554)
    head = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(
        DESCRIPTION
    )
    assert talk.server(head + DESCRIPTION[:50]).protocol == "TCP"
    assert row(talk.server(DESCRIPTION[50:])) == ("RTSP/SDP", "Reply: RTSP/1.0 200 OK")
    assert row(talk.client(b"SETUP rtsp://h/1 RTSP/1.0\r\nCSeq: 2\r\n\r\n")) == ("RTSP", "SETUP rtsp://h/1 RTSP/1.0")
    tree = talk.server(
        b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP;client_port=45000-45001;server_port=46000-46001\r\n\r\n"
    )
    assert values(tree, "rtsp.status") == ["200"]
    assert net.udp(rtp(0), (46000, 45000), client=False).protocol == "RTP"
    tree = talk.server(b"$\0" + struct.pack("!H", 19) + rtp(0) + b"$\1\0\x08" + bytes.fromhex("80c90001abcdef01"))
    assert values(tree, "rtsp.channel") == ["0", "1"]
    assert values(tree, "rtp.seq") == ["7"]
    assert tree.protocol == "RTCP"


# STUN


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("!HH", code, len(raw)) + raw + bytes(-len(raw) % 4) for code, raw in attributes)
    return struct.pack("!HHI", kind, len(body), 0x2112A442) + b"transaction!" + body


def test_stun_attributes() -> None:
    net = Net()
    asked = stun(0x0003, (0x19, b"\x11\0\0\0"), (0x0D, b"\0\0\x02\x58"), (0x15, b"n1"), (0x24, b"\0\0\x01\0"))
    tree = net.udp(asked, (50000, 3478))
    assert row(tree) == ("STUN", "Allocate Request UDP lifetime: 600 with nonce")
    assert values(tree, "stun.att.nonce") == ["n1"]
    assert values(tree, "stun.att.priority") == ["256"]
    tree = net.udp(stun(0x0111, (0x0A, b"\0\x99\x80\x01"), (0x03, b"\0\0\0\x02")), (3478, 50000), client=False)
    assert values(tree, "stun.att.unknown") == ["0x0099", "0x8001"]
    assert (values(tree, "stun.att.change-ip"), values(tree, "stun.att.change-port")) == (["0"], ["1"])


@pytest.mark.parametrize(("wrong", "status"), [(0, "1"), (1, "0")])
def test_a_fingerprint_is_verified(wrong: int, status: str) -> None:
    message = stun(0x0001, (0x8028, bytes(4)))
    right = crc32(message[:-8]) ^ 0x5354554E ^ wrong
    tree = Net().udp(message[:-4] + struct.pack("!I", right), (50000, 50001))
    assert values(tree, "stun.att.crc32.status") == [status]


def test_data_of_a_channel_that_was_bound() -> None:
    net = Net()
    data = struct.pack("!HH", 0x4001, 5) + b"hello"
    assert net.udp(data, (50000, 3478)).protocol == "UDP"
    net.udp(stun(0x0009, (0x0C, b"\x40\x01\0\0")), (50000, 3478))
    net.udp(stun(0x0109), (3478, 50000), client=False)
    tree = net.udp(data, (50000, 3478))
    assert row(tree) == ("STUN", "ChannelData TURN Message")
    assert values(tree, "stun.channel") == ["0x4001"]


# SSH


def ssh(code: int, payload: bytes) -> bytes:
    padding = 4 + -(9 + len(payload) + 1) % 8
    return struct.pack("!IBB", 2 + len(payload) + padding, padding, code) + payload + bytes(padding)


def proposal(*first: bytes) -> bytes:
    lists = [b",".join(first), b"ssh-ed25519", b"aes", b"aes2", b"hmac", b"hmac2", b"none", b"zlib", b"", b""]
    return ssh(20, bytes(16) + b"".join(string(each) for each in lists) + bytes(5))


def string(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


@pytest.mark.parametrize(
    ("method", "asks", "answers"),
    [
        (b"curve25519-sha256", "Elliptic Curve Diffie-Hellman Key Exchange Init", "ssh.ecdh.q_s"),
        (b"diffie-hellman-group14-sha256", "Diffie-Hellman Key Exchange Init", "ssh.dh.f"),
    ],
)
@pytest.mark.parametrize("step", [1, 50, 5000])
def test_keys_are_exchanged(method: bytes, asks: str, answers: str, step: int) -> None:
    talk = Talk(Net(), 22)
    assert row(talk.client(b"SSH-2.0-mine\r\n")) == ("SSH", "Client: Protocol (SSH-2.0-mine)")
    assert row(talk.server(b"SSH-2.0-theirs\r\n")) == ("SSHv2", "Server: Protocol (SSH-2.0-theirs)")
    whole = proposal(b"unknown", method)
    for at in range(0, len(whole), step):
        tree = talk.client(whole[at : at + step])
    assert row(tree) == ("SSHv2", "Client: Key Exchange Init")
    assert values(tree, "ssh.kex_algorithms") == [f"unknown,{method.decode()}"]
    assert values(tree, "ssh.kex.hassh_algorithms") == [f"unknown,{method.decode()};aes;hmac;none"]
    tree = talk.server(proposal(method))
    assert values(tree, "ssh.kex.hasshserver_algorithms") == [f"{method.decode()};aes2;hmac2;zlib"]
    assert row(talk.client(ssh(30, string(b"public")))) == ("SSHv2", f"Client: {asks}")
    key = string(string(b"ssh-ed25519") + string(b"key"))
    tree = talk.server(
        ssh(31, key + string(b"mine") + string(string(b"ssh-ed25519") + b"sig")) + ssh(21, b"") + b"x" * 40
    )
    assert row(tree)[1] == f"Server: {asks[:-4]}Reply, New Keys, Encrypted packet (len=40)"
    assert values(tree, answers) == [b"mine".hex()]
    assert values(tree, "ssh.host_key.type") == ["ssh-ed25519"]
    assert row(talk.server(ssh(20, b"")))[1].startswith("Server: Encrypted packet")


def test_groups_are_exchanged() -> None:
    talk = Talk(Net(), 22)
    talk.client(b"SSH-2.0-a\r\n" + proposal(b"diffie-hellman-group-exchange-sha256"))
    talk.server(b"SSH-2.0-b\r\n" + proposal(b"diffie-hellman-group-exchange-sha256"))
    tree = talk.client(ssh(34, struct.pack("!III", 2048, 3072, 8192)))
    assert row(tree)[1] == "Client: Diffie-Hellman Group Exchange Request"
    assert values(tree, "ssh.dh_gex.nbits") == ["3072"]
    tree = talk.server(ssh(31, string(b"prime") + string(b"\x02")))
    assert row(tree)[1] == "Server: Diffie-Hellman Group Exchange Group"
    assert values(tree, "ssh.dh_gex.p") == [b"prime".hex()]


@pytest.mark.parametrize(
    ("kind", "parts", "shown"),
    [
        (b"ssh-rsa", [b"\1\0\1", b"n"], {"ssh.host_key.rsa.e": "010001", "ssh.host_key.rsa.n": "6e"}),
        (b"ecdsa-sha2-nistp256", [b"nistp256", b"q"], {"ssh.host_key.ecdsa.id": "nistp256"}),
        (b"ssh-ed448", [b"key"], {"ssh.host_key.eddsa.key": b"key".hex()}),
        (b"unheard-of", [b"key"], {"ssh.host_key.data": string(b"key").hex()}),
        (b"ssh-ed25519", [b"key", b"more"], {"ssh.host_key.data": string(b"more").hex()}),
    ],
)
def test_host_keys_have_parts(kind: bytes, parts: list[bytes], shown: dict[str, str]) -> None:
    talk = Talk(Net(), 22)
    talk.client(b"SSH-2.0-a\r\n" + proposal(b"other", b"ecdh-sha2-nistp256"))
    talk.server(b"SSH-2.0-b\r\n" + proposal(b"ecdh-sha2-nistp256", b"other"))
    key, signature = string(kind) + b"".join(map(string, parts)), string(b"ssh-rsa") + string(b"s")
    tree = talk.server(ssh(31, string(key) + string(b"mine") + string(signature)) + ssh(21, b"") + b"x" * 40)
    assert {name: value for name in shown for value in values(tree, name)} == shown
    assert values(tree, "ssh.host_key.type") == [kind.decode()]
    assert values(tree, "ssh.host_sig.rsa") == [b"s".hex()]
    said = [item.text for item in tree.layers[-1].children]
    assert "Diffie-Hellman Key Exchange Reply (31), method:other" in said
    assert said[-1] == "(encryption:aes2 mac:hmac2 compression:zlib)"


# Hostile

PORTS = (21, 22, 23, 25, 110, 143, 554, 5060, 6667)
PIECES = [
    b"PASV\r\n227 x (1,2,3,4,5,6)\r\n",
    b"354 go\r\n",
    b"From: a\r\n b\r\n\r\n.\r\n",
    b"RETR 1\r\n+OK\r\n",
    b"* 1 FETCH (BODY[] {5}\r\nabcde)\r\n",
    b"a {999999999}\r\n",
    b"\xff\xfa\x18\0x\xff\xf0",
    INVITE + DESCRIPTION,
    b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    b"$\0\0\x05abcde",
    b"SSH-2.0-x\r\n",
    proposal(b"curve25519-sha256"),
    ssh(31, string(b"key") + string(b"x") + string(b"sig")),
    b"BDAT 5\r\nabcdeBDAT 0 LAST\r\n",
]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_whatever_is_said_nothing_fails(draws: st.DataObject) -> None:
    talk = Talk(Net(), draws.draw(st.sampled_from(PORTS)))
    for _ in range(draws.draw(st.integers(1, 8))):
        raw = bytearray(draws.draw(st.sampled_from(PIECES)))
        for _ in range(draws.draw(st.integers(0, 2))):
            raw[draws.draw(st.integers(0, len(raw) - 1))] = draws.draw(st.integers(0, 255))
        tree = talk.say(draws.draw(st.booleans()), bytes(raw[: draws.draw(st.integers(1, len(raw)))]))
        assert tree.verdict.kind != "failed", tree.verdict
        for item in items(tree):
            assert 0 <= item.start <= item.end <= len(tree.buffers[item.buffer].data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80))
def test_whatever_flows_where_rtp_was_announced(data: bytes) -> None:
    net = Net()
    net.udp(INVITE + DESCRIPTION, (5060, 5060))
    for port in (30000, 30011):
        for raw in (data, b"\x90\x60" + data, b"\x81\xc8" + data):
            assert net.udp(raw, (40000, port), client=False).verdict.kind != "failed"


def test_lines_stand_with_their_ends_and_commands_are_four_letters() -> None:
    talk = Talk(Net(), 25)
    assert values(talk.server(b"220 mx\r\n"), "smtp.response") == ["220 mx\\r\\n"]
    tree = talk.client(b"STARTTLS\r\n")
    assert values(tree, "smtp.command_line") == ["STARTTLS\\r\\n"]
    assert values(tree, "smtp.req.command") + values(tree, "smtp.req.parameter") == ["STAR", "TLS"]
    tree = talk.client(b"MAIL FROM:<a@b>\r\n")
    assert values(tree, "smtp.req.command") + values(tree, "smtp.req.parameter") == ["MAIL", "FROM:<a@b>"]
    assert values(Talk(Net(), 143).server(b"* OK ready\r\n"), "imap.line") == ["* OK ready\\r\\n"]
