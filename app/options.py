"""The command line: arguments -> Options, or one line that says what is wrong with them.

Imports nothing heavy: help, version and mistakes must be answered at once, and the dashboard's modules are chosen by
what is found here.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from netwatch.capture.errors import EXIT_USAGE, CaptureError

if TYPE_CHECKING:
    from netwatch.capture.kernel.namespaces import Place
    from netwatch.capture.rotation import Rotation

__all__ = ["DEFAULT_BUFFER", "DEFAULT_RING", "MAX_SNAPLEN", "Options", "help_text", "parse"]

MAX_SNAPLEN: Final = 262_144
"""tcpdump's: no packet is longer."""
DEFAULT_BUFFER: Final = 256 << 20
DEFAULT_RING: Final = 64 << 20

_SIZE: Final = re.compile(r"([0-9]{1,15})([KMG]?)", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SPEED: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})x", re.IGNORECASE)
_RANGE: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_LARGEST_SIZE: Final = 1 << 40
_MAX_FPS: Final = 60
_LEAST_RATE: Final = 1 << 10
_LATER: Final = ("lab",)
"""Sub-commands whose names are taken but that do not exist yet."""

_DESCRIPTION: Final = (
    "A live packet dashboard for the terminal. Without -r it captures, which needs root or CAP_NET_RAW."
)
_EPILOG: Final = """\
examples:
  sudo netwatch                       the interface of the default route
  sudo netwatch -i eth0 port 443      only what the capture filter lets through
  netwatch -r trace.pcapng            a capture file (pcap, pcapng, snoop, ERF; also gz, xz, bz2, zst)
  ssh host tcpdump -U -w - | netwatch -r -
  netwatch -r trace.pcap --replay 10x  the same packets at ten times their own pace
  netwatch -r trace.pcap --summary --json
  netwatch -r trace.pcap --detail 12  everything in packet 12
  netwatch demo                       recorded traffic, played as if live; needs no root
  netwatch doctor                     what works on this machine, and what mends the rest

exit codes: 0 done, 2 usage, 3 damaged capture or none, 70 mistake of netwatch's own,
  74 output failed, 77 no permission
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be done."""

    help: bool = False
    version: bool = False
    demo: bool = False
    doctor: bool = False
    """Look at what works on this machine."""
    interfaces: tuple[str, ...] = ()
    """Empty: the one of the default route."""
    netns: str | None = None
    """The network namespace that they are of: a name, a process, a path; None: the one that this is."""
    place: Place | None = None
    """That namespace, once it was entered."""
    read: str | None = None
    """A capture file, `-` for standard input."""
    replay: float | None = None
    """Play it at this multiple of its own pace, infinity as fast as it goes; None: read it at once."""
    follow: bool = False
    """Go on as the file grows."""
    write: str | None = None
    rotation: Rotation | None = None
    """Go on in another file; None: there is one."""
    capture_filter: str = ""
    count: int | None = None
    duration: float | None = None
    """Seconds."""
    snaplen: int = MAX_SNAPLEN
    promiscuous: bool = True
    names: bool = True
    """Names in place of numbers may be shown."""
    resolve: bool = False
    """Name servers are asked for names of addresses on screen."""
    list_interfaces: bool = False
    summary: bool = False
    json: bool = False
    fields: tuple[str, ...] = ()
    json_packets: bool = False
    detail: tuple[tuple[int, int], ...] = ()
    """Numbers of packets, from and to."""
    hexdump: bool = False
    """Their bytes too."""
    hide_own_session: bool = False
    """Also without a dashboard, and in what is written."""
    plugins: bool = False
    no_tshark: bool = False
    """A person's own dissectors may be loaded."""
    user: str | None = None
    """Whom root becomes; None: who called sudo, else nobody."""
    sandbox: bool = True
    """Landlock and seccomp, besides giving up rights."""
    buffer: int = DEFAULT_BUFFER
    """Bytes of packets that the dashboard keeps."""
    ring: int = DEFAULT_RING
    """Bytes of the kernel's ring."""
    report: str | None = None
    save_dir: str = "."
    """Where `e` saves."""
    fps: int | None = None
    """Repaints a second; None: as the terminal is."""
    link_budget: int | None = None
    """Bytes a second that the screen may cost; None: as the terminal is."""

    @property
    def headless(self) -> bool:
        """Something is to be printed, not shown."""
        return self.summary or self.prints_packets

    @property
    def prints_packets(self) -> bool:
        """Each packet, or some, are to be printed."""
        return bool(self.fields or self.json_packets or self.detail)

    @property
    def live(self) -> bool:
        """Packets come from interfaces."""
        return not self.demo and self.read is None


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line (without the program's name). Raises CaptureError 2 for a mistake."""
    before, words_after = _split(arguments)
    found = _parser().parse_intermixed_args(before)
    if found.help or found.version:
        return Options(help=found.help, version=found.version)
    words: list[str] = found.words
    demo = False
    if words[:1] == ["doctor"]:
        if len(given := [*before, *words_after]) > 1:
            others = " ".join(word for word in given if word != "doctor")
            raise CaptureError(f"doctor looks at this machine and takes nothing else: leave out {others}", EXIT_USAGE)
        return Options(doctor=True)
    if words and words[0] in ("demo", *_LATER):
        if words[0] in _LATER:
            raise CaptureError(
                f"{words[0]} is not available yet; a capture filter of that name goes behind --", EXIT_USAGE
            )
        demo = True
        words = words[1:]
    capture_filter = " ".join([*words, *words_after])
    if found.filter is not None:
        if capture_filter:
            raise CaptureError("give the capture filter once: with -f, or as the last words", EXIT_USAGE)
        capture_filter = found.filter
    options = Options(
        demo=demo,
        interfaces=tuple(dict.fromkeys(found.interface)),
        netns=found.netns,
        read=found.read,
        replay=found.replay,
        follow=found.follow,
        write=found.write,
        rotation=_rotation(found.rotation),
        capture_filter=capture_filter.strip(),
        count=found.count,
        duration=found.duration,
        snaplen=found.snaplen or MAX_SNAPLEN,
        promiscuous=found.promiscuous,
        names=found.names,
        resolve=found.resolve,
        list_interfaces=found.list_interfaces,
        summary=found.summary or found.json,
        json=found.json,
        fields=found.fields,
        json_packets=found.json_packets,
        detail=found.detail,
        hexdump=found.hexdump,
        hide_own_session=found.hide_own_session,
        plugins=found.plugins,
        no_tshark=found.no_tshark,
        user=found.user,
        sandbox=found.sandbox,
        buffer=found.buffer,
        ring=found.ring,
        report=found.report,
        save_dir=found.save_dir,
        fps=found.fps,
        link_budget=found.link_budget,
    )
    _check(options)
    return options


def help_text() -> str:
    """What --help prints."""
    return _parser(width=None).format_help()


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before and behind the first `--`."""
    given = list(arguments)
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


def _check(options: Options) -> None:
    """Combinations that mean nothing."""
    sources = [
        name
        for name, given in (
            ("demo", options.demo),
            ("-r", options.read is not None),
            ("-i", bool(options.interfaces)),
        )
        if given
    ]
    if len(sources) > 1:
        raise CaptureError(f"{' and '.join(sources)} are different sources of packets; give one", EXIT_USAGE)
    if options.netns is not None and not options.live:
        raise CaptureError("--netns is for what is captured: packets of a file come from nowhere else", EXIT_USAGE)
    if options.replay is not None and (options.read is None or options.read == "-"):
        what = "plays a capture file: name it with -r" if options.read is None else "needs a file: -r - is a stream"
        raise CaptureError(f"--replay {what}", EXIT_USAGE)
    if options.follow and (options.read is None or options.read == "-"):
        what = "goes with -r FILE" if options.read is None else "needs a file: -r - is read as it flows anyway"
        raise CaptureError(f"--follow {what}", EXIT_USAGE)
    if options.follow and options.replay is not None:
        raise CaptureError("--follow waits for what is new and --replay plays what is old; give one", EXIT_USAGE)
    outputs = [
        name
        for name, given in (
            ("--fields", bool(options.fields)),
            ("--json-packets", options.json_packets),
            ("--detail", bool(options.detail)),
            ("--json" if options.json else "--summary", options.summary),
        )
        if given
    ]
    if len(outputs) > 1:
        raise CaptureError(f"{' and '.join(outputs[:2])} both print to standard output; give one", EXIT_USAGE)
    if options.detail and options.read is None:
        raise CaptureError("--detail shows packets of a capture file: name it with -r", EXIT_USAGE)
    if options.hide_own_session and not options.live:
        raise CaptureError(
            "--hide-own-session is for what is captured; a file has what it has: try a filter (/)", EXIT_USAGE
        )
    if options.hexdump and not options.detail:
        raise CaptureError("-x adds the bytes to --detail: give that too", EXIT_USAGE)
    if options.resolve and not options.names:
        raise CaptureError("--resolve asks for names, -n wants none; give one", EXIT_USAGE)
    if options.resolve and options.headless:
        raise CaptureError("--resolve names what the dashboard shows: nothing that is printed has names", EXIT_USAGE)
    if options.write == "-" and options.headless:
        raise CaptureError(
            "-w - writes the packets to standard output; nothing else can be printed there", EXIT_USAGE
        )
    if options.report == "-" and (options.headless or options.write == "-"):
        raise CaptureError("--report - prints to standard output, as another option does; name a file", EXIT_USAGE)
    if options.write is not None and options.read is not None and _same_file(options.write, options.read):
        raise CaptureError(f"-w would overwrite {options.read}, which is being read; name another file", EXIT_USAGE)
    if options.rotation is not None and (options.write is None or not _becomes_regular(options.write)):
        raise CaptureError("-b writes several files: give -w the name of a regular file", EXIT_USAGE)
    files = [path for path in (options.write, options.report) if path is not None]
    if options.report is not None and options.read is not None and _same_file(options.report, options.read):
        raise CaptureError(f"--report would overwrite {options.read}, which is being read; name another", EXIT_USAGE)
    if len(files) == 2 and os.path.abspath(files[0]) == os.path.abspath(files[1]):
        raise CaptureError("-w and --report name the same file; they need one each", EXIT_USAGE)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _becomes_regular(path: str) -> bool:
    """Whether `path` names a regular file, or one that could be made."""
    if path == "-" or not os.path.basename(path):
        return False
    return os.path.isfile(path) or not os.path.lexists(path)


def _rotation(criteria: list[str]) -> Rotation | None:
    if not criteria:
        return None
    from netwatch.capture.rotation import read_rotation

    try:
        return read_rotation(criteria)
    except ValueError as error:
        raise CaptureError(str(error), EXIT_USAGE) from None


class _Once(argparse.Action):
    """What names something: given twice, the first would be lost unseen. Settings as -c take the last, as usual."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) != self.default:
            parser.error(f"{option_string} is given twice; give it once")
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """Mistakes in one line, without the usage that argparse prints before it."""

    def error(self, message: str) -> NoReturn:
        raise CaptureError(f"{message} (netwatch --help lists the options)", EXIT_USAGE)


def _parser(width: int | None = 80) -> argparse.ArgumentParser:
    """`width`: columns of the help; None: those of the terminal, to ask for which argparse loads shutil (3 ms)."""
    parser = _Parser(
        prog="netwatch",
        usage="netwatch [options] [demo | doctor] [capture filter …]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width),
        add_help=False,
        # A script that relies on `--sum` would break with the next option.
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("words", nargs="*", metavar="capture filter", help="tcpdump's words, as in: port 443 and not host 10.0.0.1")

    group = parser.add_argument_group("source")
    add = group.add_argument
    add("-i", "--interface", action="append", default=[], metavar="IFACE", help="capture here, or on any; repeatable")
    add("--netns", action=_Once, metavar="NS", help="in another network namespace: a name, a process id, a path")
    add(
        "-r", "--read", action=_Once, metavar="FILE", help="read a capture file; - reads a stream from standard input"
    )
    add("--replay", type=_speed, metavar="SPEED", help="play it at its own pace: 1x, 10x, 0.5x, or max")
    add("--follow", action="store_true", help="go on as the file of -r grows, as tail -f does")
    add("-f", "--filter", action=_Once, metavar="FILTER", help="capture filter, as the last words")
    add("-c", "--count", type=_whole("packets", 1, 1 << 62), metavar="N", help="stop after N packets")
    add("--duration", type=_seconds, metavar="S", help="stop after S seconds")
    add(
        "-s",
        "--snaplen",
        type=_whole("bytes of a packet", 0, MAX_SNAPLEN),
        default=MAX_SNAPLEN,
        metavar="N",
        help="keep N bytes of a packet that is captured; 0: all",
    )
    add("-p", "--no-promiscuous-mode", dest="promiscuous", action="store_false", help="only what is addressed here")
    add("--ring", type=_size, default=DEFAULT_RING, metavar="SIZE", help="the kernel's ring, as 128M (default 64M)")
    add("--hide-own-session", action="store_true", help="leave your own SSH session out of output and files, too")
    add("-D", "--list", "--list-interfaces", dest="list_interfaces", action="store_true", help="list the interfaces")

    group = parser.add_argument_group("output in place of the dashboard")
    add = group.add_argument
    add("--summary", action="store_true", help="protocols and hosts, when all is read")
    add("--json", action="store_true", help="the summary as one JSON object")
    add(
        "--fields",
        action=_Once,
        type=_names,
        default=(),
        metavar="A,B,…",
        help="one line a packet: ip.src,tcp.dstport,…",
    )
    add("--json-packets", action="store_true", help="one JSON object a line and packet: columns, fields, their bytes")
    add("--detail", action=_Once, type=_numbers, default=(), metavar="N,M-K", help="these packets of -r, all fields")
    add("-x", "--hex", dest="hexdump", action="store_true", help="and their bytes")

    group = parser.add_argument_group("more output")
    add = group.add_argument
    add("-w", "--write", action=_Once, metavar="FILE", help="write what is captured, as pcapng; - to standard output")
    add(
        "-b",
        "--ring-buffer",
        dest="rotation",
        action="append",
        default=[],
        metavar="WHEN:NUM",
        help="next file of -w: filesize:kB, duration:S, interval:S, packets:N; files:N keeps the newest; repeatable",
    )
    add("--report", action=_Once, metavar="FILE", help="write the summary as JSON at the end; - to standard output")

    group = parser.add_argument_group("dashboard")
    add = group.add_argument
    add("-n", dest="names", action="store_false", help="no names, only addresses")
    add("--resolve", action="store_true", help="ask name servers for names of addresses on screen")
    add("--buffer", type=_size, default=DEFAULT_BUFFER, metavar="SIZE", help="packets kept, as 1G (default 256M)")
    add(
        "--save-dir",
        type=_directory,
        default=".",
        metavar="DIR",
        help="where e saves to (default: the working directory)",
    )
    add("--fps", type=_whole("repaints a second", 1, _MAX_FPS), metavar="N", help="repaints a second at most")
    add(
        "--link-budget",
        type=_rate,
        metavar="RATE",
        help="bytes a second to the terminal, as 8k (default over SSH: 32k)",
    )

    group = parser.add_argument_group("dissection")
    add = group.add_argument
    add("--no-tshark", action="store_true", help="no process that asks tshark about a packet (W in an opened packet)")
    add("--plugins", action="store_true", help="load your own dissectors from ~/.config/netwatch/plugins/*.py")

    group = parser.add_argument_group("rights")
    add = group.add_argument
    add("--user", action=_Once, metavar="NAME", help="whom root becomes; default: who called sudo, else nobody")
    add("--no-sandbox", dest="sandbox", action="store_false", help="no Landlock, no seccomp: for odd kernels")

    group = parser.add_argument_group("about")
    add = group.add_argument
    # Plain flags: argparse would print by itself, and what it prints can fail.
    add("-h", "--help", action="store_true", help="this text")
    add("--version", action="store_true", help="versions of netwatch and of what it stands on")
    return parser


def _whole(what: str, lowest: int, highest: int) -> Callable[[str], int]:
    """A type for argparse: a whole number in a range."""

    def read(text: str) -> int:
        value = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
        if not lowest <= value <= highest:
            bounds = f"from {lowest}" if highest == 1 << 62 else f"from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what} {bounds}")
        return value

    return read


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _speed(text: str) -> float:
    match = _SPEED.fullmatch(text)
    value = math.inf if text.lower() == "max" else float(match[1]) if match else math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed as 1x, 10x, 0.5x or max")
    return value


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    value = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if not 0 < value <= _LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size as 64M or 1G")
    return value


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return text


def _rate(text: str) -> int:
    match = _SIZE.fullmatch(text)
    value = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if not _LEAST_RATE <= value <= _LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate as 32k: bytes a second, 1k at least")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names as ip.src,tcp.dstport")
    return names


def _numbers(text: str) -> tuple[tuple[int, int], ...]:
    found = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if len(ranges) < len(found) or not all(0 < first <= last for first, last in ranges):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of packet numbers as 12 or 3,7-9")
    return tuple(ranges)
