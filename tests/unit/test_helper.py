"""The helper: what it keeps of its rights, and that nothing it is sent makes it do anything else."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netwatch.capture.guard.identity import Identity
from netwatch.capture.helper import protocol
from netwatch.capture.helper.client import Helper, HelperError, Place, Start
from netwatch.capture.helper.protocol import VERBS

NOBODY = Identity(65534, 65534, "nobody") if os.getuid() == 0 else None
HEAD = struct.Struct("!BI")
FILES = ("open", "rename", "unlink")


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    started = Helper.start(Start(FILES, NOBODY, {"save": Place(str(tmp_path))}))
    yield started
    started.close()


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    """One for many messages."""
    started = Helper.start(Start(FILES, NOBODY, {"save": Place(str(tmp_path_factory.mktemp("save")))}))
    started.settle()
    yield started
    started.close()


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def gone(pid: int) -> bool:
    """It ended, whether or not somebody took note."""
    for _ in range(200):
        with contextlib.suppress(FileNotFoundError):
            if status(pid)["State"].startswith("Z"):
                return True
            time.sleep(0.02)
            continue
        return True
    return False


def asked(channel: socket.socket, data: bytes) -> tuple[int, dict[str, Any], list[int]] | None:
    """What it answers; every message has an answer, and soon."""
    channel.settimeout(10)
    channel.send(data)
    return protocol.receive(channel)


def message(number: int, body: object) -> bytes:
    data = json.dumps(body).encode()
    return HEAD.pack(number, len(data)) + data


def test_what_it_keeps(helper: Helper, tmp_path: Path) -> None:
    helper.settle()
    found = status(helper.pid)
    assert int(found["CapEff"], 16) == int(found["CapBnd"] if NOBODY else "0", 16) == 0
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
    assert int(found["CapPrm"], 16) == (1 << protocol.CAP_DAC_OVERRIDE if NOBODY else 0)
    assert (found["NoNewPrivs"], found["Threads"]) == ("1", "1")
    if NOBODY:
        assert (found["Uid"].split(), found["Gid"].split(), found["Groups"]) == (["65534"] * 4, ["65534"] * 4, "")
    assert os.getsid(helper.pid) == helper.pid != os.getsid(0)
    if NOBODY:  # nobody else may look
        assert Path(f"/proc/{helper.pid}/environ").read_bytes() == b"PATH=/usr/sbin:/usr/bin:/sbin:/bin\0"
        opened = {os.readlink(entry) for entry in Path(f"/proc/{helper.pid}/fd").iterdir()}
        assert {each for each in opened if not each.startswith("socket:")} == {os.devnull, str(tmp_path)}
        assert len([each for each in opened if each.startswith("socket:")]) == 1


def test_ctrl_z_while_it_is_started_stops_neither(helper: Helper) -> None:
    """The child has it blocked before it has a session of its own; who started it takes it again."""
    blocked, bit = int(status(helper.pid)["SigBlk"], 16), 1 << signal.SIGTSTP - 1
    assert blocked & bit
    assert not int(status(os.getpid())["SigBlk"], 16) & bit


def test_verbs_that_were_not_asked_for_have_no_rights_and_are_not_there(patient: Helper) -> None:
    with pytest.raises(HelperError, match="not asked of the helper"):
        patient.call("owners", first=0)
    assert patient.alive


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_is_there_and_its_type_its_own(verb: str) -> None:
    known = VERBS[verb]
    assert [each.number for each in VERBS.values()].count(known.number) == 1
    assert 1 < known.number < 256
    module, _, function = known.function.partition(":")
    source = (Path(protocol.__file__).parent / f"{module}.py").read_text()
    assert f"\ndef {function}(" in source


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["save", "a", "../a", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = ("directory", "name", "over", "to", "first")
BODIES = VALUES | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
NUMBERS = st.sampled_from([protocol.FAILED, protocol.START, *(verb.number for verb in VERBS.values())])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(min_size=1, max_size=300)
    | st.builds(
        lambda number, size, rest: HEAD.pack(number, size) + rest, NUMBERS, st.integers(0, 1 << 20), st.binary()
    )
    | st.builds(message, NUMBERS | st.integers(0, 255), BODIES)
)
def test_any_message_gets_an_answer(patient: Helper, data: bytes) -> None:
    answer = asked(patient._socket, data)
    assert answer is not None
    number, body, descriptors = answer
    protocol.close_all(descriptors)
    shapes = [protocol.FAILURE, *({} if number == VERBS[verb].number else protocol.FAILURE for verb in FILES)]
    assert any(protocol.fits(body, shape) for shape in shapes)
    assert "fault in the helper" not in body.get("words", "")


@pytest.mark.parametrize(
    "data",
    [
        bytes(HEAD.size + protocol.LARGEST + 1),
        HEAD.pack(16, protocol.LARGEST) + b"[" * protocol.LARGEST,
        HEAD.pack(16, protocol.LARGEST) + b"9" * protocol.LARGEST,
        HEAD.pack(16, 9) + b'{"a":NaN}',
        HEAD.pack(16, 0),
        b"\x10",
        message(16, {"directory": "save", "name": "a", "over": "", "more": 1}),
        message(16, {"directory": "save", "name": True, "over": ""}),
    ],
    ids=["too long", "deep", "long number", "NaN", "nothing", "half a head", "a key too many", "another type"],
)
def test_what_is_no_request_is_refused(patient: Helper, data: bytes) -> None:
    for _ in range(2):
        answer = asked(patient._socket, data)
        assert answer is not None
        assert (answer[0], set(answer[1])) == (protocol.FAILED, {"words", "errno"})


@pytest.mark.skipif(NOBODY is None, reason="only root may look")
def test_descriptors_that_nobody_asked_for_are_closed(patient: Helper) -> None:
    def opened() -> int:
        return len(os.listdir(f"/proc/{patient.pid}/fd"))

    before = opened()
    for count in (1, protocol.MOST_DESCRIPTORS, protocol.MOST_DESCRIPTORS + 10):
        socket.send_fds(patient._socket, [b"what is this"], [0] * count)
        answer = protocol.receive(patient._socket)
        assert answer is not None
        assert answer[0] == protocol.FAILED
    assert opened() == before


@pytest.mark.parametrize(
    "first",
    [
        b"garbage",
        message(16, {"directory": "save", "name": "a", "over": ""}),
        message(protocol.START, {"user": [0, 0], "verbs": [], "directories": []}),
        message(protocol.START, {"user": [1000, -1], "verbs": [], "directories": []}),
        message(protocol.START, {"user": [], "verbs": ["exec"], "directories": []}),
        message(protocol.START, {"user": [], "verbs": [], "directories": [["save", "", ""]]}),
        message(protocol.START, {"user": [], "verbs": [[]], "directories": []}),
    ],
)
def test_it_does_not_start_otherwise(first: bytes) -> None:
    with running() as (channel, process):
        answer = asked(channel, first)
        assert answer is not None
        assert answer[0] == protocol.FAILED
        assert process.wait(10) == 0


@contextlib.contextmanager
def running(program: str = "") -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """The program itself, after some lines of the test's."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    start = (
        f"import sys; sys.path += sys.argv[1:]\n{program}\nfrom netwatch.capture.helper.server import main; main()"
    )
    root = str(Path(protocol.__file__).parents[3])
    command = [sys.executable, "-I", "-S", "-c", start, root]
    with mine, subprocess.Popen(command, stdin=theirs.fileno(), stderr=subprocess.PIPE, env={}) as process:
        theirs.close()
        yield mine, process
        mine.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


