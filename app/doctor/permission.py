"""Who may capture: user, capabilities, user namespace, container, and whether the ring can be had."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from netwatch.app.doctor.finding import FAILS, OPTIONAL, WORKS, Finding

__all__ = ["CHECKS", "command", "status"]

_STATUS: Final = Path("/proc/self/status")
_UID_MAP: Final = Path("/proc/self/uid_map")
_ALL_USERS: Final = 0xFFFF_FFFF
"""Users of the initial user namespace (user_namespaces(7))."""
_NET_RAW: Final = 1 << 13
"""CAP_NET_RAW (linux/capability.h)."""
_SETS: Final = {
    "CapEff": "effective",
    "CapPrm": "permitted",
    "CapInh": "inheritable",
    "CapAmb": "ambient",
    "CapBnd": "bounding",
}
_SECURE_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where sudo looks on Debian and its kin, unless /etc/sudoers says otherwise."""
_TRIED_RING: Final = 64 << 20
_REFUSED: Final = 3


def status() -> dict[str, str]:
    """/proc/self/status, line by line (proc_pid_status(5)); empty where there is none."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def command() -> str:
    """How this program is called from anywhere, quoted for a shell."""
    called = sys.argv[0]
    if os.path.basename(called) == "netwatch" and (found := shutil.which(called)):
        return shlex.quote(os.path.abspath(found))
    return f"{shlex.quote(sys.executable)} -m netwatch"


def user() -> list[Finding]:
    """Root, or who."""
    if os.geteuid():
        return [Finding("user", WORKS, f"{_name(os.geteuid())}, not root: capturing needs CAP_NET_RAW")]
    from netwatch.capture.guard.identity import identity

    becomes = identity(None, os.environ)
    name = becomes.name if becomes is not None else "nobody"
    why = "who called sudo" if os.environ.get("SUDO_UID") else "--user NAME chooses another"
    return [Finding("user", WORKS, f"root until all is open, then {name} ({why})")]


def capability() -> list[Finding]:
    """CAP_NET_RAW in each set."""
    found = status()
    if not found:
        return []
    held = [word for name, word in _SETS.items() if int(found.get(name, "0"), 16) & _NET_RAW]
    lacking = [word for word in _SETS.values() if word not in held]
    says = f"in the {', '.join(held)} set{'s' if len(held) > 1 else ''}" if held else "in no set"
    if held and lacking:
        says += f"; not in {', '.join(lacking)}"
    if "effective" in held:
        return [Finding("CAP_NET_RAW", WORKS, says)]
    if "bounding" not in held:
        return [Finding("CAP_NET_RAW", FAILS, f"{says}: whoever started this shell took it away, for root, too")]
    return [Finding("CAP_NET_RAW", FAILS, says)]


def user_namespace() -> list[Finding]:
    """Root of a user namespace has rights over the network namespaces that belong to it, and no others."""
    try:
        lines = [[int(number) for number in line.split()] for line in _UID_MAP.read_text().splitlines()]
    except OSError:
        return []
    if lines == [[0, 0, _ALL_USERS]]:
        return [Finding("user namespace", WORKS, "the initial one")]
    inside, outside, count = lines[0] if lines else (0, 0, 0)
    users = "1 user" if count == 1 else f"{count:,} users"
    says = f"one with {users} ({inside} here is {outside} outside): captures in networks made within it only"
    return [Finding("user namespace", OPTIONAL, says)]


def container() -> list[Finding]:
    """What its seccomp profile and its network mean."""
    name = _container()
    if name is None:
        return []
    filtered = status().get("Seccomp") == "2"
    says = f"{name}{', with a seccomp profile' if filtered else ''}; a network of its own unless told otherwise"
    if int(status().get("CapBnd", "0"), 16) & _NET_RAW:
        return [Finding("container", WORKS, says)]
    return [Finding("container", OPTIONAL, says, (f"{name} run --cap-add=NET_RAW --network=host …",))]


def capturing() -> list[Finding]:
    """A packet socket, and the ring that packets come in."""
    if sys.platform != "linux":
        return [Finding("capturing", FAILS, f"needs Linux, this is {sys.platform}")]
    from netwatch.capture.sources.ring import Ring

    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
            ring = Ring(_TRIED_RING, sock)
            size, halved = ring.size >> 20, ring.halved
            ring.close()
    except OSError as error:
        return [_refused(error)]
    if halved:
        return [
            Finding("capturing", WORKS, f"packet socket; a ring of {size} MiB is all that the kernel has memory for")
        ]
    return [Finding("capturing", WORKS, f"packet socket and a TPACKET_V3 ring of {size} MiB")]


def _refused(error: OSError) -> Finding:
    if error.errno == errno.EPERM and int(status().get("CapEff", "0"), 16) & _NET_RAW:
        why = "a seccomp profile, or a user namespace that does not own the network"
        return Finding("capturing", FAILS, f"refused although CAP_NET_RAW is here: {why}")
    if error.errno == errno.EPERM:
        return Finding("capturing", FAILS, "not permitted: CAP_NET_RAW is missing", _ways())
    if error.errno in (errno.ENOPROTOOPT, errno.EINVAL):
        return Finding("capturing", FAILS, f"this kernel has no TPACKET_V3 ring ({error.strerror}); Linux 3.2 has")
    if error.errno == errno.EAFNOSUPPORT:
        return Finding("capturing", FAILS, "this kernel has no packet sockets", ("modprobe af_packet",))
    return Finding("capturing", FAILS, error.strerror or str(error))


def rights_given_up() -> list[Finding]:
    """What confinement comes to here: tried in a process of its own."""
    said, refused = _tried()
    if refused:
        return [Finding("giving up rights", FAILS, said[0])]
    if not said:
        says = "user, capabilities, Landlock, seccomp: all before the first packet"
        return [Finding("giving up rights", WORKS, says)]
    return [Finding("giving up rights", OPTIONAL, line) for line in said]


def found_by_sudo() -> list[Finding]:
    """Whether `sudo netwatch` finds it."""
    if shutil.which("sudo") is None:
        return []
    by_path = shutil.which("netwatch", path=os.pathsep.join(_SECURE_PATH))
    if by_path is not None:
        return [Finding("sudo's path", WORKS, f"sudo netwatch finds {by_path}")]
    here = shutil.which("netwatch")
    if here is None:
        return []
    mends = (
        'sudo "$(command -v netwatch)"',
        f"sudo ln -s {shlex.quote(os.path.abspath(here))} /usr/local/bin/netwatch",
    )
    return [Finding("sudo's path", OPTIONAL, "sudo looks in its secure_path only, where netwatch is not", mends)]


CHECKS: Final[tuple[Callable[[], list[Finding]], ...]] = (
    user,
    capability,
    user_namespace,
    container,
    capturing,
    rights_given_up,
    found_by_sudo,
)


def _ways() -> tuple[str, ...]:
    """To the right to capture, from here."""
    if os.geteuid() == 0:
        return ()
    name = shlex.quote(_name(os.geteuid()))
    caps = "--inh-caps=+net_raw --ambient-caps=+net_raw"
    return (
        f"sudo {command()}",
        f"sudo setpriv --reuid={name} --regid={os.getegid()} --init-groups {caps} {command()}",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _container() -> str | None:
    if os.path.exists("/.dockerenv"):
        return "docker"
    if os.path.exists("/run/.containerenv"):
        return "podman"
    try:
        said = Path("/proc/1/environ").read_bytes()
    except OSError:
        return None
    match = re.search(rb"(?:^|\0)container=([a-z-]+)", said)
    return match[1].decode() if match else None


def _tried() -> tuple[list[str], bool]:
    """What could not be applied, a line each, and whether netwatch would not go on."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            lines, refused = _confined()
            os.write(writing, "\n".join(lines).encode())
            code = _REFUSED if refused else 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    if code not in (0, _REFUSED):
        return ["it could not be tried"], False
    return said.splitlines(), code == _REFUSED


def _confined() -> tuple[list[str], bool]:
    from netwatch.capture.errors import CaptureError
    from netwatch.capture.guard.confine import Confinement, confine
    from netwatch.capture.guard.identity import identity

    try:
        return confine(Confinement(identity(None, os.environ))), False
    except CaptureError as error:
        return [str(error)], True
