"""The whole program in a terminal of its own: what really reaches it, and how it is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

_PATIENCE = 20.0
_NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")


class Terminal:
    """A child with a pseudo-terminal; keeps every byte that the child writes."""

    program: tuple[str, ...] = _NETWATCH

    def __init__(self, arguments: Sequence[str], *, size: tuple[int, int] = (80, 24), **environment: str) -> None:
        self.output = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment)
            command = [*self.program, *arguments]
            os.execvp(command[0], command)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read_until(self, wanted: bytes) -> None:
        """Read until `wanted` was written."""
        deadline = time.monotonic() + _PATIENCE
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-2000:]
            if select.select([self._fd], [], [], 0.1)[0]:
                self.output += os.read(self._fd, 65536)

    def look(self, seconds: float) -> None:
        """Read what is written in that time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                self.output += os.read(self._fd, 65536)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def modes(self) -> list[object]:
        """What termios says of the terminal."""
        return termios.tcgetattr(self._fd)

    def end(self) -> int:
        """Read to the end -> exit code."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                if select.select([self._fd], [], [], 0.1)[0]:
                    self.output += os.read(self._fd, 65536)
            except OSError:
                break
        self.modes_at_end = self.modes()
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


class Shell(Terminal):
    """bash with job control, which runs netwatch as a user does."""

    program = ("bash", "--norc", "--noprofile", "--noediting", "-i")

    def __init__(self, *, term: str = "xterm-256color") -> None:
        super().__init__([], PS1="ready> ", HISTFILE="", TERM=term)
        self.read_until(b"ready> ")

    def type(self, line: str, wanted: bytes) -> None:
        """Type a line; what comes after it is read until `wanted` was written."""
        self.output = b""
        self.press(line + "\n")
        self.read_until(wanted)

    def ask(self, line: str) -> str:
        """Run a command that prints one line; its echo works, or there would be no line feed before the answer."""
        self.type(f"{line}; echo end=$?", b"end=0\r\nready> ")
        return self.output.decode().split("\r\n")[1]

    def state(self, pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    def stop(self) -> None:
        """ctrl+z in the dashboard, up to the shell's prompt."""
        self.output = b""
        self.press("\x1a")
        self.read_until(b"Stopped")
        self.read_until(b"ready> ")
        for left in (b"\x1b[?1049l", b"\x1b[?1003l", b"\x1b[?25h"):
            assert left in self.output
        assert b"\x1b[?1049h" not in self.output


@pytest.fixture
def capture(tmp_path: Path, hostile_packets: list[bytes]) -> str:
    """A file of hostile packets."""
    path = tmp_path / "hostile.pcap"
    records = [struct.pack("<4I", 1, n, len(data), len(data)) + data for n, data in enumerate(hostile_packets)]
    path.write_bytes(struct.pack("<I2HiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records))
    return str(path)


def test_nothing_of_a_packet_reaches_the_terminal_unescaped(capture: str) -> None:
    terminal = Terminal(["-r", capture], size=(200, 60))
    terminal.read_until(b"ENDED")
    terminal.read_until(b"owned")
    terminal.press("\r")
    time.sleep(0.5)
    terminal.press("\x1b")
    time.sleep(0.5)
    terminal.press("q")
    assert terminal.end() == 0
    # Textual's own: colours, modes, and the shape of the mouse pointer (OSC 22).
    rest = re.sub(rb"\x1b(\[[0-9;?<>=]*[a-zA-Z$]p?|[=>]|\]22;[a-z-]*\x07)", b"", terminal.output)
    assert b"\x1b" not in rest
    assert not set(rest) & (set(range(0x20)) - set(b"\r\n"))
    assert b"\x7f" not in rest
    text = rest.decode("utf-8", "strict")
    assert [char for char in text if not char.isprintable() and char not in "\r\n"] == []
    assert b"\x1b[?1049l" in terminal.output[-300:]


def test_a_damaged_file_is_told_as_without_a_screen(capture: str) -> None:
    """Its line has the offset in plain digits."""
    size = os.path.getsize(capture)
    with open(capture, "ab") as file:
        file.write(struct.pack("<4I", 1, 0, 1 << 31, 1 << 31))
    assert size > 1000
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"DAMAGED")
    terminal.press("q")
    assert terminal.end() == 3
    told = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :]
    assert f"netwatch: hostile.pcap: damaged at byte {size}: a packet of 2,147,483,648 bytes".encode() in told


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_report_that_fails_takes_no_other_word_along(capture: str) -> None:
    with open(capture, "ab") as file:
        file.write(struct.pack("<4I", 1, 0, 1 << 31, 1 << 31))
    terminal = Terminal(["-r", capture, "--report", "/dev/full"])
    terminal.read_until(b"DAMAGED")
    terminal.press("q")
    assert terminal.end() == 3
    told = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :]
    assert b"netwatch: hostile.pcap: damaged at byte" in told
    assert b"netwatch: cannot write /dev/full: No space left on device\r\n" in told
    assert b"Traceback" not in told


