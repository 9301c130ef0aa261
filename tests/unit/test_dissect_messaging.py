"""MQTT, AMQP, Kafka, LDAP, RADIUS, IKE, SOCKS: messages in order, and what lies in them."""

from __future__ import annotations

import struct
import time

import pytest
from tests.unit.handmade import HELLO, RAW, Opened, Talk, items, row, tcp, udp, values

from netwatch.capture.dissect import Context, dissect


def short(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


def mqtt(first: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | 0x80 if size else low])
        if not size:
            return bytes([first]) + length + body


def connect(version: int) -> bytes:
    properties = b"\x05\x11\0\0\0\x1e" if version == 5 else b""
    flags = struct.pack("!BBH", version, 0xC2, 60)
    return mqtt(0x10, short(b"MQTT") + flags + properties + short(b"me") + short(b"ann") + short(b"secret"))


def test_mqtt_3() -> None:
    talk = Opened(1883)
    tree = talk.ask(connect(4))
    assert row(tree) == ("MQTT", "Connect Command")
    assert values(tree, "mqtt.clientid") == ["me"]
    assert values(tree, "mqtt.username") == ["ann"]
    assert values(tree, "mqtt.kalive") == ["60"]
    assert row(talk.answer(mqtt(0x20, b"\0\0"))) == ("MQTT", "Connect Ack")
    tree = talk.ask(mqtt(0x82, struct.pack("!H", 9) + short(b"a/#") + b"\1" + short(b"b") + b"\0"))
    assert row(tree) == ("MQTT", "Subscribe Request (id=9) [a/#] [b]")
    tree = talk.answer(mqtt(0x33, short(b"a/b") + struct.pack("!H", 5) + b"21 \xc2\xb0C") + mqtt(0xD0, b""))
    assert row(tree) == ("MQTT", "Publish Message (id=5) [a/b], Ping Response")
    assert values(tree, "mqtt.msg") == [b"21 \xc2\xb0C".hex()]
    assert values(tree, "mqtt.qos") == ["1"]
    assert values(tree, "mqtt.retain") == ["1"]
    assert row(talk.ask(mqtt(0x40, struct.pack("!H", 5)))) == ("MQTT", "Publish Ack (id=5)")


def test_mqtt_5_properties_and_topic_alias() -> None:
    talk = Opened(1883)
    tree = talk.ask(connect(5))
    assert values(tree, "mqtt.prop_number") == ["30"]
    properties = b"\x03" + short(b"text/plain") + b"\x23\0\x01" + b"\x26" + short(b"k") + short(b"v")
    tree = talk.ask(mqtt(0x30, short(b"long/topic") + bytes([len(properties)]) + properties + b"hi"))
    assert row(tree) == ("MQTT", "Publish Message [long/topic] (text/plain)")
    assert values(tree, "mqtt.prop_key") == ["k"]
    assert values(tree, "mqtt.prop_value") == ["v"]
    tree = talk.ask(mqtt(0x30, short(b"") + b"\x03\x23\0\x01" + b"again"))
    assert row(tree) == ("MQTT", "Publish Message [long/topic]")
    tree = talk.answer(mqtt(0xE0, b"\x8d\0"))
    assert values(tree, "mqtt.disconnect.reason_code") == ["141"]


def test_mqtt_over_segments() -> None:
    talk = Opened(1883)
    message = mqtt(0x30, short(b"big") + b"x" * 5000)
    assert talk.ask(message[:2]).protocol == "TCP"
    assert talk.ask(message[2:3000]).protocol == "TCP"
    tree = talk.ask(message[3000:])
    assert row(tree) == ("MQTT", "Publish Message [big]")
    assert values(tree, "mqtt.msg") == ["78" * 5000]


def amqp(kind: int, channel: int, body: bytes) -> bytes:
    return struct.pack("!BHI", kind, channel, len(body)) + body + b"\xce"


def method(family: int, code: int, arguments: bytes) -> bytes:
    return amqp(1, 1, struct.pack("!HH", family, code) + arguments)


