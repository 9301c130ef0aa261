"""`--summary`, `--json`, `--fields`, `-w` and `--report` on captures made here: what is printed and said."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from netwatch.app.main import main


@dataclass
class Told:
    """What a run returned and printed."""

    code: int
    out: str
    err: str


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


def ethernet(sport: int, dport: int, protocol: int = 17) -> bytes:
    """A UDP or TCP packet from 10.0.0.1 to 10.0.0.2."""
    udp = struct.pack(">HHHH", sport, dport, 12, 0) + b"data"
    tcp = struct.pack(">HHIIHHHH", sport, dport, 1, 0, 0x5002, 1024, 0, 0)
    payload = udp if protocol == 17 else tcp
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, b"\n\0\0\1", b"\n\0\0\2")
    return bytes.fromhex("020000000002 020000000001 0800") + ip + payload


PACKETS = [ethernet(40000, 53), ethernet(53, 40000), ethernet(50000, 443, 6), ethernet(40001, 53)]


def pcap(packets: list[bytes], cut: int = 0) -> bytes:
    """A capture, without its last `cut` bytes."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for second, packet in enumerate(packets):
        data += struct.pack("<IIII", 1_700_000_000 + second, 5, len(packet), len(packet)) + packet
    return data[: len(data) - cut]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Three packets of UDP and one of TCP."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(PACKETS))
    return path


