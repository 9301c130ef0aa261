"""HTTP/1, WebSocket and HTTP/2 over whole conversations: what tshark shows, and in which packet."""

from __future__ import annotations

import gzip
import struct
import time
import zlib
from collections.abc import Iterator

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text

RAW = 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
GET = b"GET /a?b=1&c HTTP/1.1\r\nHost: example.org\r\nCookie: x=1; y=2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


class Talk:
    """A TCP connection whose segments are dissected as they are said."""

    def __init__(self, port: int = 80, whole: bool = True) -> None:
        self.port = port
        self.context = Context() if whole else None
        self.next = [1000, 5000]
        self.number = 0
        if whole:
            self.say(True, b"", flags=0x02)
            self.say(False, b"", flags=0x12)

    def say(self, client: bool, data: bytes, flags: int = 0x18, wire: int = 0) -> Tree:
        ports = (40000, self.port) if client else (self.port, 40000)
        ends = CLIENT + SERVER if client else SERVER + CLIENT
        side = 0 if client else 1
        segment = struct.pack("!HHIIBBHHH", *ports, self.next[side], self.next[1 - side], 0x50, flags, 512, 0, 0)
        self.next[side] += len(data) + wire + bool(flags & 3)
        size = 40 + len(data) + wire
        frame = struct.pack("!BBHHHBBH", 0x45, 0, size, 1, 0, 64, 6, 0) + ends + segment + data
        self.number += 1
        return dissect(frame, RAW, size, context=self.context, number=self.number, ts=self.number * 10**9)

    def client(self, data: bytes, step: int = 0) -> Tree:
        return [self.say(True, part) for part in parts(data, step)][-1]

    def server(self, data: bytes, step: int = 0) -> Tree:
        return [self.say(False, part) for part in parts(data, step)][-1]


def parts(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)] if step else [data]


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


def chunks(data: bytes, size: int, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts(data, size)) + end


# HTTP/1


def test_a_request_and_its_response() -> None:
    talk = Talk()
    asked = talk.client(GET)
    assert row(asked) == ("HTTP", "GET /a?b=1&c HTTP/1.1")
    assert values(asked, "http.request.full_uri") == ["http://example.org/a?b=1&c"]
    assert values(asked, "http.request.uri.path") == ["/a"]
    assert values(asked, "http.request.uri.query.parameter") == ["b=1", "c"]
    assert values(asked, "http.cookie_pair") == ["x=1", "y=2"]
    answer = talk.server(OK + b"Content-Type: text/html\r\nContent-Length: 5\r\n\r\nhello")
    assert row(answer) == ("HTTP", "HTTP/1.1 200 OK  (text/html)")
    assert values(answer, "http.response_for.uri") == ["http://example.org/a?b=1&c"]
    assert values(answer, "http.request_in") == ["3"]
    assert values(answer, "http.time") == ["1.000000000"]
    assert values(answer, "http.response.code.desc") == ["OK"]
    assert values(answer, "http.file_data") == ["hello"]


BODY = b"<html>" + b"0123456789" * 100 + b"</html>"
FRAMED = [
    (b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, []),
    (b"Transfer-Encoding: chunked\r\n\r\n" + chunks(BODY, 300), ["300", "300", "300", "113", "0"]),
    (b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks(BODY, 0x1000, b"0;x=y\r\nX-Sum: 1\r\n\r\n"), ["1013", "0"]),
]


@pytest.mark.parametrize("step", [0, 1, 7, 500])
@pytest.mark.parametrize(("framed", "sizes"), FRAMED)
def test_the_packet_that_completes_a_body_shows_it(framed: bytes, sizes: list[str], step: int) -> None:
    talk = Talk()
    talk.client(GET)
    message = OK + b"Content-Type: text/html\r\n" + framed
    shown = [talk.say(False, part) for part in parts(message, step)]
    assert row(shown[-1]) == ("HTTP", "HTTP/1.1 200 OK  (text/html)")
    assert values(shown[-1], "http.file_data") == [BODY.decode()]
    assert values(shown[-1], "http.chunk_size") == sizes
    assert shown[-1].verdict.kind == "ok"
    for before in shown[:-1]:
        assert before.protocol == "TCP"
        assert values(before, "http.response.code") == []
    # What follows begins afresh.
    assert row(talk.server(OK + b"Content-Length: 0\r\n\r\n")) == ("HTTP", "HTTP/1.1 200 OK")