def test_the_duration_ends_the_program_also_after_the_last_packet(capture: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    terminal = Terminal(["-r", capture, "--duration", "1", "--report", str(report)])
    terminal.read_until(b"ENDED")
    assert terminal.end() == 0
    assert json.loads(report.read_text())["packets"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(capture: str, number: signal.Signals) -> None:
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"ENDED")
    os.kill(terminal.pid, number)
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.output[-300:]


def test_stopped_from_outside_it_goes_on_and_ends_as_always(capture: str) -> None:
    terminal = Terminal(["-r", capture])
    before = terminal.modes()
    terminal.read_until(b"ENDED")
    tasks = Path(f"/proc/{terminal.pid}/task")
    threads = len(list(tasks.iterdir()))
    terminal.output = b""
    os.kill(terminal.pid, signal.SIGSTOP)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.read_until(b"\x1b[?1049h")
    terminal.read_until(b"ENDED")
    assert len(list(tasks.iterdir())) == threads
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.modes_at_end == before


@pytest.mark.parametrize("term", ["xterm-256color", "xterm"])
def test_ctrl_z_gives_the_shell_its_terminal_and_fg_the_screen(capture: str, term: str) -> None:
    shell = Shell(term=term)
    modes = shell.ask("stty -g")
    shell.type(shlex.join([*_NETWATCH, "-r", capture]), b"ENDED")
    threads = 0
    for number in range(4):
        if number == 2:
            shell.press("/")  # a prompt takes no part in it
        shell.stop()
        pid = int(shell.ask("jobs -p"))
        assert shell.state(pid) == "T"
        assert shell.ask("stty -g") == modes
        if number == 3:
            # In the background it has no terminal, and stops again until it has one.
            shell.type("bg", b"ready> ")
            shell.type("sleep 0.5; jobs", b"Stopped")
            assert b"\x1b[?1049h" not in shell.output
            assert shell.state(pid) == "T"
        shell.type("fg", b"\x1b[?1049h")
        shell.read_until(b"ENDED")
        shell.read_until(b"Packets")
        threads = threads or len(list(Path(f"/proc/{pid}/task").iterdir()))
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == threads
    shell.press("\x1b")
    time.sleep(0.5)
    shell.output = b""
    shell.press("q")
    shell.read_until(b"ready> ")
    assert shell.ask("echo code=$?") == "code=0"
    assert shell.ask("stty -g") == modes
    shell.press("exit\n")
    assert shell.end() == 0


def test_one_in_the_background_leaves_the_terminal_to_the_one_that_is_shown(capture: str) -> None:
    """Also where it is killed: the terminal was never its own to give back."""
    command = shlex.join([*_NETWATCH, "-r", capture, "--no-tshark"])
    shell = Shell()
    modes = shell.ask("stty -g")
    for end in ("kill", "fg"):
        shell.type(f"{command} &", b"ready> ")
        pid = int(shell.ask("jobs -p"))
        deadline = time.monotonic() + _PATIENCE
        while shell.state(pid) != "T":
            assert time.monotonic() < deadline
            shell.look(0.1)
        shell.type(command, b"ENDED")
        shell.look(0.5)
        shell.output = b""
        if end == "kill":
            os.kill(pid, signal.SIGKILL)
            shell.look(0.5)
            assert b"\x1b[?1049l" not in shell.output
        shell.press("?")
        shell.read_until(b"A replay")
        shell.press("\x1b")
        shell.look(0.5)
        shell.press("q")
        shell.read_until(b"ready> ")
        if end == "fg":
            shell.type("fg", b"ENDED")
            shell.look(0.5)
            shell.output = b""
            shell.press("q")
            shell.read_until(b"ready> ")
        assert shell.ask("stty -g") == modes
    shell.press("exit\n")
    assert shell.end() == 0


@pytest.mark.parametrize("place", ["LinuxDriver.__init__", "WriterThread.start"])
def test_ctrl_z_while_the_screen_is_being_taken(place: str, capture: str, tmp_path: Path) -> None:
    program = tmp_path / "early.py"
    program.write_text(
        "import os, signal\n"
        "from textual.drivers.linux_driver import LinuxDriver, WriterThread\n"
        "from netwatch.app.main import main\n"
        f"really, pressed = {place}, []\n"
        "def early(self, *what, **how):\n"
        "    really(self, *what, **how)\n"
        "    if not pressed:\n"
        "        pressed.append(1)\n"
        "        os.kill(os.getpid(), signal.SIGTSTP)\n"
        f"{place} = early\n"
        "raise SystemExit(main())\n"
    )
    shell = Shell()
    shell.type(shlex.join([sys.executable, str(program), "-r", capture, "--no-tshark"]), b"Stopped")
    shell.read_until(b"ready> ")
    assert shell.ask("stty -a | grep -c ' icanon '") == "1"
    shell.type("fg", b"ENDED")
    shell.look(0.5)
    shell.press("?")
    shell.read_until(b"A replay")
    shell.press("\x1b")
    shell.look(0.5)
    shell.stop()
    shell.type("fg", b"\x1b[?1049h")
    shell.look(0.5)
    shell.press("q")
    shell.read_until(b"ready> ")
    assert shell.output.count(b"\x1b[?1049l") == 1
    shell.press("exit\n")
    assert shell.end() == 0


def test_ctrl_z_stops_all_of_a_pipeline(capture: str) -> None:
    shell = Shell()
    # Who was root becomes nobody, and can stop what is nobody's, as who used sudo can stop what is his.
    same = "setpriv --reuid=65534 --regid=65534 --clear-groups " if os.geteuid() == 0 else ""
    shell.type(f"{same}sh -c 'cat; exec sleep 60' <{capture} | {shlex.join(_NETWATCH)} -r -", b"LIVE")
    shell.stop()
    shell.type("fg", b"\x1b[?1049h")
    shell.read_until(b"LIVE")
    shell.press("q")
    shell.read_until(b"\x1b[?1049l")
    while b"ready> " not in shell.output:  # the terminal may still be netwatch's, to which this is a key
        shell.press("\x03")
        shell.look(0.5)
    shell.press("exit\n")
    shell.end()


def test_where_no_shell_could_go_on_with_it_ctrl_z_stops_nothing(capture: str) -> None:
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"ENDED")
    for _ in range(2):
        terminal.output = b""
        terminal.press("\x1a")
        terminal.read_until(b"\x1b[?1049h")
        terminal.read_until(b"ENDED")
    terminal.press("q")
    assert terminal.end() == 0


