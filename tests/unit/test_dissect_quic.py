"""QUIC: the vectors of RFC 9001 and RFC 9369, connections packet by packet, and what lies."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from itertools import pairwise
from time import perf_counter

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, find, summarise
from netwatch.capture.dissect.quic_crypto import initial_keys, packet_number, retry_is_authentic, unprotect

RAW = 101
V1, V2 = 0x00000001, 0x6B3343CF
SALTS = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
Q050, T051, DRAFT_29, DRAFT_23 = 0x51303530, 0x54303531, 0xFF00001D, 0xFF000017
SALTS |= {
    Q050: bytes.fromhex("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45"),
    T051: bytes.fromhex("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d"),
    DRAFT_29: bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),
    DRAFT_23: bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502"),
}
PREFIXES = dict.fromkeys(SALTS, b"quic ") | {V2: b"quicv2 "}
CID = bytes.fromhex("8394c8f03e515708")
CLIENT_HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113020100"
    "00c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d001700180010000700050461"
    "6c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d"
    "43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100"
    "3900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e515708"
    "06048000ffff"
)
CLIENT_PLAIN = b"\x06\x00\x40\xf1" + CLIENT_HELLO + bytes(917)
"""RFC 9001, A.2: a Client Hello for example.com, ALPN `alpn`, filled up to 1162 bytes."""
SERVER_PLAIN = bytes.fromhex(
    "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a12"
    "00130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a00"
    "2b00020304"
)
SERVER_PACKETS = {
    # RFC 9001, A.3; RFC 9369, A.3
    V1: bytes.fromhex(
        "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780b"
        "b38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19"
        "fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee"
    ),
    V2: bytes.fromhex(
        "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf8726"
        "3017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e427575076980"
        "75b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140"
    ),
}
CLIENT_ENDS = {
    # The first and last bytes of the 1200 of RFC 9001, A.2 and RFC 9369, A.2.
    V1: (
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c",
        "e221af44860018ab0856972e194cd934",
    ),
    V2: (
        "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c",
        "a18b2faa745b6fe189cf772a9f84cbfc",
    ),
}
RETRIES = {
    # RFC 9001, A.4; RFC 9369, A.4
    V1: bytes.fromhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba"),
    V2: bytes.fromhex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6"),
}


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


def keys(version: int, cid: bytes, client: bool) -> tuple[bytes, bytes, bytes]:
    extract = HMAC(SALTS[version], SHA256())
    extract.update(cid)
    secret = expand(extract.finalize(), b"client in" if client else b"server in", 32)
    prefix = PREFIXES[version]
    return expand(secret, prefix + b"key", 16), expand(secret, prefix + b"iv", 12), expand(secret, prefix + b"hp", 16)


def varint(value: int) -> bytes:
    for size, code in ((1, 0), (2, 1), (4, 2)):
        if value < 1 << (8 * size - 2):
            return (value | code << (8 * size - 2)).to_bytes(size, "big")
    return (value | 3 << 62).to_bytes(8, "big")


def initial(
    plain: bytes,
    *,
    version: int = V1,
    dcid: bytes = CID,
    scid: bytes = b"",
    key: bytes = b"",
    client: bool = True,
    number: int = 0,
    size: int = 4,
    token: bytes = b"",
) -> bytes:
    """An Initial packet, protected with what follows from `key` or its DCID."""
    secret, iv, mask_key = keys(version, key or dcid, client)
    plain += bytes(max(0, 4 - len(plain)))
    kind = 1 if version == V2 else 0
    head = bytes([0xC0 | kind << 4 | size - 1]) + version.to_bytes(4, "big")
    head += bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + varint(len(token)) + token
    length = size + len(plain) + 16
    head += (length | 0x4000).to_bytes(2, "big")
    at = len(head)
    head += (number & (1 << 8 * size) - 1).to_bytes(size, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    made = bytearray(head + AESGCM(secret).encrypt(nonce, plain, head))
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(bytes(made[at + 4 : at + 20]))
    made[0] ^= mask[0] & 0x0F
    for index in range(size):
        made[at + index] ^= mask[1 + index]
    return bytes(made)


def protected(kind: int, dcid: bytes, scid: bytes, rest: bytes = b"z" * 40) -> bytes:
    """A long header whose payload nobody can read: 2 is Handshake."""
    head = bytes([0xC0 | kind << 4]) + struct.pack("!IB", V1, len(dcid)) + dcid + bytes([len(scid)]) + scid
    return head + varint(len(rest)) + rest


def crypto(data: bytes, offset: int = 0) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def udp(payload: bytes, back: bool = False, port: int = 443) -> bytes:
    ports, ends = (40000, port), (bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]))
    if back:
        ports, ends = ports[::-1], ends[::-1]
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0, *ends) + datagram


class Capture:
    """Packets in their order, each as a tree and as a row."""

    def __init__(self, port: int = 443) -> None:
        self.port = port
        self.number = 0
        self.trees, self.rows = Context(), Context()

    def __call__(self, payload: bytes, back: bool = False) -> Tree:
        self.number += 1
        data = udp(payload, back, self.port)
        tree = dissect(data, RAW, context=self.trees, number=self.number)
        row = summarise(data, RAW, context=self.rows, number=self.number)
        assert (row.protocol, row.info) == (tree.protocol, tree.info)
        assert tree.verdict.kind != "failed", tree.verdict
        return tree


def every(tree: Tree, name: str) -> list[str]:
    """Values of all fields of that name."""

    def below(items: list[Item]) -> Iterator[Item]:
        for item in items:
            yield item
            yield from below(item.children)

    return [fields_text(item) for item in below(list(tree.layers)) if item.field.name == name]


SNI, ALPN = "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str"


# The published vectors


def test_keys_of_the_rfc() -> None:
    """RFC 9001, A.1 and RFC 9369, A.1: the test's own derivation is the published one."""
    assert [key.hex() for key in keys(V1, CID, True)] == [
        "1f369613dd76d5467730efcbe3b1a22d",
        "fa044b2f42a3fd3b46fb255c",
        "9f50449e04a0e810283a1e9933adedd2",
    ]
    assert [key.hex() for key in keys(V1, CID, False)] == [
        "cf3a5331653c364c88f0f379b6067e37",
        "0ac1493ca1905853b0bba03e",
        "c206b8d9b9f0f37644430b490eeaa314",
    ]
    assert [key.hex() for key in keys(V2, CID, True)] == [
        "8b1a0bc121284290a29e0971b5cd045d",
        "91f73e2351d8fa91660e909f",
        "45b95e15235d6f45a6b19cbcb0294ba9",
    ]
    assert [key.hex() for key in keys(V2, CID, False)] == [
        "82db637861d55e1d011f19ea71d5d2a7",
        "dd13c276499c0249d3310652",
        "edf6d05c83121201b436e16877593c3a",
    ]
    assert initial_keys(V1, CID, True).iv == 0xFA044B2F42A3FD3B46FB255C
    assert initial_keys(V2, CID, False).iv == 0xDD13C276499C0249D3310652


