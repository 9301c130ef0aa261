"""PostgreSQL, MySQL, Redis, Memcached, TDS: their messages over streams, and what lies in them."""

from __future__ import annotations

import struct
import time
import zlib

import pytest
from tests.unit.handmade import HELLO, RAW, Opened, row, tcp, values

from netwatch.capture.dissect import Context, dissect, summarise

PGSQL, REDIS, MYSQL, MEMCACHE, TDS = 5432, 6379, 3306, 11211, 1433


def pg(letter: bytes, body: bytes) -> bytes:
    return letter + struct.pack("!I", 4 + len(body)) + body


def pg_start() -> bytes:
    body = struct.pack("!HH", 3, 0) + b"user\0ann\0database\0shop\0\0"
    return struct.pack("!I", 4 + len(body)) + body


def test_postgresql_from_the_start_to_a_result() -> None:
    talk = Opened(PGSQL)
    tree = talk.ask(pg_start())
    assert row(tree) == ("PGSQL", ">")
    assert values(tree, "pgsql.type") == ["Startup message"]
    assert values(tree, "pgsql.parameter_value") == ["ann", "shop"]
    tree = talk.answer(pg(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))
    assert values(tree, "pgsql.auth.sasl.mech") == ["SCRAM-SHA-256"]
    tree = talk.ask(pg(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", 3) + b"n,,"))
    assert values(tree, "pgsql.type") == ["SASLInitialResponse message"]
    assert values(tree, "pgsql.auth.sasl.data") == [b"n,,".hex()]
    tree = talk.answer(pg(b"R", bytes(4)) + pg(b"K", struct.pack("!II", 77, 88)) + pg(b"Z", b"I"))
    assert row(tree) == ("PGSQL", "<R/K/Z")
    assert values(tree, "pgsql.pid") == ["77"]
    tree = talk.ask(pg(b"Q", "select 'é'\0".encode()))
    assert row(tree) == ("PGSQL", ">Q")
    assert values(tree, "pgsql.query") == ["select 'é'"]
    column = b"name\0" + struct.pack("!IHIhiH", 16384, 1, 25, -1, -1, 0)
    cells = struct.pack("!Hi", 2, 2) + b"ab" + struct.pack("!i", -1)
    tree = talk.answer(pg(b"T", struct.pack("!H", 1) + column) + pg(b"D", cells) + pg(b"C", b"SELECT 1\0"))
    assert row(tree) == ("PGSQL", "<T/D/C")
    assert values(tree, "pgsql.col.name") == ["name"]
    assert values(tree, "pgsql.val.length") == ["-1", "2", "-1"]
    assert values(tree, "pgsql.val.data") == [b"ab".hex()]
    assert values(tree, "pgsql.tag") == ["SELECT 1"]


def test_postgresql_extended_query_and_error() -> None:
    talk = Opened(PGSQL)
    parse = pg(b"P", b"s1\0select $1\0" + struct.pack("!HI", 1, 23))
    bind = pg(b"B", b"\0s1\0" + struct.pack("!HHHi", 1, 1, 1, 4) + struct.pack("!iHH", 7, 1, 1))
    tree = talk.ask(parse + bind + pg(b"E", b"\0" + bytes(4)) + pg(b"S", b""))
    assert row(tree) == ("PGSQL", ">P/B/E/S")
    assert values(tree, "pgsql.statement") == ["s1", "s1"]
    assert values(tree, "pgsql.oid.type") == ["23"]
    assert values(tree, "pgsql.val.data") == ["00000007"]
    tree = talk.answer(pg(b"E", b"SERROR\0C42601\0Msyntax error\0P7\0\0"))
    assert values(tree, "pgsql.code") == ["42601"]
    assert values(tree, "pgsql.message") == ["syntax error"]
    assert values(tree, "pgsql.position") == ["7"]


def test_postgresql_message_over_segments_stands_in_the_packet_that_completes_it() -> None:
    talk = Opened(PGSQL)
    query = pg(b"Q", b"select '" + b"x" * 3000 + b"'\0")
    assert talk.ask(query[:2]).protocol == "TCP"
    assert talk.ask(query[2:1500]).protocol == "TCP"
    tree = talk.ask(query[1500:] + pg(b"Q", b"select 2\0"))
    assert row(tree) == ("PGSQL", ">Q>Q")
    assert values(tree, "pgsql.query") == ["select '" + "x" * 3000 + "'", "select 2"]


def test_postgresql_after_ssl_was_accepted_is_tls() -> None:
    talk = Opened(PGSQL)
    tree = talk.ask(struct.pack("!II", 8, 80877103))
    assert values(tree, "pgsql.type") == ["SSL request"]
    assert row(talk.answer(b"S")) == ("PGSQL", "<")
    tree = talk.ask(HELLO)
    assert tree.protocol.startswith("TLS")
    assert tree.info.startswith("Client Hello")
    refused = Opened(PGSQL)
    refused.ask(struct.pack("!II", 8, 80877103))
    assert row(refused.answer(b"N")) == ("PGSQL", "<")
    assert row(refused.ask(pg_start())) == ("PGSQL", ">")


def test_postgresql_with_a_count_that_lies_goes_on_with_the_next_message() -> None:
    tree = Opened(PGSQL).answer(pg(b"D", struct.pack("!H", 500) + b"\0\0") + pg(b"Z", b"T"))
    assert tree.info == "<D/Z[Malformed Packet]"
    assert tree.verdict.kind == "malformed"
    assert values(tree, "pgsql.status") == ["84"]


def test_thousands_of_rows_are_walked_to_the_last_one() -> None:
    rows = pg(b"D", struct.pack("!Hi", 1, 1) + b"x") * 4000
    talk = Opened(PGSQL)
    started = time.process_time()
    full = talk.answer(rows + pg(b"C", b"SEL")[:6])
    assert time.process_time() - started < 1
    *_, passed, rest = full.layers
    shown = sum(layer.field.name == "pgsql" for layer in full.layers)
    assert (shown + passed.value, passed.text) == (4000, f"{4000 - shown:,} more messages")
    assert rest.text == "6 bytes"
    assert full.verdict.text == "more messages than are shown"
    tree = talk.answer(b"ECT 4000\0"[:2])
    assert tree.protocol == "PGSQL"


def resp(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def test_redis_commands_and_answers() -> None:
    talk = Opened(REDIS)
    tree = talk.ask(resp(b"SET", b"key:1", b"a b") + resp(b"GET", b"key:1"))
    assert row(tree) == ("RESP", "Request: SET key:1 a b GET key:1")
    assert values(tree, "resp.bulk_string.value")[1] == b"key:1".hex()
    assert values(tree, "resp.array.length") == ["3", "2"]
    assert row(talk.answer(b"+OK\r\n$3\r\na b\r\n")) == ("RESP", "Response: OK a b")
    assert row(talk.answer(b"-ERR no\r\n:42\r\n$-1\r\n*-1\r\n")) == ("RESP", "Response: Error: ERR no 42 Array(-1)")
    assert row(talk.answer(resp(b"a", b"b"))) == ("RESP", "Response: Array(2)")
    assert row(talk.ask(b"PING\r\n")) == ("RESP", "Request: PING")
    assert row(talk.ask(resp(b"SET", b"k", b"v" * 100))) == ("RESP", "Request: SET k BulkString(100)")


def test_redis_version_3() -> None:
    tree = Opened(REDIS).answer(
        b"%1\r\n+a\r\n#t\r\n_\r\n,1.5\r\n~1\r\n:7\r\n(123456789012345678901\r\n=6\r\ntxt:hi\r\n"
    )
    assert row(tree) == (
        "RESP",
        "Response: Map(1) Null Double(1.5) Set(1) 123456789012345678901 txt:hi",
    )
    assert values(tree, "resp.boolean") == ["1"]
    assert values(tree, "resp.map.length") == ["1"]


def test_redis_arrays_side_by_side_do_not_nest() -> None:
    data = b"*100\r\n" + b"".join(b"*%d\r\n" % size + b":1\r\n" * size for size in range(100))
    tree = Opened(REDIS).answer(data)
    assert row(tree) == ("RESP", "Response: Array(100)")
    assert tree.verdict.kind == "ok"
    deep = Opened(REDIS).answer(b"*1\r\n" * 40 + b":1\r\n")
    assert deep.verdict.kind == "ok"
    assert values(deep, "resp.integer") == ["1"]
    assert Opened(REDIS).answer(b"*1\r\n" * 100 + b":1\r\n").verdict.kind == "malformed"


def test_redis_a_long_line_over_segments() -> None:
    talk = Opened(REDIS)
    for _ in range(20):
        assert talk.answer(b"+" * 1400).protocol == "TCP"
    assert talk.answer(b"end\r\n").protocol == "RESP"


def test_redis_array_over_segments() -> None:
    talk = Opened(REDIS)
    command = resp(b"MSET", *(b"key%d" % number for number in range(250)))
    for at in range(0, len(command) - 500, 500):
        assert talk.ask(command[at : at + 500]).protocol == "TCP"
    tree = talk.ask(command[at + 500 :])
    assert tree.protocol == "RESP"
    assert values(tree, "resp.bulk_string.value")[250] == b"key249".hex()


@pytest.mark.parametrize(
    "payload",
    [
        b"*-532450017895590926\r\n" + b"$" * 400 + b"4\r\nEVAL\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n" * 5000,
        b"*300000\r\n" + b":1\r\n" * 3000,
        b"$99999999\r\nabc",
        b":" + b"9" * 4000 + b"\r\n",
        b"$5\r\nab\r\ncdefgh\r\n",
        b"*" + b"1" * 500,
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_redis_lengths_that_lie_are_bounded(payload: bytes) -> None:
    talk = Opened(REDIS)
    started = time.process_time()
    for _ in range(3):
        talk.ask(payload)
        talk.answer(payload)
    assert time.process_time() - started < 1


def test_redis_elements_that_trickle_in_take_linear_time() -> None:
    talk = Opened(REDIS)
    command = b"*60000\r\n" + b"$1\r\na\r\n" * 60_000
    started = time.process_time()
    trees = [talk.ask(command[at : at + 1400]) for at in range(0, len(command), 1400)]
    assert time.process_time() - started < 4
    assert trees[-1].protocol == "RESP"
    assert {tree.protocol for tree in trees[:-1]} == {"TCP"}


def packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


CAPABILITIES = 0x0008A208 | 0x00080000
"""Protocol 4.1, secure connection, a database, plug-ins."""


def greeting(capabilities: int = CAPABILITIES) -> bytes:
    low, high = capabilities & 0xFFFF | 1, capabilities >> 16
    body = b"\x0a8.0.32\0" + struct.pack("<I", 9) + b"saltsalt\0" + struct.pack("<HBHHB", low, 45, 2, high, 21)
    return packet(0, body + bytes(10) + b"saltsaltsalt\0" + b"mysql_native_password\0")


def login(capabilities: int = CAPABILITIES) -> bytes:
    head = struct.pack("<IIB23x", capabilities | 1, 1 << 24, 45)
    return packet(1, head + b"ann\0" + b"\x04pass" + b"shop\0" + b"mysql_native_password\0")


OK = b"\0\0\0\2\0\0\0"


def logged_in(capabilities: int = CAPABILITIES) -> Opened:
    talk = Opened(MYSQL)
    tree = talk.answer(greeting(capabilities))
    assert row(tree) == ("MySQL", "Server Greeting  proto=10 version=8.0.32")
    tree = talk.ask(login(capabilities))
    assert row(tree) == ("MySQL", "Login Request user=ann db=shop")
    assert values(tree, "mysql.client_auth_plugin") == ["mysql_native_password"]
    assert row(talk.answer(packet(2, OK))) == ("MySQL", "Response  OK")
    return talk


def result(name: bytes = b"n") -> bytes:
    column = b"".join(bytes([len(text)]) + text for text in (b"def", b"shop", b"t", b"t", name, name))
    column += b"\x0c" + struct.pack("<HIBHBH", 45, 40, 253, 1, 0, 0)
    end = b"\xfe\0\0\2\0"
    return (
        packet(1, b"\1")
        + packet(2, column)
        + packet(3, end)
        + packet(4, b"\3abc")
        + packet(5, b"\xfb")
        + packet(6, end)
    )


def test_mysql_query_and_rows() -> None:
    talk = logged_in()
    tree = talk.ask(packet(0, b"\x03select n from t"))
    assert row(tree) == ("MySQL", "Request Query")
    assert values(tree, "mysql.query") == ["select n from t"]
    tree = talk.answer(result())
    assert row(tree) == ("MySQL", "Response TABULAR Response")
    assert values(tree, "mysql.field.name") == ["n"]
    assert values(tree, "mysql.row.text") == ["abc", "NULL"]
    talk.ask(packet(0, b"\x03bad"))
    tree = talk.answer(packet(1, b"\xff" + struct.pack("<H", 1054) + b"#42S22Unknown column"))
    assert row(tree) == ("MySQL", "Response  Error 1054")
    assert values(tree, "mysql.sqlstate") == ["42S22"]
    assert values(tree, "mysql.error.message") == ["Unknown column"]


def test_mysql_rows_over_segments() -> None:
    talk = logged_in()
    talk.ask(packet(0, b"\x03select n"))
    data = result()
    assert talk.answer(data[:40]).protocol == "MySQL"
    tree = talk.answer(data[40:])
    assert values(tree, "mysql.row.text") == ["abc", "NULL"]


def test_mysql_prepared_statement() -> None:
    talk = logged_in()
    talk.ask(packet(0, b"\x16select ?"))
    tree = talk.answer(packet(1, b"\0" + struct.pack("<IHHBH", 5, 0, 0, 0, 0)))
    assert values(tree, "mysql.stmt_id") == ["5"]
    tree = talk.ask(packet(0, b"\x17" + struct.pack("<IBI", 5, 0, 1)))
    assert row(tree) == ("MySQL", "Request Execute Statement")
    assert values(tree, "mysql.stmt_id") == ["5"]


def test_mysql_switches_to_tls_and_to_compression() -> None:
    talk = Opened(MYSQL)
    talk.answer(greeting(CAPABILITIES | 0x800))
    head = struct.pack("<IIB23x", CAPABILITIES | 0x801, 1 << 24, 45)
    assert row(talk.ask(packet(1, head))) == ("MySQL", "Response: SSL Handshake user=")
    assert talk.ask(HELLO).info.startswith("Client Hello")
    talk = logged_in(CAPABILITIES | 0x20)
    query = packet(0, b"\x03select compressed")
    squeezed = zlib.compress(query)
    tree = talk.ask(len(squeezed).to_bytes(3, "little") + b"\0" + len(query).to_bytes(3, "little") + squeezed)
    assert row(tree) == ("MySQL", "Request Query")
    assert values(tree, "mysql.query") == ["select compressed"]
    assert [buffer.name for buffer in tree.buffers] == ["Packet", "Uncompressed MySQL"]
    answer = packet(1, OK)
    tree = talk.answer(len(answer).to_bytes(3, "little") + b"\1\0\0\0" + answer)
    assert row(tree) == ("MySQL", "Response  OK")


def test_mysql_packets_over_compressed_ones() -> None:
    talk = logged_in(CAPABILITIES | 0x20)
    query = packet(0, b"\x03select n")
    talk.ask(len(query).to_bytes(3, "little") + b"\0\0\0\0" + query)
    data = result()
    trees = []
    for part in (data[:30], data[30:32], data[32:]):
        trees.append(talk.answer(len(part).to_bytes(3, "little") + b"\1\0\0\0" + part))
    assert {tree.protocol for tree in trees} == {"MySQL"}
    assert [values(tree, "mysql.num_fields") for tree in trees] == [["1"], [], []]
    assert values(trees[2], "mysql.row.text") == ["abc", "NULL"]
    # The compressed packet itself over segments, too.
    talk.ask(len(query).to_bytes(3, "little") + b"\0\0\0\0" + query)
    squeezed = zlib.compress(data)
    whole = len(squeezed).to_bytes(3, "little") + b"\1" + len(data).to_bytes(3, "little") + squeezed
    assert talk.answer(whole[:20]).protocol == "TCP"
    assert values(talk.answer(whole[20:]), "mysql.row.text") == ["abc", "NULL"]


def test_mysql_what_is_compressed_does_not_grow_without_bound() -> None:
    talk = logged_in(CAPABILITIES | 0x20)
    bomb = zlib.compress(bytes(60 << 20))[:60_000]
    tree = talk.ask(len(bomb).to_bytes(3, "little") + b"\0\xff\xff\xff" + bomb)
    assert sum(len(buffer.data) for buffer in tree.buffers) < 2 << 20


def test_memcached_text() -> None:
    talk = Opened(MEMCACHE)
    tree = talk.ask(b"set key1 5 60 9\r\nvalue\r\nxx\r\nget key1 key2\r\n")
    assert row(tree) == ("MEMCACHE", "set key1 5 60 9")
    assert values(tree, "memcache.value") == ["value\\r\\nxx"]
    assert values(tree, "memcache.key") == ["key1", "key1", "key2"]
    assert values(tree, "memcache.expiration") == ["60"]
    tree = talk.answer(b"VALUE key1 5 4\r\nab")
    assert tree.protocol == "TCP"
    tree = talk.answer(b"cd\r\nEND\r\n")
    assert values(tree, "memcache.value") == ["abcd"]
    assert row(talk.answer(b"STAT pid 7\r\nSTAT x 8\r\nEND\r\n")) == ("MEMCACHE", "STAT pid 7")
    assert row(talk.answer(b"12\r\n")) == ("MEMCACHE", "12")


def test_memcached_binary() -> None:
    talk = Opened(MEMCACHE)

    def message(magic: int, code: int, status: int, extras: bytes, key: bytes, value: bytes) -> bytes:
        total = len(extras) + len(key) + len(value)
        head = struct.pack("!BBHBBHIIQ", magic, code, len(key), len(extras), 0, status, total, 7, 0)
        return head + extras + key + value

    tree = talk.ask(message(0x80, 1, 0, struct.pack("!II", 0xDEADBEEF, 60), b"k", b"v"))
    assert row(tree) == ("MEMCACHE", "Set Request")
    assert values(tree, "memcache.extras.flags") == ["0xdeadbeef"]
    assert values(tree, "memcache.key") == ["k"]
    tree = talk.answer(message(0x81, 0, 1, b"", b"", b"Not found"))
    assert row(tree) == ("MEMCACHE", "Get Response (Key not found)")


def tds(kind: int, body: bytes, status: int = 1) -> bytes:
    return struct.pack("!BBHHBB", kind, status, 8 + len(body), 0, 1, 0) + body


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def test_tds_login_batch_and_error() -> None:
    talk = Opened(TDS)
    options = struct.pack("!BHHB", 1, 6, 1, 0xFF) + b"\2"
    tree = talk.ask(tds(18, options))
    assert row(tree) == ("TDS", "TDS7 pre-login message")
    assert values(tree, "tds.prelogin.option.encryption") == ["2"]
    names = [b"", wide("ann"), wide("pw"), b"", wide("server"), b"", b"", b"", wide("shop")]
    head, body = b"", b""
    for name in names:
        head += struct.pack("<HH", 94 + len(body), len(name) // 2)
        body += name
    login = bytes(36) + head.ljust(58, b"\0") + body
    tree = talk.ask(tds(16, login))
    assert row(tree) == ("TDS", "TDS7 login")
    assert values(tree, "tds.7login.username") == ["ann"]
    assert values(tree, "tds.7login.databasename") == ["shop"]
    tree = talk.ask(tds(18, HELLO))
    assert row(tree) == ("TDS", "TDS7 pre-login message")
    assert "tls" in [child.field.name for child in tree.layers[-1].children]
    assert row(talk.ask(tds(18, HELLO[:40]))) == ("TDS", "TDS7 pre-login message")
    assert row(talk.ask(tds(18, HELLO[40:]))) == ("TDS", "TDS7 pre-login message")
    said = struct.pack("<iBBH", 18456, 1, 14, 6) + wide("Denied")
    tree = talk.answer(tds(4, b"\xaa" + struct.pack("<H", len(said)) + said))
    assert row(tree) == ("TDS", "Response")
    assert values(tree, "tds.error.number") == ["18456"]
    assert values(tree, "tds.error.msgtext") == ["Denied"]
    headers = struct.pack("<IIHQI", 22, 18, 2, 0, 1)
    batch = tds(1, headers + wide("select 1"))
    assert talk.ask(batch[:20]).protocol == "TCP"
    tree = talk.ask(batch[20:] + tds(1, wide("select 2"), 0))
    assert row(tree) == ("TDS", "SQL batch, SQL batch (Not last buffer)")
    assert values(tree, "tds.query") == ["select 1", "select 2"]


WHOLE = {
    PGSQL: pg(b"Q", b"select 1\0") + pg(b"P", b"s\0select 2\0\0\0"),
    REDIS: resp(b"SET", b"key", b"value") + resp(b"GET", b"key"),
    MYSQL: packet(0, b"\3select 1") + packet(0, b"\3select 2"),
    MEMCACHE: b"set k 0 0 5\r\nvalue\r\nget k\r\n",
    TDS: tds(1, wide("select 1")) + tds(1, wide("select 2")),
}


@pytest.mark.parametrize("port", WHOLE)
def test_packets_that_the_capture_cut_say_so(port: int) -> None:
    payload = WHOLE[port]
    data = tcp(40000, port, payload)
    whole = dissect(data, RAW, context=Context(), number=1)
    assert whole.verdict.kind == "ok"
    for keep in range(41, len(data)):
        for context in (None, Context()):
            tree = dissect(data[:keep], RAW, len(data), context=context, number=1)
            assert tree.verdict.kind == "cut"
    assert tree.protocol == whole.protocol


HOSTILE = [bytes([fill]) * 2000 for fill in (0, 1, 4, 0x30, 0x41, 0x52, 0x80, 0xFF)] + [
    bytes(range(256)) * 8,
    pg(b"T", struct.pack("!H", 0xFFFF) + b"a\0" * 3000),
    pg(b"E", b"M" * 3000),
    packet(1, b"\xfd" * 3000),
    b"get " + b"k " * 30_000 + b"\r\n",
    b"VALUE k 0 999999999\r\n",
    b"\x80\x01\xff\xff\xff\0\0\0\0\0\x10\0" + bytes(4000),
]


@pytest.mark.parametrize("port", [PGSQL, REDIS, MYSQL, MEMCACHE, TDS])
@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_any_bytes_at_any_state(port: int, data: bytes) -> None:
    talk = logged_in() if port == MYSQL else Opened(port)
    for cut in (1, 3, 7, 40, 700, len(data)):
        talk.ask(data[:cut])
        talk.answer(data[:cut])


def test_columns_without_a_tree_are_the_same() -> None:
    talk, again = Opened(PGSQL), Context()
    payload = pg(b"Q", b"select \x1b[2J\0")
    tree = talk.ask(payload)
    assert values(tree, "pgsql.query") == ["select \\x1b[2J"]
    data = tcp(40000, PGSQL, payload)
    assert summarise(data, RAW, context=again)[:2] == ("PGSQL", ">Q")