def test_trailers_and_what_chunks_make() -> None:
    talk = Talk()
    tree = talk.server(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"abcdef", 4, b"0\r\nX-Sum: 1\r\n\r\n"))
    assert values(tree, "http.chunked_trailer_part") == ["X-Sum: 1\\r\\n"]
    assert [(buffer.name, buffer.data) for buffer in tree.buffers[1:]] == [("De-chunked entity body", b"abcdef")]


def test_a_chunk_without_a_size_is_malformed() -> None:
    tree = Talk().server(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n")
    assert tree.verdict.kind == "malformed"
    assert values(tree, "http.chunk_size") == ["3"]


@pytest.mark.parametrize("bare", [True, False])
def test_a_body_that_lasts_until_the_connection_ends(bare: bool) -> None:
    talk = Talk()
    talk.client(GET)
    first = talk.server(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\none ")
    assert row(first) == ("TCP", "HTTP/1.0 200 OK  [TCP segment of a reassembled PDU]")
    assert talk.server(b"two ").protocol == "TCP"
    if bare:
        talk.server(b"three")
    last = talk.say(False, b"" if bare else b"three", flags=0x19)
    assert row(last) == ("HTTP", "HTTP/1.0 200 OK  (text/plain)")
    assert values(last, "http.file_data") == ["one two three"]


def test_what_has_no_body_whatever_its_length_says() -> None:
    talk = Talk()
    talk.client(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    tree = talk.server(
        OK + b"Content-Length: 1000\r\n\r\n" + b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
    )
    assert row(tree) == ("HTTP", "HTTP/1.1 200 OK HTTP/1.1 304 Not Modified")
    assert values(tree, "http.response_for.uri") == ["http://a/", "http://example.org/a?b=1&c"]


def test_pipelined_requests_and_the_one_that_goes_on() -> None:
    talk = Talk()
    tree = talk.client(GET + GET[:20])
    assert row(tree) == ("HTTP", "GET /a?b=1&c HTTP/1.1")
    assert row(talk.client(GET[20:])) == ("HTTP", "GET /a?b=1&c HTTP/1.1")
    assert values(talk.server(OK + b"Content-Length: 0\r\n\r\n"), "http.request_in") == ["3"]


def test_a_client_that_waits_for_100() -> None:
    talk = Talk()
    head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    assert talk.client(head).protocol == "TCP"
    assert row(talk.server(b"HTTP/1.1 100 Continue\r\n\r\n")) == ("HTTP", "HTTP/1.1 100 Continue")
    body = talk.client(b'{"a":1}')
    assert row(body) == ("HTTP/JSON", "POST /up HTTP/1.1 , JavaScript Object Notation (application/json)")
    assert values(talk.server(b"HTTP/1.1 204 No Content\r\n\r\n"), "http.response_for.uri") == ["http://a/up"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
def test_a_compressed_body(coding: str) -> None:
    packed = {
        "gzip": gzip.compress(BODY),
        "deflate": zlib.compress(BODY),
        "raw deflate": zlib.compressobj(wbits=-15).compress(b"") + raw_deflate(BODY),
    }[coding]
    head = b"Content-Type: text/html\r\nContent-Encoding: %s\r\n" % coding.split()[-1].encode()
    tree = Talk().server(OK + head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
    assert values(tree, "http.file_data") == [BODY.decode()]
    assert tree.buffers[-1].name == "Uncompressed entity body"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def test_a_body_that_swells_is_bounded_and_one_that_does_not_unpack_is_marked() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    tree = Talk().server(head % len(bomb) + bomb, 1400)
    assert max(len(buffer.data) for buffer in tree.buffers) <= 1 << 20
    assert Talk().server(head % 4 + b"what").verdict.kind == "malformed"


@pytest.mark.parametrize(
    ("kind", "protocol", "info"),
    [
        (b"text/xml", "HTTP/XML", ""),
        (b"image/svg+xml", "HTTP/XML", ""),
        (b"application/problem+json", "HTTP/JSON", ", JavaScript Object Notation (application/problem+json)"),
        (b"Text/Plain; charset=utf-8", "HTTP", " (text/plain)"),
        (b"image/png", "HTTP", " (PNG)"),
        (b"application/octet-stream", "HTTP", ""),
        (b"video/mp4", "HTTP", " (video/mp4)"),
    ],
)
def test_media_types(kind: bytes, protocol: str, info: str) -> None:
    tree = Talk().server(OK + b"Content-Length: 3\r\nContent-Type: " + kind + b"\r\n\r\nabc")
    assert row(tree) == (protocol, f"HTTP/1.1 200 OK {info}".strip())


def test_forms_credentials_and_dns() -> None:
    talk = Talk()
    form = (
        b"POST / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwYXNz\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    )
    tree = talk.client(form + b"Content-Length: 14\r\n\r\na=b%20c&d=e+f&")
    assert values(tree, "urlencoded-form.value") == ["b c", "e f", ""]
    assert values(tree, "http.authbasic") == ["user:pass"]
    query = struct.pack("!HH4H", 7, 0x0100, 1, 0, 0, 0) + b"\x01a\x07example\0\0\x01\0\x01"
    tree = talk.server(
        OK + b"Content-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n" % len(query) + query
    )
    assert row(tree) == ("DoH", "Standard query 0x0007 A a.example")
    assert values(tree, "dns.qry.name") == ["a.example"]


def test_a_tunnel_is_not_http() -> None:
    talk = Talk(3128)
    talk.client(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    assert talk.server(b"HTTP/1.1 200 Connection established\r\n\r\n").protocol == "HTTP"
    assert talk.client(b"SSH-2.0-x\r\n").protocol.startswith("SSH")


def test_a_body_longer_than_what_is_put_together() -> None:
    talk = Talk()
    talk.client(GET)
    tree = talk.server(OK + b"Content-Length: 3000000\r\n\r\n" + b"x" * 1000)
    assert row(tree) == ("HTTP", "HTTP/1.1 200 OK")
    shown = [talk.server(b"x" * 50_000) for _ in range(59)]
    assert {tree.protocol for tree in shown} == {"TCP"}
    assert row(talk.server(b"x" * 49_000)) == ("HTTP", "Continuation")
    assert row(talk.server(OK + b"Content-Length: 0\r\n\r\n")) == ("HTTP", "HTTP/1.1 200 OK")


def test_a_body_without_an_end_is_let_go() -> None:
    talk = Talk()
    shown = [talk.server(part).protocol for part in parts(OK + b"\r\n" + bytes(2_000_000), 60_000)]
    assert shown[0] == "TCP"
    assert "HTTP" in shown


@pytest.mark.parametrize("keep", range(len(GET)))
def test_a_request_cut_by_the_snap_length(keep: int) -> None:
    talk = Talk()
    tree = talk.say(True, GET[:keep], wire=len(GET) - keep)
    assert tree.verdict.kind == "cut"
    if keep >= 20:
        assert tree.protocol == "HTTP"


def test_what_was_lost_in_capture_does_not_hide_what_follows() -> None:
    talk = Talk()
    talk.client(GET)
    talk.server(OK + b"Content-Length: 3000\r\n\r\n" + b"x" * 1000)
    talk.next[1] += 1000  # sent, acknowledged, and not captured
    assert talk.server(b"x" * 1000).protocol == "TCP"
    assert talk.client(GET).protocol == "HTTP"
    assert row(talk.server(OK + b"Content-Length: 0\r\n\r\n")) == ("HTTP", "HTTP/1.1 200 OK")


def test_what_comes_out_of_order_is_put_in_its_place() -> None:
    talk = Talk()
    talk.server(OK + b"Content-Length: 30\r\n\r\n" + b"a" * 10)
    start = talk.next[1]
    talk.next[1] = start + 10
    assert talk.server(b"c" * 10).protocol == "TCP"
    talk.next[1] = start
    tree = talk.server(b"b" * 10)
    assert values(tree, "http.file_data") == ["a" * 10 + "b" * 10 + "c" * 10]


def test_ntlm_within_a_header() -> None:
    ticket = b"TlRMTVNTUAABAAAABwIAAgcABwAoAAAACAAIAC8AAAAKAGFKAAAAD1NNVFBET01TTVRQSE9TVA=="
    for scheme in (b"NTLM", b"Negotiate"):
        tree = Talk().client(b"GET / HTTP/1.1\r\nAuthorization: " + scheme + b" " + ticket + b"\r\n\r\n")
        assert row(tree) == ("HTTP", "GET / HTTP/1.1 , NTLMSSP_NEGOTIATE")


def test_tiny_chunks_take_no_time() -> None:
    talk = Talk()
    flood = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000
    start = time.process_time()
    for part in parts(flood, 1400):
        talk.server(part)
    assert time.process_time() - start < 4


def test_a_head_byte_by_byte_takes_no_time() -> None:
    talk = Talk()
    start = time.process_time()
    for part in parts(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 3000, 10):
        assert talk.client(part).protocol == "TCP"
    assert time.process_time() - start < 4


# WebSocket

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n%s\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def frame(opcode: int, data: bytes = b"", *, mask: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    size = len(data)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    else:
        head += (
            bytes([bit | 126]) + struct.pack("!H", size)
            if size < 1 << 16
            else bytes([bit | 127]) + struct.pack("!Q", size)
        )
    return head + mask + bytes(byte ^ mask[at % 4] if mask else byte for at, byte in enumerate(data))


@pytest.fixture
def socket() -> Talk:
    talk = Talk(8765)
    talk.client(UPGRADE)
    assert row(talk.server(SWITCHED % b"")) == ("HTTP", "HTTP/1.1 101 Switching Protocols")
    return talk


def test_frames_masked_and_not(socket: Talk) -> None:
    tree = socket.client(frame(1, b"hello there", mask=b"\x12\x34\x56\x78"))
    assert row(tree) == ("WebSocket", "WebSocket Text [FIN] [MASKED]")
    assert values(tree, "websocket.payload.text") == ["hello there"]
    assert values(tree, "websocket.masking_key") == ["12345678"]
    tree = socket.server(frame(2, bytes(300)))
    assert row(tree) == ("WebSocket", "WebSocket Binary [FIN]")
    assert values(tree, "websocket.payload_length_ext_16") == ["300"]
    assert row(socket.server(frame(9, b"?") + frame(10))) == ("WebSocket", "WebSocket Pong [FIN]")


def test_a_message_in_fragments_with_a_ping_between(socket: Talk) -> None:
    assert row(socket.server(frame(1, b"one ", fin=False)))[1] == "WebSocket Text[FRAGMENT]"
    assert row(socket.server(frame(9) + frame(0, b"two ", fin=False)))[1] == "WebSocket Continuation[FRAGMENT]"
    tree = socket.server(frame(0, b"three"))
    assert values(tree, "websocket.payload.text") == ["one two three"]


def test_a_close_says_why(socket: Talk) -> None:
    tree = socket.client(frame(8, struct.pack("!H", 1001) + b"bye", mask=b"abcd"))
    assert row(tree)[1] == "WebSocket Connection Close [FIN] [MASKED]"
    assert values(tree, "websocket.payload.close.status_code") == ["1001"]
    assert values(tree, "websocket.payload.close.reason") == ["bye"]


@pytest.mark.parametrize("step", [1, 3, 60_000])
def test_a_frame_over_segments(socket: Talk, step: int) -> None:
    text = b"long" * (20_000 if step > 3 else 50)
    shown = [socket.say(False, part) for part in parts(frame(1, text) + frame(1, b"next"), step)]
    said = [words for tree in shown for words in values(tree, "websocket.payload.text")]
    assert said == [text.decode(), "next"]


def test_compressed_messages_refer_to_those_before() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = [packer.compress(b"hello hello again") + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    talk = Talk(8000)
    talk.client(UPGRADE)
    # The first message stands in the segment of the upgrade.
    tree = talk.server(SWITCHED % DEFLATE + frame(1, packed[0][:-4], rsv=4))
    assert row(tree) == ("WebSocket", "HTTP/1.1 101 Switching Protocols WebSocket Text [FIN]")
    assert values(tree, "websocket.payload.text") == ["hello hello again"]
    assert values(talk.server(frame(1, packed[1][:-4], rsv=4)), "websocket.payload.text") == ["hello hello again"]


def test_a_compressed_message_that_swells_is_bounded() -> None:
    talk = Talk(8000)
    talk.client(UPGRADE)
    talk.server(SWITCHED % DEFLATE)
    tree = talk.server(frame(1, raw_deflate(bytes(50 << 20)), rsv=4))
    assert max(len(buffer.data) for buffer in tree.buffers) <= 1 << 20
    assert talk.server(frame(1, b"\x02\x00\x00", rsv=4)).verdict.kind == "ok"


# HTTP/2

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ASKS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"example.org"), (b":path", b"/x?y")]


def frame2(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + struct.pack("!BBI", kind, flags, stream) + body


class Talk2(Talk):
    """One that has begun with the magic."""

    def __init__(self) -> None:
        super().__init__(8080)
        self.encoders = Encoder(), Encoder()
        begun = self.client(MAGIC + frame2(4, 0, 0, struct.pack("!HI", 1, 8192)))
        assert row(begun) == ("HTTP2", "Magic, SETTINGS[0]")
        assert values(begun, "http2.settings.header_table_size") == ["8192"]


def test_headers_of_a_request_and_a_response() -> None:
    talk = Talk2()
    ask, answer = talk.encoders
    for _ in range(2):  # the second time they are indices
        tree = talk.client(frame2(1, 5, 1, ask.encode([*ASKS, (b"user-agent", b"me"), (b"x-own", b"1")])))
        assert row(tree) == ("HTTP2", "HEADERS[1]: GET /x?y")
        assert values(tree, "http2.headers.method") == ["GET"]
        assert values(tree, "http2.headers.path") == ["/x?y"]
        assert values(tree, "http2.headers.authority") == ["example.org"]
        assert values(tree, "http2.headers.user_agent") == ["me"]
        assert values(tree, "http2.header")[-1] == "x-own: 1"
        assert values(tree, "http2.request.full_uri") == ["http://example.org/x?y"]
    head = frame2(1, 4, 1, answer.encode([(":status", "200"), ("content-type", "text/html")]))
    tree = talk.server(head + frame2(0, 0, 1, b"<b>") + frame2(0, 9, 1, b"\x02</b>\0\0"))
    assert row(tree) == ("HTTP2", "HEADERS[1]: 200 OK, DATA[1], DATA[1] (text/html)")
    assert values(tree, "http2.headers.status") == ["200"]
    assert tree.buffers[-1].data == b"<b></b>"


def test_a_header_block_in_parts_padded_and_prioritised() -> None:
    talk = Talk2()
    block = talk.encoders[0].encode(ASKS)
    first = b"\x03" + struct.pack("!IB", 0x80000000, 15) + block[:5] + bytes(3)
    assert row(talk.client(frame2(1, 0x28, 3, first))) == ("HTTP2", "HEADERS[3]")
    tree = talk.client(frame2(9, 4, 3, block[5:]))
    assert row(tree) == ("HTTP2", "CONTINUATION[3]: GET /x?y")
    assert row(talk.client(frame2(1, 5, 5, talk.encoders[0].encode(ASKS))))[1] == "HEADERS[5]: GET /x?y"


@pytest.mark.parametrize("step", [1, 10, 0])
def test_frames_over_segments(step: int) -> None:
    talk = Talk2()
    data = frame2(6, 0, 0, b"12345678") + frame2(1, 5, 1, talk.encoders[0].encode(ASKS)) + frame2(7, 0, 0, bytes(8))
    shown = [talk.say(True, part) for part in parts(data, step)]
    assert [name for tree in shown for name in values(tree, "http2.headers.path")] == ["/x?y"]
    assert [kind for tree in shown for kind in values(tree, "http2.type")] == ["6", "1", "7"]


def test_the_rest_of_the_frames() -> None:
    talk = Talk2()
    tree = talk.client(
        frame2(2, 0, 5, b"\0\0\0\1\xff")
        + frame2(3, 0, 3, struct.pack("!I", 8))
        + frame2(8, 0, 0, struct.pack("!I", 65535))
        + frame2(6, 1, 0, b"pongpong")
        + frame2(7, 0, 0, struct.pack("!II", 3, 11) + b"calm")
        + frame2(5, 4, 3, struct.pack("!I", 2) + talk.encoders[0].encode(ASKS))
        + frame2(0x20, 0, 0, b"?")
    )
    assert row(tree)[1] == (
        "PRIORITY[5], RST_STREAM[3], WINDOW_UPDATE[0], PING[0], GOAWAY[0], PUSH_PROMISE[3]: GET /x?y, "
        "Unknown type (32)[0]"
    )
    assert values(tree, "http2.rst_stream.error") == ["8"]
    assert values(tree, "http2.goaway.addata") == [b"calm".hex()]
    assert values(tree, "http2.window_update.window_size_increment") == ["65535"]
    assert values(tree, "http2.pong") == [b"pongpong".hex()]


def test_hundreds_of_frames_in_a_segment() -> None:
    talk = Talk2()
    tree = talk.client(frame2(6, 0, 0, b"12345678") * 100 + frame2(1, 5, 1, talk.encoders[0].encode(ASKS)))
    assert tree.info.endswith("PING[0], HEADERS[1]: GET /x?y")
    assert tree.verdict.kind == "ok"
    assert row(talk.client(frame2(1, 5, 3, talk.encoders[0].encode(ASKS))))[1] == "HEADERS[3]: GET /x?y"


def test_an_upgrade_from_http_1() -> None:
    talk = Talk()
    talk.client(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n")
    tree = talk.server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + frame2(4, 0, 0))
    assert row(tree) == ("HTTP2", "HTTP/1.1 101 Switching Protocols , SETTINGS[0]")
    assert row(talk.client(MAGIC + frame2(4, 1, 0))) == ("HTTP2", "Magic, SETTINGS[0]")


def test_a_block_that_swells_or_breaks_ends_the_unpacking_of_its_side() -> None:
    talk = Talk2()
    large = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"x" * 4000  # an entry of 4000 bytes in the table
    tree = talk.client(frame2(1, 5, 1, large + b"\xbe" * 10_000))
    assert tree.verdict.kind == "malformed"
    assert len(tree.buffers) == 1
    assert values(talk.client(frame2(1, 5, 3, Encoder().encode(ASKS))), "http2.headers.path") == []
    assert values(talk.server(frame2(1, 5, 3, Encoder().encode([(":status", "404")]))), "http2.headers.status") == [
        "404"
    ]


def test_a_table_larger_than_agreed_is_refused() -> None:
    talk = Talk2()
    grow = b"\x3f" + b"\xe1\xff\xff\xff\x07"
    assert talk.client(frame2(1, 5, 1, grow + Encoder().encode(ASKS))).verdict.kind == "malformed"


def test_dns_within_http_2() -> None:
    talk = Talk2()
    query = struct.pack("!HH4H", 0, 0x0100, 1, 0, 0, 0) + b"\x01a\x07example\0\0\x01\0\x01"
    head = talk.encoders[0].encode([*ASKS, ("content-type", "application/dns-message")])
    assert row(talk.client(frame2(1, 4, 1, head)))[1] == "HEADERS[1]: GET /x?y"
    tree = talk.client(frame2(0, 1, 1, query))
    assert row(tree) == ("DoH", "Standard query 0x0000 A a.example")


# Hostile


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["http", "websocket", "http2"]),
    st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=12),
)
def test_whatever_is_said_nothing_fails(kind: str, said: list[tuple[bool, bytes]]) -> None:
    talk = Talk2() if kind == "http2" else Talk()
    talk.client(UPGRADE)
    if kind == "websocket":
        talk.server(SWITCHED % DEFLATE)
    for client, data in said:
        tree = talk.say(client, data)
        assert tree.verdict.kind != "failed", tree.verdict
        for item in items(tree):
            assert 0 <= item.start <= item.end <= len(tree.buffers[item.buffer].data)


PIECES = [
    GET,
    OK + b"Content-Length: 3\r\n\r\nabc",
    OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"abc", 2),
    frame(1, b"text", mask=b"abcd"),
    frame(1, b"text", fin=False),
    frame2(1, 5, 1, Encoder().encode(ASKS)),
    frame2(0, 1, 1, b"data"),
    MAGIC,
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_messages(draws: st.DataObject) -> None:
    talk = draws.draw(st.sampled_from([Talk, Talk2]))()
    for _ in range(draws.draw(st.integers(1, 6))):
        raw = bytearray(draws.draw(st.sampled_from(PIECES)))
        raw[draws.draw(st.integers(0, len(raw) - 1))] = draws.draw(st.integers(0, 255))
        tree = talk.say(draws.draw(st.booleans()), bytes(raw[: draws.draw(st.integers(1, len(raw)))]))
        assert tree.verdict.kind != "failed", tree.verdict