@pytest.mark.parametrize("version", [V1, V2])
def test_the_clients_packet(version: int) -> None:
    packet = initial(CLIENT_PLAIN, version=version, number=2)
    first, last = CLIENT_ENDS[version]
    assert len(packet) == 1200
    assert packet.hex().startswith(first)
    assert packet.hex().endswith(last)
    tree = dissect(udp(packet), RAW)
    assert tree.protocol == "QUIC"
    assert tree.info == "Initial, DCID=8394c8f03e515708, PKN: 2, CRYPTO, PADDING"
    assert tree.verdict.kind == "ok"
    assert every(tree, SNI) == ["example.com"]
    assert every(tree, ALPN) == ["alpn"]
    assert every(tree, "quic.packet_number") == ["2"]
    assert every(tree, "quic.long.reserved") == ["0"]
    assert every(tree, "quic.packet_number_length") == ["3"]
    assert every(tree, "quic.padding_length") == ["917"]
    assert [buffer.name for buffer in tree.buffers] == ["Packet", "Decrypted QUIC"]
    assert tree.buffers[1].data == CLIENT_PLAIN
    name = find(tree, SNI)
    assert name is not None
    assert tree.buffers[name.buffer].data[name.start : name.end] == b"example.com"


@pytest.mark.parametrize("version", [V1, V2])
def test_the_servers_packet(version: int) -> None:
    """Its keys follow from the client's first packet."""
    capture = Capture()
    capture(initial(CLIENT_PLAIN, version=version, number=2))
    tree = capture(SERVER_PACKETS[version], back=True)
    assert tree.info == "Initial, SCID=f067a5502a4262b5, PKN: 1, ACK, CRYPTO"
    assert tree.buffers[1].data == SERVER_PLAIN
    assert every(tree, "quic.ack.largest_acknowledged") == ["0"]
    assert "0x1301" in every(tree, "tls.handshake.ciphersuite")
    client, server = (initial_keys(version, CID, client) for client in (True, False))
    found = unprotect(server, SERVER_PACKETS[version], 0, 18, len(SERVER_PACKETS[version]), -1)
    assert found is not None
    assert (found.number, found.plain) == (1, SERVER_PLAIN)
    wrong = unprotect(client, SERVER_PACKETS[version], 0, 18, len(SERVER_PACKETS[version]), -1)
    assert wrong is not None
    assert wrong.plain is None


