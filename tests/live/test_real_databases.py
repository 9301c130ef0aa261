"""PostgreSQL and Redis between two namespaces, their clients asking: what they were told to say is what is shown."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.wire import SERVER, Seen, needs_tshark, values

PATIENCE = 30.0
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))

needs_postgresql = pytest.mark.skipif(
    not BINARIES or shutil.which("psql") is None, reason="needs postgresql, with psql"
)
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None or shutil.which("redis-cli") is None, reason="needs redis-server"
)

QUERIES = [
    "create table goods (id int primary key, name text)",
    "insert into goods values (1, 'pear'), (2, null), (3, 'naïve')",
    "select id, name from goods order by id",
    "selec nothing",
    "select repeat('long', 20000)",
]
COMMANDS = [
    ["SET", "key:1", "hello world"],
    ["RPUSH", "list", *(f"item{number}" for number in range(200))],
    ["LRANGE", "list", "0", "-1"],
    ["GET", "key:1"],
    ["GET", "nothing"],
    ["NOSUCH", "command"],
]


@contextlib.contextmanager
def serving(namespace: Any, ready: Callable[[], bool], *command: str) -> Iterator[None]:
    """A server in a namespace, once it answers."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(("ip", "netns", "exec", namespace.name, *command), stdout=said, stderr=said)
        try:
            until = time.monotonic() + PATIENCE
            while not ready():
                said.seek(0)
                assert process.poll() is None, said.read().decode()
                assert time.monotonic() < until, said.read().decode()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def says(namespace: Any, *command: str) -> subprocess.CompletedProcess[str]:
    """A client that may fail."""
    return subprocess.run(
        ("ip", "netns", "exec", namespace.name, *command),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def seen_whole(captured: Any) -> Seen:
    seen = Seen.of(captured)
    assert {tree.verdict.kind for tree in seen.trees} == {"ok"}
    return seen


@pytest.fixture
def postgresql(wired: Any, capturing: Callable[..., Any]) -> Seen:
    """A psql session."""
    owner = pwd.getpwnam("postgres")
    drop = ("setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")
    client = ("psql", "-X", "-h", SERVER, "-U", "postgres")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)
        cluster, bin_ = f"{folder}/data", BINARIES[-1].parent
        made = subprocess.run(
            (
                *drop,
                str(bin_ / "initdb"),
                "-D",
                cluster,
                "-A",
                "trust",
                "-U",
                "postgres",
                "-N",
                "-E",
                "UTF8",
                "--no-locale",
            ),
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=120,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        with open(f"{cluster}/pg_hba.conf", "a") as rules:
            rules.write("host all all 0.0.0.0/0 trust\n")
        server = (*drop, str(bin_ / "postgres"), "-D", cluster, "-h", SERVER, "-k", folder, "-c", "fsync=off")

        def ready() -> bool:
            return says(wired.left, *client, "-c", "select 1").returncode == 0

        with serving(wired.right, ready, *server), capturing(wired.right, "b0") as got:
            words = [word for query in QUERIES for word in ("-c", query)]
            done = says(wired.left, "env", "PGCLIENTENCODING=UTF8", *client, "-A", "-t", *words)
    assert "1|pear\n2|\n3|naïve" in done.stdout
    return seen_whole(got)


@needs_postgresql
def test_what_psql_was_told_is_what_postgresql_was_seen_to_be_asked(postgresql: Seen) -> None:
    values = postgresql.values
    assert values("pgsql.query") == QUERIES
    assert values("pgsql.type")[:3] == ["SSL request", "Encryption refused", "Startup message"]
    parameters = dict(zip(values("pgsql.parameter_name"), values("pgsql.parameter_value"), strict=True))
    assert (parameters["user"], parameters["database"]) == ("postgres", "postgres")
    assert values("pgsql.tag") == ["CREATE TABLE", "INSERT 0 3", "SELECT 3", "SELECT 1"]
    assert values("pgsql.col.name") == ["id", "name", "repeat"]
    cells = [bytes.fromhex(value).decode() for value in values("pgsql.val.data")]
    assert cells == ["1", "pear", "2", "3", "naïve", "long" * 20000]
    assert values("pgsql.code") == ["42601"]
    assert values("pgsql.message") == ['syntax error at or near "selec"']


@needs_postgresql
@needs_tshark
def test_postgresql_as_tshark_shows_it(postgresql: Seen, by_tshark: Callable[..., list[list[str]]]) -> None:
    trees, rows = postgresql.trees, by_tshark(postgresql.frames, "pgsql.type", "pgsql.val.length")
    assert len(rows) == len(trees)
    refused = 0
    for tree, (protocol, info, types, lengths) in zip(trees, rows, strict=True):
        if protocol != "PGSQL":
            assert tree.protocol == protocol
            continue
        assert (tree.protocol, tree.info) == (protocol, info)
        if not types:
            refused += 1  # one byte, which tshark does not explain
            continue
        assert "|".join(values([tree], "pgsql.type")) == types
        assert "|".join(values([tree], "pgsql.val.length")) == lengths
    assert refused <= 1


@needs_redis
def test_redis_commands_and_answers(
    wired: Any, capturing: Callable[..., Any], by_tshark: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    client = ("redis-cli", "-h", SERVER)
    server = ("redis-server", "--bind", SERVER, "--port", "6379", "--save", "", "--protected-mode", "no")

    def ready() -> bool:
        return says(wired.left, *client, "ping").stdout == "PONG\n"

    with serving(wired.right, ready, *server, "--dir", str(tmp_path)), capturing(wired.right, "b0") as got:
        for command in COMMANDS:
            says(wired.left, *client, *command)
        says(wired.left, *client, "-3", "HELLO", "3")
    trees = seen_whole(got).trees
    asked = [tree for tree in trees if tree.protocol == "RESP" and tree.info.startswith("Request")]
    words = [[bytes.fromhex(value).decode() for value in values([tree], "resp.bulk_string.value")] for tree in asked]
    assert [each for each in words if each in COMMANDS] == COMMANDS
    answered = [tree.info.strip() for tree in trees if tree.info.startswith("Response")]
    assert answered[:5] == [
        "Response: OK",
        "Response: 200",
        "Response: Array(200)",
        "Response: hello world",
        "Response:",
    ]
    assert answered[5].startswith("Response: Error: ERR unknown command")
    assert "Response: Map(7)" in answered
    if shutil.which("tshark") is None:
        return
    rows = by_tshark(got.frames)
    assert [row[0] for row in rows] == [tree.protocol for tree in trees]
    same = [
        tree.info.strip() == info.strip()
        for tree, (protocol, info) in zip(trees, rows, strict=True)
        if protocol == "RESP"
    ]
    # Version 3 of RESP is younger than this tshark.
    assert same.count(False) <= 3
