"""QUIC between two namespaces, aioquic at both ends: each field is what it was told, or says of itself."""

from __future__ import annotations

import datetime
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicProtocolVersion, encode_quic_retry, pull_quic_header
from aioquic.tls import CipherSuite
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from tests.live.wire import CLIENT, SERVER, Seen, items, values

from netwatch.capture.dissect import Tree, fields_text

PORT = 4567
NAME = "quic.example.org"
TOKEN = b"a token of the server"
V1, V2 = QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2


def certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, SHA256()), key


class Ends:
    """A client and a server that take turns until the client has closed."""

    def __init__(self, version: QuicProtocolVersion, alpn: list[str], retry: bool) -> None:
        told = QuicConfiguration(is_client=True, alpn_protocols=alpn, server_name=NAME, verify_mode=0)
        told.original_version, told.supported_versions = version, [version]
        told.cipher_suites = [CipherSuite.AES_256_GCM_SHA384]
        self.client = QuicConnection(configuration=told)
        self.serving = QuicConfiguration(is_client=False, alpn_protocols=alpn[-1:], supported_versions=[V1, V2])
        self.serving.certificate, self.serving.private_key = certificate()
        self.server: QuicConnection | None = None
        self.retry = os.urandom(8) if retry else None
        self.first_id = b""

    def talk(self, here: socket.socket, there: socket.socket) -> None:
        self.client.connect((SERVER, PORT), now=time.time())
        sent = False
        until = time.time() + 10
        while time.time() < until and self.client._close_event is None:
            self._send(self.client, here)
            for ready in select.select([here, there], [], [], 0.05)[0]:
                data, address = ready.recvfrom(4096)
                if ready is here:
                    self.client.receive_datagram(data, address, now=time.time())
                else:
                    self._received(data, address, there)
            if self.server is not None:
                self._send(self.server, there)
            if self.client.tls.state.name == "CLIENT_POST_HANDSHAKE" and not sent:
                sent = True
                self.client.send_stream_data(0, b"GET /\r\n", end_stream=True)
                self._send(self.client, here)
                self.client.close(reason_phrase="bye")
                self._send(self.client, here)
                return

    def _send(self, connection: QuicConnection, on: socket.socket) -> None:
        for data, address in connection.datagrams_to_send(now=time.time()):
            on.sendto(data, address)

    def _received(self, data: bytes, address: Any, there: socket.socket) -> None:
        if self.server is None:
            head = pull_quic_header(Buffer(data=data), host_cid_length=8)
            if not self.first_id:
                self.first_id = head.destination_cid
                if self.retry:
                    there.sendto(
                        encode_quic_retry(
                            version=head.version or 0,
                            source_cid=self.retry,
                            destination_cid=head.source_cid,
                            original_destination_cid=head.destination_cid,
                            retry_token=TOKEN,
                        ),
                        address,
                    )
                    return
            if self.retry and head.destination_cid != self.retry:
                return
            self.server = QuicConnection(
                configuration=self.serving,
                original_destination_connection_id=self.first_id,
                retry_source_connection_id=self.retry,
            )
        self.server.receive_datagram(data, address, now=time.time())


@pytest.fixture
def seen(fresh_pair: Any, capturing: Callable[..., Any]) -> Callable[[Ends], list[Tree]]:
    def see(ends: Ends) -> list[Tree]:
        here, there = (
            namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for namespace in (fresh_pair.left, fresh_pair.right)
        )
        with here, there, fresh_pair.addressed():
            here.bind((CLIENT, 0))
            there.bind((SERVER, PORT))
            with capturing(fresh_pair.right, "b0") as got:
                ends.talk(here, there)
        return Seen.of(got).trees

    return see


@pytest.mark.parametrize(("version", "retry"), [(V1, False), (V2, False), (V1, True), (V2, True)])
def test_a_connection(seen: Callable[[Ends], list[Tree]], version: QuicProtocolVersion, retry: bool) -> None:
    ends = Ends(version, ["first", "h3"], retry)
    trees = [tree for tree in seen(ends) if tree.protocol != "ARP"]
    assert ends.server is not None
    assert {tree.protocol for tree in trees} == {"QUIC"}
    assert all(tree.verdict.kind == "ok" for tree in trees), [tree.verdict for tree in trees]
    found: dict[str, list[str]] = {}
    for item in items(trees):
        found.setdefault(item.field.name, []).append(fields_text(item))
    assert found["tls.handshake.extensions_server_name"] == [NAME]
    assert found["tls.handshake.extensions_alpn_str"][:2] == ["first", "h3"]
    # Of both hellos: all that the client offers, and what the server took.
    assert found["tls.handshake.ciphersuite"] == ["0x1302", "0x1302"]
    assert set(found["quic.version"]) == {f"0x{version.value:08x}"}
    assert found["quic.dcid"][0] == ends.first_id.hex()
    assert found["quic.scid"][0] == ends.client.host_cid.hex()
    assert ends.server.host_cid.hex() in found["quic.scid"]
    assert "quic.decryption_failed" not in found
    assert any(tree.info == f"Protected Payload (KP0), DCID={ends.server.host_cid.hex()}" for tree in trees)
    if retry:
        assert ends.retry is not None
        assert found["quic.retry_token"] == [TOKEN.hex()]
        assert found["quic.token"] == [TOKEN.hex()] * len(found["quic.token"])
        assert ends.retry.hex() in found["quic.dcid"]
        tag = next(item.text for item in items(trees) if item.field.name == "quic.retry_integrity_tag")
        assert tag.endswith("[verified]")


def test_a_hello_in_two_datagrams(seen: Callable[[Ends], list[Tree]]) -> None:
    alpn = [f"a protocol with a long name, number {number}" for number in range(60)]
    trees = seen(Ends(V1, alpn, retry=False))
    whole = [tree for tree in trees if any(item.field.name == "tls.handshake.type" for item in items([tree]))]
    hello = [buffer for tree in whole for buffer in tree.buffers if buffer.name == "Reassembled CRYPTO"]
    assert len(hello) == 1
    assert len(hello[0].data) > 2000
    assert values(whole, "tls.handshake.extensions_alpn_str")[:60] == alpn