@pytest.mark.parametrize("version", [V1, V2])
def test_the_retry(version: int) -> None:
    assert retry_is_authentic(version, CID, RETRIES[version])
    assert not retry_is_authentic(version, CID[1:], RETRIES[version])
    capture = Capture()
    alone = dissect(udp(RETRIES[version], back=True), RAW)
    assert "unverified" in texts(alone, "quic.retry_integrity_tag")[0]
    capture(initial(CLIENT_PLAIN, version=version, number=2))
    tree = capture(RETRIES[version], back=True)
    assert tree.info == "Retry, SCID=f067a5502a4262b5"
    assert every(tree, "quic.retry_token") == [b"token".hex()]
    assert texts(tree, "quic.retry_integrity_tag")[0].endswith("[verified]")
    forged = bytearray(RETRIES[version])
    forged[-20] ^= 1
    assert texts(capture(bytes(forged), back=True), "quic.retry_integrity_tag")[0].endswith("[incorrect]")


def texts(tree: Tree, name: str) -> list[str]:
    found = find(tree, name)
    return [] if found is None else [found.text]


@pytest.mark.parametrize(
    ("truncated", "size", "largest", "number"),
    [
        (0x9B32, 2, 0xA82F30EA, 0xA82F9B32),  # RFC 9000, A.3
        (0, 1, -1, 0),
        (255, 1, 255, 255),
        (0, 1, 255, 256),
        (1, 1, 250, 257),
        (0xFFFE, 2, 0x10000, 0xFFFE),
        (5, 4, -1, 5),
    ],
)
def test_packet_numbers(truncated: int, size: int, largest: int, number: int) -> None:
    assert packet_number(truncated, size, largest) == number


# Connections


