"""From one interface to another while a capture runs: nothing that was captured is lost, and all adds up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import MIX, namespaces
from tests.live.conftest import run as command

from netwatch.capture.block import Interface
from netwatch.capture.columns import EVENT
from netwatch.capture.engine import blocks
from netwatch.capture.errors import CaptureError
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.kernel.namespaces import Place
from netwatch.capture.kernel.sockets import Sockets
from netwatch.capture.sources.afpacket import LiveSource, open_live
from netwatch.capture.sources.files import open_file
from netwatch.capture.writer import PcapngWriter

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x1, 0x1000


def wait_for(condition: Any, most: int = 30) -> None:
    """Until it holds; `most` seconds: the kernel takes namespaces apart when it has time."""
    deadline = time.monotonic() + most
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {most} s"
        time.sleep(0.05)


class Run:
    """A capture that goes on while a test switches it."""

    def __init__(self, namespace: Any, *names: str, path: Path | None = None, **options: Any) -> None:
        chosen = {"ring": 4 << 20, "snaplen": 0, "promiscuous": False, "capture_filter": "", **options}
        self.source: LiveSource = namespace.call(lambda: open_live(list(names), **chosen))
        self.blocks: list[Any] = []
        self.writer = PcapngWriter(path, self.source.interfaces, loss=self.source.loss) if path is not None else None
        self.source.start()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._consume)
        self._thread.start()

    def _consume(self) -> None:
        for block in blocks(self.source, self._stopping):
            self.blocks.append(block)
            if self.writer is not None:
                self.writer.write(block)

    def switch(self, *names: str, **options: Any) -> None:
        """And wait until it is done."""
        before = len(self.events)
        self.source.switch(names, **options)
        wait_for(lambda: len(self.events) > before)

    @property
    def events(self) -> list[str]:
        return [bytes(block.raw).decode() for block in list(self.blocks) if is_event(block)]

    @property
    def packets(self) -> dict[str, int]:
        """By the interface that they are shown with."""
        found: Counter[str] = Counter()
        for block in self.blocks:
            if not is_event(block):
                for number in block.iface.tolist():
                    found[self.source.interfaces[number].name] += 1
        return dict(found)

    def stop(self) -> None:
        self._stopping.set()
        self.source.wake()
        self._thread.join()
        if self.writer is not None:
            self.writer.close()


def is_event(block: Any) -> bool:
    return bool(block.marks[0] & EVENT)


@contextlib.contextmanager
def running(namespace: Any, *names: str, **options: Any) -> Iterator[Run]:
    run = Run(namespace, *names, **options)
    try:
        yield run
    finally:
        run.stop()
        run.source.close()


def place_of(namespace: Any) -> Place:
    path = f"/run/netns/{namespace.name}"
    return Place("other", os.stat(path).st_ino, path)


@contextlib.contextmanager
def tun(namespace: Any, name: str) -> Iterator[int]:
    """A device for IP without a link header, as WireGuard's: what is written to the descriptor comes in there."""

    def make() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        return descriptor

    descriptor = namespace.call(make)
    try:
        namespace.silence(name)
        namespace.run("ip", "link", "set", name, "up")
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def two(fresh_pair: Any) -> Any:
    """a0-b0 and a1-b1."""
    fresh_pair.left.add_veth("a1", fresh_pair.right, "b1")
    # The kernel takes up to a second to say that the carrier is there.
    wait_for(lambda: fresh_pair.right.run("ip", "-br", "link").count(" UP ") == 2)
    wait_for(lambda: fresh_pair.left.run("ip", "-br", "link").count(" UP ") == 2)
    return fresh_pair


def send(pair: Any, path: Path, interface: str = "a0") -> None:
    pair.left.run("tcpreplay", "-q", "-i", interface, str(path))
    time.sleep(0.1)


