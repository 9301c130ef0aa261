"""What the helper says of namespaces: by /run/netns and a /proc that the test makes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from netwatch.capture.helper import namespaces as served
from netwatch.capture.helper.protocol import LARGEST, Served
from netwatch.capture.kernel import namespaces

ID = "1a2b3c4d5e6f" + "0" * 52
ANYBODY = Served(user=None, netwatch=1)


class Machine:
    """Processes in namespaces; a namespace is a file, whose inode tells it from others."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.named, self.all = root / "proc", root / "netns", root / "all"
        for folder in (self.proc, self.named, self.all):
            folder.mkdir()
        (self.all / "own").touch()
        monkeypatch.setattr(served, "_PROC", str(self.proc))
        monkeypatch.setattr(served, "NAMED", str(self.named))
        monkeypatch.setattr(served, "OWN", str(self.all / "own"))

    def name(self, name: str, namespace: str) -> None:
        (self.all / namespace).touch()
        os.link(self.all / namespace, self.named / name)

    def process(self, pid: int, namespace: str = "own", **files: str) -> Path:
        (self.all / namespace).touch()
        folder = self.proc / str(pid)
        (folder / "ns").mkdir(parents=True)
        os.link(self.all / namespace, folder / "ns" / "net")
        for name, text in {"comm": f"program{pid}", "cgroup": "0::/user.slice", "status": "", **files}.items():
            (folder / name).write_text(text)
        return folder

    def rows(self) -> list[list[Any]]:
        answer, descriptors = served.namespaces(ANYBODY, {})
        assert descriptors == []
        assert len(json.dumps(answer)) < LARGEST
        rows = answer["rows"]
        assert isinstance(rows, list)
        return rows

    def inode(self, namespace: str) -> int:
        return (self.all / namespace).stat().st_ino


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_our_own_comes_first_then_those_with_a_name(machine: Machine) -> None:
    machine.process(1)
    machine.process(50, "nameless")
    machine.name("web", "web")
    machine.process(60, "web", comm="nginx\n")
    machine.process(61, "web", comm="nginx\n")
    machine.process(62, "web", comm="sh\n")
    machine.name("idle", "idle")
    assert machine.rows() == [
        [machine.inode("own"), True, [], "", "", [[1, "program1"]], 1],
        [machine.inode("idle"), False, ["idle"], "", "", [], 0],
        [machine.inode("web"), False, ["web"], "", "", [[60, "nginx"], [62, "sh"]], 3],
        [machine.inode("nameless"), False, [], "", "", [[50, "program50"]], 1],
    ]


KERNEL, PROGRAM = (" S 0 0 0 0 -1 " + flags + " 0 0" for flags in ("2129984", "4194560"))


def test_the_machine_s_own_is_where_the_kernel_s_threads_are(machine: Machine) -> None:
    machine.process(1, "host", stat=f"1 (init){PROGRAM}", comm="init")
    machine.process(2, "host", stat=f"2 (kthreadd){KERNEL}", comm="kthreadd")
    machine.process(3, "host", stat=f"3 (a) b 2097152 (c){KERNEL}", comm="kworker/0")
    machine.process(70, "host", stat=f"70 (postgres){PROGRAM}", cgroup=f"0::/docker-{ID}.scope", status="NSpid: 70 1")
    machine.process(80, stat=f"80 (sh){PROGRAM}")
    assert machine.rows() == [
        [machine.inode("own"), True, [], "", "", [[80, "program80"]], 1],
        [machine.inode("host"), False, [], "host", "", [[1, "init"], [70, "program70"]], 2],
    ]


def test_the_machine_s_own_without_a_program(machine: Machine) -> None:
    machine.process(2, "host", stat=f"2 (kthreadd){KERNEL}", comm="kthreadd")
    machine.process(3, "host", stat=f"3 (kworker){KERNEL}", comm="kworker")
    machine.process(80)
    assert machine.rows()[1] == [machine.inode("host"), False, [], "host", "", [[2, "kthreadd"]], 0]