def test_a_connection_from_the_first_packet_to_the_last() -> None:
    """The client goes on to the server's id; the keys stay. Short headers have ids whose length is remembered."""
    capture = Capture(port=5555)
    capture(initial(crypto(CLIENT_HELLO), dcid=b"original", scid=b"clnt"))
    server = initial(SERVER_PLAIN, dcid=b"clnt", scid=b"server", key=b"original", client=False)
    tree = capture(server + protected(2, b"clnt", b"server"), back=True)
    assert tree.info == "Handshake, DCID=636c6e74, SCID=736572766572"
    assert every(tree, "quic.frame_type") == ["2", "6"]
    tree = capture(initial(b"\x02\0\0\0\0", dcid=b"server", scid=b"clnt", key=b"original", number=1) + bytes(9))
    assert tree.info == "Initial, DCID=736572766572, SCID=636c6e74, PKN: 1, ACK"
    assert every(tree, "quic.coalesced_padding_data") == ["00" * 9]
    tree = capture(b"\x41server" + b"x" * 30)
    assert (tree.protocol, tree.info) == ("QUIC", f"Protected Payload (KP0), DCID={b'server'.hex()}")
    assert every(tree, "quic.remaining_payload") == [b"x".hex() * 30]
    tree = capture(b"\x41clnt" + b"x" * 30, back=True)
    assert tree.info == f"Protected Payload (KP0), DCID={b'clnt'.hex()}"
    assert dissect(udp(b"\x41clnt" + b"x" * 30, port=5555), RAW).protocol == "UDP"


def test_after_a_retry_the_keys_follow_from_its_id() -> None:
    capture = Capture()
    capture(initial(crypto(CLIENT_HELLO[:100]), number=2))
    capture(RETRIES[V1], back=True)
    cid = bytes.fromhex("f067a5502a4262b5")
    tree = capture(initial(crypto(CLIENT_HELLO[100:], 100), dcid=cid, number=3, token=b"token"))
    assert tree.info.endswith("PKN: 3, CRYPTO")
    assert every(tree, "quic.token") == [b"token".hex()]
    # The handshake goes on: it is the same Client Hello (RFC 9000, 17.2.5.3).
    assert every(tree, SNI) == ["example.com"]
    server = initial(SERVER_PLAIN, dcid=b"", scid=b"new", key=cid, client=False)
    assert capture(server, back=True).info == f"Initial, SCID={b'new'.hex()}, PKN: 0, ACK, CRYPTO"


def test_another_connection_on_the_same_ports() -> None:
    capture = Capture()
    assert every(capture(initial(crypto(CLIENT_HELLO), dcid=b"first id")), SNI) == ["example.com"]
    assert every(capture(initial(crypto(CLIENT_HELLO), dcid=b"other id")), SNI) == ["example.com"]
    tree = capture(initial(SERVER_PLAIN, dcid=b"", key=b"other id", client=False), back=True)
    assert every(tree, "quic.frame_type") == ["2", "6"]


def test_a_hello_in_pieces_over_packets_and_out_of_order() -> None:
    """As Chrome sends it; the packet that completes it shows it, in a buffer of its own."""
    cuts = [0, 3, 50, 51, 120, 180, len(CLIENT_HELLO)]
    pieces = [crypto(CLIENT_HELLO[a:b], a) for a, b in pairwise(cuts)]
    random.Random(4).shuffle(pieces)
    capture = Capture()
    tree = capture(initial(pieces[0] + b"\x01" + pieces[1] + bytes(7) + pieces[2]))
    assert tree.info.endswith("PKN: 0, CRYPTO, PING, CRYPTO, PADDING, CRYPTO")
    assert every(tree, SNI) == []
    tree = capture(initial(b"".join(pieces[3:]), number=1))
    assert every(tree, SNI) == ["example.com"]
    assert every(tree, "quic.crypto.fragment") == ["1", "2"]
    assert [buffer.name for buffer in tree.buffers] == ["Packet", "Decrypted QUIC", "Reassembled CRYPTO"]
    assert tree.buffers[2].data == CLIENT_HELLO
    tree = capture(initial(pieces[3], number=2))
    assert every(tree, "quic.retransmission") == [""]
    assert every(tree, SNI) == []


