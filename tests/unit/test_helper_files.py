"""Files that the helper makes: where, whose, and which it leaves alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.block import Block, Interface
from netwatch.capture.directory import Directory, PlainDirectory
from netwatch.capture.guard.identity import Identity
from netwatch.capture.helper.client import Helper, HelperError, Place, Start
from netwatch.capture.helper.directory import HelperDirectory
from netwatch.capture.rotating import RotatingWriter
from netwatch.capture.rotation import Rotation

ROOT = os.getuid() == 0
NOBODY = Identity(65534, 65534, "nobody") if ROOT else None
OWNER = 65534 if ROOT else os.getuid()


@pytest.fixture(scope="module")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Helper, Path]]:
    folder = tmp_path_factory.mktemp("helper")
    places = {"save": Place(str(folder)), "write": Place(str(folder), "trace_", ".pcapng")}
    helper = Helper.start(Start(("open", "rename", "unlink"), NOBODY, places))
    yield helper, folder
    helper.close()


@pytest.fixture
def folder(helpers: tuple[Helper, Path]) -> Path:
    for path in helpers[1].iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    return helpers[1]


@pytest.fixture
def saves(helpers: tuple[Helper, Path], folder: Path) -> HelperDirectory:
    return HelperDirectory(helpers[0], "save", str(folder))


def made(directory: Directory, name: str, data: bytes = b"new", over: str = "") -> None:
    fd = directory.open_new(name, over=over)
    os.write(fd, data)
    os.close(fd)


def theirs(path: Path, *, mode: int = 0o600, uid: int = OWNER) -> Path:
    """A file that is there already."""
    path.write_bytes(b"precious")
    path.chmod(mode)
    if ROOT:
        os.chown(path, uid, uid)
    return path


def test_a_file_is_the_users_alone_and_open_only_for_writing(saves: HelperDirectory, folder: Path) -> None:
    fd = saves.open_new("ä.pcapng")
    with pytest.raises(OSError, match="Bad file"):
        os.read(fd, 1)
    assert not os.get_inheritable(fd)
    os.close(fd)
    there = (folder / "ä.pcapng").stat()
    assert (stat.S_IMODE(there.st_mode), there.st_uid) == (0o600, OWNER)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/etc/x", "a/b", "../x", "a\0b", "ä" * 128, ".bashrc", "\ud800"],
    ids=["nothing", "here", "above", "absolute", "below", "beside", "NUL", "256 bytes", "hidden", "no UTF-8"],
)
def test_names_that_lead_elsewhere(saves: HelperDirectory, folder: Path, name: str) -> None:
    made(saves, "mine")
    attempts: list[Callable[[], object]] = [
        lambda: saves.open_new(name),
        lambda: saves.unlink(name),
        lambda: saves.rename(name, "x"),
        lambda: saves.rename("mine", name),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match="name"):
            attempt()
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_what_is_there_is_not_opened_and_no_link_is_followed(saves: HelperDirectory, folder: Path) -> None:
    theirs(folder / "a")
    (folder / "link").symlink_to("nowhere")
    (folder / "linked").symlink_to("a")
    os.mkfifo(folder / "fifo")
    for name in ("a", "link", "linked", "fifo"):
        with pytest.raises(FileExistsError):
            saves.open_new(name)
    assert (folder / "a").read_bytes() == b"precious"
    assert not (folder / "nowhere").exists()


def test_a_directory_that_was_not_named(helpers: tuple[Helper, Path]) -> None:
    for directory in ("home", "", "/", "0"):
        with pytest.raises(HelperError, match="not made there"):
            helpers[0].call("open", directory=directory, name="a", over="")


def test_of_minus_b_only_the_names_that_it_makes(helpers: tuple[Helper, Path], folder: Path) -> None:
    writes = HelperDirectory(helpers[0], "write", str(folder))
    made(writes, "trace_00001_20261122140000.pcapng")
    for name in ("x.pcapng", "trace_x", "traces.pcapng"):
        with pytest.raises(OSError, match="of this name are not made there"):
            writes.open_new(name)


def test_only_what_was_made_here_goes_or_changes_its_name(saves: HelperDirectory, folder: Path) -> None:
    theirs(folder / "a")
    for name in ("a", "b"):
        with pytest.raises(OSError, match="not a file that was made here"):
            saves.unlink(name)
        with pytest.raises(OSError, match="not a file that was made here"):
            saves.rename(name, "c")
    made(saves, "mine")
    theirs(folder / "x").rename(folder / "mine")
    with pytest.raises(FileNotFoundError, match="another file in its place"):
        saves.unlink("mine")
    with pytest.raises(FileNotFoundError, match="another file in its place"):
        saves.rename("mine", "b")
    assert (folder / "a").read_bytes() == (folder / "mine").read_bytes() == b"precious"


def test_a_file_that_the_person_wants_replaced(saves: HelperDirectory, folder: Path) -> None:
    theirs(folder / "a")
    made(saves, "a.part", over="a")
    saves.rename("a.part", "a")
    assert (folder / "a").read_bytes() == b"new"
    assert os.listdir(folder) == ["a"]
    saves.unlink("a")  # it is one that was made here now
    assert os.listdir(folder) == []


@pytest.mark.parametrize("what", ["link", "directory", "fifo", "program", "somebody else's"])
def test_what_is_never_replaced(saves: HelperDirectory, folder: Path, what: str) -> None:
    target = folder / "a"
    if what == "link":
        target.symlink_to(theirs(folder / "precious"))
    elif what == "directory":
        target.mkdir()
    elif what == "fifo":
        os.mkfifo(target)
    elif what == "program":
        theirs(target, mode=0o700)
    else:
        if not ROOT:
            pytest.skip("needs root to make somebody else's file")
        theirs(target, uid=0)
    before = target.lstat()
    words = "no regular file|it is a program|belongs to somebody else"
    with pytest.raises(OSError, match=words):
        saves.open_new("a.part", over="a")
    made(saves, "b")
    with pytest.raises(OSError, match=words):
        saves.rename("b", "a")
    assert target.lstat() == before
    assert (folder / "b").read_bytes() == b"new"


def block(times: list[int]) -> Block:
    size, count = 60, len(times)
    return Block(
        raw=np.zeros(size * count, np.uint8),
        offsets=np.arange(count, dtype=np.int64) * size,
        caplen=np.full(count, size, np.uint32),
        wirelen=np.full(count, size, np.uint32),
        ts=np.array(times, np.int64),
        linktype=np.ones(count, np.uint16),
        iface=np.zeros(count, np.uint16),
        marks=np.zeros(count, np.uint16),
        pos=np.zeros(count, np.int64),
        owned=True,
    )


@pytest.mark.parametrize("by", ["the helper", "this process"])
def test_a_ring_of_files(helpers: tuple[Helper, Path], folder: Path, by: str) -> None:
    path = str(folder / "trace.pcapng")
    directory: Directory = PlainDirectory(str(folder))
    if by == "the helper":
        directory = HelperDirectory(helpers[0], "write", str(folder))
    rotation = Rotation(packets=2, files=3)
    writer = RotatingWriter(path, [Interface("t0", 1)], rotation, live=False, directory=directory)
    for start in range(10):
        writer.write(block([start * 1000, start * 1000 + 1]))
        if start == 5:
            # Somebody put his file there: the ring goes on.
            theirs(folder / "x").rename(writer.paths[0])
    writer.close()
    left = sorted(path.name for path in folder.iterdir() if path.read_bytes() != b"precious")
    assert left == [os.path.basename(path) for path in writer.paths]
    assert [name[6:11] for name in left] == ["00008", "00009", "00010"]
    assert len(list(folder.iterdir())) == (4 if by == "the helper" else 3)
