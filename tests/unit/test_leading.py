"""The protocol that an address mostly speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT, KIND_IPV4, KIND_IPV6
from netwatch.capture.leading import leading_protocol, newest
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import ID
from netwatch.capture.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from netwatch.capture.columns import Columns


def test_bytes_decide_and_both_directions_count(make_rows: Callable[..., Columns]) -> None:
    rows = make_rows(5)
    rows.kind[:] = KIND_IPV4
    rows.src_hi[:] = rows.dst_hi[:] = 0
    rows.src_lo[:] = [7, 1, 7, 7, 7]
    rows.dst_lo[:] = [1, 7, 1, 1, 1]
    rows.wirelen[:] = [100, 100, 150, 60, 9999]
    rows.marks[:] = [0, 0, 0, 0, EVENT]
    dns, tls, arp = (PATHS.intern(name) for name in ("eth:ip:udp:dns", "eth:ip:tcp:tls", "eth:arp"))
    rows.path[:] = [dns, dns, tls, tls, arp]
    assert leading_protocol(rows, KIND_IPV4, 0, 7) == ID["tls"]
    rows.wirelen[1] = 200
    assert leading_protocol(rows, KIND_IPV4, 0, 7) == ID["dns"]
    assert leading_protocol(rows, KIND_IPV4, 0, 8) is None
    assert leading_protocol(rows, KIND_IPV6, 0, 7) is None


def test_only_the_newest_rows(make_rows: Callable[..., Columns]) -> None:
    store = Store(None)
    assert newest(store) is None
    for seed in range(3):
        store.append(Batch(make_rows(10, seed), None))
    rows = newest(store, 12)
    assert rows is not None
    assert rows.ts.tolist() == [*make_rows(10, 1).ts.tolist()[-2:], *make_rows(10, 2).ts.tolist()]
