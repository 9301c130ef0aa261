"""`--json-packets` and `--detail`: the tree as JSON lines and as text, and how such a run ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwatch.app.main import main
from netwatch.app.opening import DEMO
from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT, UNTIMED
from netwatch.capture.dissect import Item, Tree, dissect
from netwatch.capture.dissect.kit import number, octets, text
from netwatch.capture.dissect.outcome import OK, Buffer
from netwatch.capture.passing import Passed
from netwatch.capture.tree_json import PIECE, JsonWriter, as_object
from netwatch.capture.tree_text import describe, hex_lines, tree_lines

ETHERNET = bytes.fromhex("020000000002 020000000001 0800")
REQUEST = b"GET /page HTTP/1.1\r\nHost: example.org\r\n\r\n"
QUERY = bytes.fromhex("beef 0100 0001 0000 0000 0000") + b"\3\x1b[m\0\0\1\0\1"


def ip(protocol: int, payload: bytes) -> bytes:
    """An Ethernet frame with IPv4 from 10.0.0.1 to 10.0.0.2."""
    head = struct.pack(">2B3H2BH8s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, b"\n\0\0\1\n\0\0\2")
    return ETHERNET + head + payload


def udp(port: int, payload: bytes) -> bytes:
    return ip(17, struct.pack(">4H", 40000, port, 8 + len(payload), 0) + payload)


def tcp(sequence: int, payload: bytes) -> bytes:
    return ip(6, struct.pack(">2H2I4H", 40000, 80, sequence, 1, 0x5018, 512, 0, 0) + payload)


PACKETS = [udp(53, QUERY), tcp(1, REQUEST[:20]), tcp(21, REQUEST[20:]), udp(9, b"\0\1\2~\x7f\xff" + bytes(20))]


def pcap(packets: list[bytes], cut: int = 0) -> bytes:
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for second, packet in enumerate(packets):
        data += struct.pack("<IIII", 1_700_000_000 + second, 5, len(packet), len(packet)) + packet
    return data[: len(data) - cut]


def block_of(*packets: bytes) -> Block:
    sizes = np.array([len(packet) for packet in packets], np.int64)
    n = len(packets)
    return Block(
        raw=np.frombuffer(b"".join(packets), np.uint8),
        offsets=sizes.cumsum() - sizes,
        caplen=sizes.astype(np.uint32),
        wirelen=sizes.astype(np.uint32),
        ts=np.arange(n, dtype=np.int64) * 1_000_000_001 + 1,
        linktype=np.ones(n, np.uint16),
        iface=np.zeros(n, np.uint16),
        marks=np.zeros(n, np.uint16),
        pos=np.zeros(n, np.int64),
        owned=True,
    )


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A query, a request in two segments, data."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(PACKETS))
    return path


@dataclass
class Told:
    code: int
    out: str
    err: str

    @property
    def packets(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Told]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments): the command, in this process."""

    def call(*arguments: object) -> Told:
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert all(line.startswith("netwatch: ") and line.isprintable() for line in err.splitlines())
        return Told(code, out, err)

    return call


