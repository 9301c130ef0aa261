"""OpenSSH between two namespaces: the algorithms that both ends were told to use are what is shown."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.live.wire import SERVER, Seen, items, needs_tshark, values

from netwatch.capture.dissect import fields_text

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="needs openssh-server and openssh-client"
)

PATIENCE = 20.0
KEYS = ("rsa", "ecdsa", "ed25519")
CURVE = ["Elliptic Curve Diffie-Hellman Key Exchange Init", "Elliptic Curve Diffie-Hellman Key Exchange Reply"]
DIFFIE_HELLMAN = ["Diffie-Hellman Key Exchange Init", "Diffie-Hellman Key Exchange Reply"]
GROUP_EXCHANGE = [
    f"Diffie-Hellman Group Exchange {step}" for step in ("Request", "Group", "Init", "Reply")
]  # RFC 4419, 3

LISTS: Final = (
    "kex_algorithms",
    "server_host_key_algorithms",
    "encryption_algorithms_client_to_server",
    "encryption_algorithms_server_to_client",
    "mac_algorithms_client_to_server",
    "mac_algorithms_server_to_client",
    "compression_algorithms_client_to_server",
    "compression_algorithms_server_to_client",
)


@dataclass
class Told:
    """What the client is told to propose, and what the exchange is then called."""

    kex: str
    host_key: str
    cipher: str
    mac: str
    messages: list[str]
    compression: str = "no"

    @property
    def options(self) -> list[str]:
        named = {"KexAlgorithms": self.kex, "HostKeyAlgorithms": self.host_key, "Ciphers": self.cipher}
        named |= {"MACs": self.mac, "Compression": self.compression}
        return [word for name, value in named.items() for word in ("-o", f"{name}={value}")]


TOLD = [
    Told("curve25519-sha256", "ssh-ed25519", "chacha20-poly1305@openssh.com", "hmac-sha2-512", CURVE),
    Told("ecdh-sha2-nistp384", "ecdsa-sha2-nistp256", "aes128-ctr", "hmac-sha2-256", CURVE, "yes"),
    Told("diffie-hellman-group14-sha256", "rsa-sha2-512", "aes256-gcm@openssh.com", "hmac-sha1", DIFFIE_HELLMAN),
    Told("diffie-hellman-group16-sha512", "rsa-sha2-256", "aes256-ctr", "umac-128-etm@openssh.com", DIFFIE_HELLMAN),
    Told("diffie-hellman-group-exchange-sha256", "ssh-ed25519", "aes192-ctr", "hmac-sha2-512", GROUP_EXCHANGE),
]


class Session(Seen):
    """One connection, and what ssh said of it."""

    def values(self, name: str) -> list[str]:
        """Of the client, then of the server, whichever spoke first."""
        return values(sorted(self.trees, key=lambda tree: tree.info.startswith("Server")), name)

    def debug(self, start: str) -> str:
        """What `ssh -v` says after these words."""
        found = re.search(rf"^debug1: {start}(.*?)\r?$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    @property
    def secured(self) -> list[str]:
        """What is said of encrypted bytes of the client and of the server, which is the same for all of them."""
        found: dict[bool, set[str]] = {False: set(), True: set()}
        for tree in self.trees:
            below = [item for item in items([tree]) if item.field.label == "SSH Version 2"]
            found[tree.info.startswith("Server")] |= {item.text for item in below}
        return [only for (only,) in found.values()]

    def messages(self, end: str) -> list[str]:
        """What the Info column says of the client or the server, up to what is encrypted."""
        infos = [tree.info for tree in self.trees if tree.info.startswith(f"{end}: ")]
        words = [word for info in infos for word in info.removeprefix(f"{end}: ").split(", ")]
        return [word for word in words if not word.startswith("Encrypted packet")]


Connect = Callable[..., Session]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's keys and the client's, and who may come in."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in KEYS:
        for end in ("host", "client"):
            command = [
                "ssh-keygen",
                "-q",
                "-t",
                kind,
                "-N",
                "",
                "-C",
                "of the test",
                "-f",
                str(folder / f"{end}_{kind}"),
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    (folder / "authorized").write_text("".join((folder / f"client_{kind}.pub").read_text() for kind in KEYS))
    return folder


@contextlib.contextmanager
def serving(namespace: Any, keys: Path, port: int, *lines: str) -> Iterator[None]:
    """sshd with a configuration of its own, from when it listens.

    It wants /run/sshd, which a service would have made. `ip netns exec` gives it mounts of its own: one over /run
    leaves nothing behind, nor does it take notice of logins there.
    """
    config = keys / f"sshd_{port}"
    known = [f"Port {port}", f"ListenAddress {SERVER}", "PidFile none", "UsePAM no", "StrictModes no", "UseDNS no"]
    known += ["PasswordAuthentication no", "PermitRootLogin yes", f"AuthorizedKeysFile {keys}/authorized"]
    known += [f"HostKey {keys}/host_{kind}" for kind in KEYS]
    config.write_text("\n".join((*known, *lines, "")))
    start = f"mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec {SSHD} -D -e -f {config}"
    command = ["ip", "netns", "exec", namespace.name, "sh", "-c", start]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline()]
            while said[-1] and not said[-1].startswith("Server listening"):
                said.append(process.stderr.readline())
            assert said[-1], said
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def connect(wired: Any, capturing: Callable[..., Any], keys: Path) -> Connect:
    """connect(what the client is told, further lines of sshd's configuration): one connection, with a command."""

    def run(options: list[str], *lines: str, port: int = 22) -> Session:
        command = ["ip", "netns", "exec", wired.left.name, "ssh", "-v", "-F", "none", "-p", str(port), *options]
        chosen = {"BatchMode": "yes", "StrictHostKeyChecking": "no", "IdentitiesOnly": "yes", "IdentityAgent": "none"}
        chosen |= {"UserKnownHostsFile": str(keys / "known"), "GlobalKnownHostsFile": "none"}
        chosen |= {"IdentityFile": str(keys / "client_ed25519"), "UpdateHostKeys": "no"}
        command += [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]
        command += [f"root@{SERVER}", "seq 1 2000"]
        (keys / "known").unlink(missing_ok=True)
        with serving(wired.right, keys, port, *lines), capturing(wired.right, "b0") as got:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            time.sleep(0.05)
        return Session.of(got, done.stderr + done.stdout)

    return run


@pytest.fixture(scope="module")
def connected(connect: Connect) -> Callable[[Told], Session]:
    """The connection of each of `TOLD`, made once."""
    made: dict[str, Session] = {}

    def get(told: Told) -> Session:
        if told.kex not in made:
            made[told.kex] = connect(told.options)
        return made[told.kex]

    return get


def negotiated(seen: Session, number: int) -> str:
    """The first of the client's algorithms that the server knows (RFC 4253, 7.1), of the lists as they are shown."""
    ours, theirs = (each.split(",") for each in seen.values(f"ssh.{LISTS[number]}"))
    return next(name for name in ours if name in theirs)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kex)