ODD = """
import time, types
from netwatch.capture.helper import protocol
module = sys.modules["netwatch.capture.helper.odd"] = types.ModuleType("odd")
def odd(served, request):
    what = request["what"]
    if what == "late":
        while True:
            try:
                time.sleep(1)
            except Exception:
                pass
    if what == "fault":
        raise ZeroDivisionError("something secret")
    if what == "misshapen":
        return {"words": 1}, []
    if what == "descriptors":
        return {"words": ""}, [sys.stdin.fileno()]
    return {"words": "x" * (70_000 if what == "large" else 3)}, []
module.odd = odd
protocol.VERBS["odd"] = protocol.Verb(99, "odd:odd", {"what": str}, {"words": str}, seconds=0.2)
"""


def test_a_verb_that_goes_wrong_ends_nothing() -> None:
    with running(ODD) as (channel, _):
        begun = asked(channel, message(protocol.START, {"user": [], "verbs": ["odd"], "directories": []}))
        assert begun == (protocol.START, {}, [])
        for what, words in (
            ("late", "it took too long"),
            ("fault", "a fault in the helper (ZeroDivisionError)"),
            ("misshapen", "the answer has another shape than was agreed"),
            ("large", "70,012 bytes are more than a message holds"),
        ):
            assert asked(channel, message(99, {"what": what})) == (protocol.FAILED, {"words": words, "errno": 0}, [])
            assert asked(channel, message(99, {"what": "good"})) == (99, {"words": "xxx"}, [])


