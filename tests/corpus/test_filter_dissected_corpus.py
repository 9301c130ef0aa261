"""Filters over what dissectors name beside `tshark -Y`, which reads once: the same packets pass."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from netwatch.capture.block import Batch
from netwatch.capture.decode import Decoder
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs ../shared/captures"),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

SUBJECT = "files/OISF__suricata-verify/tests/tls/tls-subjectaltname/input.pcap"
FTP = "files/OISF__suricata-verify/tests/output-eve-ftp-data/input.pcap"
SIP = "files/OISF__suricata-verify/tests/sip-method/sip.pcap"
SMB = "files/cisco__mercury/unit_tests/pcaps/smb.pcap"
METHODS = "files/zeek__zeek/testing/btest/Traces/http/methods.pcap"
SYNTHETIC = "files/arkime__arkime/tests/pcap/arkime_synthetic.pcap"
WECHAT = "files/ntop__nDPI/tests/cfgs/default/pcap/wechat.pcap"
FRAGMENTS = "files/made__tcp/dev/vlan_ipfrag.pcap"

CASES = [
    (SUBJECT, "tls.handshake.type == 1"),
    (SUBJECT, "tls.handshake.type in {2, 11}"),
    (SUBJECT, 'tls.handshake.extensions_server_name contains "google"'),
    (SUBJECT, 'dns.qry.name contains "goo"'),
    (SUBJECT, "http.host and tcp.dstport == 80"),
    (SUBJECT, "not tls.handshake.type and tls.record.version"),
    (FTP, "http.response.code >= 300"),
    (FTP, "http.response.code != 200"),
    (FTP, 'ftp.request.command == "USER"'),
    (FTP, "tcp.analysis.retransmission"),
    (FTP, "dns.flags.response == 1 and dns.count.answers > 1"),
    (FTP, "ip.ttl < 64"),
    (SIP, 'sip.Method == "INVITE"'),
    (SIP, "dns.flags.rcode == 3 or sip.Status-Code >= 200"),
    (SMB, "smb2.cmd in {5, 6}"),
    (SMB, "tcp.options.mss_val > 1000"),
    (METHODS, 'http.request.method != "GET"'),
    (METHODS, "http.response.code === 404"),
    (SYNTHETIC, "mqtt.msgtype == 1 or modbus.func_code"),
    (SYNTHETIC, 'http.user_agent contains "Mozilla" and not http.host == 10.0.0.0/8'),
    (WECHAT, 'tls.handshake.extensions_server_name contains "wechat" or dns.qry.type == 28'),
    (WECHAT, "tcp.analysis.duplicate_ack"),
    (WECHAT, "tcp.window_size_value == 0 or tcp.len > 1400"),
    (FRAGMENTS, "http.request or http.response"),
]

# Packet numbers that only netwatch finds, and only tshark. None of them is the filter's: the trees differ.
DIFFERENCES: dict[tuple[str, str], tuple[set[int], set[int]]] = {
    # Retransmissions with bytes that were missing before: tshark reads none of a retransmission, netwatch those.
    (SUBJECT, "tls.handshake.type in {2, 11}"): ({126}, set()),
    (SUBJECT, "not tls.handshake.type and tls.record.version"): (
        {100, 130, 2760, 2761, 2762, 2766, 2767, 2768},
        set(),
    ),
    # Spurious by what the other end had acknowledged before, which tshark counts as a retransmission, too.
    (FTP, "tcp.analysis.retransmission"): (set(), {493, 765}),
    # A method without a target: no request line for netwatch.
    (METHODS, 'http.request.method != "GET"'): (set(), {34}),
}


def numbers_of_tshark(path: Path, wanted: str) -> list[int]:
    command = ["tshark", "-n", "-r", str(path), "-Y", wanted, "-T", "fields", "-e", "frame.number"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return [int(line) for line in said.split()]


def session_of(path: Path) -> Session:
    source, decoder = open_file(path), Decoder()
    session = Session(source, buffer=None)
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            session.ingest(Batch(decoder.decode(block).rows, block.raw if block.owned else None))
    return session


@pytest.mark.parametrize(("name", "wanted"), CASES)
def test_the_same_packets_as_with_tshark(name: str, wanted: str) -> None:
    session = session_of(CAPTURES / name)
    session.set_filter(wanted)
    while session.catch_up():
        pass
    view, theirs = session.view, numbers_of_tshark(CAPTURES / name, wanted)
    ours = [session.store.number(index) for index in view.indices(0, len(view)).tolist()]
    more, fewer = DIFFERENCES.get((name, wanted), (set(), set()))
    assert sorted(set(theirs) - fewer | more) == ours
    assert (set(ours) - set(theirs), set(theirs) - set(ours)) == (more, fewer)