def test_what_ssh_was_told(connected: Callable[[Told], Session], told: Told) -> None:
    seen = connected(told)
    assert seen.said.endswith("1999\n2000\n"), seen.said
    assert {tree.protocol for tree in seen.trees} - {"ARP"} == {"TCP", "SSH", "SSHv2"}

    version = subprocess.run(("ssh", "-V"), capture_output=True, text=True, check=True).stderr.partition(",")[0]
    assert seen.debug("Local version string ") == f"SSH-2.0-{version}"
    theirs = seen.debug("Remote protocol version 2.0, remote software version ")
    assert seen.values("ssh.protocol") == [f"SSH-2.0-{version}", f"SSH-2.0-{theirs}"]

    # OpenSSH adds what is no method of its own, but says that an extension is known.
    kex = [name for name in seen.values("ssh.kex_algorithms")[0].split(",") if not name.startswith(("ext-", "kex-"))]
    assert kex == [told.kex] == [seen.debug("kex: algorithm: ")]
    assert (
        seen.values("ssh.server_host_key_algorithms")[0] == told.host_key == seen.debug("kex: host key algorithm: ")
    )
    for way, number in (("client->server", 0), ("server->client", 1)):
        cipher, mac, compression = (seen.values(f"ssh.{LISTS[of + number]}")[0] for of in (2, 4, 6))
        assert [cipher, mac] == [told.cipher, told.mac]
        assert compression.startswith("zlib@openssh.com" if told.compression == "yes" else "none")
        said = [negotiated(seen, 2 + number), negotiated(seen, 4 + number), negotiated(seen, 6 + number)]
        if "poly1305" in told.cipher or "gcm" in told.cipher:
            said[1] = "<implicit>"
        assert "{} MAC: {} compression: {}".format(*said) == seen.debug(f"kex: {way} cipher: ")
        mac = "" if said[1] == "<implicit>" else f"mac:{said[1]} "
        assert f"(encryption:{said[0]} {mac}compression:{said[2]})" == seen.secured[number]

    exchange = told.messages
    assert seen.messages("Client")[1:] == ["Key Exchange Init", *exchange[::2], "New Keys"]
    assert seen.messages("Server")[1:] == ["Key Exchange Init", *exchange[1::2], "New Keys"]
    codes = {"Request": "34", "Group": "31", "Init": "32", "Reply": "33"}
    usual = ["20", "20", "30", "31", "21", "21"]
    asked = ["20", "20", *codes.values(), "21", "21"]
    assert sorted(seen.values("ssh.message_code")) == sorted(asked if exchange is GROUP_EXCHANGE else usual)

    kind = {"rsa-sha2-512": "ssh-rsa", "rsa-sha2-256": "ssh-rsa"}.get(told.host_key, told.host_key)
    assert seen.values("ssh.host_key.type") == [kind]
    assert seen.values("ssh.host_sig.type") == [told.host_key]


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kex)
def test_the_host_key_is_the_server_s(connected: Callable[[Told], Session], keys: Path, told: Told) -> None:
    seen = connected(told)
    (kind,) = seen.values("ssh.host_key.type")
    shown = [kind.encode()]
    for item in items(seen.trees):
        if re.fullmatch(r"ssh\.host_key\.(rsa|ecdsa|eddsa)\..*", item.field.name):
            shown.append(item.value if isinstance(item.value, bytes) else item.value.encode())
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in shown)
    made = {(keys / f"host_{kind}.pub").read_text().split()[1] for kind in KEYS}
    assert base64.b64encode(blob).decode() in made
    assert not seen.values("ssh.host_key.data")


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kex)
def test_fingerprints_are_of_what_each_end_proposes(connected: Callable[[Told], Session], told: Told) -> None:
    seen = connected(told)
    for side, name, first in ((0, "hassh", 0), (1, "hasshserver", 1)):
        own = [seen.values(f"ssh.{LISTS[number]}")[side] for number in (0, 2 + first, 4 + first, 6 + first)]
        assert seen.values(f"ssh.kex.{name}_algorithms") == [";".join(own)]
        assert seen.values(f"ssh.kex.{name}") == [hashlib.md5(";".join(own).encode()).hexdigest()]