def test_version_negotiation() -> None:
    packet = b"\x80" + bytes(4) + b"\x02ab\x03abc" + struct.pack("!III", 1, V2, 0x1A2A3A4A)
    tree = dissect(udp(packet, back=True, port=5555), RAW)
    assert tree.info == "Version Negotiation, DCID=6162, SCID=616263"
    assert every(tree, "quic.supported_version") == ["0x00000001", "0x6b3343cf", "0x1a2a3a4a"]
    assert dissect(udp(packet[:-1], back=True, port=5555), RAW).protocol == "UDP"
    assert dissect(udp(b"\x80" + bytes(11), port=5555), RAW).protocol == "UDP"


def test_packets_that_are_not_of_the_datagram() -> None:
    """What goes to another id is padding (RFC 9000, 12.2)."""
    tree = dissect(udp(initial(b"\x01") + protected(2, b"elsewhere", b"")), RAW)
    assert tree.info.endswith("PKN: 0, PING, PADDING")
    assert len(every(tree, "quic.coalesced_padding_data")) == 1
    tree = dissect(udp(protected(1, CID, b"") + b"\x40" + CID + b"short"), RAW)
    assert tree.info == "Protected Payload (KP0), DCID=8394c8f03e515708"
    assert len(every(tree, "quic.packet_length")) == 2


@pytest.mark.parametrize("version", [DRAFT_29, DRAFT_23])
def test_drafts_that_were_in_use(version: int) -> None:
    tree = dissect(udp(initial(crypto(CLIENT_HELLO), version=version)), RAW)
    assert every(tree, SNI) == ["example.com"]


def test_googles_frames_in_packets_of_the_drafts() -> None:
    """T051 has TLS within CRYPTO frames that are numbered otherwise; Q050 the messages of Google's handshake."""
    frame = b"\x08" + crypto(CLIENT_HELLO)[1:] + bytes(20)
    tree = dissect(udp(initial(frame, version=T051)), RAW)
    assert (tree.protocol, tree.info) == ("QUIC", "Initial, DCID=8394c8f03e515708, PKN: 0, CRYPTO")
    assert every(tree, SNI) == ["example.com"]
    name = b"google.example"
    chlo = b"CHLO" + struct.pack("<HH4sI", 1, 0, b"SNI\0", len(name)) + name
    frame = b"\x08" + crypto(chlo)[1:]
    tree = dissect(udp(initial(frame + bytes(20), version=Q050)), RAW)
    assert tree.info == "Client Hello"
    assert every(tree, "gquic.tag.sni") == ["google.example"]
    assert tree.verdict.kind == "ok"
    for cut in range(1, len(frame)):
        tree = dissect(udp(initial(frame[:cut], version=Q050)), RAW, context=Context())
        assert tree.verdict.kind in ("ok", "malformed"), tree.verdict
    assert dissect(udp(initial(b"\xa0\x01rest", version=Q050)), RAW).verdict.kind == "ok"


