"""sFlow version 5 (sflow.org): whose samples these are, and how many."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Header, address, group, number
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.protocols import declare
from netwatch.capture.text import ipv4, ipv6

declare("sflow", "sFlow", "discovery")
SFLOW: Final = Header("sflow", "InMon sFlow", ())
VERSION: Final = number("sflow_245.version", "Datagram version")
AGENT4, AGENT6 = (
    address("sflow_245.agent", "Agent address", 4),
    address("sflow_245.agent.v6", "Agent address", 16),
)
SUB_AGENT: Final = number("sflow_245.sub_agent_id", "Sub-agent ID")
SEQUENCE, UPTIME, SAMPLES = (
    number("sflow_245.sequence_number", "Sequence number"),
    number("sflow_245.sysuptime", "SysUptime (ms)"),
    number("sflow_245.numsamples", "NumSamples"),
)
KINDS: Final = {
    1: "Flow sample",
    2: "Counters sample",
    3: "Expanded flow sample",
    4: "Expanded counters sample",
}
SAMPLE: Final = group("", "Sample")
SAMPLE_TYPE, SAMPLE_SIZE = (
    number("sflow_245.sampletype", "sFlow sample type", KINDS),
    number("sflow_5.sample_length", "Sample length (byte)"),
)


@on("udp.port", 6343)
def sflow(packet: Packet, at: int, limit: int) -> Step | None:
    """An agent, then samples with their kind and size."""
    head = packet.rest(at, min(at + 8, limit))
    family = int.from_bytes(head[4:], "big")
    if len(head) < 8 or head[:4] != b"\0\0\0\5" or family not in (1, 2):
        return NOT_MINE
    packet.column("sflow")
    layer = packet.layer(SFLOW.field, at, packet.end(limit) - at)
    packet.add(layer, VERSION, 5, at, 4)
    size = 4 if family == 1 else 16
    agent = packet.take("sFlow", at + 8, size, limit)
    packet.add(layer, AGENT4 if family == 1 else AGENT6, agent, at + 8, size)
    where = at + 8 + size
    values = []
    for field in (SUB_AGENT, SEQUENCE, UPTIME, SAMPLES):
        values.append(packet.uint("sFlow", where, 4, limit))
        packet.add(layer, field, values[-1], where, 4)
        where += 4
    shown = ipv4(agent) if family == 1 else ipv6(agent)
    packet.info = f"V5, agent {shown}, sub-agent ID {values[0]}, seq {values[1]}, {values[3]} samples"
    layer.said = packet.info
    for _ in range(values[3]):
        kind, length = packet.uint("sFlow sample", where, 4, limit), packet.uint("sFlow sample", where + 4, 4, limit)
        packet.check("sFlow sample", where + 8, length, limit)
        item = packet.add(layer, SAMPLE, None, where, 8 + length, KINDS.get(kind & 0xFFF, "Unknown"))
        packet.add(item, SAMPLE_TYPE, kind & 0xFFF, where, 4)
        packet.add(item, SAMPLE_SIZE, length, where + 4, 4)
        where += 8 + length
    return None
