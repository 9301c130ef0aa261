"""Every field that a dissector names beside tshark's value of it, first occurrences in one pass.

`python tests/corpus/test_every_field.py [part of a path]` prints the fields that differ most, with an example each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netwatch.capture.block import Block, Interface
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Context, Item, dissect
from netwatch.capture.errors import CaptureError
from netwatch.capture.fields import FieldWriter
from netwatch.capture.passing import passing
from netwatch.capture.sources.files import open_file

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

FLOOR = 0.97
"""Reached: 98.1 % of 1.1 million values of 1,900 fields."""
EVERY = 4
"""The test looks at one capture of so many."""

ASKED = """
    frame.number frame.time frame.time_epoch frame.time_relative frame.time_delta frame.time_delta_displayed frame.len
    frame.cap_len frame.marked frame.ignored frame.encap_type frame.interface_id frame.interface_name frame.protocols
    _ws.col.No. _ws.col.Time _ws.col.Source _ws.col.Destination _ws.col.Protocol _ws.col.Length
    eth.src eth.dst eth.addr eth.type eth.src_resolved eth.dst_resolved eth.src.oui eth.ig eth.lg
    vlan.id arp.opcode arp.src.proto_ipv4 arp.dst.proto_ipv4 arp.src.hw_mac
    ip.src ip.dst ip.addr ip.host ip.src_host ip.dst_host ip.proto ip.ttl ip.len ip.id ip.version ip.hdr_len ip.flags
    ip.flags.df ip.flags.mf ip.frag_offset ip.checksum ip.checksum_calculated ip.dsfield.dscp
    ipv6.src ipv6.dst ipv6.addr ipv6.host ipv6.nxt ipv6.hlim ipv6.plen ipv6.flow ipv6.src_slaac_mac
    tcp.srcport tcp.dstport tcp.port tcp.stream tcp.len tcp.seq tcp.seq_raw tcp.ack tcp.ack_raw tcp.nxtseq tcp.hdr_len
    tcp.flags tcp.flags.str tcp.flags.syn tcp.flags.ack tcp.flags.fin tcp.flags.reset tcp.flags.push tcp.window_size
    tcp.window_size_value tcp.window_size_scalefactor tcp.checksum tcp.urgent_pointer tcp.options tcp.options.mss
    tcp.options.mss_val tcp.options.wscale tcp.options.wscale.shift tcp.options.wscale.multiplier
    tcp.options.sack_perm tcp.options.nop tcp.options.timestamp tcp.options.timestamp.tsval
    tcp.options.timestamp.tsecr tcp.payload tcp.completeness tcp.time_relative tcp.time_delta tcp.connection.syn
    tcp.connection.synack tcp.connection.fin tcp.connection.rst tcp.analysis.flags tcp.analysis.acks_frame
    tcp.analysis.ack_rtt tcp.analysis.initial_rtt tcp.analysis.bytes_in_flight tcp.analysis.push_bytes_sent
    tcp.analysis.retransmission tcp.analysis.duplicate_ack tcp.analysis.rto tcp.analysis.lost_segment
    udp.srcport udp.dstport udp.port udp.length udp.stream udp.payload udp.time_relative udp.time_delta
    icmp.type icmp.code icmp.ident icmp.seq icmp.resp_to icmpv6.type icmpv6.nd.ns.target_address icmpv6.opt.linkaddr
    dns.id dns.flags.response dns.flags.rcode dns.qry.name dns.qry.type dns.resp.name dns.resp.type dns.resp.ttl dns.a
    dns.aaaa dns.cname dns.ptr.domain_name dns.txt dns.time dns.count.answers dhcp.option.hostname dhcp.option.dhcp
    dhcp.type dhcp.ip.your dhcp.hw.mac_addr dhcp.option.value http.request.method http.request.uri
    http.request.full_uri http.host http.user_agent http.response.code http.content_type http.server http.referer
    http.cookie http.location http.authbasic tls.record.version tls.record.content_type tls.handshake.type
    tls.handshake.version tls.handshake.extensions_server_name tls.handshake.ciphersuite tls.handshake.ja3
    tls.handshake.extensions_alpn_str tls.handshake.certificate tls.alert_message.desc x509sat.printableString
    x509ce.dNSName quic.version ssh.protocol ftp.request.command ftp.request.arg smtp.req.command imf.from imf.subject
    sip.Method sip.Call-ID sip.Status-Code sip.from.user sip.auth.username rtp.ssrc rtp.seq snmp.name snmp.community
    ntp.stratum ntp.refid syslog.msg smb2.cmd smb2.filename smb2.tree smb2.acct ntlmssp.auth.username
    ntlmssp.ntlmserverchallenge ntlmssp.ntlmv2_response.ntproofstr kerberos.CNameString kerberos.realm nbns.name
    wlan.ssid wlan.sa wlan.bssid wlan.addr wlan.fc.type_subtype wlan_radio.signal_dbm wlan_radio.channel
    radiotap.dbm_antsignal mqtt.topic modbus.func_code gre.proto vxlan.vni sctp.port
