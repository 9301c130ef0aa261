"""The kernel runs what hides connections: on Ethernet, with a VLAN tag, cooked, without link header, and live."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import Pair, ethernet, ipv4, ipv6, tcp, udp

from netwatch.capture.columns import EVENT
from netwatch.capture.engine import blocks
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.sources.afpacket import open_live

MINE = 8
HIDDEN = (
    Endpoint("tcp", "10.9.0.2", 22, "10.9.0.1", 50122),
    Endpoint("tcp", "fd00::2", 22, "fd00::1", 50122),
    Endpoint("udp", "10.9.0.2", 60001),
)
FRAMES = [
    *[ethernet(0x0800, ipv4(6, tcp(50122, 22, size))) for size in (0, 1, 1000)],
    ethernet(0x86DD, ipv6(6, tcp(50122, 22, 5))),
    ethernet(0x0800, ipv4(17, udp(1, 60001))),
    ethernet(0x0800, ipv4(6, tcp(50122, 22)), (0x8100, 5)),
    ethernet(0x0800, ipv4(6, tcp(50122, 22)), (0x88A8, 7), (0x8100, 8)),
    ethernet(0x86DD, ipv6(6, tcp(50122, 22)), (0x8100, 5)),
]
"""Of the connections, eight; then what only looks like them."""
OTHERS = [
    ethernet(0x0800, ipv4(6, tcp(50123, 22))),
    ethernet(0x0800, ipv4(17, udp(50122, 22))),
    ethernet(0x0800, ipv4(6, tcp(50122, 22), last=3)),
    ethernet(0x0806, ipv4(6, tcp(50122, 22))),
    ethernet(0x0800, ipv4(6, b"")[:30]),
    ethernet(0x86DD, ipv6(17, udp(50122, 23))),
    ethernet(0x88B5, b"?" * 60),
    ethernet(0x0800, b""),
]


@pytest.mark.parametrize("interface", ["b0", "any"])
@pytest.mark.parametrize("capture_filter", ["", "ip or ip6 or arp or ether proto 0x88b5 or vlan"])
def test_exactly_theirs_are_rejected(
    pair: Pair,
    tmp_path: Path,
    write_pcap: Callable[[Path, list[bytes]], None],
    interface: str,
    capture_filter: str,
) -> None:
    path = tmp_path / "sent.pcap"
    write_pcap(path, [*FRAMES, *OTHERS])
    assert len(FRAMES) == MINE
    if interface == "any" and capture_filter:
        capture_filter = ""  # `ether proto` reads a link header
    source = pair.right.call(
        lambda: open_live([interface], ring=4 << 20, snaplen=0, promiscuous=True, capture_filter=capture_filter)
    )
    counts: list[int] = []
    stopping = threading.Event()
    got: list[Any] = []
    try:
        source.hide(HIDDEN)
        source.start()
        thread = threading.Thread(target=lambda: got.extend(blocks(source, stopping)))
        thread.start()
        for hidden in (HIDDEN, (), HIDDEN[:1], HIDDEN):
            source.hide(hidden)
            before = _captured(source)
            assert pair.replay(path) == MINE + len(OTHERS)
            counts.append(_captured(source) - before)
        stopping.set()
        source.wake()
        thread.join()
        assert _rows(got) == sum(counts)
        assert source.loss().packets == 0
    finally:
        stopping.set()
        source.close()
    # Of the first connection are the three of IPv4 and the two with tags.
    assert counts == [len(OTHERS), MINE + len(OTHERS), MINE + len(OTHERS) - 5, len(OTHERS)]
    assert len(source.hidden_filters) == 3


def _captured(source: Any) -> int:
    """Packets that the kernel took so far."""
    source.loss()
    return sum(port.ring.packets for port in source.ports)


def _rows(got: list[Any]) -> int:
    """Without those that say what became of an interface."""
    return sum(int((block.marks & EVENT == 0).sum()) for block in got)


def test_none_is_lost_while_the_filter_is_replaced(
    pair: Pair, tmp_path: Path, write_pcap: Callable[[Path, list[bytes]], None]
) -> None:
    path = tmp_path / "sent.pcap"
    write_pcap(path, OTHERS[:1] * 100)
    source = pair.right.call(
        lambda: open_live(["b0"], ring=16 << 20, snaplen=0, promiscuous=True, capture_filter="tcp")
    )
    stopping = threading.Event()
    got: list[Any] = []
    ended = threading.Event()

    def replace() -> None:
        while not ended.is_set():
            source.hide(HIDDEN)
            source.hide(())

    try:
        source.start()
        threads = [threading.Thread(target=lambda: got.extend(blocks(source, stopping)))]
        threads.append(threading.Thread(target=replace))
        for thread in threads:
            thread.start()
        sent = pair.replay(path, "--loop", "50", "--pps", "10000")
        ended.set()
        stopping.set()
        source.wake()
        for thread in threads:
            thread.join()
        assert _rows(got) == sent == 5000
    finally:
        ended.set()
        stopping.set()
        source.close()
    source.hide(HIDDEN)  # after the end it does nothing
