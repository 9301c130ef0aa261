"""The summary as an object and as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from netwatch.capture.block import Damage, Loss
from netwatch.capture.columns import Columns
from netwatch.capture.paths import PATHS
from netwatch.capture.stats import Statistics, partial
from netwatch.capture.summary import Summary, as_dict, as_json, as_text, lost

MakeRows = Callable[..., Columns]

KEYS = [
    "packets",
    "bytes",
    "captured_bytes",
    "truncated",
    "malformed",
    "first_ts",
    "last_ts",
    "dropped",
    "evicted",
    "hidden_filters",
    "protocols",
    "hosts",
    "hosts_exact",
]


def counted(rows: Columns, **arguments: Any) -> Statistics:
    statistics = Statistics(live=False, **arguments)
    statistics.merge(partial(rows))
    return statistics


def test_nothing_captured_is_nulls_and_zeros() -> None:
    made = as_dict(Summary("x", Statistics()))
    assert list(made) == KEYS
    assert made["first_ts"] is None
    assert made["last_ts"] is None
    assert (made["packets"], made["protocols"], made["hosts"], made["hosts_exact"]) == (0, [], [], True)
    assert as_text(Summary("x", Statistics())).startswith("x: 0 packets, 0 bytes on the wire\n")


def test_the_object_is_what_the_rows_say(make_rows: MakeRows) -> None:
    rows = make_rows(2000, seed=3, events=0.1)
    made = json.loads(as_json(as_dict(Summary("x", counted(rows)))))
    assert made["packets"] == sum(row["own_packets"] for row in made["protocols"]) < 2000
    assert made["bytes"] == sum(row["bytes"] for row in made["protocols"] if ":" not in row["path"])
    assert all(row["name"] == row["path"].rpartition(":")[2] for row in made["protocols"])
    assert set(made["hosts"][0]) == {
        "address",
        "packets",
        "bytes",
        "packets_in",
        "bytes_in",
        "packets_out",
        "bytes_out",
    }
    assert sum(host["packets_in"] for host in made["hosts"]) == sum(host["packets_out"] for host in made["hosts"])


@pytest.mark.parametrize(
    ("ts", "text"),
    [(0, "0.000000000"), (1_700_000_000_123_456_789, "1700000000.123456789"), (-1, "-0.000000001")],
)
def test_times_keep_every_nanosecond(ts: int, text: str) -> None:
    rows = Columns.zeros(1)
    rows.path[:] = PATHS.intern("eth")
    rows.ts[:] = ts
    made = as_dict(Summary("x", counted(rows)))
    assert made["first_ts"] == made["last_ts"] == text


def test_hosts_that_are_not_told_apart_are_others(make_rows: MakeRows) -> None:
    rows = make_rows(5000, seed=1, hosts=400)
    made = as_dict(Summary("x", counted(rows, max_hosts=64)))
    assert made["hosts_exact"] is False
    assert made["hosts"][-1]["address"] == "others"
    exact = as_dict(Summary("x", counted(rows)))
    for key in ("packets_in", "bytes_in", "packets_out", "bytes_out"):
        assert sum(host[key] for host in made["hosts"]) == sum(host[key] for host in exact["hosts"])
    assert "others, no longer told apart" in as_text(Summary("x", counted(rows, max_hosts=64)))


def test_damage_and_loss_are_said() -> None:
    summary = Summary(
        "x", Statistics(), Loss(ring=1200, interface=34, freezes=2), 7, ("not port 22",), Damage(9, "cut")
    )
    made = as_dict(summary)
    assert made["error"] == {"offset": 9, "message": "cut"}
    assert made["dropped"] == {"ring": 1200, "freezes": 2, "interface": 34, "queue": 0, "writer": 0}
    assert (made["evicted"], made["hidden_filters"]) == (7, ["not port 22"])
    text = as_text(summary)
    assert "1,234 lost (ring 1,200, interface 34)" in text
    assert "7 packets counted but no longer kept" in text
    assert "hidden by the kernel: not port 22" in text
    assert lost(Loss()) == "none lost"


def test_a_file_name_cannot_reach_the_terminal() -> None:
    summary = Summary("a\x1b]0;b\x07\u202e.pcap", Statistics(), damage=Damage(0, "\x1b[31m"))
    assert all(line.isprintable() for line in as_text(summary).splitlines())
    assert as_json(as_dict(summary)).strip().isprintable()
