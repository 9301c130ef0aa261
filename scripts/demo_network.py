"""Hosts for record_demo.py: network namespaces on a bridge, programs in them, an end that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Host", "Network"]

PROGRAMS: Final = Path(__file__).with_name("demo_programs.py")

LAUNCH: Final = """
hostname "$1"
mount -t tmpfs none /run && mkdir -p /run/sshd /run/avahi-daemon
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolv")"; [ -e "$resolv" ] || : > "$resolv"
mount --bind "$2/resolv.conf" "$resolv"
[ ! -d "$2/$1.avahi" ] || mount --bind "$2/$1.avahi" /etc/avahi/services
shift 2
exec "$@"
"""
"""Run by sh in a host's own network, mount and UTS namespace: its host name, resolver and /run, then the program."""


def sh(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@dataclass(slots=True)
class Host:
    """A network namespace with one interface, eth0."""

    name: str
    namespace: str
    mac: str
    work: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def configure(self, *command: str) -> None:
        """Run a command of iproute2, ethtool or sysctl in the namespace."""
        sh("ip", "netns", "exec", self.namespace, *command)

    def spawn(self, *command: str, feed: bool = False) -> subprocess.Popen[bytes]:
        """Start a program; with `feed` its standard input is a pipe."""
        inside = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--mount"]
        log = (self.work / "programs.log").open("ab")
        process = subprocess.Popen(
            [*inside, "sh", "-c", LAUNCH, "sh", self.name, str(self.work), *command],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.work), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        log.close()
        self.running.append(process)
        return process

    def run(self, *command: str, timeout: float = 30) -> None:
        """Run a program to its end. What it returns does not matter: a 404 is traffic, too."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.spawn(*command).wait(timeout)

    def own(self, program: str, *arguments: str) -> tuple[str, ...]:
        """The command line of one of demo_programs.py."""
        return (sys.executable, str(PROGRAMS), program, *arguments)


@dataclass(slots=True)
class Network:
    """Namespaces and links; `close` ends what runs in them and removes them."""

    work: Path
    prefix: str = "nwdemo"
    hosts: dict[str, Host] = field(default_factory=dict)

    def host(self, name: str, mac: str) -> Host:
        """A new namespace without links."""
        made = Host(name, f"{self.prefix}-{name}", mac, self.work)
        sh("ip", "netns", "add", made.namespace)
        self.hosts[name] = made
        made.configure("ip", "link", "set", "lo", "up")
        # what the kernel of this machine thinks of source addresses and of answers to ARP must not show
        made.configure("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        return made

    def link(self, a: tuple[Host, str], b: tuple[Host, str]) -> None:
        """A veth pair with offloads off: frames no longer than the MTU, checksums as on a cable."""
        (host_a, name_a), (host_b, name_b) = a, b
        sh(
            "ip",
            "link",
            "add",
            name_a,
            "netns",
            host_a.namespace,
            "type",
            "veth",
            "peer",
            name_b,
            "netns",
            host_b.namespace,
        )
        for host, name in (a, b):
            host.configure("ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
            if name == "eth0":
                host.configure("ip", "link", "set", name, "address", host.mac)
            else:
                # a port of a switch or the end of a cable: no addresses, no packets of its own
                host.configure("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
                host.configure("ip", "link", "set", name, "up")

    def close(self) -> None:
        """End every process in the namespaces by its id and remove them."""
        for host in self.hosts.values():
            for process in host.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        for host in self.hosts.values():
            for process in host.running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(2)
            # what left its process group: daemons' children, shells of an SSH session
            left = subprocess.run(
                ["ip", "netns", "pids", host.namespace], capture_output=True, text=True, check=False
            )
            for pid in left.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", host.namespace], check=False)