def items(layers: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in layers:
        yield item
        yield from items(item.get("fields", []))


# JSON


def test_a_packet_is_a_line(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--json-packets")
    assert (told.code, told.err, told.out.count("\n")) == (0, "", 4)
    first = told.packets[0]
    assert list(first) == [
        "number", "time", "length", "captured", "interface", "source", "destination", "protocol", "info", "verdict",
        "values", "layers", "buffers",
    ]  # fmt: skip
    assert (first["number"], first["time"], first["length"]) == (1, "1700000000.000005000", len(PACKETS[0]))
    assert (first["protocol"], first["source"], first["destination"]) == ("DNS", "10.0.0.1", "10.0.0.2")
    assert [layer["name"] for layer in first["layers"]] == ["eth", "ip", "udp", "dns"]
    assert first["verdict"] == {"kind": "ok"}
    assert first["buffers"] == [{"name": "Packet", "size": len(PACKETS[0])}]
    assert first["layers"][0]["fields"][1] == {
        "name": "eth.src", "label": "Source", "value": "02:00:00:00:00:01", "text": "02:00:00:00:00:01",
        "start": 6, "size": 6,
    }  # fmt: skip


def test_values_are_those_of_the_tree_by_name(run: Run, capture: Path) -> None:
    for packet in run("-r", capture, "--json-packets").packets:
        found: dict[str, list[Any]] = {}
        for item in items(packet["layers"]):
            if "value" in item and item["name"]:
                found.setdefault(item["name"], []).append(item["value"])
        assert packet["values"] == found
        assert found["eth.type"] == [0x800]


def test_a_message_of_two_segments_lies_in_a_buffer_of_its_own(run: Run, capture: Path) -> None:
    part, whole = run("-r", capture, "--json-packets").packets[1:3]
    assert "http.host" not in part["values"]
    assert whole["values"]["http.host"] == ["example.org"]
    assert whole["values"]["tcp.flags.push"] == [1]
    assert whole["buffers"][1] == {"name": "Reassembled TCP", "size": len(REQUEST)}
    host = next(item for item in items(whole["layers"]) if item["name"] == "http.host")
    assert host["buffer"] == 1
    assert b"example.org" in REQUEST[host["start"] : host["start"] + host["size"]]
    assert all("buffer" not in item for item in items(whole["layers"][:3]))


def test_what_came_over_the_wire_is_escaped(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--json-packets")
    assert told.packets[0]["values"]["dns.qry.name"] == [r"\x1b[m"]
    assert all(line.isprintable() for line in told.out.splitlines())


def test_malformed_and_cut_packets_say_where() -> None:
    line = as_object(Passed(1, None, PACKETS[0][:50], 1, 90), dissect(PACKETS[0][:50], 1, 90))
    assert line["time"] is None
    assert line["verdict"]["kind"] == "cut"
    assert set(line["verdict"]) == {"kind", "text", "offset"}


def test_values_are_numbers_only_where_readers_keep_them_exact() -> None:
    made = [
        Item(number("x.n", "N"), 1 << 53, 0, 8),
        Item(number("x.n", "N"), (1 << 53) + 1, 0, 8),
        Item(number("x.f", "F"), float("nan"), 0, 8),
        Item(number("x.f", "F"), 0.5, 0, 8),
        Item(number("x.b", "B"), True, 0, 1),
        Item(octets("x.o", "O"), b"\0\xff", 0, 2),
        Item(text("x.t", "T"), b"\xff\x07", 0, 2),
    ]
    tree = Tree(tuple(made), "", "", "", "", OK, (Buffer("Packet", b""),))
    assert as_object(Passed(1, 0, b"", 1, 0), tree)["values"] == {
        "x.n": [1 << 53, str((1 << 53) + 1)], "x.f": ["nan", 0.5], "x.b": [1], "x.o": ["00ff"], "x.t": [r"\xff\a"],
    }  # fmt: skip


def test_numbers_go_on_over_blocks_and_events_are_none() -> None:
    writer, block = JsonWriter(), block_of(PACKETS[0], b"eth0 is down", PACKETS[1])
    block.marks[1], block.marks[2] = EVENT, UNTIMED
    lines = "".join([*writer.pieces(block), *writer.pieces(block_of(*PACKETS[:1] * (PIECE + 1)))]).splitlines()
    made = [json.loads(line) for line in lines]
    assert [each["number"] for each in made] == list(range(1, PIECE + 4))
    assert [each["time"] for each in made[:3]] == ["0.000000001", None, "0.000000001"]


def test_lines_are_given_out_some_at_a_time() -> None:
    pieces = list(JsonWriter().pieces(block_of(*PACKETS[:1] * (2 * PIECE + 1))))
    assert [piece.count("\n") for piece in pieces] == [PIECE, PIECE, 1]
    assert list(JsonWriter().pieces(block_of())) == []


def test_count_and_capture_filter_apply(run: Run, capture: Path) -> None:
    assert [each["number"] for each in run("-r", capture, "--json-packets", "-c", 2).packets] == [1, 2]
    assert [each["protocol"] for each in run("-r", capture, "--json-packets", "udp").packets] == ["DNS", "UDP"]


def test_a_damaged_file_gives_its_good_packets(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(PACKETS, cut=7))
    told = run("-r", path, "--json-packets")
    assert (told.code, len(told.packets)) == (3, 3)
    assert told.err.startswith("netwatch: cut.pcap: damaged at byte ")
    assert run("-r", path, "--detail", 3).code == 0
    told = run("-r", path, "--detail", 4)
    assert (told.code, told.out) == (3, "")
    assert told.err.splitlines()[1] == "netwatch: no packet 4: cut.pcap has 3 packets"


COMMAND = [sys.executable, "-m", "netwatch"]


def shell(words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`$N` is the command."""
    everything = os.environ | {"N": " ".join(COMMAND)} | environment
    return subprocess.run(["bash", "-c", words], env=everything, capture_output=True, timeout=60, check=False)


def test_a_stream_is_printed_while_it_flows(capture: Path) -> None:
    data = capture.read_bytes()
    with subprocess.Popen(
        [*COMMAND, "-r", "-", "--json-packets"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(data)
        process.stdin.flush()
        assert [json.loads(process.stdout.readline())["number"] for _ in PACKETS] == [1, 2, 3, 4]
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("output", ["--json-packets", "--detail 1-4"])
def test_a_broken_pipe_ends_silently(output: str, capture: Path) -> None:
    done = shell(f"set -o pipefail; $N -r {capture} {output} | true")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize("output", ["--json-packets", "--detail 1"])
def test_a_full_disk_is_told(output: str, capture: Path) -> None:
    done = shell(f"$N -r {capture} {output} > /dev/full")
    assert done.returncode == 74
    assert done.stderr == b"netwatch: cannot write standard output: No space left on device\n"


# Text


def test_the_tree_as_text(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--detail", 3)
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert lines[0] == f"Packet 3 · Nov 14, 2023 22:13:22.000005000 UTC · {len(PACKETS[2])} bytes"
    assert lines[1] == "10.0.0.1 → 10.0.0.2  HTTP  GET /page HTTP/1.1"
    assert lines[2:4] == ["", "0-13     Ethernet II: Src: 02:00:00:00:00:01, Dst: 02:00:00:00:00:02"]
    assert "6-11         Source: 02:00:00:00:00:01" in lines
    assert "14           0100 .... = Version: 4" in lines
    assert "14           .... 0101 = Header Length: 20 bytes (5)" in lines
    layer = lines.index(f"Buffer 1, Reassembled TCP, {len(REQUEST)} bytes:")
    assert lines[layer + 1].startswith(f"1:0-{len(REQUEST) - 1}")
    assert any("reassembled from 2 packets" in line and "#2, #3" in line for line in lines)


def test_the_bytes_of_every_buffer(run: Run, capture: Path) -> None:
    lines = run("-r", capture, "--detail", 3, "-x").out.splitlines()
    own, other = lines.index(f"Packet, {len(PACKETS[2])} bytes:"), len(lines) - 4
    assert lines[own - 1] == ""
    assert lines[own + 1] == "0000  02 00 00 00 00 02 02 00  00 00 00 01 08 00 45 00  ..............E."
    assert lines[other] == f"Buffer 1, Reassembled TCP, {len(REQUEST)} bytes:"
    assert lines[other + 1].endswith("  GET /page HTTP/1")
    again = bytes.fromhex("".join(line[6:54] for line in lines[other + 1 :]))
    assert again == REQUEST
    assert run("-r", capture, "--detail", 4, "-x").out.splitlines()[-2].endswith("  ................")


def test_some_packets_in_the_order_of_the_file(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--detail", "4,1-2,2")
    heads = [line.split(" ·")[0] for line in told.out.splitlines() if line.startswith("Packet ")]
    assert heads == ["Packet 1", "Packet 2", "Packet 4"]
    assert "\n\nPacket 2" in told.out
    assert run("-r", capture, "--detail", 2, "udp").out.startswith("Packet 2 · Nov 14, 2023 22:13:23")


@pytest.mark.parametrize(
    ("numbers", "printed", "missing"),
    [("5", 0, "5"), ("3-9", 2, "5"), ("2,7,6", 1, "6"), ("1000000", 0, "1,000,000")],
)
def test_a_packet_that_is_not_there(run: Run, capture: Path, numbers: str, printed: int, missing: str) -> None:
    told = run("-r", capture, "--detail", numbers)
    assert (told.code, told.err) == (2, f"netwatch: no packet {missing}: a.pcap has 4 packets\n")
    assert told.out.count("Packet ") == printed


def test_no_more_is_read_than_is_printed_unless_it_is_counted(run: Run, tmp_path: Path) -> None:
    path, report = tmp_path / "cut.pcap", tmp_path / "report.json"
    path.write_bytes(pcap(PACKETS, cut=7))
    assert run("-r", path, "--detail", 1).code == 0
    assert run("-r", path, "--detail", 1, "--report", report).code == 3
    assert json.loads(report.read_text())["packets"] == 3


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_locale_has_its_say(locale: str, capture: Path) -> None:
    done = shell(f"$N -r {capture} --detail 1", LC_ALL=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    head = done.stdout.splitlines()[:2]
    wanted = ["Packet 1 - Nov", "10.0.0.1 -> "] if locale == "C" else ["Packet 1 · Nov", "10.0.0.1 → "]
    assert [line.startswith(want.encode()) for line, want in zip(head, wanted, strict=True)] == [True, True]


def test_a_cut_packet_says_so_and_an_empty_one_has_no_lines() -> None:
    tree = dissect(PACKETS[0][:50], 1, 90)
    lines = list(tree_lines(Passed(1234, None, PACKETS[0][:50], 1, 90), tree))
    assert lines[0] == "Packet 1,234 · 90 bytes, 50 captured"
    assert lines[2].startswith("cut: ")
    empty = dissect(b"", 1, 0)
    assert list(hex_lines(empty)) == ["Packet, 0 bytes:"]
    assert (
        next(tree_lines(Passed(1, 0, b"", 1, 0), empty)) == "Packet 1 · Jan  1, 1970 00:00:00.000000000 UTC · 0 bytes"
    )


def test_the_bits_of_a_header_length_that_counts_words() -> None:
    tree = dissect(PACKETS[1], 1)
    lines = [describe(item) for layer in tree.layers for item in layer.children]
    assert ".... 0101 = Header Length: 20 bytes (5)" in lines
    assert "0101 .... = Header Length: 20 bytes (5)" in lines


FIELDS = Path(__file__).parents[2] / "docs" / "FIELDS.md"


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_examples_of_the_manual() -> None:
    examples = [
        each for each in re.findall(r"```sh\n(.*?)```", FIELDS.read_text(), re.DOTALL) if "trace.pcap" in each
    ]
    assert len(examples) == 3
    for example in examples:
        done = shell(example.replace("netwatch -r trace.pcap", f"set -o pipefail; $N -r {DEMO} -c 2000"))
        assert (done.returncode, done.stderr) == (0, b""), example
        assert done.stdout.count(b"\n") >= 3
