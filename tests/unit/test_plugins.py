"""A person's own dissectors: what is loaded, what is refused and why; the example of CONTRIBUTING.md."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netwatch.app.main import main
from netwatch.capture.dissect import dissect, field_names
from netwatch.capture.dissect.registry import SIGNATURES, TABLES
from netwatch.capture.plugins import _Registered, folder, load
from netwatch.capture.protocols import named

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"

HELLO = """
from netwatch.capture.dissect.kit import U16, Header
from netwatch.capture.dissect.registry import on
from netwatch.capture.protocols import declare

declare("hello", "HELLO", "data")
HELLO = Header("hello", "Hello", (U16("id", "Number"),))

@on("udp.port", PORT)
def hello(packet, at, limit):
    packet.column("hello", "from a plug-in")
    packet.open(HELLO, at, limit)
    return None
"""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = _Registered()
    yield
    before.restore()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of plug-ins, of nobody else."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    where = folder()
    where.mkdir(parents=True)
    for each in (where, where.parent, where.parent.parent):
        each.chmod(0o755)
    return where


def put(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def loaded(home: Path) -> tuple[list[str], list[str]]:
    """Which were loaded, and what was told."""
    told: list[str] = []
    names = load(home, told.append)
    assert all("\n" not in line for line in told)
    return names, told


def udp(port: int, payload: bytes = b"\0\7") -> bytes:
    """An IPv4 packet."""
    datagram = struct.pack(">4H", 5000, port, 8 + len(payload), 0) + payload
    header = struct.pack(">2B3H2BH8s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0, b"\n\0\0\1\n\0\0\2")
    return header + datagram


def protocol(port: int) -> str:
    return dissect(udp(port), 228).protocol


def test_the_folder_is_where_settings_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / ".config" / "netwatch" / "plugins"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert folder() == tmp_path / ".config" / "netwatch" / "plugins"


def test_a_plug_in_is_a_dissector_as_any_other(home: Path) -> None:
    assert protocol(4241) == "UDP"
    put(home, "hello.py", HELLO.replace("PORT", "4241"))
    put(home, "_helper.py", "raise RuntimeError")
    put(home, "notes.txt", "raise RuntimeError")
    assert loaded(home) == (["hello.py"], [])
    tree = dissect(udp(4241), 228)
    assert (tree.protocol, tree.info, tree.layers[-1].children[0].value) == ("HELLO", "from a plug-in", 7)
    assert "hello.id" in field_names()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import struct\nnonsense", "NameError at line 2: name 'nonsense' is not defined"),
        ("def (", "SyntaxError at line 1: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError at line 1: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit at line 1: 3"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_one_that_fails_is_told_in_a_line_and_leaves_nothing_behind(home: Path, text: str, said: str) -> None:
    put(home, "a.py", text)
    put(home, "b.py", HELLO.replace("PORT", "4241"))
    names, told = loaded(home)
    assert names == ["b.py"]
    assert [line.replace("ValueError", "SyntaxError") for line in told] == [f"plug-in a.py left out: {said}"]
    assert protocol(4241) == "HELLO"


def test_what_it_registered_before_it_failed_is_undone(home: Path) -> None:
    tables, signatures = {name: dict(table) for name, table in TABLES.items()}, dict(SIGNATURES)
    half = "from netwatch.capture.dissect.registry import signature\nsignature('udp', 'new')(print)\n1 / 0"
    put(home, "half.py", HELLO.replace('"udp.port", PORT', '"udp.port", 53, 4241, replace=True') + half)
    names, told = loaded(home)
    assert (names, len(told)) == ([], 1)
    assert "ZeroDivisionError" in told[0]
    assert (protocol(53), protocol(4241)) == ("DNS", "UDP")
    assert tables == {name: table for name, table in TABLES.items() if name in tables}
    assert print not in SIGNATURES["udp"]
    assert not SIGNATURES.get("new")
    assert signatures.items() <= SIGNATURES.items()
    assert "hello.id" not in field_names()
    assert named("hello").name != "hello"


def test_what_is_built_in_stays_unless_it_is_said(home: Path) -> None:
    assert protocol(53) == "DNS"
    put(home, "mine.py", HELLO.replace("PORT", "53, 4241").replace('declare("hello"', 'declare("dns"'))
    names, told = loaded(home)
    assert names == ["mine.py"]
    assert told == ["plug-in mine.py: udp.port 53 stays with dns; on(…, replace=True) takes it over"]
    assert protocol(53) == "DNS"
    assert named("dns").label == "DNS"
    put(home, "mine.py", HELLO.replace("PORT", "53, replace=True"))
    assert loaded(home) == (["mine.py"], [])
    assert protocol(53) == "HELLO"


def test_of_two_that_want_the_same_the_first_has_it(home: Path) -> None:
    put(home, "a.py", HELLO.replace("PORT", "4241"))
    put(home, "b.py", HELLO.replace("PORT", "4241").replace("def hello", "def other"))
    names, told = loaded(home)
    assert names == ["a.py", "b.py"]
    assert told == ["plug-in b.py: udp.port 4241 stays with hello; on(…, replace=True) takes it over"]


def test_a_mistake_while_it_dissects_is_a_mark_on_the_packet(home: Path) -> None:
    put(home, "bad.py", HELLO.replace("PORT", "4241").replace("packet.open(HELLO, at, limit)", "1 / 0"))
    assert loaded(home) == (["bad.py"], [])
    assert dissect(udp(4241), 228).verdict.kind == "failed"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_left_out(home: Path, mode: int) -> None:
    path = put(home, "hello.py", HELLO.replace("PORT", "4241"))
    path.chmod(mode)
    assert loaded(home) == (
        [],
        [f"plug-in hello.py left out: others can write to {path} (chmod go-w helps)"],
    )


@pytest.mark.parametrize("above", range(3))
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_so_is_a_folder_that_others_can_write_or_one_above_it(home: Path, above: int, mode: int) -> None:
    put(home, "hello.py", HELLO.replace("PORT", "4241"))
    where = (home, *home.parents)[above]
    where.chmod(mode)
    assert loaded(home) == ([], [f"plug-ins left out: others can write to {where} (chmod go-w helps)"])
    where.chmod(0o1777)
    names, told = loaded(home)
    # In a sticky folder only their owners replace things; but anybody may add a file.
    assert (names, bool(told)) == (["hello.py"] if above else [], not above)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
def test_root_runs_only_what_is_its_own(home: Path) -> None:
    path = put(home, "hello.py", HELLO.replace("PORT", "4241"))
    os.chown(path, 65534, -1)
    names, told = loaded(home)
    assert names == []
    assert re.fullmatch(r"plug-in hello.py left out: \S+ belongs to \S+, and root runs only its own", told[0])
    os.chown(path, 0, -1)
    os.chown(home.parent, 65534, -1)
    names, told = loaded(home)
    assert names == []
    assert told[0].startswith(f"plug-ins left out: {home.parent} belongs to ")


def test_others_run_their_own_and_roots(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "hello.py", HELLO.replace("PORT", "4241"))
    mine = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: mine + 4242)
    names, told = loaded(home)
    if mine == 0:
        assert (names, told) == (["hello.py"], [])
    else:
        assert "neither yours nor root's" in told[0]


def test_a_link_counts_as_what_it_leads_to(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "open"
    elsewhere.mkdir()
    target = put(elsewhere, "hello.py", HELLO.replace("PORT", "4241"))
    (home / "hello.py").symlink_to(target)
    assert loaded(home)[0] == ["hello.py"]
    elsewhere.chmod(0o777)
    assert loaded(home) == (
        [],
        [f"plug-in hello.py left out: others can write to {elsewhere} (chmod go-w helps)"],
    )
    (home / "hello.py").unlink()
    (home / "hello.py").symlink_to(tmp_path / "nowhere")
    assert loaded(home) == ([], ["plug-in hello.py left out: No such file or directory"])


def test_what_is_no_file_does_not_hold_it_up(home: Path) -> None:
    os.mkfifo(home / "fifo.py")
    (home / "folder.py").mkdir()
    names, told = loaded(home)
    assert (names, len(told)) == ([], 2)


def test_it_is_told_where_there_are_none(home: Path, tmp_path: Path) -> None:
    assert loaded(home) == ([], [f"no plug-ins: {home} holds none"])
    assert loaded(Path("relative")) == ([], ["no plug-ins: there is no folder relative"])
    long = tmp_path / ("x" * 300)
    assert loaded(long) == ([], [f"plug-ins left out: {long}: File name too long"])
    assert loaded(tmp_path / "missing") == ([], [f"no plug-ins: there is no folder {tmp_path / 'missing'}"])


def test_none_is_loaded_that_was_not_asked_for(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(home, "hello.py", HELLO.replace("PORT", "4241"))
    packet = udp(4241)
    capture = tmp_path / "a.pcap"
    capture.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 228)
        + struct.pack("<IIII", 1, 0, len(packet), len(packet))
        + packet
    )
    assert main(["-r", str(capture), "--fields", "_ws.col.Protocol"]) == 0
    assert capfd.readouterr() == ("_ws.col.Protocol\nUDP\n", "")
    assert main(["-r", str(capture), "--plugins", "--fields", "_ws.col.Protocol,hello.id"]) == 0
    assert capfd.readouterr() == ("_ws.col.Protocol\thello.id\nHELLO\t7\n", "netwatch: plug-ins: hello.py\n")


def test_the_example_of_the_manual(home: Path) -> None:
    section = CONTRIBUTING.read_text().partition("## How to add a protocol")[2].partition("\n## ")[0]
    example, its_test = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(example.splitlines()) <= 40
    put(home, "memo.py", example)
    assert loaded(home) == (["memo.py"], [])
    tests: dict[str, Any] = {}
    exec(its_test, tests)
    ran = [tests[name]() for name in tests if name.startswith("test_")]
    assert len(ran) == 2
