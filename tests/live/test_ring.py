"""What the ring hands over is what was sent, once, whole, with the kernel's times; what is lost is counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwatch.capture.columns import INCOMING, OUTGOING
from netwatch.capture.sources.ring import BLOCK_TIMEOUT

SENT_EACH = 20_000


@pytest.fixture
def many(mix_frames: list[bytes], write_pcap: Any, tmp_path: Path) -> Path:
    """1,000 packets. Those with two tags count as dropped by the interface although captures have them."""
    path = tmp_path / "many.pcap"
    write_pcap(path, (mix_frames * 20)[:1000])
    return path


def interface_drops(pair: Any) -> int:
    """What the kernel says that b0 dropped."""
    (line,) = (line for line in pair.right.run("cat", "/proc/net/dev").splitlines() if "b0:" in line)
    return int(line.split()[4])


def test_every_packet_sent_is_captured(pair: Any, capturing: Any, many: Path) -> None:
    dropped = interface_drops(pair)
    with capturing(pair.right, "b0") as got:
        sent = pair.replay(many, "--pps=20000", "--loop=20")
    assert interface_drops(pair) > dropped
    assert sent == SENT_EACH
    assert len(got) + got.loss.ring + got.loss.interface == sent
    assert len(got) == got.counted
    assert got.loss.packets == 0
    assert set(got.column("marks").tolist()) == {INCOMING}


def test_what_a_ring_too_small_drops_is_counted(pair: Any, capturing: Any, many: Path) -> None:
    with capturing(pair.right, "b0", ring=1) as got:
        # Nobody takes blocks while this one is being copied: two blocks of 256 KiB fill at once.
        pair.replay(many, "--topspeed", "--loop=100")
    assert len(got) == got.counted
    assert len(got) + got.loss.ring + got.loss.interface == 100_000
    assert got.notes == []


def test_vlan_tags_that_the_kernel_took_off_are_back(
    pair: Any, capturing: Any, tcpdump: Any, read_pcap: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path
) -> None:
    with capturing(pair.right, "b0") as got, tcpdump(pair.right, "b0", tmp_path / "dump"):
        pair.replay(mix)
    assert got.frames == mix_frames
    dumped = read_pcap(tmp_path / "dump")
    assert got.frames == [data for _, _, data in dumped]
    assert got.column("wirelen").tolist() == [wirelen for _, wirelen, _ in dumped]


def test_times_are_the_kernels(
    pair: Any, capturing: Any, tcpdump: Any, read_pcap: Any, mix: Path, tmp_path: Path
) -> None:
    before = time.time_ns()
    with capturing(pair.right, "b0") as got, tcpdump(pair.right, "b0", tmp_path / "dump"):
        pair.replay(mix, "--pps=1000")
    ts = got.column("ts")
    assert np.all(np.diff(ts) >= 0)
    assert before < ts[0] < ts[-1] < time.time_ns()
    theirs = np.array([when for when, _, _ in read_pcap(tmp_path / "dump")])
    # Each socket stamps for itself; a block's time-out would show as 40 ms.
    assert np.median(np.abs(ts - theirs)) < BLOCK_TIMEOUT * 1e9 / 4


@pytest.mark.parametrize("snaplen", [1, 13, 20, 60, 64])
def test_snap_length_cuts_what_is_captured_not_what_was_on_the_wire(
    pair: Any, capturing: Any, mix: Path, mix_frames: list[bytes], snaplen: int
) -> None:
    with capturing(pair.right, "b0", snaplen=snaplen) as got:
        pair.replay(mix)
    assert got.frames == [frame[:snaplen] for frame in mix_frames]
    assert got.column("wirelen").tolist() == [len(frame) for frame in mix_frames]


def test_finish_drains_the_ring(pair: Any, mix: Path, mix_frames: list[bytes]) -> None:
    from netwatch.capture.sources.afpacket import open_live

    source = pair.right.call(lambda: open_live(["b0"], ring=1 << 20, snaplen=0, promiscuous=False, capture_filter=""))
    try:
        pair.replay(mix)  # not bound yet
        source.start()
        pair.replay(mix)
        drained = sum(len(block) for block in source.finish())
        pair.replay(mix)  # detached
        assert drained == len(mix_frames)
        assert source.next_block(0.0) is None
        assert source.exhausted
        assert source.loss().packets == 0
    finally:
        source.close()
        source.close()


def test_promiscuous_while_it_captures(pair: Any, capturing: Any) -> None:
    def promiscuity() -> str:
        words: list[str] = pair.right.run("ip", "-d", "link", "show", "b0").split()
        return words[words.index("promiscuity") + 1]

    with capturing(pair.right, "b0", promiscuous=True):
        assert promiscuity() == "1"
    assert promiscuity() == "0"
    with capturing(pair.right, "b0", promiscuous=False):
        assert promiscuity() == "0"


def test_own_packets_go_out(pair: Any, capturing: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with capturing(pair.left, "a0") as got:
        pair.replay(mix)
    assert got.frames == mix_frames
    assert set(got.column("marks").tolist()) == {OUTGOING}


def test_several_interfaces_in_one_source(fresh_pair: Any, capturing: Any, mix: Path) -> None:
    fresh_pair.left.add_veth("a1", fresh_pair.right, "b1")
    with capturing(fresh_pair.right, "b0", "b1", capture_filter="udp") as got:
        fresh_pair.replay(mix)
        fresh_pair.left.run("tcpreplay", "-q", "-i", "a1", "--loop=2", str(mix))
        time.sleep(0.05)
    of_each = np.bincount(got.column("iface"))
    assert of_each[1] == 2 * of_each[0] > 0
    assert len(got) == got.counted == of_each.sum()
