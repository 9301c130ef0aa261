"""TLS and DTLS over whole conversations: versions, messages in several records, certificates, what lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from time import perf_counter

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as made_ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, summarise
from netwatch.capture.dissect.tls_handshake import RETRY_RANDOM

RAW = 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])


class Talk:
    """A conversation of one client and one server, dissected in its order: with trees, and for rows alone."""

    def __init__(self, port: int = 443, *, datagrams: bool = False) -> None:
        self.port = port
        self.datagrams = datagrams
        self.trees, self.rows = Context(), Context()
        self.number = 0
        self.sequence = [1000, 5000]

    def send(self, payload: bytes, *, server: bool = False) -> Tree:
        self.number += 1
        ends = (SERVER, CLIENT) if server else (CLIENT, SERVER)
        ports = (self.port, 40000) if server else (40000, self.port)
        if self.datagrams:
            segment = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
        else:
            segment = struct.pack("!HHIIHHHH", *ports, self.sequence[server], 1, 0x5018, 512, 0, 0) + payload
            self.sequence[server] += len(payload)
        protocol = 17 if self.datagrams else 6
        data = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, protocol, 0) + b"".join(ends) + segment
        tree = dissect(data, RAW, context=self.trees, number=self.number)
        assert tree.verdict.kind != "failed", tree.verdict
        row = summarise(data, RAW, context=self.rows, number=self.number)
        assert (row.protocol, row.info) == (tree.protocol, tree.info)
        return tree


def items(tree: Tree) -> Iterator[Item]:
    below = list(tree.layers)[::-1]
    while below:
        item = below.pop()
        yield item
        below += item.children[::-1]


def values(tree: Tree, name: str) -> list[str]:
    return [fields_text(item) for item in items(tree) if item.field.name == name]


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack("!BHH", kind, version, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def sized(body: bytes, width: int = 2) -> bytes:
    return len(body).to_bytes(width, "big") + body


NAME = extension(0, sized(b"\0" + sized(b"example.test")))
ALPN = extension(16, sized(sized(b"h2", 1) + sized(b"http/1.1", 1)))
OFFERS_1_3 = extension(43, sized(struct.pack("!3H", 0x7A7A, 0x0304, 0x0303), 1))
CHOSE_1_3 = extension(43, b"\x03\x04")


def client_hello(*extensions: bytes, cookie: bytes | None = None, version: int = 0x0303) -> bytes:
    body = struct.pack("!H", version) + bytes(range(32)) + sized(b"", 1)
    if cookie is not None:
        body += sized(cookie, 1)
    body += sized(struct.pack("!3H", 0x1301, 0xC02F, 0x0A0A)) + b"\x01\0"
    return message(1, body + sized(b"".join(extensions)))


def server_hello(*extensions: bytes, version: int = 0x0303, cipher: int = 0xC02F, random: bytes = bytes(32)) -> bytes:
    body = struct.pack("!H", version) + random + sized(b"", 1) + struct.pack("!HB", cipher, 0)
    return message(2, body + (sized(b"".join(extensions)) if extensions else b""))


ISSUER = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Über"),
        x509.NameAttribute(NameOID.COMMON_NAME, "root"),
    ]
)
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.test")])
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALTERNATIVES = [
    x509.DNSName("example.test"),
    x509.DNSName("*.example.test"),
    x509.IPAddress(ip_address("192.0.2.1")),
    x509.IPAddress(ip_address("2001:db8::1")),
    x509.RFC822Name("a@example.test"),
    x509.UniformResourceIdentifier("https://example.test/"),
]


def build(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder(ISSUER, SUBJECT, key.public_key(), 0x1234ABCD, BEGIN, BEGIN + timedelta(90))
    builder = builder.add_extension(x509.SubjectAlternativeName(ALTERNATIVES), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
    builder = builder.add_extension(usage, critical=True)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return builder.add_extension(purposes, critical=False).sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    return build(ec.generate_private_key(ec.SECP256R1()))


def chain(*certificates: x509.Certificate) -> bytes:
    return message(11, sized(b"".join(sized(each.public_bytes(Encoding.DER), 3) for each in certificates), 3))


def test_a_hello_is_named_and_fingerprinted() -> None:
    tree = Talk().send(record(22, client_hello(NAME, ALPN, OFFERS_1_3), 0x0301))
    assert (tree.protocol, tree.info) == ("TLSv1", "Client Hello")
    assert values(tree, "tls.handshake.extensions_server_name") == ["example.test"]
    assert values(tree, "tls.handshake.extensions_alpn_str") == ["h2", "http/1.1"]
    assert values(tree, "tls.handshake.ciphersuite") == ["0x1301", "0xc02f", "0x0a0a"]
    assert values(tree, "tls.handshake.extensions.supported_version") == ["0x7a7a", "0x0304", "0x0303"]
    assert values(tree, "tls.handshake.ja4")[0].startswith("t13d0203h2_")
    assert values(tree, "tls.handshake.ja3_full") == ["771,4865-49199,0-16-43,,"]


def test_all_records_of_a_conversation_are_of_the_version_that_the_server_chose() -> None:
    talk = Talk()
    talk.send(record(22, client_hello(OFFERS_1_3), 0x0301))
    assert talk.send(record(22, server_hello(CHOSE_1_3)), server=True).protocol == "TLSv1.3"
    tree = talk.send(record(20, b"\x01") + record(23, bytes(30)))
    assert (tree.protocol, tree.info) == ("TLSv1.3", "Change Cipher Spec, Application Data")
    assert values(tree, "tls.record.opaque_type") == ["23"]
    # the same record alone says what it says itself
    assert Talk().send(record(23, bytes(30))).protocol == "TLSv1.2"


def test_a_retry_keeps_the_second_hellos_in_clear() -> None:
    talk = Talk()
    talk.send(record(22, client_hello(OFFERS_1_3), 0x0301))
    retry = record(22, server_hello(CHOSE_1_3, random=RETRY_RANDOM)) + record(20, b"\x01")
    assert talk.send(retry, server=True).info == "Hello Retry Request, Change Cipher Spec"
    assert talk.send(record(20, b"\x01") + record(22, client_hello(NAME))).info == "Change Cipher Spec, Client Hello"
    assert talk.send(record(22, server_hello(CHOSE_1_3)), server=True).info == "Server Hello"


def test_after_change_cipher_spec_messages_of_that_side_are_encrypted() -> None:
    talk = Talk()
    assert talk.send(record(20, b"\x01")).info == "Change Cipher Spec"
    finished = message(20, bytes(12))
    assert talk.send(record(22, finished)).info == "Encrypted Handshake Message"
    assert talk.send(record(21, b"\x01\x00")).info == "Encrypted Alert"
    assert talk.send(record(22, finished), server=True).info == "Finished"
    assert talk.send(record(21, b"\x02\x28"), server=True).info == (
        "Alert (Level: Fatal, Description: Handshake Failure)"
    )


def test_a_nonce_of_zeros_is_no_row_of_hello_requests() -> None:
    assert Talk().send(record(22, bytes(40))).info == "Encrypted Handshake Message"
    assert Talk().send(record(22, message(0, b"")), server=True).info == "Hello Request"


@pytest.mark.parametrize("size", [1, 3, 4, 100, 4000])
def test_a_message_in_several_records_is_shown_by_the_one_that_ends_it(
    certificate: x509.Certificate, size: int
) -> None:
    stream = server_hello() + chain(certificate) + message(14, b"")
    talk = Talk()
    trees = [talk.send(record(22, stream[at : at + size]), server=True) for at in range(0, len(stream), size)]
    words = [word for tree in trees for word in tree.info.split(", ") if word and "Fragment" not in word]
    assert words == ["Server Hello", "Certificate", "Server Hello Done"]
    found = [value for tree in trees for value in values(tree, "x509ce.dNSName")]
    assert found == ["example.test", "*.example.test"]
    with_certificate = next(tree for tree in trees if "Certificate" in tree.info.split(", "))
    assert values(with_certificate, "x509af.serialNumber") == ["1234abcd"]


@pytest.mark.parametrize("size", [1, 5, 6, 100, 700])
def test_segments_anywhere_give_the_same_words(certificate: x509.Certificate, size: int) -> None:
    hellos = record(22, server_hello()) + record(22, chain(certificate)) + record(22, message(14, b""))
    talk = Talk()
    trees = [talk.send(hellos[at : at + size], server=True) for at in range(0, len(hellos), size)]
    words = [tree.info for tree in trees if tree.protocol.startswith("TLS")]
    assert ", ".join(words) == "Server Hello, Certificate, Server Hello Done"
    assert sum(len(values(tree, "tls.handshake.certificate")) for tree in trees) == 1


def test_what_begins_a_record_is_described_as_wireshark_does() -> None:
    talk = Talk()
    hello = record(22, client_hello(NAME))
    assert talk.send(hello[:60]).info == "[TCP segment of a reassembled PDU]"
    assert talk.send(hello[60:]).info == "Client Hello"


def test_two_messages_of_one_segment_stand_in_one_line() -> None:
    talk = Talk()
    first, second = record(22, server_hello()), record(22, message(14, b""))
    talk.send(first[:20], server=True)
    assert talk.send(first[20:] + second, server=True).info == "Server Hello, Server Hello Done"
    talk.send(first[:20], server=True)
    assert talk.send(first[20:] + second[:7], server=True).info == "Server Hello"


def test_a_certificate_says_what_it_was_made_with(certificate: x509.Certificate) -> None:
    tree = Talk().send(record(22, chain(certificate)), server=True)
    assert tree.verdict.kind == "ok"
    assert values(tree, "x509sat.CountryName") == ["DE"]
    assert values(tree, "x509sat.uTF8String") == ["Über", "root", "example.test"]
    assert values(tree, "x509af.serialNumber") == ["1234abcd"]
    assert values(tree, "x509af.utcTime") == ["2026-01-02 03:04:05 (UTC)", "2026-04-02 03:04:05 (UTC)"]
    assert values(tree, "x509ce.dNSName") == ["example.test", "*.example.test"]
    assert values(tree, "x509ce.IPAddress.ipv4") == ["192.0.2.1"]
    assert values(tree, "x509ce.IPAddress.ipv6") == ["2001:db8::1"]
    assert values(tree, "x509ce.rfc822Name") == ["a@example.test"]
    assert values(tree, "x509ce.uniformResourceIdentifier") == ["https://example.test/"]
    assert values(tree, "x509ce.cA") == ["1"]
    assert values(tree, "x509ce.pathLenConstraint") == ["3"]
    assert values(tree, "x509ce.KeyUsage.digitalSignature") == ["1"]
    assert values(tree, "x509ce.KeyUsage.cRLSign") == ["0"]
    assert values(tree, "x509ce.KeyPurposeId") == ["1.3.6.1.5.5.7.3.1"]
    assert values(tree, "pkcs1.namedCurve") == ["1.2.840.10045.3.1.7"]
    issuer, subject = (
        next(item.text for item in items(tree) if item.field.name == f"x509af.{name}")
        for name in ("issuer", "subject")
    )
    assert issuer == "id-at-commonName=root,id-at-organizationName=Über,id-at-countryName=DE"
    assert subject == "id-at-commonName=example.test"


def test_every_field_of_a_certificate_lies_on_its_bytes(certificate: x509.Certificate) -> None:
    tree = Talk().send(record(22, chain(certificate)), server=True)
    data = tree.buffers[0].data
    for item in items(tree):
        if item.field.name in ("x509ce.dNSName", "x509af.serialNumber"):
            assert data[item.start : item.end] == item.value
        if item.field.name == "x509sat.uTF8String":
            assert data[item.start : item.end].decode() == item.value


def test_an_rsa_key_is_shown() -> None:
    key = rsa.generate_private_key(65537, 1024)
    tree = Talk().send(record(22, chain(build(key))), server=True)
    assert values(tree, "pkcs1.publicExponent") == ["65537"]
    assert int(values(tree, "pkcs1.modulus")[0], 16) == key.public_key().public_numbers().n


def test_a_broken_certificate_ends_with_a_mark_and_nothing_else_is_lost(certificate: x509.Certificate) -> None:
    der = certificate.public_bytes(Encoding.DER)
    for at in range(0, len(der), 3):
        broken = der[:at] + bytes([der[at] ^ 0xFF]) + der[at + 1 :]
        body = message(11, sized(sized(broken, 3), 3)) + message(14, b"")
        tree = Talk().send(record(22, body), server=True)
        assert tree.info == "Certificate, Server Hello Done"


def test_a_chain_of_a_thousand_names_leaves_room_for_what_follows() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(f"host{number}.example.test") for number in range(700)]
    builder = x509.CertificateBuilder(ISSUER, SUBJECT, key.public_key(), 1, BEGIN, BEGIN + timedelta(90))
    many = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    stream = chain(many, many, many) + message(14, b"")
    talk = Talk()
    tree = talk.send(
        b"".join(record(22, stream[at : at + 16000]) for at in range(0, len(stream), 16000)), server=True
    )
    assert tree.info.endswith("Certificate, Server Hello Done")
    assert 500 < len(values(tree, "x509ce.dNSName")) < 1000


def test_a_stapled_answer_names_its_certificate(certificate: x509.Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = build(key)
    builder = made_ocsp.OCSPResponseBuilder().add_response(
        certificate,
        certificate,
        hashes.SHA1(),
        made_ocsp.OCSPCertStatus.REVOKED,
        BEGIN,
        BEGIN + timedelta(7),
        BEGIN - timedelta(1),
        x509.ReasonFlags.key_compromise,
    )
    answer = builder.responder_id(made_ocsp.OCSPResponderEncoding.NAME, signer).sign(key, hashes.SHA256())
    body = message(22, b"\x01" + sized(answer.public_bytes(Encoding.DER), 3))
    tree = Talk().send(record(22, body), server=True)
    assert (tree.info, tree.verdict.kind) == ("Certificate Status", "ok")
    assert values(tree, "ocsp.responseStatus") == ["0"]
    assert values(tree, "ocsp.certStatus") == ["1"]
    assert values(tree, "ocsp.revocationReason") == ["1"]
    assert values(tree, "ocsp.serialNumber") == ["1234abcd"]
    assert values(tree, "ocsp.nextUpdate") == ["Jan  9, 2026 03:04:05.000000000 UTC"]


def test_a_server_key_is_read_as_its_cipher_has_it() -> None:
    talk = Talk()
    talk.send(record(22, server_hello(cipher=0x0067)), server=True)  # DHE_RSA
    body = sized(b"\x11" * 8) + sized(b"\x02") + sized(b"\x22" * 8) + b"\x04\x01" + sized(b"\x33" * 16)
    tree = talk.send(record(22, message(12, body)), server=True)
    assert values(tree, "tls.handshake.p") == ["11" * 8]
    assert values(tree, "tls.handshake.ys") == ["22" * 8]
    assert values(tree, "tls.handshake.sig") == ["33" * 16]
    talk = Talk()
    talk.send(record(22, server_hello(cipher=0xC02F)), server=True)
    body = b"\x03\x00\x1d" + sized(b"\x44" * 32, 1) + b"\x08\x04" + sized(b"\x55" * 16)
    tree = talk.send(record(22, message(12, body)), server=True)
    assert values(tree, "tls.handshake.server_named_curve") == ["0x001d"]
    assert values(tree, "tls.handshake.server_point") == ["44" * 32]


def test_an_encrypted_hello_is_marked() -> None:
    body = b"\0" + struct.pack("!HHB", 1, 1, 7) + sized(bytes(32)) + sized(bytes(100))
    tree = Talk().send(record(22, client_hello(NAME, extension(65037, body))))
    assert values(tree, "tls.ech.config_id") == ["7"]
    assert any("may be another's" in item.text for item in items(tree))


def test_what_is_no_record_once_the_version_is_known() -> None:
    talk = Talk()
    talk.send(record(23, bytes(30)))
    tree = talk.send(b"\x99" * 30)
    assert (tree.protocol, tree.info) == ("TLSv1.2", "Ignored Unknown Record")
    assert talk.send(record(23, bytes(30))).info == "Application Data"


def test_what_is_no_record_on_a_port_of_tls() -> None:
    assert Talk().send(b"\x80\x00\x17" + bytes(20)).info == "Continuation Data"
    assert Talk().send(b"plain text").protocol == "TCP"
    assert Talk(7777).send(b"\x80\x00\x17" + bytes(20)).protocol == "TCP"


def test_another_port_is_recognised_by_a_hello_and_stays_so() -> None:
    talk = Talk(7777)
    assert talk.send(record(21, b"\x01\x00")).protocol == "TCP"
    assert talk.send(record(22, client_hello(NAME), 0x0301)).info == "Client Hello"
    assert talk.send(record(21, b"\x02\x28"), server=True).info.startswith("Alert (Level: Fatal")


def test_a_hello_of_ssl_2() -> None:
    body = b"\x01\x00\x02" + struct.pack("!3H", 6, 0, 16) + bytes.fromhex("010080 060040") + bytes(16)
    tree = Talk().send(struct.pack("!H", 0x8000 | len(body)) + body)
    assert (tree.protocol, tree.info) == ("SSLv2", "Client Hello")
    assert values(tree, "tls.handshake.cipherspec") == ["0x010080", "0x060040"]


def test_a_heartbeat_that_asks_for_more_than_it_brings_is_marked() -> None:
    tree = Talk().send(record(24, b"\x01\x40\x00"))
    assert tree.info == "Heartbeat Request"
    assert "Heartbleed" in tree.verdict.text
    assert Talk().send(record(24, b"\x01\x00\x02ab" + bytes(16))).verdict.kind == "ok"


def test_a_message_without_end_is_not_kept() -> None:
    talk = Talk()
    talk.send(record(22, b"\x0b\x01\xff\xf0" + bytes(16000)), server=True)
    for _ in range(20):
        talk.send(record(22, bytes(16000)), server=True)
    state = next(iter(talk.trees._conversations.values())).memory["tls"]
    assert sum(len(part[0]) for key, part in state.items() if isinstance(key, tuple) and key[0] == "part") <= 1 << 17


def datagram(kind: int, body: bytes, *, epoch: int = 0, version: int = 0xFEFD, number: int = 0) -> bytes:
    return struct.pack("!BHHHIH", kind, version, epoch, 0, number, len(body)) + body


def fragment(kind: int, body: bytes, at: int, size: int, number: int = 0) -> bytes:
    head = bytes([kind]) + len(body).to_bytes(3, "big") + struct.pack("!H", number)
    piece = body[at : at + size]
    return head + at.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece


def test_a_conversation_over_datagrams() -> None:
    talk = Talk(4444, datagrams=True)
    hello = client_hello(NAME, cookie=b"", version=0xFEFD)[4:]
    tree = talk.send(datagram(22, fragment(1, hello, 0, 9999), version=0xFEFF))
    assert (tree.protocol, tree.info) == ("DTLS", "Client Hello")
    assert values(tree, "dtls.handshake.extensions_server_name") == ["example.test"]
    assert values(tree, "dtls.handshake.ja4")[0].startswith("dd2d0201")
    verify = b"\xfe\xff" + sized(b"cookie", 1)
    tree = talk.send(datagram(22, fragment(3, verify, 0, 99), version=0xFEFF), server=True)
    assert (tree.protocol, tree.info) == ("DTLSv1.0", "Hello Verify Request")
    assert values(tree, "dtls.handshake.cookie") == [b"cookie".hex()]
    chosen = server_hello(version=0xFEFD)[4:]
    tree = talk.send(datagram(22, fragment(2, chosen, 0, 999)), server=True)
    assert (tree.protocol, tree.info) == ("DTLSv1.2", "Server Hello")
    tree = talk.send(datagram(20, b"\x01") + datagram(22, bytes(40), epoch=1))
    assert tree.info == "Change Cipher Spec, Encrypted Handshake Message"
    assert talk.send(datagram(23, bytes(40), epoch=1)).info == "Application Data"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0, 2)])
def test_fragments_in_any_order(certificate: x509.Certificate, order: tuple[int, ...]) -> None:
    talk = Talk(4444, datagrams=True)
    body = chain(certificate)[4:]
    size = -(-len(body) // 3)
    trees = [talk.send(datagram(22, fragment(11, body, index * size, size, 3)), server=True) for index in order]
    assert [tree.info for tree in trees[:-1]] == ["Certificate (Fragment)"] * (len(order) - 1)
    assert trees[-1].info == "Certificate (Reassembled)"
    assert values(trees[-1], "x509ce.dNSName") == ["example.test", "*.example.test"]
    assert trees[-1].buffers[-1].data == body


def test_fragments_are_bounded() -> None:
    talk = Talk(4444, datagrams=True)
    for number in range(100):
        talk.send(datagram(22, fragment(11, bytes(30000), 0, 500, number)), server=True)
    pieces = next(iter(talk.trees._conversations.values())).memory["dtls"]["pieces"]
    assert len(pieces) <= 8


def test_every_shorter_hello_says_so() -> None:
    whole = client_hello(NAME, ALPN, OFFERS_1_3)
    for size in range(4, len(whole)):
        cut = message(1, whole[4:size])
        tree = Talk().send(record(22, cut))
        assert tree.info == "Client Hello", size
        # a hello may end before its extensions
        assert tree.verdict.kind == ("ok" if size == 4 + 2 + 32 + 1 + 8 + 2 else "malformed"), size


def test_a_message_in_very_many_records_takes_time_once_for_each() -> None:
    talk = Talk()
    start = message(11, bytes(100_000))[:4]
    talk.send(record(22, start), server=True)
    segment = record(22, b"\0") * 150
    began = perf_counter()
    for _ in range(320):
        talk.send(segment, server=True)
    assert perf_counter() - began < 20
    state = next(iter(talk.trees._conversations.values())).memory["tls"]
    assert len(state["part", 1][0]) == 4 + 320 * 150
