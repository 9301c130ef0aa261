"""TLS and DTLS between two namespaces, openssl at both ends: what it was told to say is what is shown."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.live.wire import SERVER, Seen, needs_tshark

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

SUBJECT = "/C=DE/O=Prüfstand/CN=server.example.test"
NAMES = ["server.example.test", "*.example.test"]
PORTS = iter(range(15001, 15100))


class Conversation(Seen):
    """One, and what openssl said of it."""

    @property
    def words(self) -> list[str]:
        """The Info column of the packets that are TLS, word by word."""
        infos = [tree.info for tree in self.trees if "TLS" in tree.protocol]
        return [word for info in infos for word in info.split(", ")]


Converse = Callable[..., Conversation]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(certificate, key), as files."""
    folder = tmp_path_factory.mktemp("certificate")
    made, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    alternatives = ",".join(f"DNS:{name}" for name in NAMES) + f",IP:{SERVER}"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", made, "-days", "7"]
    command += ["-subj", SUBJECT, "-utf8", "-set_serial", "0x1234abcd", "-addext", f"subjectAltName={alternatives}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made, key


@contextmanager
def serving(space: Any, *options: str) -> Iterator[None]:
    """openssl's server, from when it accepts."""
    command = ["ip", "netns", "exec", space.name, "openssl", "s_server", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            while lines[-1] and not lines[-1].startswith(b"ACCEPT"):
                lines.append(process.stdout.readline())
            assert lines[-1], lines
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def converse(wired: Any, capturing: Callable[..., Any], certificate: tuple[str, str]) -> Converse:
    """converse(server's options, client's options): one conversation."""

    def run(server: str, client: str) -> Conversation:
        port = str(next(PORTS))
        own = ["-accept", port, "-cert", certificate[0], "-key", certificate[1], "-naccept", "1", *server.split()]
        ask = f"(sleep 0.3; echo Q) | timeout 10 openssl s_client -connect {SERVER}:{port} {client} 2>&1; true"
        with serving(wired.right, *own), capturing(wired.right, "b0") as got:
            said = wired.left.run("sh", "-c", ask)
        return Conversation.of(got, said)

    return run


def test_tls_1_3(converse: Converse) -> None:
    seen = converse(
        "-tls1_3 -alpn h2,http/1.1",
        "-servername named.example.test -alpn http/1.1,h2 -ciphersuites TLS_AES_128_GCM_SHA256",
    )
    assert seen.values("tls.handshake.extensions_server_name") == ["named.example.test"]
    assert seen.values("tls.handshake.extensions_alpn_str") == ["http/1.1", "h2"]
    assert "Cipher is TLS_AES_128_GCM_SHA256" in seen.said
    # the client's list, then the server's choice
    assert seen.values("tls.handshake.ciphersuite")[0] == seen.values("tls.handshake.ciphersuite")[-1] == "0x1301"
    assert seen.values("tls.handshake.extensions.supported_version")[-1] == "0x0304"
    assert re.fullmatch(r"t13d\d{4}h1_[0-9a-f]{12}_[0-9a-f]{12}", seen.values("tls.handshake.ja4")[0])
    shown = [tree.protocol for tree in seen.trees if tree.protocol.startswith("TLS")]
    assert shown[0] == "TLSv1"
    assert set(shown[1:]) == {"TLSv1.3"}
    assert seen.words[:4] == ["Client Hello", "Server Hello", "Change Cipher Spec", "Application Data"]


@pytest.mark.parametrize("size", [0, 512])
def test_tls_1_2_shows_the_certificate_that_was_made(converse: Converse, size: int) -> None:
    split = f" -max_send_frag {size}" if size else ""
    seen = converse(
        f"-tls1_2 -named_curve P-384 -alpn h2{split}",
        "-servername named.example.test -alpn h2 -cipher ECDHE-RSA-AES256-GCM-SHA384",
    )
    assert "Cipher is ECDHE-RSA-AES256-GCM-SHA384" in seen.said
    assert seen.values("tls.handshake.ciphersuite")[-1] == "0xc030"
    assert seen.values("tls.handshake.extensions_alpn_str") == ["h2", "h2"]
    assert seen.values("x509sat.CountryName") == ["DE", "DE"]
    assert seen.values("x509sat.uTF8String") == ["Prüfstand", "server.example.test"] * 2
    assert seen.values("x509af.serialNumber") == ["1234abcd"]
    assert seen.values("x509ce.dNSName") == NAMES
    assert seen.values("x509ce.IPAddress.ipv4") == [SERVER]
    assert seen.values("tls.handshake.server_named_curve") == ["0x0018"]
    assert {tree.protocol for tree in seen.trees if tree.protocol.startswith("TLS")} == {"TLSv1", "TLSv1.2"}
    for word in ("Certificate", "Server Key Exchange", "Server Hello Done", "Client Key Exchange"):
        assert seen.words.count(word) == 1
    assert seen.words.count("Encrypted Handshake Message") == 2


def test_the_client_shows_its_certificate_too(converse: Converse, certificate: tuple[str, str]) -> None:
    seen = converse("-tls1_2 -verify 1", f"-cert {certificate[0]} -key {certificate[1]}")
    assert seen.values("x509af.serialNumber") == ["1234abcd", "1234abcd"]
    assert "Certificate Request" in seen.words
    assert seen.words.count("Certificate") == 2
    assert "Certificate Verify" in seen.words


def test_a_group_that_the_server_does_not_take_makes_it_ask_again(converse: Converse) -> None:
    seen = converse("-tls1_3 -groups P-384", "-groups X25519:P-384 -servername again.example.test")
    assert seen.words[:2] == ["Client Hello", "Hello Retry Request"]
    assert seen.words.count("Client Hello") == 2
    assert seen.values("tls.handshake.extensions_key_share_selected_group") == ["24"]
    assert seen.values("tls.handshake.extensions_server_name") == ["again.example.test"] * 2


def test_a_refusal_says_why(converse: Converse) -> None:
    seen = converse("-tls1_3", "-tls1_2")
    assert "alert protocol version" in seen.said
    assert "Alert (Level: Fatal" in seen.words
    assert seen.values("tls.alert_message.desc") == ["70"]


def test_dtls(converse: Converse) -> None:
    seen = converse("-dtls1_2 -mtu 300", "-dtls1_2 -mtu 300 -servername datagrams.example.test")
    assert seen.values("dtls.handshake.extensions_server_name")[0] == "datagrams.example.test"
    assert "Certificate (Fragment)" in seen.words
    assert seen.words.count("Certificate (Reassembled)") == 1
    assert seen.values("x509ce.dNSName") == NAMES
    assert seen.values("dtls.handshake.ja4")[0].startswith("dd2d")
    shown = [tree.protocol for tree in seen.trees if tree.protocol.startswith("DTLS")]
    assert shown[0] == "DTLS"
    assert shown[-1] == "DTLSv1.2"


@needs_tshark
@pytest.mark.parametrize("options", ["-tls1_3", "-tls1_2", "-tls1_2 -max_send_frag 512", "-dtls1_2 -mtu 300"])
def test_as_tshark_has_it(converse: Converse, by_tshark: Callable[..., list[list[str]]], options: str) -> None:
    seen = converse(options, "-servername named.example.test " + ("-dtls1_2 -mtu 300" if "dtls" in options else ""))
    said = by_tshark(seen.frames)
    assert [row for row in seen.rows if "TLS" in row[0]] == [row for row in said if "TLS" in row[0]]
    assert len(seen.rows) == len(said)
