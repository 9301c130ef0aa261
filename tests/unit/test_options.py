"""The command line: what it means, and what is said where it means nothing."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from netwatch.app.options import DEFAULT_BUFFER, DEFAULT_RING, MAX_SNAPLEN, Options, help_text, parse
from netwatch.capture import errors
from netwatch.capture.errors import CaptureError


def test_nothing_is_the_dashboard_on_the_default_interface() -> None:
    options = parse([])
    assert options == Options()
    assert options.live
    assert not options.headless
    assert (options.buffer, options.ring, options.snaplen) == (DEFAULT_BUFFER, DEFAULT_RING, MAX_SNAPLEN)


def test_words_are_the_capture_filter_as_in_tcpdump() -> None:
    options = parse(["-i", "eth0", "port", "443", "and", "not", "host", "10.0.0.1", "-c", "5"])
    assert options.capture_filter == "port 443 and not host 10.0.0.1"
    assert options.interfaces == ("eth0",)
    assert options.count == 5
    assert parse(["port 443"]).capture_filter == "port 443"
    assert parse(["-f", "port 443"]) == parse(["port", "443"])
    assert parse(["-n", "tcp", "-p", "or", "udp"]).capture_filter == "tcp or udp"


def test_every_option_has_its_place() -> None:
    words = "-i eth0 -i eth1 -i eth0 -w out.pcapng -c 7 -s 96 -p -n --duration 1.5 --ring 128M --buffer 1G"
    options = parse([*words.split(), "--report", "r.json", "--fps", "10", "--summary", "--json"])
    assert options == Options(
        interfaces=("eth0", "eth1"),
        write="out.pcapng",
        count=7,
        snaplen=96,
        promiscuous=False,
        names=False,
        duration=1.5,
        ring=128 << 20,
        buffer=1 << 30,
        report="r.json",
        fps=10,
        summary=True,
        json=True,
    )


def test_of_a_setting_the_last_one_holds() -> None:
    words = (
        "-c 5 -s 96 --duration 1 --ring 1M --buffer 1M --fps 1 -c 7 -s 64 --duration 2 --ring 2M --buffer 2M --fps 2"
    )
    assert parse(words.split()) == Options(count=7, snaplen=64, duration=2.0, ring=2 << 20, buffer=2 << 20, fps=2)


def test_fields_and_json_are_headless() -> None:
    assert parse(["-r", "-", "--fields", "ip.src,tcp.dstport"]).fields == ("ip.src", "tcp.dstport")
    assert parse(["-r", "x", "--json"]).summary
    assert parse(["-r", "x", "--json"]).headless
    assert parse(["-D"]).list_interfaces
    assert parse(["--list"]).list_interfaces


def test_what_prints_packets_is_headless() -> None:
    options = parse(["-r", "x", "--json-packets", "--plugins"])
    assert (options.headless, options.prints_packets, options.plugins) == (True, True, True)
    options = parse(["-r", "x", "--detail", "12, 3-7,5", "-x", "udp"])
    assert (options.headless, options.hexdump, options.capture_filter) == (True, True, "udp")
    assert options.detail == ((12, 12), (3, 7), (5, 5))
    assert not parse(["-r", "x", "--summary"]).prints_packets


def test_a_snap_length_of_nothing_is_everything_as_in_tcpdump() -> None:
    assert parse(["-s", "0"]).snaplen == MAX_SNAPLEN
    assert parse(["-s0", "-nn"]).snaplen == MAX_SNAPLEN


@pytest.mark.parametrize(
    ("text", "speed"),
    [("1x", 1.0), ("0.5x", 0.5), (".5X", 0.5), ("100x", 100.0), ("max", math.inf), ("MAX", math.inf)],
)
def test_a_replay_has_a_speed(text: str, speed: float) -> None:
    assert parse(["-r", "a", "--replay", text]).replay == speed


def test_demo_is_a_word_of_its_own() -> None:
    assert parse(["demo"]) == Options(demo=True)
    assert parse(["--fps", "5", "demo", "port", "53"]) == Options(demo=True, fps=5, capture_filter="port 53")
    assert parse(["--", "demo"]) == Options(capture_filter="demo")
    assert not parse(["demo"]).live


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("64K", 65536), ("64m", 64 << 20), ("2G", 2 << 30)])
def test_sizes(text: str, size: int) -> None:
    assert parse(["--buffer", text]).buffer == size


WRONG = [
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    (["--summ"], "unrecognized arguments: --summ"),
    (["-c"], "-c/--count: expected one argument"),
    (["-c", "0"], "'0' is not a number of packets from 1"),
    (["-c", "-3"], "-c/--count"),
    (["-c", "many"], "'many' is not a number of packets"),
    (["-c", "9" * 30], "is not a number of packets"),
    (["-s", "300000"], "'300000' is not a number of bytes of a packet from 0 to 262144"),
    (["--save-dir", "/nowhere/at/all"], "'/nowhere/at/all' is not a directory"),
    (["--fps", "0"], "'0' is not a number of repaints a second from 1 to 60"),
    (["--duration", "0"], "'0' is not a number of seconds above 0"),
    (["--duration", "nan"], "'nan' is not a number of seconds"),
    (["--duration", "soon"], "'soon' is not a number of seconds"),
    (["--buffer", "64Q"], "'64Q' is not a size as 64M or 1G"),
    (["--buffer", "0"], "'0' is not a size"),
    (["--ring", "-1M"], "--ring"),
    (["--ring", "999999999G"], "is not a size"),
    (["--fields", "ip.src,,x"], "'ip.src,,x' is not a list of names"),
    (["--fields", ""], "is not a list of names"),
    (["-r", "a", "-i", "b"], "-r and -i are different sources of packets; give one"),
    (["-r", "a", "--replay", "0x"], "'0x' is not a speed as 1x, 10x, 0.5x or max"),
    (["-r", "a", "--replay", "5"], "'5' is not a speed"),
    (["-r", "a", "--replay", "fast"], "'fast' is not a speed"),
    (["--replay", "1x"], "--replay plays a capture file: name it with -r"),
    (["demo", "--replay", "1x"], "--replay plays a capture file"),
    (["-r", "-", "--replay", "1x"], "--replay needs a file: -r - is a stream"),
    (["-r", "-", "--follow"], "--follow needs a file: -r - is read as it flows anyway"),
    (["--follow"], "--follow goes with -r FILE"),
    (["-r", "a", "--follow", "--replay", "1x"], "give one"),
    (["--resolve", "-n"], "--resolve asks for names, -n wants none; give one"),
    (["--resolve", "--summary"], "--resolve names what the dashboard shows"),
    (["demo", "-r", "a"], "demo and -r are different sources"),
    (["--fields", "ip.src", "--json"], "--fields and --json both print to standard output"),
    (["--fields", "ip.src", "--summary"], "--fields and --summary both print"),
    (["-r", "a", "--fields", "ip.src", "--json-packets"], "--fields and --json-packets both print"),
    (["-r", "a", "--json-packets", "--json"], "--json-packets and --json both print"),
    (["-r", "a", "--detail", "1", "--summary"], "--detail and --summary both print"),
    (["-r", "a", "--detail", "0"], "'0' is not a list of packet numbers as 12 or 3,7-9"),
    (["-r", "a", "--detail", "3-2"], "'3-2' is not a list of packet numbers"),
    (["-r", "a", "--detail", "1,,2"], "'1,,2' is not a list of packet numbers"),
    (["-r", "a", "--detail", "1-"], "'1-' is not a list of packet numbers"),
    (["-r", "a", "--detail", "9" * 19], "is not a list of packet numbers"),
    (["-r", "a", "--detail", "1", "--detail", "2"], "--detail is given twice"),
    (["--detail", "1"], "--detail shows packets of a capture file: name it with -r"),
    (["demo", "--detail", "1"], "--detail shows packets of a capture file"),
    (["-r", "a", "-x"], "-x adds the bytes to --detail: give that too"),
    (["-r", "a", "-w", "-", "--json-packets"], "-w - writes the packets to standard output; nothing else"),
    (["-r", "a", "--detail", "1", "--report", "-"], "--report - prints to standard output, as another option does"),
    (["-w", "-", "--json"], "-w - writes the packets to standard output; nothing else can be printed there"),
    (["-r", "a", "-r", "b"], "-r is given twice; give it once"),
    (["--read=a", "-rb"], "-r is given twice"),
    (["-r", "", "-r", "b"], "-r is given twice"),
    (["-w", "a", "-w", "b"], "-w is given twice"),
    (["-f", "tcp", "-f", "udp"], "-f is given twice"),
    (["--fields", "ip.src", "--fields", "ip.dst"], "--fields is given twice"),
    (["--report", "a", "port", "53", "--report", "b"], "--report is given twice"),
    (["-f", "tcp", "udp"], "give the capture filter once"),
    (["doctor", "eth0"], "doctor looks at this machine and takes nothing else: leave out eth0"),
    (["lab", "up"], "lab is not available yet"),
    (["-w", "x", "--report", "./x"], "-w and --report name the same file"),
    (["--hide-own-sessions"], "unrecognized arguments"),
    (["-r", "a", "--hide-own-session"], "--hide-own-session is for what is captured"),
    (["demo", "--hide-own-session"], "--hide-own-session is for what is captured"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments)[:30] for arguments, _ in WRONG])
def test_mistakes_are_told_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(CaptureError) as caught:
        parse(arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code == 2


@pytest.mark.parametrize("option", ["-w", "--report"])
def test_what_is_read_is_not_overwritten(option: str, tmp_path: Path) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(capture)
    with pytest.raises(CaptureError, match=f"{option} would overwrite"):
        parse(["-r", str(capture), option, str(tmp_path / "link")])
    assert capture.read_bytes() == b"precious"


def test_the_help_names_every_option() -> None:
    text = help_text()
    for option in (
        "-i",
        "-r",
        "-w",
        "-c",
        "-s",
        "-p",
        "-n",
        "-D",
        "-f",
        "--list",
        "--duration",
        "--summary",
        "--json",
    ):
        assert f"{option} " in text or f"{option}," in text, option
    for option in ("--json-packets", "--detail", "-x", "--plugins"):
        assert option in text
    for option in ("--fields", "--buffer", "--ring", "--report", "--fps", "--version", "--help", "demo"):
        assert option in text


def test_exit_codes_are_told() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    told = help_text().partition("exit codes:")[2]
    assert {int(code) for code in re.findall(r"\b\d+\b", told)} == codes | {0}
    table = (Path(__file__).parents[2] / "README.md").read_text().partition("| exit code |")[2].partition("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes | {0}
