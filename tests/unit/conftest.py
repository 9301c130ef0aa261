"""Rows as a decoder makes them, for the tests of what keeps and counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from netwatch.capture.block import Batch
from netwatch.capture.columns import (
    EVENT,
    INCOMING,
    KIND_IPV4,
    KIND_IPV6,
    KIND_MAC,
    KIND_NONE,
    MALFORMED,
    OUTGOING,
    TRUNCATED,
    Columns,
)
from netwatch.capture.paths import PATHS

pytest.register_assert_rewrite("tests.unit.handmade")

MakeRows = Callable[..., Columns]
MakeBatch = Callable[..., Batch]

_SHAPES = (
    # path, kind of its addresses
    ("eth:ip:tcp", KIND_IPV4),
    ("eth:ip:tcp:tls", KIND_IPV4),
    ("eth:ip:udp:dns", KIND_IPV4),
    ("eth:ipv6:udp:quic", KIND_IPV6),
    ("eth:ipv6:icmpv6", KIND_IPV6),
    ("eth:arp", KIND_MAC),
    ("data", KIND_NONE),
)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """make_rows(n, seed, hosts=8, events=0.0, **columns): n random packets between few hosts."""

    def make(n: int, seed: int = 0, *, hosts: int = 8, events: float = 0.0, **columns: Any) -> Columns:
        random = np.random.default_rng(seed)
        rows = Columns.zeros(n)
        shape = random.integers(0, len(_SHAPES), n)
        rows.ts[:] = 1_700_000_000_000_000_000 + seed * 1_000_000_000 + np.cumsum(random.integers(0, 100_000, n))
        rows.wirelen[:] = random.integers(40, 1500, n)
        rows.path[:] = np.array([PATHS.intern(name) for name, _ in _SHAPES], np.uint16)[shape]
        rows.kind[:] = np.array([kind for _, kind in _SHAPES], np.uint8)[shape]
        rows.src_lo[:] = random.integers(1, hosts + 1, n)
        rows.dst_lo[:] = random.integers(1, hosts + 1, n)
        wide = rows.kind == KIND_IPV6
        rows.src_hi[wide] = 0xFE80 << 48
        rows.dst_hi[wide] = np.where(random.random(n)[wide] < 0.5, 0xFE80 << 48, 0x20010DB8 << 32).astype(np.uint64)
        rows.sport[:] = random.integers(0, 1000, n)
        rows.marks[:] = random.choice(np.array([0, 0, INCOMING, OUTGOING, TRUNCATED, MALFORMED], np.uint16), n)
        rows.caplen[:] = np.where(rows.marks & TRUNCATED, 40, rows.wirelen)
        happened = random.random(n) < events
        rows.marks[happened] = EVENT
        rows.path[happened] = PATHS.intern("event")
        rows.kind[happened] = KIND_NONE
        for name, values in columns.items():
            getattr(rows, name)[:] = values
        return rows

    return make


@pytest.fixture(scope="session")
def make_batch(make_rows: MakeRows) -> MakeBatch:
    """make_batch(n, seed, gap=0, **as make_rows): a batch that owns random bytes, `gap` unused ones before each."""

    def make(n: int, seed: int = 0, *, gap: int = 0, **arguments: Any) -> Batch:
        rows = make_rows(n, seed, **arguments)
        ends = np.cumsum(rows.caplen.astype(np.int64) + gap)
        rows.pos[:] = ends - rows.caplen
        size = int(ends[-1]) if n else 0
        raw = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        return Batch(rows, raw)

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A class of `Samples` (handmade.py) has its tests once for each."""
    if "sample" in metafunc.fixturenames and (samples := getattr(metafunc.cls, "samples", None)):
        metafunc.parametrize("sample", samples, ids=[f"{sample.protocol} {sample.info[:24]}" for sample in samples])