FRAMES = [
    (b"\x02" + varint(1000) + varint(25) + b"\x02\x03\x01\x04\0" + varint(70), "ACK", {"quic.ack.ack_range": "4"}),
    (b"\x03\x0a\x05\0\x03\x07\x08\x09", "ACK_ECN", {"quic.ack.ecn_ce_count": "9"}),
    (b"\x04\x04" + varint(258) + varint(1000), "RS(4)", {"quic.rsts.final_size": "1000"}),
    (b"\x05\x04" + varint(256), "SS(4)", {"quic.ss.application_error_code": "256"}),
    (b"\x07\x03tok", "NT", {"quic.nt.token": b"tok".hex()}),
    (b"\x08\x05data", "STREAM(5)", {"quic.stream_data": b"data".hex()}),
    (b"\x0f\x05" + varint(77) + b"\x04data", "STREAM(5)", {"quic.stream.offset": "77", "quic.stream.fin": "1"}),
    (b"\x10" + varint(100000), "MD", {"quic.md.maximum_data": "100000"}),
    (b"\x11\x03" + varint(9999), "MSD(3)", {"quic.msd.maximum_stream_data": "9999"}),
    (b"\x12" + varint(90000), "MS", {"quic.ms.max_streams": "90000"}),
    (b"\x14" + varint(70000), "DB", {"quic.sb.stream_data_limit": "70000"}),
    (b"\x15\x03" + varint(77), "SDB(3)", {"quic.sdb.stream_id": "3"}),
    (b"\x17" + varint(90000), "SB", {"quic.sib.stream_limit": "90000"}),
    (b"\x18\x02\x01\x04ABCD" + b"T" * 16, "NCI", {"quic.nci.connection_id": b"ABCD".hex()}),
    (b"\x19" + varint(1 << 20), "RC", {"quic.rci.sequence": str(1 << 20)}),
    (b"\x1a12345678", "PC", {"quic.path_challenge.data": b"12345678".hex()}),
    (b"\x1babcdefgh", "PR", {"quic.path_response.data": b"abcdefgh".hex()}),
    (b"\x1c\x0a\x06\x03why", "CC", {"quic.cc.error_code": "10", "quic.cc.reason_phrase": "why"}),
    (b"\x1c" + varint(0x12A) + b"\x06\x03\x1b[m", "CC", {"quic.cc.error_code.tls_alert": "42"}),
    (b"\x1d" + varint(0x100) + b"\x04done", "CC", {"quic.cc.error_code.app": "256"}),
    (b"\x30dgram", "DG", {"quic.dg": b"dgram".hex()}),
    (b"\x31\x04dgra", "DG", {"quic.dg.length": "4"}),
    (b"\x40\xaf\x01\x02" + varint(25000) + b"\x01", "AF", {"quic.af.request_max_ack_delay": "25000"}),
    (b"\x42\xf5" + varint(7777), "TS", {"quic.ts": "7777"}),
]


@pytest.mark.parametrize(("frame", "word", "values"), FRAMES, ids=[frame[1] for frame in FRAMES])
def test_every_frame(frame: bytes, word: str, values: dict[str, str]) -> None:
    tree = dissect(udp(initial(frame)), RAW)
    assert tree.info == f"Initial, DCID=8394c8f03e515708, PKN: 0, {word}"
    assert tree.verdict.kind == "ok"
    for name, value in values.items():
        assert value in every(tree, name), name
    for cut in range(1, len(frame)):
        data = udp(initial(b"\x06\0\x04abcd" + frame[:cut]))
        tree = dissect(data, RAW)
        assert summarise(data, RAW).info == tree.info
        assert tree.verdict.kind in ("ok", "malformed"), tree.verdict


# What lies


def test_what_is_not_authentic_is_said_to_be() -> None:
    packet = bytearray(initial(CLIENT_PLAIN))
    packet[-1] ^= 1
    tree = dissect(udp(bytes(packet)), RAW)
    assert tree.info == "Initial, DCID=8394c8f03e515708, PKN: 0"
    assert tree.verdict.kind == "ok"
    assert "not authentic" in texts(tree, "quic.decryption_failed")[0]
    assert len(tree.buffers) == 1
    tree = dissect(udp(b"\xc0\0\0\0\x01\x08" + CID + b"\0\0\x05abcde"), RAW)
    assert texts(tree, "quic.decryption_failed") == ["too short for a sample"]


def test_a_server_of_which_the_client_was_not_seen() -> None:
    tree = dissect(udp(SERVER_PACKETS[V1], back=True), RAW)
    assert tree.info.startswith("Initial, SCID=f067a5502a4262b5, PKN: ")
    assert texts(tree, "quic.decryption_failed")
    assert tree.verdict.kind == "ok"


def test_what_only_looks_like_a_long_header_settles_nothing() -> None:
    capture = Capture(port=5555)
    assert capture(b"\xc0\0\0\0\x01\x02ab\xffxyz").protocol == "UDP"
    assert capture(b"\xc0\0\0\0\x01\x02ab\0\0\x7f\xff").verdict.kind == "malformed"
    assert capture(b"anything").protocol == "UDP"
    greased = initial(b"\x01", scid=b"x")
    assert capture(bytes([greased[0] & 0xBF]) + greased[1:]).protocol == "UDP"
    assert capture(greased).protocol == "QUIC"
    assert capture(b"\xa0" + protected(2, CID, b"x")[1:]).info == "Handshake, DCID=8394c8f03e515708, SCID=78"


