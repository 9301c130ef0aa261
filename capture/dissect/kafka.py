"""Kafka (Apache Kafka protocol guide): the heads of requests and answers, and the topics of the commonest."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.framed import Cursor, Passed, contained, entire, octet, roomy, sized
from netwatch.capture.dissect.kit import Field, Header, Item, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

PORT: Final = 9092
NAME: Final = "Kafka"
KAFKA = Header("kafka", "Kafka", ())
NAMES: Final = dict(
    enumerate(
        (
            *("Produce", "Fetch", "Offsets", "Metadata", "LeaderAndIsr", "StopReplica", "UpdateMetadata"),
            *("ControlledShutdown", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat"),
            *("LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "SaslHandshake", "ApiVersions"),
            *("CreateTopics", "DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch"),
            *("AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit"),
            *("DescribeAcls", "CreateAcls", "DeleteAcls", "DescribeConfigs", "AlterConfigs"),
            *("AlterReplicaLogDirs", "DescribeLogDirs", "SaslAuthenticate", "CreatePartitions"),
            *("CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken", "DescribeDelegationToken"),
            *("DeleteGroups", "ElectLeaders", "IncAlterConfigs", "AlterPartitionReassignments"),
            *("ListPartitionReassignments", "OffsetDelete"),
        )
    )
)
LENGTH = number("kafka.len", "Length")
API, VERSION = number("kafka.api_key", "API Key", NAMES), number("kafka.api_version", "API Version")
ANSWERED, ANSWERED_VERSION = (
    number("kafka.response_key", "API Key", NAMES),
    number("kafka.response.version", "API Version"),
)
CORRELATION, CLIENT = number("kafka.correlation_id", "Correlation ID"), text("kafka.client_id", "Client ID")
TRANSACTION = text("kafka.transactional_id", "Transactional ID")
ACKS, TIMEOUT = number("kafka.required_acks", "Required Acks"), number("kafka.timeout", "Timeout")
TOPIC, PARTITION = text("kafka.topic_name", "Topic Name"), number("kafka.partition_id", "Partition ID")
REPLICA, MAX_WAIT, MIN_BYTES, MAX_BYTES = (
    number("kafka.replica_id", "Replica ID"),
    number("kafka.max_wait_time", "Max Wait Time"),
    number("kafka.min_bytes", "Min Bytes"),
    number("kafka.max_bytes", "Max Bytes"),
)
ISOLATION = number("kafka.isolation_level", "Isolation Level", {0: "Read Uncommitted", 1: "Read Committed"})
OFFSET, GROUP = number("kafka.offset", "Offset"), text("kafka.consumer_group", "Consumer Group")
ERROR = number("kafka.error", "Error", {0: "No error"})
MIN_VERSION, MAX_VERSION, SUPPORTED = (
    number("kafka.api_versions.min_version", "Min Version"),
    number("kafka.api_versions.max_version", "Max Version"),
    number("kafka.api_versions.api_key", "API Key", NAMES),
)
RECORDS = octets("kafka.message_set", "Records")
CODEC = number("kafka.batch_codec", "Compression Codec", {0: "None", 1: "Gzip", 2: "Snappy", 3: "LZ4", 4: "Zstd"})
KEY, VALUE = octets("kafka.message_key", "Key"), octets("kafka.message_value", "Value")
PAYLOAD = octets("", "Payload")
BATCH_HEAD: Final = 61
"""Bytes of a batch before its records."""

FLEXIBLE: Final = {0: 9, 1: 12, 3: 9, 10: 3, 18: 3}
"""Version of a request from which lengths are written in another way (KIP-482): its body is shown as bytes."""
MAX_LENGTH: Final = 100 << 20
"""Bytes of a request that brokers take, by default."""
MAX_KEY: Final = 128
MAX_VERSION_NUMBER: Final = 64
SMALL_REQUEST: Final = rb"\x00{3}(?=.\x00%b\x00%b)" % (
    octet(range(MAX_KEY)),
    octet(range(MAX_VERSION_NUMBER)),
) + sized(4)
SMALL_ANSWER: Final = rb"\x00{3}" + sized(4)
MAX_PENDING: Final = 1024
"""Requests of a conversation whose answers are waited for."""
Memory = dict[Any, Any]


@on("tcp.port", PORT)
def kafka(packet: Packet, at: int, limit: int) -> Step | None:
    """Lengths, each with a request of a client or the answer that has its number."""
    asks = packet.values.get("ports", (0, 0))[1] == PORT
    if not _plausible(packet.data[at : at + 14], asks):
        return NOT_MINE
    memory = packet.memory("kafka")
    passed = Passed(packet, SMALL_REQUEST if asks else SMALL_ANSWER)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, 4, limit)
        if not _plausible(packet.data[at : at + 14], asks):
            return Step((kafka,), at, limit)
        end = entire(packet, NAME, at, 4 + packet.uint(NAME, at, 4, limit), limit)
        if roomy(packet):
            packet.column("kafka")
            layer = packet.layer(KAFKA.field, at, packet.end(min(end, limit)) - at)
            cursor = Cursor(packet, NAME, at, min(end, limit))
            if not contained(packet, _request if asks else _answer, cursor, layer, memory):
                packet.info += MALFORMED_MARK
            layer.said = packet.info
        else:
            passed.single(at, end)
        at = end
    return None


def _plausible(head: bytes, asks: bool) -> bool:
    if not head or (len(head) >= 4 and not 4 <= int.from_bytes(head[:4], "big") <= MAX_LENGTH):
        return False
    if head[0] > MAX_LENGTH >> 24:
        return False
    if not asks or len(head) < 8:
        return True
    return head[4] == 0 and head[5] < MAX_KEY and head[6] == 0 and head[7] < MAX_VERSION_NUMBER


def _name(key: int, version: int) -> str:
    return f"Kafka {NAMES.get(key, f'Unknown {key}')} v{version}"


def _string(cursor: Cursor, layer: Item, field: Field) -> str:
    """A length of two bytes, -1 for null, and characters."""
    start = cursor.at
    size = cursor.uint(2, signed=True)
    if size < 0:
        cursor.packet.add(layer, field, b"", start, 2, "[ Null ]")
        return ""
    return cursor.octets(layer, field, size).decode("utf-8", "surrogateescape")


def _request(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:
    cursor.number(layer, LENGTH, 4)
    key = cursor.number(layer, API, 2)
    version = cursor.number(layer, VERSION, 2)
    packet.info = f"{_name(key, version)} Request" + ("" if key in NAMES else " [Unknown API key]")
    correlation = cursor.number(layer, CORRELATION, 4, signed=True)
    if len(memory) >= MAX_PENDING:
        del memory[next(iter(memory))]  # some are never answered
    memory[correlation] = key, version
    _string(cursor, layer, CLIENT)
    show = REQUESTS.get(key)
    if show is not None and version < FLEXIBLE[key]:
        show(cursor, layer, version)
    cursor.rest(layer, PAYLOAD)


def _answer(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:
    cursor.number(layer, LENGTH, 4)
    at = cursor.at
    correlation = cursor.number(layer, CORRELATION, 4, signed=True)
    key, version = memory.pop(correlation, (-1, 0))
    if key < 0:
        packet.info = "Kafka Response (Undecoded, Request Missing)"
    else:
        packet.info = f"{_name(key, version)} Response"
        packet.add(layer, ANSWERED, key, at, 0)
        packet.add(layer, ANSWERED_VERSION, version, at, 0)
    if key == 18 and version < FLEXIBLE[18]:
        cursor.number(layer, ERROR, 2, signed=True)
        for _ in range(cursor.uint(4)):
            each = packet.add(layer, SUPPORTED, packet.uint(NAME, cursor.at, 2, cursor.end), cursor.at, 6)
            cursor.at += 2
            cursor.number(each, MIN_VERSION, 2)
            cursor.number(each, MAX_VERSION, 2)
    cursor.rest(layer, PAYLOAD)


def _produce(cursor: Cursor, layer: Item, version: int) -> None:
    if version >= 3:
        _string(cursor, layer, TRANSACTION)
    cursor.number(layer, ACKS, 2, signed=True)
    cursor.number(layer, TIMEOUT, 4)
    for _ in range(cursor.uint(4)):
        _string(cursor, layer, TOPIC)
        for _ in range(cursor.uint(4)):
            cursor.number(layer, PARTITION, 4)
            size = cursor.uint(4, signed=True)
            if size > 0:
                _records(cursor, layer, size)


def _records(cursor: Cursor, layer: Item, size: int) -> None:
    """Batches of format 2; those that are compressed, and older formats, are left as bytes."""
    packet, start = cursor.packet, cursor.at
    raw = cursor.octets(layer, RECORDS, size)
    parent = layer.children[-1] if packet.build else layer
    at = 0
    while at + BATCH_HEAD <= len(raw) and raw[at + 16] == 2:
        inner = Cursor(packet, NAME, start + at + BATCH_HEAD, start + size)
        codec = packet.add(parent, CODEC, raw[at + 22] & 7, start + at + 21, 2).value
        for _ in range(0 if codec else int.from_bytes(raw[at + 57 : at + 61], "big")):
            end = _varint(inner) + inner.at
            inner.uint(1)  # attributes
            _varint(inner)  # time and offset, relative to the batch's
            _varint(inner)
            for field in (KEY, VALUE):
                length = _varint(inner)
                if length >= 0:
                    inner.octets(parent, field, length)
            if not inner.at <= end <= inner.end:
                raise Malformed("Kafka: a record beyond its batch", inner.at)
            inner.at = end
        at += 12 + int.from_bytes(raw[at + 8 : at + 12], "big")


def _varint(cursor: Cursor) -> int:
    """Seven bits a byte, the sign in the lowest (Protocol Buffers' zigzag)."""
    value = 0
    for shift in range(0, 70, 7):
        byte = cursor.uint(1)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    return value >> 1 ^ -(value & 1)


def _fetch(cursor: Cursor, layer: Item, version: int) -> None:
    cursor.number(layer, REPLICA, 4, signed=True)
    cursor.number(layer, MAX_WAIT, 4)
    cursor.number(layer, MIN_BYTES, 4)
    if version >= 3:
        cursor.number(layer, MAX_BYTES, 4)
    if version >= 4:
        cursor.number(layer, ISOLATION, 1)
    if version >= 7:
        cursor.uint(8)  # session and its epoch
    for _ in range(cursor.uint(4)):
        _string(cursor, layer, TOPIC)
        for _ in range(cursor.uint(4)):
            cursor.number(layer, PARTITION, 4)
            if version >= 9:
                cursor.uint(4)
            cursor.number(layer, OFFSET, 8, signed=True)
            if version >= 5:
                cursor.uint(8)
            cursor.number(layer, MAX_BYTES, 4)


def _metadata(cursor: Cursor, layer: Item, version: int) -> None:  # noqa: ARG001
    for _ in range(max(cursor.uint(4, signed=True), 0)):
        _string(cursor, layer, TOPIC)


def _coordinator(cursor: Cursor, layer: Item, version: int) -> None:
    group = _string(cursor, layer, GROUP)
    if version == 0:
        cursor.packet.info += f" (Group={group})"


REQUESTS: Final = {0: _produce, 1: _fetch, 3: _metadata, 10: _coordinator}