def test_without_colour_nothing_is_coloured(capture: str) -> None:
    terminal = Terminal(["-r", capture], NO_COLOR="1")
    terminal.read_until(b"ENDED")
    terminal.press("t")
    terminal.read_until(b"[t]TCP")
    terminal.press("q")
    assert terminal.end() == 0
    used = {
        int(code) for found in re.findall(rb"\x1b\[([0-9;]*)m", terminal.output) for code in found.split(b";") if code
    }
    assert used <= {0, 1, 2, 3, 4, 7, 22, 23, 24, 27, 39, 49}


def test_sixteen_colours_are_the_terminal_s_own(capture: str) -> None:
    terminal = Terminal(["-r", capture], TERM="xterm", COLORTERM="")
    terminal.read_until(b"ENDED")
    terminal.press("q")
    assert terminal.end() == 0
    assert b"38;2;" not in terminal.output
    assert b"38;5;" not in terminal.output


def test_the_report_counts_what_the_screen_cost(capture: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    terminal = Terminal(["-r", capture, "--report", str(report)])
    terminal.read_until(b"ENDED")
    time.sleep(0.5)
    terminal.press("q")
    assert terminal.end() == 0
    found = json.loads(report.read_text())
    assert found["packets"] == 28
    assert found["frames"] > 0
    assert found["terminal_bytes"] == len(terminal.output)
    assert found["cpu_seconds"] > 0
    assert found["rss_anon_peak"] > 0
    assert found["longest_ui_stall_ms"] >= 0


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "iso-8859-1"])
def test_a_terminal_without_utf8_gets_ascii(capture: str, encoding: str) -> None:
    terminal = Terminal(["-r", capture], LC_ALL="de_DE.ISO-8859-1", PYTHONIOENCODING=encoding)
    terminal.read_until(b"ENDED")
    terminal.press("q")
    assert terminal.end() == 0
    assert b"+- Packets" in re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.output)


def test_what_is_typed_in_one_write_stays_in_order(capture: str, tmp_path: Path) -> None:
    terminal = Terminal(["-r", capture, "--save-dir", str(tmp_path)])
    terminal.read_until(b"ENDED")
    terminal.press("e\x15a.pcapnh\x7fg\r")
    terminal.read_until(b"saved 28 packets")
    terminal.press("q")
    assert terminal.end() == 0
    assert (tmp_path / "a.pcapng").stat().st_size > 1000


def test_ctrl_l_paints_all_anew(capture: str) -> None:
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"ENDED")
    terminal.look(0.5)
    terminal.output = b""
    terminal.press("\x0c")
    terminal.read_until(b"ENDED")
    terminal.look(0.5)  # the end leaves out what is not written yet, also in the middle of a character
    terminal.press("q")
    assert terminal.end() == 0
    assert "─ Packets" in re.sub(r"\x1b\[[0-9;]*m", "", terminal.output.decode())