def test_two_ethernet_interfaces_with_nobody_to_ask(
    two: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "both.pcapng"
    with running(two.right, "b0", path=path, promiscuous=True) as run:
        for at, name in ((0, "b0"), (1, "b1"), (0, "b0")):
            if run.source.name != name:
                run.switch(name)
            assert run.source.name == name
            send(two, mix, f"a{at}")
            send(two, mix, f"a{1 - at}")  # not captured
        assert "promiscuity 1" in two.right.run("ip", "-d", "link", "show", "b0")
        assert "promiscuity 0" in two.right.run("ip", "-d", "link", "show", "b1")
    each = len(mix_frames)
    assert run.events == ["switched to b1", "switched to b0"]
    assert run.packets == {"b0": 2 * each, "b1": each}
    assert run.source.interfaces == [Interface("b0", 1), Interface("b1", 1)]
    lost = run.source.loss()
    assert run.source.counted == 3 * each
    assert (lost.ring, lost.interface) == (0, 0)
    saved = open_file(str(path))
    block = saved.next_block(1.0)
    assert block is not None
    assert [interface.name for interface in saved.interfaces] == ["b0", "b1"]
    assert block.iface.tolist() == [0] * each + [1] * each + [0] * each
    saved.close()


def test_under_load_every_packet_is_captured_or_counted(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    """What comes before the switch is shown whole, what comes after it, too."""
    with running(two.right, "b0", ring=1 << 19) as run:
        two.left.run("tcpreplay", "-q", "-i", "a0", "--topspeed", "--loop", "200", str(mix))
        run.switch("b1")
        two.left.run("tcpreplay", "-q", "-i", "a1", "--topspeed", "--loop", "100", str(mix))
        time.sleep(0.1)
    lost = run.source.loss()
    captured = sum(run.packets.values())
    assert captured == run.source.counted
    assert captured + lost.ring + lost.interface == 300 * len(mix_frames)
    assert set(run.packets) == {"b0", "b1"}


def test_loss_of_the_ring_before_stays(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    source: LiveSource = two.right.call(
        lambda: open_live(["b0"], ring=1 << 19, snaplen=0, promiscuous=False, capture_filter="")
    )
    source.start()
    two.left.run("tcpreplay", "-q", "-i", "a0", "--topspeed", "--loop", "300", str(mix))  # nobody takes any
    time.sleep(0.1)
    before = source.loss()
    assert before.ring > 0
    source.switch(["b1"])
    packets = 0
    deadline = time.monotonic() + 5
    while source.name != "b1" and time.monotonic() < deadline:
        block = source.next_block(0.1)
        packets += len(block) if block is not None and not is_event(block) else 0
    assert source.loss().ring == before.ring
    assert packets + before.ring + source.loss().interface == 300 * len(mix_frames)
    source.close()
    assert source.loss().ring == before.ring


def test_the_capture_filter_and_what_is_hidden_hold_on_the_next(two: Any, mix: Path) -> None:
    with running(two.right, "b0", capture_filter="udp port 1030 or udp port 1031") as run:
        run.source.hide([Endpoint("udp", None, 53, "10.9.0.1", 1030)])
        run.switch("b1")
        send(two, mix, "a1")
        run.switch("any")  # cooked: the filter is compiled for it
        send(two, mix, "a1")
        run.source.hide([])
        send(two, mix, "a1")
    hidden, rest = MIX["dns"][0], MIX["dns answer"][0] + MIX["dns over IPv6"][0]
    assert run.packets == {"b1": rest, "any": 2 * rest + hidden}


def test_an_interface_that_is_not_there_changes_nothing(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with running(two.right, "b0") as run:
        with pytest.raises(CaptureError, match=r"no interface 'b7'; there are: lo, .*b0.*any"):
            run.source.switch(["b7"])
        with pytest.raises(CaptureError, match="helper process is gone"):
            run.source.switch(["b0", "b1"])  # a second ring needs other sockets
        send(two, mix)
    assert run.packets == {"b0": len(mix_frames)}
    assert run.events == []


def test_a_filter_that_the_next_cannot_have_is_refused(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with running(two.right, "b0", capture_filter="ether src host 02:00:00:00:00:0a") as run:
        with pytest.raises(CaptureError, match="capture filter"):
            run.source.switch(["any"])
        send(two, mix)
    assert run.packets == {"b0": len(mix_frames)}


def test_one_and_then_both_and_one_again(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with running(two.right, "b0") as run:
        run.switch("b0", "b1", fetch=lambda: two.right.call(Sockets.make))
        assert run.source.name == "b0, b1"
        send(two, mix, "a0")
        send(two, mix, "a1")
        run.switch("b1")
        send(two, mix, "a0")
        run.switch("b0", "b1")  # the sockets were kept
        send(two, mix, "a0")
    each = len(mix_frames)
    assert run.packets == {"b0": 2 * each, "b1": each}
    assert run.source.counted == 3 * each


def test_another_namespace_and_back(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    """Captured where the mix is sent from, then where it arrives again."""
    with running(two.right, "b0") as run:
        run.switch("a0", place=place_of(two.left), fetch=lambda: two.left.call(Sockets.make))
        assert run.source.name == "ns:other a0"
        send(two, mix)
        assert [link.name for link in run.source.links() if link.name.startswith("a")] == ["a0", "a1"]
        run.switch("b1", place=run.source.home)  # nobody makes sockets
        send(two, mix, "a1")
    each = len(mix_frames)
    assert run.events == ["switched to ns:other a0", "switched to b1"]
    assert run.packets == {"ns:other a0": each, "b1": each}
    lost = run.source.loss()
    assert (run.source.counted, lost.ring, lost.interface) == (2 * each, 0, 0)


def test_ip_without_a_link_header(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with tun(two.right, "wg0") as descriptor:
        with running(two.right, "b0") as run:
            run.switch("wg0")
            packet = mix_frames[0][14:]
            os.write(descriptor, packet)
            time.sleep(0.1)
            run.switch("b0")
            send(two, mix)
        assert run.source.interfaces == [Interface("b0", 1), Interface("wg0", 101)]
        assert run.packets == {"b0": len(mix_frames), "wg0": 1}
        block = next(block for block in run.blocks if not is_event(block))
        assert bytes(block.raw[block.offsets[0] :][: len(packet)]) == packet
        assert block.linktype.tolist() == [101]


def test_a_namespace_that_is_deleted(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    """It may end: no socket holds it. The capture goes on, and back."""
    with namespaces(1) as (third,), third.watched() as sockets, running(two.right, "b0") as run:
        two.left.add_veth("a2", third, "c0")
        run.switch("c0", place=place_of(third), fetch=lambda: third.call(Sockets.make))
        send(two, mix, "a2")
        assert sockets() > 0
        command("ip", "netns", "del", third.name)
        wait_for(lambda: run.events[-1] == "ns:other: namespace deleted")
        wait_for(lambda: sockets() == 0)
        assert run.source.name == "ns:other deleted"
        assert run.source.links() == []
        run.switch("b0", place=run.source.home)
        send(two, mix)
    assert run.packets == {"ns:other c0": len(mix_frames), "b0": len(mix_frames)}
    assert run.source.counted == 2 * len(mix_frames)


def test_an_interface_that_goes_while_it_is_switched_to(two: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with running(two.right, "b0") as run:
        with run.source._attaching:  # the capture thread has let go of b0, and waits
            run.source.switch(["b1"])
            two.left.run("ip", "link", "del", "a1")
        wait_for(lambda: "b1: interface deleted" in run.events)
        send(two, mix)  # not captured any more
        two.left.add_veth("a1", two.right, "b1")
        wait_for(lambda: run.events[-1].startswith("b1: back after"))
        send(two, mix, "a1")
    assert run.packets == {"b1": len(mix_frames)}
