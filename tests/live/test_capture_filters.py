"""Capture filters take what tcpdump takes, on an interface and on `any`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.sources.afpacket import open_live

EVERYWHERE = (
    "port 53",
    "icmp",
    "host 10.9.0.9",
    "tcp and not host 10.9.0.9",
    "src net 10.9.0.0/16 and udp[4:2] > 100",
    "ip6",
    "arp or ether proto 0x88b5",
    "outbound",
    "ip[8] = 64",
    "ip proto 17",
    "udp portrange 1000-1031",
)
ETHERNET_ONLY = ("vlan", "vlan 5", "vlan and port 53", "ether host 02:00:00:00:00:0a", "greater 200", "llc")


@pytest.mark.parametrize(
    ("name", "filters"), [("b0", (*EVERYWHERE, *ETHERNET_ONLY)), ("any", EVERYWHERE)], ids=["interface", "any"]
)
def test_as_many_packets_as_tcpdump(
    pair: Any, capturing: Any, tcpdump: Any, read_pcap: Any, mix: Path, tmp_path: Path, name: str, filters: list[str]
) -> None:
    captured, expected = {}, {}
    with ExitStack() as running:
        for number, words in enumerate(filters):
            captured[words] = running.enter_context(capturing(pair.right, name, ring=1 << 20, capture_filter=words))
            options = ("-y", "LINUX_SLL2") if name == "any" else ()
            running.enter_context(tcpdump(pair.right, name, tmp_path / str(number), *options, words))
        pair.replay(mix)
    for number, words in enumerate(filters):
        expected[words] = len(read_pcap(tmp_path / str(number)))
    assert {words: len(got) for words, got in captured.items()} == expected
    assert any(expected.values())


def test_inbound(pair: Any, capturing: Any, mix: Path, mix_frames: list[bytes]) -> None:
    """Not against tcpdump: libpcap filters what comes first in user space, where it does not know directions."""
    with ExitStack() as running:
        received = [
            running.enter_context(capturing(pair.right, name, capture_filter="inbound")) for name in ("b0", "any")
        ]
        sent = running.enter_context(capturing(pair.left, "a0", capture_filter="inbound"))
        pair.replay(mix)
    assert [len(got) for got in received] == [len(mix_frames)] * 2
    assert len(sent) == 0


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("b0", "port port", "syntax error"),
        ("b0", "icmp6 and tcp[", "syntax error"),
        ("any", "ether host 02:00:00:00:00:0a", "ethernet addresses supported only on"),
        ("any", "link[12] = 2", "link header"),
    ],
)
def test_a_filter_that_cannot_be(pair: Any, name: str, words: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        pair.right.call(lambda: open_live([name], ring=1 << 20, snaplen=0, promiscuous=False, capture_filter=words))
    assert caught.value.code == 2
    assert "\n" not in str(caught.value)
