"""The display filter beside `tshark -Y`: the same filters let the same number of packets through."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.columns import Columns
from netwatch.capture.decode import Decoder
from netwatch.capture.filter import compile
from netwatch.capture.paths import PATHS
from netwatch.capture.sources.files import open_file

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs ../shared/captures"),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

FILTERS = [
    "eth",
    "ip",
    "ipv6",
    "arp",
    "tcp",
    "udp",
    "icmp or icmpv6",
    "not tcp and not udp",
    "tcp and ip or udp and ipv6",
    "!(tcp || udp) && ip",
    "tcp.port == 80",
    "tcp.port != 80",
    "not tcp.port == 80",
    "tcp.srcport < 1024",
    "tcp.dstport in {8000..8100}",
    "udp.port == 53",
    "udp.port >= 1024",
    "udp.port === 67",
    "udp.dstport ne 53",
    "tcp.flags.syn == 1",
    "tcp.flags.syn == 1 and tcp.flags.ack == 0",
    "tcp.flags.reset == 1",
    "tcp.flags & 0x01",
    "tcp.flags == 0x018",
    "ip.addr == 10.0.0.0/8",
    "ip.src == 192.168.0.0/16",
    "ip.addr != 192.168.0.0/16",
    "ip.dst > 128.0.0.0",
    "ipv6.addr == fe80::/10",
    "ipv6.dst == ff02::/16",
    "ipv6.src != ::",
    "ip.proto == 17",
    "ip.proto in {1..2}",
    "icmp.type == 8",
    "icmpv6.type >= 133",
    "vlan.id",
    "vlan.id > 100",
    "frame.len > 1000",
    "frame.len <= 60",
    "frame.cap_len == 60",
    "frame.time_epoch >= 1.5",
]
FILES = [
    "files/CESNET__ipfixprobe/tests/functional/inputs/mixed.pcap",
    "files/ITI__ICS-Security-Tools/pcaps/MELSEC/melsoft_UDP_unclean_1.pcap",
    "files/OISF__suricata-verify/tests/http-brotli-ce/input.pcap",
    "files/OISF__suricata-verify/tests/sip-method/sip.pcap",
    "files/OISF__suricata-verify/tests/output-eve-ftp-data/input.pcap",
    "files/OISF__suricata-verify/tests/tls/tls-subjectaltname/input.pcap",
    "files/zeek__zeek/testing/btest/Traces/wikipedia.pcap",
    "files/ntop__nDPI/tests/cfgs/default/pcap/whatsapp_login_call.pcap",
    "files/made__tcp/dev/inorder.pcap",
    "files/made__tcp/dev/vlan_ipfrag.pcap",
    "perf/devmix_40k.pcap",
]


def counts_of_tshark(path: Path) -> dict[str, int]:
    """Filter -> packets, in one pass: a table of io,stat each (which takes no comma in a filter)."""
    taps = [word for text in FILTERS for word in ("-z", f"io,stat,0,{text}")]
    command = ["tshark", "-n", "-q", "-r", str(path), *taps]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    tables = re.finditer(r"Col 1: (.*?) *\|\n.*?<>[^|]*\|\s*(\d+)\s*\|", said, re.DOTALL)
    return {table[1]: int(table[2]) for table in tables}


def rows_of(path: Path) -> Columns:
    source, decoder, parts = open_file(path), Decoder(), []
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            parts.append(decoder.decode(block).rows)
    source.close()
    return Columns.concatenate(parts)


@pytest.mark.parametrize("name", FILES)
def test_as_many_packets_as_with_tshark(name: str) -> None:
    path = CAPTURES / name
    rows, theirs = rows_of(path), counts_of_tshark(path)
    assert theirs.keys() == set(FILTERS)
    ours = {text: int(compile(text).mask(rows).sum()) for text in FILTERS}
    differences = {
        text: (theirs[text], ours[text]) for text in FILTERS if abs(ours[text] - theirs[text]) > nested(rows)
    }
    assert differences == {}


def nested(rows: Columns) -> int:
    """Packets with a network header in another, of which tshark knows all fields and the columns the outermost."""
    layers = [sum(part in ("ip", "ipv6") for part in name.split(":")) for name in PATHS.names]
    return int((np.array(layers)[rows.path] > 1).sum())