def test_it_ends_with_netwatch() -> None:
    program = (
        "import sys, time; from netwatch.capture.helper.client import *\n"
        "helper = Helper.start(Start(('open',))); helper.settle(); print(helper.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert not status(pid)["State"].startswith("Z")
        process.send_signal(signal.SIGKILL)
    assert gone(pid)


KILLED = """
import os, sys, time, tty
from netwatch.capture.helper import client
from netwatch.capture.helper.protocol import VERBS, Verb
ODD = "; ".join((
    "import time, types",
    "from netwatch.capture.helper import owners, protocol",
    "owners.owners = lambda *_: time.sleep(60)",
    "protocol.VERBS['owners'] = protocol.Verb(32, 'owners:owners', {'first': int}, {}, seconds=60)",
))
client._PROGRAM = client._PROGRAM.replace("from", ODD + "; from")
helper, terminal = client.Helper.start(client.Start(("owners",))), int(sys.argv[1])
helper.settle()
helper.lend(terminal)
tty.setraw(terminal)
if "busy" in sys.argv:
    helper.ask("owners", print, first=0)
    time.sleep(0.3)
if "given back" in sys.argv:
    helper.lend(None)
print(helper.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("busy", [(), ("busy",)], ids=["idle", "busy"])
@pytest.mark.parametrize("way", ["held", "given back", "shell", "hung up"])
def test_a_terminal_is_given_back_for_who_is_killed(way: str, busy: tuple[str, ...]) -> None:
    screen, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    command = [sys.executable, "-c", KILLED, str(terminal), way, *busy]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[terminal]) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        during = termios.tcgetattr(terminal)
        if way == "shell":  # which edits its line
            during[3] |= termios.ISIG
            termios.tcsetattr(terminal, termios.TCSANOW, during)
        if way == "hung up":
            os.close(screen)
        process.kill()
        process.wait(10)
        assert gone(pid)
    if way != "hung up":
        said = os.read(screen, 4096) if select.select([screen], [], [], 0)[0] else b""
        assert termios.tcgetattr(terminal) == (before if way == "held" else during)
        assert (b"\x1b[?1049l" in said, b"\x1b[?25h" in said) == (way != "given back",) * 2
        os.close(screen)
    os.close(terminal)


def test_once_it_is_gone_that_is_said(helper: Helper) -> None:
    helper.settle()
    before: bool = helper.alive
    assert before
    os.kill(helper.pid, signal.SIGKILL)
    assert gone(helper.pid)
    still: bool = helper.alive
    assert not still
    for _ in range(2):
        with pytest.raises(HelperError, match="the helper process is gone: it ended"):
            helper.call("unlink", directory="save", name="a")
    answers: list[Any] = []
    assert helper.ask("unlink", answers.append, directory="save", name="a")
    wait_for(lambda: bool(answers))
    assert isinstance(answers[0], HelperError)


def wait_for(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


class Odd:
    """A helper that answers as the test says."""

    def __init__(self, helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
        helper.settle()
        mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monkeypatch.setattr(helper, "_socket", mine)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"garbage!", "gone: a message whose length is wrong"),
        (message(17, {}), "the helper's answer to unlink cannot be read"),
        (message(18, {"more": 1}), "the helper's answer to unlink cannot be read"),
        (message(protocol.FAILED, {"words": 1, "errno": 0}), "cannot be read"),
        (message(protocol.FAILED, {"words": "no\x1b", "errno": 1}), "no"),
        (b"", "gone: it ended"),
    ],
)
def test_who_asks_believes_nothing_else(
    helper: Helper, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    odd = Odd(helper, monkeypatch)
    if answer:
        odd.theirs.send(answer)
    else:
        odd.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(HelperError, match=words):
        helper.call("unlink", directory="save", name="a")
    odd.theirs.close()


def test_the_same_is_not_asked_twice_at_once(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Odd(helper, monkeypatch)
    answers: list[Any] = []
    assert helper.ask("unlink", answers.append, directory="save", name="a")
    assert not helper.ask("unlink", answers.append, directory="save", name="a")
    odd.theirs.send(message(18, {}))
    wait_for(lambda: bool(answers))
    assert answers == [{}]
    odd.theirs.close()