def test_the_summary_as_text(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--summary")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("a.pcap: 4 packets, ")
    assert "    udp" in told.out
    assert "10.0.0.2" in told.out


def test_the_summary_as_json(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--summary", "--json")
    assert (told.code, told.err, told.out[-1], told.out.count("\n")) == (0, "", "\n", 1)
    made = json.loads(told.out)
    assert made["packets"] == 4
    assert made["bytes"] == made["captured_bytes"] == sum(map(len, PACKETS))
    assert (made["first_ts"], made["last_ts"]) == ("1700000000.000005000", "1700000003.000005000")
    assert {(row["path"], row["packets"]) for row in made["protocols"]} >= {("eth:ip:udp", 3), ("eth:ip:tcp", 1)}
    by_address = {host["address"]: host for host in made["hosts"]}
    assert by_address["10.0.0.1"]["packets_out"] == by_address["10.0.0.2"]["packets_in"] == 4
    assert "error" not in made


def test_fields(run: Run, capture: Path) -> None:
    told = run("-r", capture, "--fields", "frame.number,ip.src,udp.dstport,tcp.dstport")
    assert told.out.splitlines() == [
        "frame.number\tip.src\tudp.dstport\ttcp.dstport",
        "1\t10.0.0.1\t53\t",
        "2\t10.0.0.1\t40000\t",
        "3\t10.0.0.1\t\t443",
        "4\t10.0.0.1\t53\t",
    ]


def test_a_capture_filter_applies_to_files_as_in_tcpdump(run: Run, capture: Path) -> None:
    assert json.loads(run("-r", capture, "--json", "udp", "port", "53").out)["packets"] == 3
    assert run("-r", capture, "-f", "tcp", "--fields", "tcp.dstport").out == "tcp.dstport\n443\n"
    told = run("-r", capture, "--summary", "port", "nowhere(")
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("netwatch: capture filter 'port nowhere('")


def test_count_ends_a_run_exactly(run: Run, capture: Path) -> None:
    assert json.loads(run("-r", capture, "--json", "-c", 3).out)["packets"] == 3
    assert json.loads(run("-r", capture, "--json", "-c", 99).out)["packets"] == 4
    assert json.loads(run("-r", capture, "--json", "-c", 2, "udp").out)["packets"] == 2


def test_written_packets_are_read_again(run: Run, capture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    told = run("-r", capture, "-w", kept, "port", "53")
    assert (told.code, told.out, told.err) == (0, "", "")
    again = run("-r", kept, "-w", tmp_path / "twice.pcapng", "--json")
    assert json.loads(again.out)["packets"] == 3
    assert (tmp_path / "twice.pcapng").read_bytes() == kept.read_bytes()


def test_the_report_is_the_summary_and_what_it_took(run: Run, capture: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    told = run("-r", capture, "--json", "--report", report)
    made, printed = json.loads(report.read_text()), json.loads(told.out)
    extra = ["frames", "terminal_bytes", "cpu_seconds", "rss_anon_peak", "longest_ui_stall_ms"]
    assert list(made) == [*printed, *extra]
    assert {key: made[key] for key in printed} == printed
    assert made["cpu_seconds"] > 0
    assert made["rss_anon_peak"] > 1 << 20
    fields = run("-r", capture, "--fields", "ip.src", "--report", report)
    assert fields.out.startswith("ip.src\n")
    assert json.loads(report.read_text())["packets"] == 4


def test_a_report_to_standard_output(
    run: Run, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = run("-r", capture, "-w", tmp_path / "out", "--report", "-")
    assert (told.code, told.err, json.loads(told.out)["packets"]) == (0, "", 4)
    for arguments in (["--json"], ["--fields", "ip.src"], ["-w", "-"]):
        told = run("-r", capture, "--report", "-", *arguments)
        assert (told.code, told.out) == (2, "")
        assert "name a file" in told.err
    assert not (tmp_path / "-").exists()


def test_an_empty_name_is_no_file(run: Run) -> None:
    told = run("-r", "", "--json")
    assert (told.code, told.out, told.err) == (2, "", "netwatch: the name of the capture file is empty\n")


def test_a_damaged_file_gives_its_good_packets(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(PACKETS, cut=3))
    offset = len(pcap(PACKETS[:3]))
    told = run("-r", path, "--json")
    made = json.loads(told.out)
    assert (told.code, made["packets"], made["error"]["offset"]) == (3, 3, offset)
    assert told.err.startswith(f"netwatch: cut.pcap: damaged at byte {offset}: ")
    assert told.err.count("\n") == 1
    told = run("-r", path, "--fields", "frame.number")
    assert (told.code, told.out, told.err.count("\n")) == (3, "frame.number\n1\n2\n3\n", 1)
    told = run("-r", path, "--summary")
    assert (told.code, told.err.count("\n")) == (3, 1)
    assert told.out.startswith("cut.pcap: 3 packets")


def test_a_file_without_packets(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    path.write_bytes(pcap([]))
    told = run("-r", path, "--json")
    made = json.loads(told.out)
    assert (told.code, told.err, made["packets"], made["first_ts"], made["hosts"]) == (0, "", 0, None, [])
    assert run("-r", path, "--fields", "ip.src").out == "ip.src\n"


@pytest.mark.parametrize("content", [b"", b"\xd4\xc3\xb2\xa1\2\0", b"root:x:0:0:root:/root:/bin/bash\n" * 9])
def test_no_capture_is_an_empty_summary_with_an_error(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.pcap"
    path.write_bytes(content)
    told = run("-r", path, "--json")
    made = json.loads(told.out)
    assert (told.code, made["packets"], made["error"]["offset"], told.err.count("\n")) == (3, 0, 0, 1)
    assert made["error"]["message"] in told.err
    told = run("-r", path, "--summary")
    assert (told.code, told.out, told.err.count("\n")) == (3, "", 1)


REFUSED = [
    (["-r", "missing.pcap", "--summary"], 2, "missing.pcap: no such file"),
    (["-r", ".", "--json"], 2, ". is a directory"),
    (["-r", "a.pcap"], 2, "standard output is no terminal; add --summary, --json or --fields"),
    (["-r", "a.pcap", "--fields", "ip.scr"], 2, "unknown field 'ip.scr': did you mean ip.src"),
    (["-r", "missing.pcap", "--fields", "ip.scr"], 2, "unknown field 'ip.scr'"),
    (["-r", "a.pcap", "--json", "-w", "no/such/dir.pcapng"], 74, "cannot write no/such/dir.pcapng: No such file"),
    (["-r", "a.pcap", "--json", "--report", "no/such/dir.json"], 74, "cannot write no/such/dir.json: No such file"),
    (["-r", "a.pcap", "--json", "--report", "."], 74, "cannot write .: Is a directory"),
    (["-i", "nowhere0", "--json"], 2, "nowhere0"),
    (["-r", "a\x1b[2J\n.pcap", "--json"], 2, "a\\x1b[2J\\n.pcap: no such file"),
    (["--\x1b]0;x\x07"], 2, "unrecognized arguments: --\\x1b]0;x\\a"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), REFUSED, ids=[" ".join(a).strip("\x07") for a, _, _ in REFUSED]
)
def test_what_cannot_be_done_is_said_in_one_line(
    run: Run, capture: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(capture.parent)
    told = run(*arguments)
    assert (told.code, told.out, told.err.count("\n")) == (code, "", 1)
    assert message in told.err


def test_nothing_is_written_when_the_source_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    kept.write_bytes(b"precious")
    assert run("-r", tmp_path / "missing", "-w", kept).code == 2
    assert kept.read_bytes() == b"precious"


def test_a_mistake_of_ours_is_one_line_too(run: Run, capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise IndexError("no such\nrow")

    monkeypatch.setattr("netwatch.app.headless.partial", fail)
    told = run("-r", capture, "--json")
    assert (told.code, told.out, told.err.count("\n")) == (70, "", 1)
    assert told.err.startswith("netwatch: fault in netwatch: IndexError at test_headless_outputs.py:")


def test_the_demo_ends_with_its_recording_or_as_asked(run: Run) -> None:
    told = run("demo", "--json", "-c", 10)
    assert (told.code, told.err, json.loads(told.out)["packets"]) == (0, "", 10)
    told = run("demo", "--summary", "--duration", 0.3)
    assert told.code == 0
    assert told.out.startswith("demo: ")


def test_standard_input_is_a_source(run: Run, capture: Path) -> None:
    kept = os.dup(0)
    with capture.open("rb") as file:
        os.dup2(file.fileno(), 0)
    try:
        told = run("-r", "-", "--json")
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert json.loads(told.out)["packets"] == 4


def test_versions_and_interfaces(run: Run) -> None:
    told = run("--version")
    assert told.code == 0
    assert told.out.startswith("netwatch 0.")
    for name in ("kernel: ", "libpcap: ", "Textual: 8", "numpy: "):
        assert f"\n{name}" in told.out
    told = run("--list")
    assert told.out.splitlines()[0].split()[:2] == ["interface", "state"]
    assert any(line.startswith("lo ") and "127.0.0.1" in line for line in told.out.splitlines())
    assert run("--help").out.startswith("usage: netwatch")
