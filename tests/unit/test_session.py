"""One capture as a person goes through it: packets come, are filtered, paused, counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from netwatch.capture import session as session_module
from netwatch.capture.block import Batch, Block, Damage, Interface, Loss
from netwatch.capture.columns import KIND_IPV4, Columns
from netwatch.capture.filter import FilterError
from netwatch.capture.pace import Pace
from netwatch.capture.paths import PATHS
from netwatch.capture.session import Session
from netwatch.capture.stats import partial

MakeRows = Callable[..., Columns]
MakeBatch = Callable[..., Batch]

KIB = 1 << 10
MIB = 1 << 20


@dataclass
class FakeSource:
    """A source that nobody asks for blocks."""

    name: str = "eth0"
    live: bool = True
    interfaces: list[Interface] = field(default_factory=lambda: [Interface("eth0", 1)])
    exhausted: bool = False
    damage: Damage | None = None
    lost: Loss = field(default_factory=Loss)

    def next_block(self, timeout: float) -> Block | None:  # noqa: ARG002 - the name is the interface's
        return None

    def read_at(self, pos: int, size: int) -> bytes:
        return bytes([pos % 256]) * size

    def loss(self) -> Loss:
        return self.lost

    def progress(self) -> tuple[int, int] | None:
        return None

    def wake(self) -> None: ...

    def close(self) -> None: ...


def live(buffer: int = 64 * MIB, own_addresses: tuple[str, ...] = ()) -> Session:
    return Session(FakeSource(), buffer=buffer, own_addresses=own_addresses)


def shown(session: Session) -> list[int]:
    indices: list[int] = session.view.indices(0, len(session.view)).tolist()
    return indices


def test_before_the_first_packet() -> None:
    session = live()
    session.tick(0)
    assert shown(session) == []
    assert session.matches == session.new_since_pause == session.evicted_since_pause == 0
    assert not session.paused
    assert not session.direction_known
    assert session.warning is None
    assert session.shown_statistics is session.statistics


def test_batches_reach_store_statistics_rates_and_view(make_batch: MakeBatch) -> None:
    session = live()
    session.tick(0)
    counted_by_the_thread = make_batch(100, 0)
    counted_by_the_thread.partial = partial(counted_by_the_thread.rows)
    session.ingest(counted_by_the_thread)
    session.ingest(make_batch(50, 1))
    session.tick(0.5)
    assert session.rates.packets == 0, "once a second"
    session.tick(1)
    assert session.rates.packets == 150
    assert session.statistics.packets == session.store.packets == len(session.view) == 150
    assert session.statistics.top(1)[0].byte_rate > 0


def test_switches_and_filter_apply_together(make_batch: MakeBatch) -> None:
    session = live()
    session.ingest(make_batch(500, 0))
    session.toggle("t")
    session.toggle("d")
    session.set_filter("frame.len > 700")
    session.ingest(make_batch(500, 1))
    rows = session.store.rows(np.arange(1000))
    names = np.array(PATHS.names)[rows.path]
    wanted = [
        at for at in range(1000) if rows.wirelen[at] > 700 and ("tcp" in str(names[at]) or "dns" in str(names[at]))
    ]
    assert shown(session) == wanted
    assert session.matches == len(wanted)
    assert session.switches == {"t", "d"}

    session.toggle("t")
    assert session.switches == {"d"}
    session.clear_switches()
    session.set_filter("")
    assert not session.filtered
    assert shown(session) == list(range(1000))
    with pytest.raises(KeyError):
        session.toggle("z")


def test_a_filter_that_is_not_valid_leaves_the_one_before(make_batch: MakeBatch) -> None:
    session = live()
    session.ingest(make_batch(200, 0))
    session.set_filter("tcp")
    before = shown(session)
    with pytest.raises(FilterError):
        session.set_filter("tcp and (")
    assert session.filter_text == "tcp"
    assert shown(session) == before


def test_pause_freezes_the_list_and_not_the_capture(make_batch: MakeBatch) -> None:
    session = live(buffer=512 * KIB)
    session.ingest(make_batch(300, 0))
    session.pause(250, 299)
    on_screen = session.store.rows(np.arange(250, 300)).ts.tolist()
    for seed in range(1, 40):
        session.ingest(make_batch(300, seed, events=0.01))
    assert session.paused
    assert session.shown_end == 300
    assert session.new_since_pause == session.store.packets - 300
    assert session.evicted_since_pause == session.store.evicted > 0
    assert shown(session)[-50:] == list(range(250, 300))
    assert session.store.rows(np.arange(250, 300)).ts.tolist() == on_screen

    session.set_filter("tcp")
    assert max(shown(session)) < 300, "what came since is not shown under a new filter either"
    assert session.matches == sum(session.store.number(index) is not None for index in shown(session))
    assert session.matches < session.kept == session.store.kept_before(300)
    session.set_filter("")

    session.resume()
    assert session.shown_end == session.store.end
    assert session.new_since_pause == session.evicted_since_pause == 0
    assert shown(session)[-1] == session.store.end - 1
    session.ingest(make_batch(1000, 99))
    assert 250 not in session.store


def test_scrolling_while_paused_keeps_what_one_scrolled_to(make_batch: MakeBatch) -> None:
    session = live(buffer=1536 * KIB)
    for seed in range(20):
        session.ingest(make_batch(100, seed))
    assert session.store.first == 0
    session.pause(1950, 1999)
    session.ingest(make_batch(10, 30))
    session.pause(0, 49)
    assert session.shown_end == 2000
    assert session.new_since_pause == 10
    for seed in range(40, 120):
        session.ingest(make_batch(100, seed))
    assert 0 in session.store
    assert 1999 in session.store, "as there is room"
    assert 500 not in session.store


def test_under_a_flood_what_is_on_screen_stays(make_batch: MakeBatch) -> None:
    session = live(buffer=MIB)
    session.toggle("a")
    for seed in range(40):
        session.ingest(make_batch(500, seed))
    on_screen = shown(session)[-10:]
    session.pause(on_screen[0], on_screen[-1])
    for seed in range(40, 80):
        session.ingest(make_batch(500, seed))
    assert shown(session)[-10:] == on_screen
    assert session.matches >= 10


def test_of_a_file_that_shrank_what_is_left_is_read(make_rows: MakeRows) -> None:
    session = Session(FakeSource(name="t.pcap", live=False), buffer=None)
    rows = make_rows(3)
    rows.caplen[:] = 60
    session.store.reader = lambda _, size: bytes(size - 12)
    session.ingest(Batch(rows, None))
    assert len(session.store.data(1)) == 60 - 12


def test_what_is_decompressed_is_all_kept_until_the_disk_has_no_more_room(
    make_rows: MakeRows, make_batch: MakeBatch
) -> None:
    source = FakeSource(name="t.pcap.gz", live=False)
    source.rereadable = True  # type: ignore[attr-defined]
    session = Session(source, buffer=MIB)
    for seed in range(20):
        session.ingest(Batch(make_rows(5000, seed), None))
    assert (session.store.evicted, session.store.budget, session.warning) == (0, None, None)
    for seed in range(20, 80):
        session.ingest(make_batch(500, seed))
    assert session.store.budget == MIB
    assert session.store.evicted > 100_000
    assert session.warning is not None
    assert "--buffer" in session.warning
    assert session.store.packets == 130_000


@pytest.mark.parametrize(("waiting", "least", "most"), [(0, 900, 1024), (128, 772, 896), (10_000, 640, 768)])
def test_what_waits_elsewhere_takes_its_part_of_the_buffer(
    make_batch: MakeBatch, waiting: int, least: int, most: int
) -> None:
    session = Session(FakeSource(), buffer=MIB, waiting=lambda: waiting * KIB)
    for seed in range(40):
        session.ingest(make_batch(500, seed))
    assert least * KIB < session.store.used <= most * KIB
    assert session.store.packets == 20_000


def test_a_file_that_is_followed_has_rates_of_what_is_new(make_rows: MakeRows) -> None:
    source = FakeSource(name="t.pcap", live=False)
    source.follows_from = 1000  # type: ignore[attr-defined]
    session = Session(source, buffer=MIB)
    session.tick(0)
    session.ingest(Batch(make_rows(500, pos=500), None))
    session.tick(1)
    assert session.rates.packets == 0
    session.ingest(Batch(make_rows(50, pos=1000), None))
    session.tick(2)
    assert session.rates.packets == 50
    assert session.statistics.packets == 550


def test_statistics_of_the_filter(make_batch: MakeBatch) -> None:
    session = live()
    session.tick(0)
    session.ingest(make_batch(3000, 0, events=0.01))
    session.set_filter("udp")
    session.statistics_follow_filter = True
    session.ingest(make_batch(500, 1))
    session.tick(1)
    of_filter = session.shown_statistics
    assert of_filter is not session.statistics
    expected = partial(session.store.rows(session.view.indices(0, len(session.view))))
    assert (of_filter.packets, of_filter.bytes) == (expected.packets, expected.bytes)
    assert {row.path.split(":")[1] for row in of_filter.protocols() if ":" in row.path} == {"ip", "ipv6"}

    session.set_filter("")
    assert session.shown_statistics is session.statistics, "no filter: all of it"
    session.toggle("a")
    assert session.shown_statistics.packets == session.matches, "events are no matches"
    session.statistics_follow_filter = False
    assert session.shown_statistics is session.statistics
    assert session.statistics.packets == session.store.packets


def test_rows_that_pass_are_counted_even_if_evicted_meanwhile(make_batch: MakeBatch) -> None:
    session = live(buffer=256 * KIB)
    session.set_filter("tcp")
    session.statistics_follow_filter = True
    everything = Columns.concatenate([make_batch(80, seed).rows for seed in range(50)])
    for seed in range(50):
        session.ingest(make_batch(80, seed))
    session.tick(1)
    assert session.store.evicted > 0
    tcp = PATHS.switches[everything.path] & 1 != 0
    assert session.shown_statistics.packets == np.count_nonzero(tcp)


def test_work_left_over_is_done_between_repaints(make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = live()
    session.ingest(Batch(make_rows(40_000), None))
    monkeypatch.setattr(session_module, "AT_ONCE", -1)
    session.statistics_follow_filter = True
    session.toggle("u")
    assert session.view.pending == 40_000
    monkeypatch.setattr(session_module, "BETWEEN", 60)
    assert session.tick(1)
    assert session.view.pending == 0
    assert session.shown_statistics.packets == session.matches > 0
    assert not session.tick(2), "nothing is left"


def test_direction_comes_from_the_source(make_batch: MakeBatch) -> None:
    session = live()
    session.ingest(make_batch(200, 0))
    assert session.direction_known
    assert session.statistics.packets_in > 0


def test_direction_comes_from_own_addresses_where_the_source_has_none() -> None:
    session = live(own_addresses=("10.0.0.1", "fe80::1%eth0"))
    assert session.direction_known
    rows = Columns.zeros(4)
    rows.kind[:] = KIND_IPV4
    rows.src_lo[:] = (0x0A000001, 0x0A000001, 0x0A000002, 0x0A000003)
    rows.dst_lo[:] = (0x0A000002, 0x0A000003, 0x0A000001, 0x0A000002)
    rows.wirelen[:] = (100, 200, 400, 800)
    session.tick(0)
    session.ingest(Batch(rows, None))
    session.tick(1)
    counted = session.statistics
    assert (counted.packets_in, counted.bytes_in, counted.packets_out, counted.bytes_out) == (1, 400, 2, 300)
    assert (session.rates.bits, session.rates.bits_in, session.rates.bits_out) == (12_000, 3200, 2400)


def test_marks_are_put_and_taken() -> None:
    session = live()
    session.toggle_mark(7)
    session.toggle_mark(9)
    session.toggle_mark(7)
    assert session.marked == {9}


def test_loss_is_what_the_source_says() -> None:
    source = FakeSource()
    session = Session(source, buffer=MIB)
    source.lost.ring = 5
    assert session.loss.packets == 5


def test_a_file_keeps_all_columns_and_warns_once(make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "available", lambda: 10 * MIB)
    session = Session(FakeSource(name="big.pcap", live=False), buffer=MIB)
    session.ingest(Batch(make_rows(40_000), None))
    warnings = [session.warning]
    for seed in (1, 2):
        session.ingest(Batch(make_rows(40_000, seed), None))
        warnings.append(session.warning)
    assert session.store.evicted == 0
    assert warnings[0] is None
    assert warnings[1] == warnings[2]
    assert "80,000 packets" in str(warnings[1])
    assert "\n" not in str(warnings[1])
    assert session.store.data(0) == b"\0" * int(session.store.rows(np.array([0])).caplen[0])


def test_at_the_end_packets_go_and_what_was_counted_stays(make_batch: MakeBatch) -> None:
    session = live()
    session.ingest(make_batch(100))
    session.toggle("u")
    session.release()
    assert session.store.used == session.kept == len(session.view) == 0
    assert (session.statistics.packets, session.store.packets, session.store.evicted) == (100, 100, 0)


def test_a_file_that_cannot_be_read_again_has_a_budget(make_batch: MakeBatch) -> None:
    session = Session(FakeSource(name="stdin", live=False), buffer=256 * KIB)
    for seed in range(20):
        session.ingest(make_batch(200, seed))
    assert session.store.evicted > 0
    assert session.store.used <= 256 * KIB


def test_a_replay_counts_seconds_of_the_capture(make_rows: MakeRows) -> None:
    now = 0.0
    source = FakeSource()
    pace = source.pace = Pace(10.0, clock=lambda: now)  # type: ignore[attr-defined]  # what only a replay has
    session = Session(source, buffer=None)
    assert session.pace is pace
    pace.due(0)
    pace.serve(0)
    session.tick(0.0)
    session.ingest(Batch(make_rows(1000), None))
    now = 1.0
    session.tick(1.0)
    assert session.rates.packets == pytest.approx(100)
    pace.pause()
    now = 60.0
    session.tick(60.0)
    assert session.rates.packets == pytest.approx(100), "what stands still has no rate of its own"
