"""Moves in time: reading a file on or not, the line of time, pause, the speed of a replay, the live tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from netwatch.app.panes import Panes
from netwatch.capture.locate import LocateError, Place, at_time, locate, moment_of, moved, number_of, time_of
from netwatch.widgets.timeline import Timeline

if TYPE_CHECKING:
    from netwatch.capture.engine import Engine
    from netwatch.capture.pace import Pace
    from netwatch.capture.session import Session
    from netwatch.widgets.header import RunState
    from netwatch.widgets.palette import Look

__all__ = ["Travelling"]


class Travelling(Panes, inherit_bindings=False):
    """The panes, and what moves their capture in time."""

    def __init__(self, session: Session, look: Look, state: RunState, engine: Engine) -> None:
        super().__init__(session, look, state)
        self.engine = engine

    # A file that is being read

    def action_load(self) -> None:
        """Stop reading the file, or read on."""
        if not self.state.loading(self.session.source):
            self.footer.say("there is nothing to stop: no file is being read")
            return
        self.state.held = not self.state.held
        if self.state.held:
            self.engine.hold()
        else:
            self.engine.go_on()
        self.paint_now()

    # Travelling in time

    def action_step(self, forward: bool) -> None:
        """A step back or forward in the time of the packets; in a replay also beyond what was played."""
        here, step, store, pace = self.timeline.here, self.timeline.step, self.session.store, self._pace
        if here is None:
            return
        if self.timeline.by_time:
            found = moved(store, here, step if forward else -step)
        else:
            size = self.timeline.step_packets
            found = here + size if forward else max(here - size, store.first)
            found = found if found < store.end else None
        if found is None and forward and pace is not None:
            ahead = time_of(store, store.end - 1) - time_of(store, here)
            pace.run_on(step - ahead if 0 <= ahead < step else step)
        self._travel(found if found is not None or forward else store.first)

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        """To a place on the bar; in what a replay has still to play by playing it at once."""
        span, store, pace = event.timeline.span, self.session.store, self._pace
        if span is None:
            return
        if not event.timeline.by_time:
            self._travel(store.first + round(event.share * (store.end - 1 - store.first)))
            return
        first, last = span
        moment = first + round(event.share * (last - first))
        head = time_of(store, store.end - 1)
        if pace is not None and moment > head:
            pace.run_on(moment - head)
            self._travel(None)
        else:
            self._travel(at_time(store, moment))

    def _travel(self, index: int | None) -> None:
        """To a row that is kept; None: to the newest. Behind its head a replay is paused."""
        packets, store = self.packets, self.session.store
        if index is None or index >= self.session.shown_end - 1:
            packets.go_last()
        elif index == store.first:
            packets.go_first()
        else:
            packets.go_to(index)
        if self._pace is not None and index is not None and index < store.end - 1:
            self._pace.pause()
        self.keep_pinned()
        self.paint_now()

    @on(Timeline.Chosen)
    async def _word_clicked(self, event: Timeline.Chosen) -> None:
        await self.run_action(event.action)

    def find(self, text: str) -> Place:
        """Where `text`, typed after `:`, leads; in a replay also ahead of what was played. Raises LocateError."""
        store, pace, ended = self.session.store, self._pace, self.state.ended
        start, running = self.packets.time_base, self.display_as.time_format in ("start", "delta")
        until = pace.end if pace is not None else None
        if pace is not None and store.end > store.first:
            number, end = number_of(text), store.end - 1
            if number is None:
                moment = moment_of(store, text, start=start, running=running, until=until)
                if moment > time_of(store, end):
                    return Place(end, "plays all of it" if moment > (until or moment) else "plays on to there", True)
            elif number > store.packets:
                return Place(end, "plays on to there", True)
        return locate(store, text, start=start, running=running, until=until, complete=ended)

    def go_to(self, text: str) -> None:
        """There, and what is to be said where that is not quite what was asked for."""
        try:
            place = self.find(text)
        except LocateError as error:
            self.footer.say(str(error), role="alert")
            return
        if place.ahead:
            self._play_on(text)
            return
        self.packets.go_to(place.index)
        hidden = place.index < self.session.shown_end and place.index not in self.session.view
        if hidden and self.packets.cursor is not None:
            self.footer.say("the filter hides it: this is the nearest that is shown")
        elif place.note:
            self.footer.say(f"{place.note}: this is the nearest")

    def _play_on(self, text: str) -> None:
        """Play at once what lies before the place that `text` names, ahead of what was played."""
        store, pace, number = self.session.store, self._pace, number_of(text)
        if pace is None:
            return
        if number is not None:
            pace.run_until(number)
        else:
            running = self.display_as.time_format in ("start", "delta")
            moment = moment_of(store, text, start=self.packets.time_base, running=running, until=pace.end)
            pace.run_on(moment - time_of(store, store.end - 1))
        self._travel(None)

    def action_last(self) -> None:
        """In the list the live tail, also out of a pause; in a table its last row."""
        if self.pane is self.packets:
            self._resume()
        self.pane.go_last()
        self.paint_now()

    # Pause

    def action_pause(self) -> None:
        packets, session, pace = self.packets, self.session, self._pace
        if not session.paused and (self.state.ended or self.state.held):
            self.footer.say(
                "nothing more comes: all of it is here" if self.state.ended else "reading is stopped: L reads on"
            )
        elif session.paused or (pace is not None and pace.paused):
            self._resume()
            if self.flows and not self.state.ended:
                packets.go_last()
        elif pace is not None:
            pace.pause()  # nothing comes, so nothing has to be held on to
        else:
            packets.paint()  # what stood there may be evicted since: it is pinned as it stands now
            packets.follow = False
            session.pause(*packets.visible_range())
        self.paint_now()

    @property
    def _pace(self) -> Pace | None:
        """The clock of a replay, as long as it plays."""
        return None if self.state.ended else self.session.pace

    def _resume(self) -> None:
        """The end of a pause, of the view or of a replay."""
        if self.session.paused:
            self.session.resume()
        if self._pace is not None and self._pace.paused:
            self._pace.go_on()

    def action_speed(self, faster: bool) -> None:
        """The next speed of a replay."""
        if self._pace is None:
            self.footer.say("speed is for a replay: netwatch -r FILE --replay 10x")
            return
        self._pace.faster(faster)
        self.footer.say(f"speed: {self._pace.words}")
        self.paint_now()