class Waiting(Terminal):
    """netwatch where the terminal cannot be opened once more: a write waits until all of it was taken."""

    program = (
        *_NETWATCH[:2],
        "import netwatch.app.terminal as t; t._without_waiting = lambda _: None; t._PIECE = 1 << 20;" + _NETWATCH[2],
    )


@pytest.mark.parametrize("kind", [Terminal, Waiting])
def test_a_terminal_that_takes_nothing_holds_up_no_key(kind: type[Terminal], capture: str, tmp_path: Path) -> None:
    """Many more keys than Textual's queue to its writing thread has places, and nobody reads what they change."""
    # numpy is imported before the program sees to it that this starts no thread.
    environment = {"OPENBLAS_NUM_THREADS": "1"}
    terminal = kind(["-r", capture, "--save-dir", str(tmp_path)], size=(160, 50), **environment)
    terminal.read_until(b"ENDED")
    for _ in range(200):
        terminal.press("t")
        time.sleep(0.02)  # each is a repaint of its own
    terminal.press("e\x15a.pcapng\r")
    deadline = time.monotonic() + _PATIENCE
    while not (tmp_path / "a.pcapng").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    terminal.press("q")
    assert terminal.end() == 0


def test_it_ends_where_the_terminal_takes_nothing(capture: str, tmp_path: Path) -> None:
    """As over SSH when the network is gone: who kills it has another terminal, and wants the report."""
    report = tmp_path / "report.json"
    terminal = Terminal(["-r", capture, "--report", str(report)], size=(160, 50))
    terminal.read_until(b"ENDED")
    for _ in range(60):
        terminal.press("\x0c")
        time.sleep(0.02)
    os.kill(terminal.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while not report.exists() or not report.stat().st_size:
        if time.monotonic() > deadline:
            os.kill(terminal.pid, signal.SIGKILL)
            raise AssertionError
        time.sleep(0.05)
    assert terminal.end() == 0


def takes_keys_and_ends(terminal: Terminal, keys: str = "?") -> None:
    """The keyboard still opens the help, and a signal the way out."""
    terminal.output = b""
    terminal.press(keys)
    terminal.read_until(b"A replay")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == 0


def test_keys_that_there_are_not_leave_the_keyboard_alone(capture: str) -> None:
    """A code point that is none, and forms of kitty's protocol that were not asked for."""
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"ENDED")
    for key in ("\x1b[1114112u", "\x1b[99999999999u", "\x1b[97:65;1u", "\x1b[97;1:3u", "\x1b[1:D"):
        terminal.press(key)
        terminal.look(0.2)
    takes_keys_and_ends(terminal)


@pytest.mark.parametrize("prompt", ["", "/", ":", "e", "\r", "?"])
def test_what_is_pasted_is_no_key_and_reaches_no_terminal(prompt: str, capture: str, tmp_path: Path) -> None:
    """Escapes of all kinds, q and ctrl+c among them, C1 controls, bytes that are no UTF-8."""
    terminal = Terminal(["-r", capture, "--save-dir", str(tmp_path)])
    terminal.read_until(b"ENDED")
    terminal.press(prompt)
    terminal.look(0.5)
    terminal.output = b""
    odd = (
        b"q\x1bq\x03\x1a\x1b]52;c;AAAA\x07\x1b]0;owned\x07\x1b[31m\x9b31m\xc2\x9b31m\xff\xfe\x1b\x1b[5;5R\x1b[3~" * 8
    )
    os.write(terminal._fd, b"\x1b[200~" + odd + b"\x1b[201~")
    terminal.look(0.7)
    rest = re.sub(rb"\x1b\[[0-9;?]*[mHCGnhl]", b"", terminal.output)
    assert b"\x1b" not in rest
    assert not set(rest) & (set(range(0x20)) - set(b"\r\n"))
    assert [char for char in rest.decode() if not char.isprintable() and char not in "\r\n"] == []
    assert list(tmp_path.glob("*.pcapng")) == []
    terminal.press("\x1b")
    terminal.look(0.3)
    takes_keys_and_ends(terminal, "\x1b?" if prompt != "?" else "?")


def test_a_long_paste_with_escapes_is_one_paste(capture: str) -> None:
    """As keys, each of its characters would be one: that took minutes."""
    terminal = Terminal(["-r", capture])
    terminal.read_until(b"ENDED")
    terminal.press("/")
    terminal.look(0.5)
    for piece in ("\x1b[200~", *["x\x1by" * 1000] * 100, "\x1b[201~"):
        terminal.press(piece)
        terminal.look(0.001)
    terminal.press("\x1b")
    terminal.look(0.3)
    takes_keys_and_ends(terminal)
