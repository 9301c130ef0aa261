"""Asking the helper who carries the terminal, and what becomes of its answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from netwatch.app.own_session import OwnSession
from netwatch.capture.helper.client import HelperError
from netwatch.capture.kernel.hiding import MOST, Endpoint

ROW = ["tcp", "192.0.2.1", 22, "198.51.100.7", 50122]
SSH = Endpoint("tcp", "192.0.2.1", 22, "198.51.100.7", 50122)
OTHER = ["tcp", "192.0.2.1", 22, "198.51.100.7", 50999]


class Source:
    """Remembers what it was told to hide."""

    live = True

    def __init__(self) -> None:
        self.calls: list[tuple[Endpoint, ...]] = []

    def hide(self, endpoints: Sequence[Endpoint], reason: str = "") -> None:  # noqa: ARG002
        self.calls.append(tuple(endpoints))


class Answering:
    """A helper that answers at once what the test says."""

    def __init__(self) -> None:
        self.rows: list[object] = []
        self.gone = False
        self.told: list[str] = []

    def call(self, verb: str, *, connection: str) -> dict[str, Any]:
        assert verb == "session"
        self.told.append(connection)
        if self.gone:
            raise HelperError("the helper process is gone: it ended")
        return {"rows": self.rows}

    def ask(self, verb: str, callback: Callable[[Any], None], *, connection: str) -> bool:
        try:
            answer: Any = self.call(verb, connection=connection)
        except HelperError as error:
            answer = error
        callback(answer)
        return True


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def helper() -> Answering:
    return Answering()


@pytest.fixture
def own(source: Source, helper: Answering, monkeypatch: pytest.MonkeyPatch) -> OwnSession:
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 50122 192.0.2.1 22")
    return OwnSession(source, helper)  # type: ignore[arg-type]  # as much of a helper as is used


def test_found_before_the_capture_and_hidden(own: OwnSession, source: Source, helper: Answering) -> None:
    helper.rows = [ROW]
    own.begin()
    assert own.endpoints == (SSH,)
    assert source.calls == [(SSH,)]
    assert helper.told == ["198.51.100.7 50122 192.0.2.1 22"]


def test_the_filter_is_replaced_only_when_something_changed(
    own: OwnSession, source: Source, helper: Answering
) -> None:
    for rows in ([ROW], [ROW], [ROW, OTHER], [OTHER], [], []):
        helper.rows = list(rows)
        own.look()
    assert [len(call) for call in source.calls] == [1, 2, 1, 0]


def test_shown_stays_shown(own: OwnSession, source: Source, helper: Answering) -> None:
    helper.rows = [ROW]
    own.begin()
    own.toggle()
    helper.rows = [OTHER]
    own.look()
    assert source.calls == [(SSH,), (), ()]
    own.toggle()
    assert source.calls[-1] == own.endpoints != (SSH,)


def test_a_helper_that_is_gone_changes_nothing_but_says_so(
    own: OwnSession, source: Source, helper: Answering
) -> None:
    helper.rows = [ROW]
    own.begin()
    helper.gone = True
    own.look()
    assert own.trouble == "the helper process is gone: it ended"
    assert own.endpoints == (SSH,)
    assert source.calls == [(SSH,)]
    assert "is gone" in own.notes[0]


def test_rows_that_are_none(own: OwnSession, helper: Answering) -> None:
    helper.rows = [
        "tcp", [], ["tcp"], ["tcp", 1, 2, 3, 4], ["sctp", "192.0.2.1", 22, "", 0], ["tcp", "192.0.2.1", 0, "", 0],
        ["tcp", "nowhere", 22, "", 0], ["tcp", "192.0.2.1", True, "", 0], ["tcp", "192.0.2.1", 70000, "", 0], ROW,
    ]  # fmt: skip
    own.begin()
    assert own.endpoints == (SSH,)


def test_no_more_than_the_kernel_is_given(own: OwnSession, helper: Answering) -> None:
    helper.rows = [["tcp", "192.0.2.1", 22, "198.51.100.7", port] for port in range(1, 100)]
    own.begin()
    assert len(own.endpoints) == MOST


def test_closed_it_asks_no_more(own: OwnSession, source: Source, helper: Answering) -> None:
    own.close()
    helper.rows = [ROW]
    own.look()
    assert helper.told == []
    assert source.calls == []


def test_a_thread_asks_again_and_again(own: OwnSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.app.own_session.POLL", 0.001)
    asked = threading.Semaphore(0)
    monkeypatch.setattr(own, "look", asked.release)
    own.look_on()
    assert all(asked.acquire(timeout=10) for _ in range(3))
    own.close()


def test_without_a_helper_it_looks_itself(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.helper.sessions.Finder.find", lambda *_: [tuple(ROW)])
    own = OwnSession(source, None)
    own.begin()
    assert own.endpoints == (SSH,)
    own.look()


def test_only_what_is_captured_can_be_hidden(source: Source) -> None:
    assert OwnSession.of(source, None, hidden=True) is not None  # type: ignore[arg-type]  # as much as is asked
    assert OwnSession.of(object(), None, hidden=True) is None  # type: ignore[arg-type]
