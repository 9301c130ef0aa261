"""Streams of real and made captures beside what is known of them, and beside what tshark makes of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fuzz.packets import ingested

from netwatch.capture.errors import CaptureError
from netwatch.capture.follow import GAP, Follow, pair_of
from netwatch.capture.follow_packets import TCP
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file

if TYPE_CHECKING:
    from tests.corpus.conftest import Capture

STREAMS = 8
"""Streams of a capture that are compared …"""
PACKETS = 600
"""… that begin among so many packets."""
MARKS = [b"bytes missing".hex()]

TRUTHS = ["dup", "gap", "inorder", "ipv6", "midstream", "multi20", "overlap_same", "portreuse", "reorder", "rst"]
TRUTHS += ["seqwrap", "vlan_ipfrag"]


def session_of(path: Path) -> Session:
    return ingested(open_file(str(path)))


def followed(session: Session, index: int) -> Follow:
    pair = pair_of(session, index)
    assert pair is not None, index
    follow = Follow(session, pair, index)
    while follow.work(1):
        pass
    follow.update()
    return follow


def bytes_of(follow: Follow) -> tuple[str, bytes, bytes]:
    """The client's address and port, what it sent, what the server sent."""
    connection = follow.connection
    client = connection.client
    end = (follow.pair.a, follow.pair.b)[client]
    sent = [
        b"".join(data or b"" for _, data in follow.bytes_of(side, -(1 << 62), 1 << 62))
        for side in (client, 1 - client)
    ]
    return f"{end.address}:{end.port}", sent[0], sent[1]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def expected(truth: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(client, hash of what it sent, hash of what it got) of each connection of a capture."""
    client, asked = truth["client"], truth["client_to_server"]["sha256"]
    if "connections" in truth:
        return [(client, asked, each["server_to_client_sha256"]) for each in truth["connections"]]
    if "conversations" in truth:
        return [
            (each["client"], each["client_to_server_sha256"], each["server_to_client_sha256"])
            for each in truth["conversations"]
        ]
    return [(client, asked, truth["server_to_client"]["sha256"])]


@pytest.mark.parametrize("name", TRUTHS)
def test_every_packet_leads_to_the_bytes_that_were_sent(captures_folder: Path, name: str) -> None:
    made = Path("made__tcp") / "dev"
    truth = json.loads((captures_folder / "expected" / made / f"{name}.truth.json").read_text())
    session = session_of(captures_folder / "files" / made / f"{name}.pcap")
    found = []
    for index in range(session.store.end):
        follow = followed(session, index)
        client, asked, answered = bytes_of(follow)
        gaps = [turn for turn in map(follow.turns.__getitem__, range(len(follow.turns))) if turn.kind == GAP]
        missing = truth.get("missing_ranges_server_to_client", [])
        assert [[gap.start, gap.end] for gap in gaps] == missing
        assert follow.connection.conflicts == 0
        if missing:
            # The hash is of what was sent: what was captured of it can only be counted.
            lost = sum(end - start for start, end in missing)
            assert len(answered) == truth["server_to_client"]["bytes"] - lost
            assert sha(asked) == truth["client_to_server"]["sha256"]
            continue
        if (client, sha(asked), sha(answered)) not in found:
            found.append((client, sha(asked), sha(answered)))
    if not truth.get("missing_ranges_server_to_client"):
        assert sorted(found) == sorted(expected(truth))


def streams_of_tshark(path: Path, count: int) -> list[tuple[set[str], list[str]]]:
    """Of each of the first TCP streams of a capture: its ends, and what either side sent, in hexadecimal."""
    wanted = [word for number in range(count) for word in ("-z", f"follow,tcp,raw,{number}")]
    run = subprocess.run(["tshark", "-n", "-q", "-r", str(path), *wanted], capture_output=True, check=False)
    found = []
    for block in run.stdout.decode(errors="replace").split("=" * 67 + "\n"):
        lines = block.splitlines()
        if not block.startswith("Follow:") or len(lines) < 4:
            continue
        sides = ["", ""]
        for line in lines[4:]:
            sides[line.startswith("\t")] += line.strip()
        found.append(({line.partition(": ")[2] for line in lines[2:4]}, sides))
    return found


@pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark")
def test_streams_without_gaps_are_those_of_tshark(captures: list[Capture]) -> None:
    """tshark writes words into the bytes where some are missing, and takes what comes behind a FIN for data: of the
    others every byte must be the same."""
    compared = 0
    for capture in captures:
        try:
            session = session_of(capture.path)
        except CaptureError:
            continue
        flags = [rows.tcp_flags for _, rows in session.store.chunks()]
        if not any(each.any() for each in flags):
            continue
        theirs = streams_of_tshark(capture.path, STREAMS)
        ends = [frozenset(pair) for pair, _ in theirs]
        ours: dict[frozenset[str], Follow] = {}
        for index in range(min(session.store.end, PACKETS)):
            pair = pair_of(session, index)
            if pair is None or pair.protocol != TCP:
                continue
            key = frozenset((str(pair.a), str(pair.b)))
            if key in ends and key not in ours:
                ours[key] = followed(session, index)
        for key, (_, sides) in zip(ends, theirs, strict=True):
            follow = ours.get(key)
            if follow is None or ends.count(key) > 1:
                continue
            connection = follow.connection
            marked = any(word in side for side in sides for word in MARKS)
            if marked or follow.turns.missing()[0] or connection.notes:
                continue
            _, *sent = bytes_of(follow)
            assert sorted(each.hex() for each in sent) == sorted(sides), (capture.path, sorted(key))
            compared += 1
    assert compared > 100