"""
"""What scripts and lessons ask tshark for."""
ASKED_FLOOR = 0.99
"""Reached: 99.6 % of 1.6 million values of 216 fields."""

VERIFIED = [f"{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]
"""Checksums are always verified here."""


class Differences:
    """By field: how many values there are, and how many of them are ours alone, tshark's alone, or not the same."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()
        self.differing: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], str] = {}

    def add(self, name: str, ours: str, theirs: str, where: str) -> None:
        """One value."""
        if not (ours or theirs):
            return
        self.values[name] += 1
        if ours != theirs:
            kind = "ours alone" if not theirs else "tshark's alone" if not ours else "other"
            self.differing[name, kind] += 1
            self.examples.setdefault((name, kind), f"{where}: {ours[:60]!r}, tshark {theirs[:60]!r}")

    @property
    def equal(self) -> float:
        """The share of equal values."""
        return 1 - self.differing.total() / self.values.total()


def compare(path: Path, known: frozenset[str], into: Differences, names: Sequence[str] = ()) -> None:
    """All fields of one capture, or these."""
    try:
        packets, interfaces = _blocks(path)
    except CaptureError:
        return
    names = names or sorted(_names(packets) & known)
    if not names:
        return
    asked = [word for name in names for word in ("-e", name)]
    options = [word for option in VERIFIED for word in ("-o", option)]
    command = ["tshark", "-n", "-r", str(path), *options, "-T", "fields", "-E", "occurrence=f", *asked]
    said = subprocess.run(command, capture_output=True, check=False).stdout.decode("utf-8", "replace").split("\n")
    writer, decoder = FieldWriter(names), Decoder(fields=True)
    writer.interfaces = interfaces
    ours = [line for block in packets for line in writer.lines(block, decoder.decode(block)).split("\n")[:-1]]
    for number, (mine, theirs) in enumerate(zip(ours, said, strict=False), 1):
        if mine != theirs:
            for name, one, other in zip(names, mine.split("\t"), theirs.split("\t"), strict=False):
                into.add(name, one, other, f"{path.name} #{number}")
        else:
            into.values.update(name for name, one in zip(names, mine.split("\t"), strict=True) if one)


def _blocks(path: Path) -> tuple[list[Block], list[Interface]]:
    source, found = open_file(str(path)), []
    while not source.exhausted:
        block = source.next_block(1.0)
        if block is not None:
            # The source uses its memory again.
            block.raw = block.raw.copy()
            found.append(block)
    source.close()
    return found, source.interfaces


def _names(packets: list[Block]) -> set[str]:
    """What the dissectors name in them, without what they only head."""
    context, number, names = Context(), 1, set[str]()
    for block in packets:
        for packet in passing(block, number):
            number += 1
            tree = dissect(packet.data, packet.linktype, packet.wirelen, context=context, number=packet.number)
            rest: list[Item] = list(tree.layers)
            while rest:
                item = rest.pop()
                rest += item.children
                if item.value is not None:
                    names.add(item.field.name)
    return names


def known_to_tshark() -> frozenset[str]:
    """The names of its fields."""
    told = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, check=True).stdout
    return frozenset(line.split("\t")[2] for line in told.splitlines() if line.startswith("F\t"))


def files() -> list[Path]:
    """The captures."""
    lines = (CAPTURES / "MAP.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [CAPTURES / "files" / path for _, path, count, *_ in rows if int(count)]


@pytest.mark.usefixtures("captures_folder")
def test_nearly_all_values_of_all_fields_are_those_of_tshark() -> None:
    found, known = Differences(), known_to_tshark()
    for path in files()[::EVERY]:
        compare(path, known, found)
    assert found.values.total() > 100_000
    print(f"{found.values.total()} values of {len(found.values)} fields, {found.equal:.2%} equal")
    assert found.equal >= FLOOR, found.differing.most_common(20)


@pytest.mark.usefixtures("captures_folder")
def test_what_scripts_ask_for_is_what_tshark_says() -> None:
    found = Differences()
    for path in files()[::EVERY]:
        compare(path, frozenset(), found, ASKED.split())
    print(f"{found.values.total()} values of {len(found.values)} fields, {found.equal:.2%} equal")
    assert found.values.total() > 100_000
    assert found.equal >= ASKED_FLOOR, found.differing.most_common(20)


def report(part: str) -> None:
    """The fields that differ, most first."""
    found, known = Differences(), known_to_tshark()
    for path in files():
        if part in str(path):
            compare(path, known, found)
    print(f"{found.values.total()} values of {len(found.values)} fields, {found.equal:.2%} equal")
    for (name, kind), count in found.differing.most_common(150):
        print(f"{count:6} of {found.values[name]:<6} {name} ({kind}): {found.examples[name, kind]}")


if __name__ == "__main__":
    report(sys.argv[1] if len(sys.argv) > 1 else "")
