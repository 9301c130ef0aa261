"""The last line: keys, or for a while what there is to say."""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer

from netwatch.widgets.painting import Piece, fit, line, width_of
from netwatch.widgets.palette import Look
from netwatch.widgets.pane import Lines

__all__ = ["Footer", "Hint"]


@dataclass(frozen=True, slots=True)
class Hint:
    """A key in the footer."""

    key: str
    label: str
    action: str


class Footer(Lines):
    """As many hints as fit, the most useful first. A click does what the key does."""

    DEFAULT_CSS = "Footer { width: 1fr; height: 1; dock: bottom; }"

    @dataclass
    class Chosen(Message):
        """A hint was clicked."""

        footer: Footer
        action: str

        @property
        def control(self) -> Footer:
            return self.footer

    def __init__(self, hints: list[Hint], look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._hints = hints
        self._spans: list[tuple[range, str]] = []
        self._notice: tuple[str, str] | None = None
        self._timer: Timer | None = None

    @property
    def notice(self) -> str | None:
        """What is being said in place of the keys."""
        return self._notice[0] if self._notice is not None else None

    def say(self, text: str, *, role: str = "bright", seconds: float | None = 3.0) -> None:
        """Say `text` in place of the keys; without `seconds` until `hush`."""
        self._notice = (text, role)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(seconds, self.hush) if seconds is not None else None
        self.paint()

    def relabel(self, action: str, label: str) -> None:
        """What the key for `action` is called from now on."""
        hints = [replace(hint, label=label) if hint.action == action else hint for hint in self._hints]
        if hints != self._hints:
            self._hints = hints
            self.paint()

    def hush(self) -> None:
        """Back to the keys."""
        self._notice = None
        self.paint()

    def draw(self, width: int, height: int) -> list[Strip]:
        look, ground = self.look, self.look.ground
        self._spans = []
        if self._notice is not None:
            text, role = self._notice
            first = line([(" ", ground), (fit(text, width - 2).rstrip(), look[role])], width, ground)
        else:
            first = line(self._keys(width), width, ground)
        return [first] + [Strip.blank(width, ground)] * (height - 1)

    def on_click(self, event: events.Click) -> None:
        if self._notice is not None:
            self.hush()
            return
        for span, action in self._spans:
            if event.x in span:
                self.post_message(self.Chosen(self, action))

    def _keys(self, width: int) -> list[Piece]:
        look, ground = self.look, self.look.ground
        pieces: list[Piece] = []
        column = 0
        for hint in self._hints:
            size = 3 + width_of(hint.key) + width_of(hint.label)
            if column + size > width:
                continue
            pieces += [(" ", ground), (hint.key, look["key"]), (f" {hint.label}", look["dim"]), (" ", ground)]
            self._spans.append((range(column, column + size), hint.action))
            column += size
        return pieces
