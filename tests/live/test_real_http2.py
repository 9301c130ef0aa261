"""HTTP/2 in clear between two namespaces, curl asking and h2 answering: each field is what they were told to say."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded
from tests.live.wire import SERVER, Seen, items

from netwatch.capture.dissect import Tree, fields_text

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

PORT = 8099
URL = f"http://{SERVER}:{PORT}/path?query=1"
BODY = b'{"answer": 42, "padding": "%s"}' % (b"x" * 40_000)
ANSWER: list[tuple[str | bytes, str | bytes]] = [
    (":status", "201"),
    ("content-type", "application/json"),
    ("server", "told-to"),
    ("x-answer", "åäö".encode()),
]
SAID = {"x-one": "first", "user-agent": "netwatch-test/1", "accept": "application/json"}
POSTED = b"name=value&other=thing"


def answer(listening: socket.socket) -> None:
    """Two connections, one after the other, with a request each."""
    for _ in range(2):
        connection, _ = listening.accept()
        with connection:
            converse(connection)


def converse(connection: socket.socket) -> None:
    connection.settimeout(10)
    h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    h2.initiate_connection()
    connection.sendall(h2.data_to_send())
    while data := connection.recv(65536):
        for event in h2.receive_data(data):
            if isinstance(event, DataReceived):
                h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                h2.send_headers(event.stream_id, ANSWER)
                for at in range(0, len(BODY), 10_000):
                    part = BODY[at : at + 10_000]
                    h2.send_data(event.stream_id, part, end_stream=at + len(part) == len(BODY))
        connection.sendall(h2.data_to_send())


@pytest.fixture(scope="module")
def trees(wired: Any, capturing: Callable[..., Any]) -> list[Tree]:
    listening = wired.right.call(lambda: socket.create_server((SERVER, PORT)))
    server = threading.Thread(target=answer, args=(listening,), daemon=True)
    server.start()
    headers = [word for name, value in SAID.items() for word in ("-H", f"{name}: {value}")]
    ask = ["curl", "-s", "--max-time", "10", "--http2-prior-knowledge", *headers]
    try:
        with capturing(wired.right, "b0") as got:
            bodies = [wired.left.run(*ask, URL), wired.left.run(*ask, "-d", POSTED.decode(), f"{URL}&b")]
            server.join(10)
    finally:
        listening.close()
    assert bodies == [BODY.decode()] * 2
    return Seen.of(got).trees


def test_what_was_said_is_what_is_shown(trees: list[Tree]) -> None:
    found: dict[str, list[str]] = {}
    for item in items(trees):
        if item.field.name.startswith("http2."):
            found.setdefault(item.field.name, []).append(fields_text(item))
    assert found["http2.magic"] == ["PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"] * 2
    assert found["http2.headers.method"] == ["GET", "POST"]
    assert found["http2.headers.path"] == ["/path?query=1", "/path?query=1&b"]
    assert found["http2.headers.authority"] == [f"{SERVER}:{PORT}"] * 2
    assert found["http2.headers.status"] == ["201", "201"]
    assert found["http2.headers.user_agent"] == [SAID["user-agent"]] * 2
    assert found["http2.headers.server"] == ["told-to", "told-to"]
    lines = found["http2.header"]
    for name, value in SAID.items():
        assert lines.count(f"{name}: {value}") == 2
    assert lines.count("x-answer: åäö") == 2
    assert found["http2.request.full_uri"] == [URL, f"{URL}&b"]


def test_bodies_over_frames_and_segments_are_whole(trees: list[Tree]) -> None:
    bodies = [buffer.data for tree in trees for buffer in tree.buffers if buffer.name == "Reassembled body"]
    assert bodies.count(BODY) == 2
    assert POSTED in bodies
    said = [tree.info for tree in trees if tree.protocol.startswith("HTTP2")]
    assert any("HEADERS[1]: GET /path?query=1" in info for info in said)
    assert any("HEADERS[1]: 201 Created" in info for info in said)
    assert all(tree.verdict.kind == "ok" for tree in trees)
