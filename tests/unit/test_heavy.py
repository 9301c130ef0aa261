"""A bounded table: sums stay exact, and it says by how much it may be wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.heavy import COUNTS, HeavyHitters

BATCHES = st.lists(
    st.dictionaries(st.integers(0, 60), st.integers(1, 5000), min_size=1, max_size=40), min_size=1, max_size=12
)


def fed(batches: list[dict[int, int]], capacity: int) -> HeavyHitters:
    table = HeavyHitters(capacity, 2)
    for batch in batches:
        keys = np.array(list(batch), np.uint64)
        counts = np.zeros((len(COUNTS), len(batch)), np.int64)
        counts[0], counts[1] = 1, list(batch.values())
        table.add([keys, keys * np.uint64(3)], counts)
    return table


def told(table: HeavyHitters) -> dict[int, int]:
    words, counts, _ = table.largest(table.count, "bytes")
    assert (words[1] == words[0] * np.uint64(3)).all()
    return dict(zip(words[0].tolist(), counts[1].tolist(), strict=True))


@given(BATCHES, st.integers(2, 80))
@settings(max_examples=60, deadline=None)
def test_totals_add_up_and_the_error_is_a_bound(batches: list[dict[int, int]], capacity: int) -> None:
    truth: Counter[int] = Counter()
    for batch in batches:
        truth.update(batch)
    table = fed(batches, capacity)
    found = told(table)
    assert table.count == len(found) <= capacity
    assert sum(found.values()) + table.others[1] == truth.total()
    assert table.largest(capacity, "bytes")[1][0].sum() + table.others[0] == sum(map(len, batches))
    for key, size in truth.items():
        assert found.get(key, 0) <= size <= found.get(key, 0) + table.error
    assert table.exact == (table.error == 0) == (found == truth)


def test_the_order_of_equals_does_not_depend_on_when_they_came() -> None:
    one, other = fed([{5: 10, 9: 10, 2: 30}, {7: 10}], 8), fed([{7: 10}, {9: 10, 2: 30}, {5: 10}], 8)
    assert list(told(one)) == list(told(other)) == [2, 5, 7, 9]


def test_who_sends_most_is_found_among_a_million_who_send_little() -> None:
    random = np.random.default_rng(1)
    table = HeavyHitters(1024, 1)
    sent = 0
    for _ in range(200):
        strangers = np.unique(random.integers(1 << 20, 1 << 40, 5000).astype(np.uint64))
        keys = np.concatenate([[7], strangers]).astype(np.uint64)
        counts = np.ones((len(COUNTS), len(keys)), np.int64) * 60
        counts[:, 0] = 300
        sent += int(counts[1].sum())
        table.add([keys], counts)
    words, counts, _ = table.largest(1, "bytes")
    assert (words[0, 0], counts[1, 0]) == (7, 200 * 300)
    # Where nothing that is folded stands out, the bound is that of Misra and Gries.
    assert table.error <= table.others[1] / (1024 // 2) * 1.1
    assert int(table.largest(1024, "bytes")[1][1].sum() + table.others[1]) == sent
