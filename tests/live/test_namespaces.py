"""Other network namespaces: `--netns`, and what the helper says and makes of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import namespaces
from tests.live.test_switch import tun

from netwatch.capture.helper.client import Helper, HelperError, Start
from netwatch.capture.kernel.rtnetlink import links
from netwatch.capture.kernel.sockets import Sockets

NETWATCH = (sys.executable, "-m", "netwatch")
VERBS = ("namespaces", "interfaces", "sockets")


def netwatch(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NETWATCH, *arguments], capture_output=True, text=True, timeout=30, check=False, **options)


@pytest.fixture
def helper() -> Iterator[Helper]:
    made = Helper.start(Start(VERBS))
    yield made
    made.close()


@pytest.fixture
def sleeper(pair: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the right namespace."""
    with subprocess.Popen(["nsenter", f"--net=/run/netns/{pair.right.name}", "sleep", "60"]) as process:
        comm = Path(f"/proc/{process.pid}/comm")
        while comm.read_text() != "sleep\n":
            time.sleep(0.01)
        yield process
        process.kill()


def inode_of(namespace: Any) -> int:
    return os.stat(f"/run/netns/{namespace.name}").st_ino


@pytest.mark.parametrize("way", ["name", "process", "path", "path of a process"])
def test_the_interfaces_of_a_namespace(pair: Any, sleeper: subprocess.Popen[bytes], way: str) -> None:
    ways = {
        "name": pair.right.name,
        "process": str(sleeper.pid),
        "path": f"/var/run/netns/{pair.right.name}",
        "path of a process": f"/proc/{sleeper.pid}/ns/net",
    }
    listed = netwatch("--netns", ways[way], "--list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {line.split()[0] for line in listed.stdout.splitlines()[1:]} == {"b0", "lo"}


def test_what_is_captured_there(pair: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path) -> None:
    """From outside, in every form of output."""
    name, count, path = pair.right.name, str(len(mix_frames)), tmp_path / "there.pcapng"
    outputs = (["--json"], ["--fields", "frame.number"], ["--json-packets"], ["-w", str(path)])
    running = [
        subprocess.Popen(
            [*NETWATCH, "--netns", name, "-i", "b0", "-c", count, *output],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for output in outputs
    ]
    for process in running:
        assert process.stderr is not None
        assert process.stderr.readline() == f"netwatch: capturing on ns:{name} b0\n"
    pair.replay(mix)
    said = [process.communicate(timeout=20) for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert json.loads(said[0][0])["packets"] == len(mix_frames)
    assert said[1][0].split()[1:] == [str(number) for number in range(1, len(mix_frames) + 1)]
    assert {json.loads(line)["interface"] for line in said[2][0].splitlines()} == {"b0"}
    assert json.loads(netwatch("-r", str(path), "--json").stdout)["packets"] == len(mix_frames)


def test_several_at_once(pair: Any, mix: Path, mix_frames: list[bytes]) -> None:
    """One of Ethernet and one of plain IP, as WireGuard's."""
    packet = mix_frames[0][14:]
    with tun(pair.right, "wg0") as descriptor:
        command = [*NETWATCH, "--netns", pair.right.name, "-i", "b0", "-i", "wg0", "-c", str(len(mix_frames) + 1)]
        with subprocess.Popen(
            [*command, "--json-packets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == f"netwatch: capturing on ns:{pair.right.name} b0, wg0\n"
            os.write(descriptor, packet)
            pair.replay(mix)
            made = [json.loads(line) for line in process.communicate(timeout=20)[0].splitlines()]
    by = Counter(each["interface"] for each in made)
    assert by == {"b0": len(mix_frames), "wg0": 1}
    first = next(each for each in made if each["interface"] == "wg0")
    assert (first["layers"][0]["name"], first["protocol"], first["length"]) == ("raw", "DNS", len(packet))


def test_what_is_no_namespace(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with namespaces(1) as (there,):
        unknown = netwatch("--netns", "netwatch-nowhere", "--summary")
        assert there.name in unknown.stderr or "…" in unknown.stderr
    assert unknown.stderr.startswith("netwatch: no network namespace 'netwatch-nowhere'; there are: ")
    cases = {
        "4194304": "there is no such process",
        "/nowhere": "No such file or directory",
        str(file): "not a network namespace",
        "/proc/self/ns/uts": "not a network namespace",
    }
    for text, words in cases.items():
        told = netwatch("--netns", text, "-i", "lo", "--summary")
        assert (told.returncode, told.stderr) == (2, f"netwatch: --netns {text}: {words}\n")
    told = netwatch("--netns", "web", "-r", "any.pcap", "--summary")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)


def test_without_permission(pair: Any) -> None:
    told = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", *NETWATCH, "--netns", pair.right.name, "--list"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "No module" in told.stderr or "Permission denied" in told.stderr:
        pytest.skip("the program lies where only root can read it")
    assert told.returncode == 77
    assert told.stderr.startswith(f"netwatch: --netns {pair.right.name}: no permission to enter it (CAP_SYS_ADMIN")


def test_the_helper_names_them(pair: Any, helper: Helper, sleeper: subprocess.Popen[bytes]) -> None:
    rows = {row[0]: row for row in helper.call("namespaces")["rows"]}
    assert rows[os.stat("/proc/self/ns/net").st_ino][1] is True
    _, own, names, runtime, container, programs, processes = rows[inode_of(pair.right)]
    assert (own, names, runtime, container) == (False, [pair.right.name], "", "")
    assert [sleeper.pid, "sleep"] in programs
    assert processes >= 1


def test_the_helper_tells_their_interfaces_and_stays_where_it_is(pair: Any, helper: Helper) -> None:
    for namespace, expected in ((pair.right, {"lo", "b0"}), (pair.left, {"lo", "a0"})):
        request = {"name": namespace.name, "pid": 0, "inode": inode_of(namespace)}
        _, descriptors = helper.call_fd("interfaces", **request)
        with socket.socket(fileno=descriptors[0]) as asking:
            found = {link.name: link for link in links(asking)}
        assert set(found) == expected
        assert found["lo"].addresses == ("127.0.0.1", "::1")
    _, descriptors = helper.call_fd("interfaces", name="", pid=0, inode=0)
    with socket.socket(fileno=descriptors[0]) as asking:
        assert {link.name for link in links(asking)} == {name for _, name in socket.if_nameindex()}


def test_the_helper_makes_sockets_of_another_namespace(
    pair: Any, helper: Helper, sleeper: subprocess.Popen[bytes]
) -> None:
    _, descriptors = helper.call_fd("sockets", name="", pid=sleeper.pid, inode=inode_of(pair.right))
    made = Sockets.of(descriptors)
    try:
        assert {link.name for link in links(made.route)} == {"lo", "b0"}
    finally:
        made.close()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"name": "../../etc/passwd"}, "no name of a namespace"),
        ({"name": ".."}, "no name of a namespace"),
        ({"name": "netwatch-nowhere"}, "the namespace is gone"),
        ({"pid": 4194304}, "the namespace is gone"),
        ({"inode": 1}, "another one has its place"),
    ],
)
def test_the_helper_refuses(helper: Helper, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(HelperError, match=words):
        helper.call_fd("sockets", **{"name": "", "pid": 0, "inode": 0, **request_})
    assert helper.call("namespaces")["rows"]