def test_lengths_that_lie() -> None:
    packet = initial(CLIENT_PLAIN)
    assert dissect(udp(packet[:-1]), RAW).verdict.kind == "malformed"
    cut = dissect(udp(packet)[:-1], RAW, len(udp(packet)))
    assert cut.verdict.kind == "cut"
    assert cut.info == "Initial, DCID=8394c8f03e515708, PKN: 0"
    assert texts(cut, "quic.decryption_failed") == ["cut by snap length"]
    tree = dissect(udp(initial(b"\x06\0" + varint(5000) + b"abc")), RAW)
    assert tree.verdict.kind == "malformed"
    assert tree.info.endswith("[Malformed Packet]")
    for size in range(80):
        for data in (packet[:size], RETRIES[V1][:size], b"\x80" + bytes(size), b"\xff\0\0\0\x01\xff" + bytes(size)):
            tree = dissect(udp(data), RAW)
            assert tree.verdict.kind in ("ok", "malformed"), tree.verdict


def test_a_message_that_never_ends_is_not_kept_for_ever() -> None:
    """64 KiB of a message that claims 16 MB, and pieces behind gaps: later ones are not taken."""
    capture = Capture()
    capture(initial(crypto(b"\x01\xff\xff\xff" + bytes(1000))))
    for number in range(1, 100):
        capture(initial(crypto(bytes(1000), 2 + 1002 * number), number=number, size=2))
    memory = next(iter(capture.trees._conversations.values())).memory["quic"]
    message = memory["connection"].crypto[0].side.message
    assert len(message.data) + sum(len(data) for data, _ in message.early.values()) < 1 << 16


def test_decryption_is_bounded() -> None:
    """Of many Initial packets in one datagram only the first few are decrypted."""
    tree = dissect(udp(b"".join(initial(b"\x01\x01\x01\x01", number=number, size=1) for number in range(100))), RAW)
    assert len(every(tree, "quic.payload")) == 4
    assert len(every(tree, "quic.packet_length")) == 16
    assert tree.verdict.kind == "ok"


@pytest.mark.parametrize(
    "plain",
    [
        b"\x01" * 30000,
        b"\0\x01" * 15000,
        b"\x06\0\0" * 10000,
        b"".join(crypto(b"x", 2 * at) for at in range(5000)),
        b"\x02\x05\x05" + varint(1 << 61) + b"\x05" + b"\x01" * 30000,
        crypto(bytes(16000)) + bytes(10000),
    ],
    ids=["ping", "padding", "empty", "gaps", "ack", "messages"],
)
def test_a_great_deal_of_little(plain: bytes) -> None:
    packet = udp(initial(plain[:16000]))
    start = perf_counter()
    tree = dissect(packet, RAW, context=Context())
    assert perf_counter() - start < 0.5
    assert tree.verdict.kind in ("stopped", "malformed", "ok")
    assert summarise(packet, RAW).info[:1500] == tree.info[:1500]


def test_random_bytes_behind_a_header() -> None:
    chance = random.Random(9)
    for _ in range(300):
        head = bytes([0x80 | chance.randrange(128)]) + chance.choice([V1, V2, 0, 0xFF00001D]).to_bytes(4, "big")
        tree = dissect(udp(head + chance.randbytes(chance.randrange(60))), RAW, context=Context())
        assert tree.verdict.kind in ("ok", "malformed")
    for _ in range(200):
        tree = dissect(udp(initial(chance.randbytes(chance.randrange(60)))), RAW, context=Context())
        assert tree.verdict.kind in ("ok", "malformed", "stopped")
