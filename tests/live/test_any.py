"""`any` and loopback: cooked headers, each packet of loopback once."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

LINKTYPE_LINUX_SLL2 = 276


def ping(namespace: Any) -> None:
    namespace.run("ping", "-q", "-c", "5", "-i", "0.002", "-I", "lo", "127.0.0.1")


def test_any_sees_all_interfaces_and_loopback_once(
    pair: Any, capturing: Any, tcpdump: Any, read_pcap: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path
) -> None:
    with (
        capturing(pair.right, "any") as got,
        capturing(pair.right, "lo") as loopback,
        tcpdump(pair.right, "any", tmp_path / "any", "-y", "LINUX_SLL2"),
        tcpdump(pair.right, "lo", tmp_path / "lo"),
    ):
        ping(pair.right)
        pair.replay(mix)
    assert loopback.frames == [data for _, _, data in read_pcap(tmp_path / "lo")]
    assert len(loopback) == 10
    assert set(got.column("linktype").tolist()) == {LINKTYPE_LINUX_SLL2}
    dumped = read_pcap(tmp_path / "any")
    assert len(got) == len(dumped) == 10 + len(mix_frames)
    for ours, (_, wirelen, theirs), length in zip(got.frames, dumped, got.column("wirelen"), strict=True):
        if ours[:2] == theirs[:2]:
            assert (ours, length) == (theirs, wirelen)
            continue
        # tcpdump loses the tag that the kernel took off; here it stands between header and packet.
        tag_type, _, ident, protocol = struct.unpack(">H18sHH", ours[:24])
        assert (tag_type, ident) in {(0x8100, 5), (0x8100, 6), (0x88A8, 7)}
        assert ours[2:20] + ours[24:] == theirs[2:]
        assert length == wirelen + 4
        assert protocol == (0x8100 if tag_type == 0x88A8 else 0x0800)


def test_any_cuts_at_the_snap_length_with_its_header(pair: Any, capturing: Any, mix: Path) -> None:
    with capturing(pair.right, "any", snaplen=48) as got:
        pair.replay(mix)
    assert set(got.column("caplen").tolist()) == {48}