def test_where_netwatch_is_the_kernel_s_threads_are_no_programs(machine: Machine) -> None:
    machine.process(1, stat=f"1 (init){PROGRAM}")
    machine.process(2, stat=f"2 (kthreadd){KERNEL}")
    machine.process(3, stat=f"3 (kworker){KERNEL}")
    assert machine.rows() == [[machine.inode("own"), True, [], "", "", [[1, "program1"]], 1]]


@pytest.mark.parametrize(
    ("cgroup", "runtime", "name"),
    [
        (f"0::/system.slice/docker-{ID}.scope", "docker", "shop"),
        (f"12:memory:/docker/{ID}\n0::/", "docker", "shop"),
        (f"0::/machine.slice/libpod-{ID}.scope/container", "podman", "shop"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", "containerd", "shop"),
        (f"0::/kubepods/besteffort/pod1/{ID}", "container", "shop"),
        (f"0::/kubepods.slice/crio-{ID}.scope", "cri-o", "shop"),
        ("0::/lxc.payload.mail/init.scope", "lxc", "mail"),
        ("0::/machine.slice/machine-builder.scope", "machine", "builder"),
        ("0::/user.slice/user-1000.slice", "", ""),
    ],
)
def test_the_container_of_a_process(machine: Machine, cgroup: str, runtime: str, name: str) -> None:
    machine.process(70, "c", cgroup=cgroup, environ="PATH=/bin\0HOSTNAME=shop\0")
    assert machine.rows()[1][3:5] == [runtime, name]


def test_the_name_that_podman_gave_it(machine: Machine) -> None:
    machine.process(69, cmdline="\0".join(["/usr/bin/conmon", "-c", ID, "-n", "shop-1", "-r", "/usr/bin/crun"]))
    machine.process(70, "c", cgroup=f"0::/libpod-{ID}.scope", status="PPid:\t69\n", environ="HOSTNAME=1a2b3c4d5e6f\0")
    assert machine.rows()[1][3:5] == ["podman", "shop-1"]


def test_without_an_environment_its_file_of_the_host_name(machine: Machine) -> None:
    folder = machine.process(70, "c", cgroup=f"0::/docker-{ID}.scope")
    assert machine.rows()[1][4] == ID[:12]
    (folder / "root" / "etc").mkdir(parents=True)
    (folder / "root" / "etc" / "hostname").write_text("db\n")
    assert machine.rows()[1][4] == "db"


def test_no_link_that_it_made_is_followed(machine: Machine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "hostname").write_text("secret\n")
    folder = machine.process(70, "c", cgroup=f"0::/docker-{ID}.scope")
    (folder / "root").mkdir()
    (folder / "root" / "etc").symlink_to(secret)
    assert machine.rows()[1][4] == ID[:12]
    (folder / "root" / "etc").unlink()
    (folder / "root" / "etc").mkdir()
    (folder / "root" / "etc" / "hostname").symlink_to(secret / "hostname")
    assert machine.rows()[1][4] == ID[:12]


def test_the_first_process_of_the_container_tells(machine: Machine) -> None:
    machine.process(70, "c", status="NSpid:\t70\t7\n")
    machine.process(71, "c", status="NSpid:\t71\t1\n", cgroup=f"0::/docker-{ID}.scope", environ="HOSTNAME=a\0")
    assert machine.rows()[1][3:5] == ["docker", "a"]


def test_an_answer_has_an_end_whatever_they_are_called(machine: Machine) -> None:
    machine.process(1)
    for number in range(300):
        machine.process(1000 + number, f"n{number}", comm="\x1b" * 15, cgroup="0::/lxc.payload." + "\x9b" * 64)
    answer, _ = served.namespaces(ANYBODY, {})
    rows, left = answer["rows"], answer["left"]
    assert isinstance(rows, list)
    assert isinstance(left, int)
    assert len(rows) + left == 301
    assert left > 0
    assert len(json.dumps(answer)) < LARGEST


def test_a_place_that_has_lost_its_name(tmp_path: Path) -> None:
    file = tmp_path / "web"
    file.touch()
    place = namespaces.Place("web", file.stat().st_ino, str(file))
    assert (place.words, place.gone) == ("ns:web", False)
    file.rename(tmp_path / "other")
    assert place.gone
    file.touch()
    assert place.gone  # another one has its name
    assert not namespaces.Place("1234", 5).gone
    assert namespaces.Place().words == ""