def test_what_both_ends_propose_is_met_in_the_client_s_order(connect: Connect) -> None:
    wanted = "diffie-hellman-group14-sha256,ecdh-sha2-nistp521,curve25519-sha256"
    known = "KexAlgorithms curve25519-sha256,ecdh-sha2-nistp521"
    seen = connect(
        ["-o", f"KexAlgorithms={wanted}"], known, "Ciphers aes256-ctr", "VersionAddendum of the test", port=2022
    )
    assert seen.values("ssh.kex_algorithms")[0].startswith(f"{wanted},")
    assert seen.values("ssh.kex_algorithms")[1].startswith(known.removeprefix("KexAlgorithms "))
    assert seen.values("ssh.protocol")[1].endswith(" of the test")
    assert seen.debug("kex: algorithm: ") == "ecdh-sha2-nistp521"
    (init,) = [item for item in items(seen.trees) if item.field.name == "ssh.message_code" and item.value == 30]
    assert init.text == f"{CURVE[0]} (30), method:ecdh-sha2-nistp521"
    assert seen.secured[0].startswith("(encryption:aes256-ctr mac:")


def test_ends_that_know_nothing_in_common_part(connect: Connect) -> None:
    seen = connect(["-o", "KexAlgorithms=ecdh-sha2-nistp256"], "KexAlgorithms curve25519-sha256")
    assert "no matching key exchange method found" in seen.said
    assert seen.messages("Client")[1:] == ["Key Exchange Init"]
    assert seen.messages("Server")[1:] == ["Key Exchange Init"]
    assert not seen.values("ssh.encrypted_packet")


@needs_tshark
@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kex)
def test_as_tshark_has_it(
    connected: Callable[[Told], Session], by_tshark: Callable[..., list[list[str]]], told: Told
) -> None:
    """Up to the first encrypted bytes: tshark takes those for messages, so of their packet only the keys count."""
    seen = connected(told)
    until = next(number for number, tree in enumerate(seen.trees) if "Encrypted" in tree.info)
    keys = ["host_key.type", "host_key.rsa.e", "host_key.rsa.n", "host_key.ecdsa.id", "host_key.ecdsa.q"]
    keys += ["host_key.eddsa.key", "host_key.data", "host_sig.type", "ecdh.q_c", "ecdh.q_s", "dh.e", "dh.f"]
    keys += [*LISTS, "kex.hassh", "kex.hassh_algorithms", "kex.hasshserver", "kex.hasshserver_algorithms"]
    keys += ["protocol", "cookie", "dh_gex.min", "dh_gex.nbits", "dh_gex.max", "dh_gex.p", "dh_gex.g"]
    clear = [
        "direction",
        "message_code",
        "packet_length",
        "padding_length",
        "padding_string",
        "first_kex_packet_follows",
    ]
    names = [f"ssh.{name}" for name in (*keys, *clear)]
    said = by_tshark(seen.frames[: until + 1], *names)
    assert len(said) == until + 1
    for number, (tree, (protocol, info, *theirs)) in enumerate(zip(seen.trees, said, strict=False)):
        if "SSH" not in tree.protocol:
            continue
        shown = {name: [fields_text(item) for item in items([tree]) if item.field.name == name] for name in names}
        ours = ["|".join(each) for each in shown.values()] + [tree.protocol, tree.info]
        compared = len(ours) if number < until else len(keys)
        assert ours[:compared] == [*theirs, protocol, info][:compared]