def tiny(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def test_amqp_0_9_1() -> None:
    talk = Opened(5672)
    assert row(talk.ask(b"AMQP\0\0\x09\x01")) == ("AMQP", "Protocol-Header 0-9-1")
    table = tiny(b"h") + b"S" + struct.pack("!I", 1) + b"v" + tiny(b"n") + b"I" + struct.pack("!i", -5)
    nested = tiny(b"t") + b"F" + struct.pack("!I", len(table)) + table
    properties = tiny(b"text/plain") + struct.pack("!I", len(nested)) + nested
    head = struct.pack("!HHQH", 60, 0, 5, 0xA000) + properties
    tree = talk.ask(
        method(60, 40, b"\0\0" + tiny(b"ex") + tiny(b"key") + b"\1") + amqp(2, 1, head) + amqp(3, 1, b"hello")
    )
    assert row(tree) == (
        "AMQP",
        "Basic.Publish x=ex rk=key Content-Header type=text/plain Content-Body  (text/plain)",
    )
    assert values(tree, "amqp.method.arguments.mandatory") == ["1"]
    assert values(tree, "amqp.method.arguments.immediate") == ["0"]
    assert values(tree, "amqp.field") == ["", "v", "-5"]
    assert values(tree, "amqp.payload") == [b"hello".hex()]
    tree = talk.answer(method(20, 40, struct.pack("!H", 404) + tiny(b"NOT_FOUND") + bytes(4)) + amqp(8, 0, b""))
    assert row(tree) == ("AMQP", "Channel.Close reply=NOT_FOUND Heartbeat")
    assert values(tree, "amqp.method.arguments.reply_code") == ["404"]


def test_amqp_1_0() -> None:
    talk = Opened(5672)
    assert row(talk.ask(b"AMQP\3\1\0\0")) == ("AMQP", "Protocol-Header 1-0-0")
    body = b"\0\x53\x40\xc0\x01\0"
    frame = struct.pack("!IBBH", 8 + len(body), 2, 1, 0) + body
    assert row(talk.answer(frame)) == ("AMQP", "sasl.mechanisms")
    body = b"\0\x53\x10\xc0\x01\0"
    assert row(talk.ask(struct.pack("!IBBH", 8 + len(body), 2, 0, 0) + body)) == ("AMQP", "open")


def request(key: int, version: int, correlation: int, body: bytes = b"") -> bytes:
    data = struct.pack("!hhi", key, version, correlation) + short(b"cli") + body
    return struct.pack("!I", len(data)) + data


def reply(correlation: int, body: bytes) -> bytes:
    return struct.pack("!Ii", 4 + len(body), correlation) + body


def test_kafka_answers_are_named_by_their_requests() -> None:
    talk = Opened(9092)
    tree = talk.ask(request(18, 0, 7) + request(3, 1, 8, struct.pack("!i", 1) + short(b"events")))
    assert row(tree) == ("Kafka", "Kafka Metadata v1 Request")
    assert values(tree, "kafka.correlation_id") == ["7", "8"]
    assert values(tree, "kafka.client_id") == ["cli", "cli"]
    assert values(tree, "kafka.topic_name") == ["events"]
    tree = talk.answer(reply(7, struct.pack("!hi3h", 0, 1, 3, 0, 9)))
    assert row(tree) == ("Kafka", "Kafka ApiVersions v0 Response")
    assert values(tree, "kafka.api_versions.max_version") == ["9"]
    assert row(talk.answer(reply(8, bytes(8)))) == ("Kafka", "Kafka Metadata v1 Response")
    assert row(talk.answer(reply(9, bytes(8)))) == ("Kafka", "Kafka Response (Undecoded, Request Missing)")


def test_kafka_records() -> None:
    record = b"\0\0\0" + b"\x06key" + b"\x0avalue" + b"\0"
    record = bytes([2 * len(record)]) + record
    head = struct.pack("!qiibIhiqqqhii", 0, 49 + 2 * len(record), 0, 2, 0, 0, 1, 0, 0, -1, -1, -1, 2)
    batch = head + 2 * record
    body = struct.pack("!hhii", -1, 1, 1000, 1) + short(b"events") + struct.pack("!iii", 1, 0, len(batch)) + batch
    talk = Opened(9092)
    tree = talk.ask(request(0, 3, 1, body))
    assert row(tree) == ("Kafka", "Kafka Produce v3 Request")
    assert values(tree, "kafka.message_key") == [b"key".hex()] * 2
    assert values(tree, "kafka.message_value") == [b"value".hex()] * 2
    lying = body.replace(record, bytes([0x7E]) + record[1:])
    assert talk.ask(request(0, 3, 1, lying)).verdict.kind == "malformed"


def test_kafka_requests_that_are_never_answered_do_not_fill_up() -> None:
    talk = Opened(9092)
    for number in range(1100):
        talk.ask(request(0, 3, number, b"\xff\xff\0\0" + bytes(8)))
    assert row(talk.answer(reply(1099, b""))) == ("Kafka", "Kafka Produce v3 Response")
    assert "Request Missing" in talk.answer(reply(3, b"")).info


def ber(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack("!H", len(body))
    return bytes([tag]) + size + body


def ldap(ident: int, operation: bytes, *controls: bytes) -> bytes:
    return ber(0x30, ber(2, bytes([ident])), operation, *controls)


DONE = ber(0x0A, b"\0") + ber(4) + ber(4)


def test_ldap_bind_and_search() -> None:
    talk = Opened(389)
    tree = talk.ask(ldap(1, ber(0x60, ber(2, b"\3"), ber(4, b"cn=ann"), ber(0x80, b"pw"))))
    assert row(tree) == ("LDAP", 'bindRequest(1) "cn=ann" simple')
    assert values(tree, "ldap.simple") == ["pw"]
    assert row(talk.answer(ldap(1, ber(0x61, DONE)))) == ("LDAP", "bindResponse(1) success")
    equal = ber(0xA3, ber(4, b"cn"), ber(4, b"x"))
    parts = ber(0xA4, ber(4, b"sn"), ber(0x30, ber(0x80, b"a"), ber(0x81, b"b"), ber(0x82, b"c")))
    rule = ber(0xA9, ber(0x81, b"2.5.13.2"), ber(0x82, b"cn"), ber(0x83, b"v"), ber(0x84, b"\xff"))
    wanted = ber(0xA0, equal, ber(0xA1, parts, ber(0xA2, ber(0x87, b"uid"))), rule)
    numbers = ber(0x0A, b"\2") + ber(0x0A, b"\0") + ber(2, b"\0") + ber(2, b"\5") + ber(1, b"\0")
    search = ber(0x63, ber(4, b"dc=org"), numbers, wanted, ber(0x30, ber(4, b"mail")))
    paged = ber(0xA0, ber(0x30, ber(4, b"1.2.840.113556.1.4.319"), ber(1, b"\xff"), ber(4, b"xy")))
    tree = talk.ask(ldap(2, search, paged))
    assert row(tree) == ("LDAP", 'searchRequest(2) "dc=org" wholeSubtree')
    texts = [item.text for item in items(tree) if item.field.name == "ldap.filter"]
    assert "(&(cn=x)(|(sn=a*b*c)(!(uid=*)))(cn:dn:2.5.13.2:=v))" in texts
    assert values(tree, "ldap.timeLimit") == ["5"]
    assert values(tree, "ldap.AttributeDescription") == ["mail"]
    assert values(tree, "ldap.controlType") == ["1.2.840.113556.1.4.319"]
    entry = ber(0x64, ber(4, b"cn=x"), ber(0x30, ber(0x30, ber(4, b"mail"), ber(0x31, ber(4, b"x@y")))))
    tree = talk.answer(ldap(2, entry) + ldap(2, ber(0x65, DONE)))
    assert row(tree) == ("LDAP", 'searchResEntry(2) "cn=x"  | searchResDone(2) success  [1 result]')
    assert values(tree, "ldap.AttributeValue") == [b"x@y".hex()]


def test_ldap_start_tls_and_a_message_over_segments() -> None:
    talk = Opened(389)
    start = ldap(1, ber(0x77, ber(0x80, b"1.3.6.1.4.1.1466.20037")))
    assert talk.ask(start[:9]).protocol == "TCP"
    assert row(talk.ask(start[9:])) == ("LDAP", "extendedReq(1) LDAP_START_TLS_OID")
    assert row(talk.answer(ldap(1, ber(0x78, DONE)))) == ("LDAP", "extendedResp(1)")
    assert talk.ask(HELLO).info.startswith("Client Hello")


def test_ldap_filters_that_nest_without_end() -> None:
    nested = ber(0x87, b"cn")
    for _ in range(400):
        nested = ber(0xA2, nested)
    numbers = ber(0x0A, b"\2") + ber(0x0A, b"\0") + ber(2, b"\0") + ber(2, b"\0") + ber(1, b"\0")
    tree = Opened(389).ask(ldap(1, ber(0x63, ber(4), numbers, nested, ber(0x30))))
    assert tree.protocol == "LDAP"
    assert tree.verdict.kind == "malformed"


def test_cldap_is_over_udp() -> None:
    tree = Talk(389, "udp").ask(ldap(1, ber(0x42)))
    assert row(tree) == ("CLDAP", "unbindRequest(1)")


def test_radius() -> None:
    talk = Talk(1812, "udp")
    pairs = b"\x01\x05ann" + b"\x04\x06\xc0\x00\x02\x09" + b"\x06\x06\0\0\0\x02"
    vendor = b"\x1a\x0c" + struct.pack("!I", 9) + b"\x01\x06abcd"
    body = struct.pack("!BBH", 1, 7, 20 + len(pairs) + len(vendor)) + bytes(16) + pairs + vendor
    tree = talk.ask(body)
    assert row(tree) == ("RADIUS", "Access-Request id=7")
    assert values(tree, "radius.User_Name") == ["ann"]
    assert values(tree, "radius.NAS_IP_Address") == ["192.0.2.9"]
    assert values(tree, "radius.Service_Type") == ["2"]
    assert values(tree, "radius.avp.vendor_id") == ["9"]
    assert row(talk.ask(body)) == ("RADIUS", "Access-Request id=7, Duplicate Request")
    assert row(talk.answer(struct.pack("!BBH", 2, 7, 20) + bytes(16))) == ("RADIUS", "Access-Accept id=7")


def test_ike_payloads() -> None:
    transform = struct.pack("!BBHBBHHH", 0, 0, 12, 1, 0, 20, 0x800E, 256)
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 1) + transform
    security = struct.pack("!BBH", 34, 0, 4 + len(proposal)) + proposal
    key = struct.pack("!BBHHH", 41, 0, 12, 31, 0) + b"KEYD"
    notify = struct.pack("!BBHBBH", 0, 0, 8, 0, 0, 16430)
    body = security + key + notify
    head = bytes(range(8)) + bytes(8) + struct.pack("!BBBBII", 33, 0x20, 34, 8, 0, 28 + len(body))
    tree = Talk(500, "udp").ask(head + body)
    assert row(tree) == ("ISAKMP", "IKE_SA_INIT MID=00 Initiator Request")
    assert values(tree, "isakmp.typepayload") == ["33", "2", "3", "34", "41"]
    assert values(tree, "isakmp.tf.id.encr") == ["20"]
    assert values(tree, "isakmp.key_exchange.data") == [b"KEYD".hex()]
    assert values(tree, "isakmp.notify.msgtype") == ["16430"]
    looped = head + struct.pack("!BBH", 33, 0, 0) + body
    assert Talk(500, "udp").ask(looped).verdict.kind == "malformed"


def test_socks_5_leads_to_what_goes_through_it() -> None:
    talk = Opened(1080)
    assert row(talk.ask(b"\5\2\0\2")) == ("Socks", "Version: 5 Connect to server request")
    assert row(talk.answer(b"\5\2")) == ("Socks", "Version: 5 Connect to server response")
    tree = talk.ask(b"\1" + tiny(b"ann") + tiny(b"pw"))
    assert row(tree) == ("Socks", "Version: 5 User authentication request")
    assert values(tree, "socks.username") == ["ann"]
    assert row(talk.answer(b"\1\0")) == ("Socks", "Version: 5 User authentication reply")
    tree = talk.ask(b"\5\1\0\3" + tiny(b"example.org") + struct.pack("!H", 80))
    assert row(tree) == ("Socks", "Version: 5 Command Request - Connect")
    assert values(tree, "socks.remote_name") == ["example.org"]
    assert row(talk.answer(b"\5\0\0\1\1\2\3\4\0\x50")) == ("Socks", "Version: 5 Command Response - Connect")
    tree = talk.ask(b"GET /x HTTP/1.1\r\nHost: example.org\r\n\r\n")
    assert tree.protocol == "HTTP"
    assert values(tree, "http.host") == ["example.org"]


def test_socks_4a() -> None:
    talk = Opened(1080)
    tree = talk.ask(b"\4\1\x01\xbb\0\0\0\1me\0example.org\0")
    assert row(tree) == ("Socks", "Version: 4 Command Request - Connect")
    assert values(tree, "socks.v4a_dns_name") == ["example.org"]
    assert row(talk.answer(b"\0\x5a" + bytes(6))) == ("Socks", "Version: 4 Command Response")
    assert talk.ask(HELLO).info.startswith("Client Hello")


WHOLE = {
    1883: connect(5) + mqtt(0x30, short(b"topic") + b"\0" + b"message"),
    5672: method(60, 40, b"\0\0" + tiny(b"ex") + tiny(b"key") + b"\1") + amqp(3, 1, b"hello"),
    9092: request(18, 0, 7) + request(3, 1, 8, struct.pack("!i", 1) + short(b"events")),
    389: ldap(1, ber(0x60, ber(2, b"\3"), ber(4, b"cn=ann"), ber(0x80, b"pw"))) + ldap(2, ber(0x42)),
    1080: b"\5\1\0\1\1\2\3\4\0\x50",
    -1812: struct.pack("!BBH", 1, 7, 25) + bytes(16) + b"\x01\x05ann",
    -389: ldap(1, ber(0x60, ber(2, b"\3"), ber(4, b"cn=ann"), ber(0x80, b"pw"))),
    -500: bytes(16) + struct.pack("!BBBBII", 40, 0x20, 34, 8, 0, 40) + struct.pack("!BBH", 0, 0, 12) + b"nonces..",
}


@pytest.mark.parametrize("port", WHOLE)
def test_packets_that_the_capture_cut_say_so(port: int) -> None:
    payload = WHOLE[port]
    data = tcp(40000, port, payload) if port > 0 else udp(40000, -port, payload)
    whole = dissect(data, RAW, context=Context(), number=1)
    assert whole.verdict.kind == "ok"
    assert whole.protocol not in ("TCP", "UDP")
    for keep in range(len(data) - len(payload), len(data)):
        for context in (None, Context()):
            tree = dissect(data[:keep], RAW, len(data), context=context, number=1)
            assert tree.verdict.kind == "cut"
            assert all(item.text.isprintable() for item in items(tree))
    assert tree.protocol == whole.protocol


HOSTILE = [bytes([fill]) * 1500 for fill in (0, 1, 2, 4, 5, 0x10, 0x30, 0x60, 0x82, 0xFF)] + [
    bytes(range(256)) * 6,
    connect(5)[:-3] + b"\xff" * 40,
    amqp(1, 0, struct.pack("!HHBB", 10, 10, 0, 9) + struct.pack("!I", 900) + (b"\1aA" + b"\0\0\3\0") * 120),
    request(0, 3, 1, b"\xff" * 300),
    request(3, 1, 1, b"\x7f\xff\xff\xff"),
    ldap(1, ber(0x63, b"\x04\x84\xff\xff\xff\xff")),
    ber(0x30, ber(2, b"\1"), b"\x63\x80" + bytes(40)),
    struct.pack("!BBH", 1, 1, 400) + bytes(16) + b"\x1a\x06\0\0\0\x09\x01\0" * 40,
    bytes(16) + struct.pack("!BBBBII", 33, 0x10, 2, 0, 0, 900) + (struct.pack("!BBH", 33, 0, 40) + bytes(36)) * 20,
]


@pytest.mark.parametrize("port", [1883, 5672, 9092, 389, 1080, -389, -1812, -500, -4500])
def test_any_bytes_at_any_state(port: int) -> None:
    """Negative: over UDP."""
    started = time.process_time()
    for data in HOSTILE:
        talk = Opened(port) if port > 0 else Talk(-port, "udp")
        if port == 1883:
            talk.ask(connect(5))
        for cut in (1, 3, 7, 40, 700, len(data)):
            talk.ask(data[:cut])
            talk.answer(data[:cut])
    assert time.process_time() - started < 3
