"""A one-line prompt over the footer: the display filter (`/`) and go to (`:`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

__all__ = ["LastWordSuggester", "Prompt", "Verdict"]

_HISTORY: Final = 50
_ENDING: Final = 1.0
"""Seconds that a prompt may take to go."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to say of the text as it stands."""

    valid: bool
    message: str
    """`1,234 packets`, or what is wrong."""


class LastWordSuggester(Suggester):
    """Completes the word that is being typed."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(use_cache=True, case_sensitive=True)
        self._words = sorted(words, key=lambda word: (len(word), word))

    async def get_suggestion(self, value: str) -> str | None:
        head, separator, last = value.rpartition(" ")
        if len(last) < 2:
            return None
        stem = f"{last}." if last in self._words else last  # a whole word needs no other word, but may have fields
        for word in self._words:
            if word.startswith(stem) and word != last:
                return f"{head}{separator}{word}"
        return None


class _Field(Input):
    """Takes keys one after the other, as they were typed: those that edit not later than those that are inserted.

    Textual inserts a character at once, but has other keys wander up to the app, whose bindings act a moment later:
    what comes in one piece would overtake them. Keys behind the one that ends the prompt are not for it; they wait
    until it is gone.
    """

    def __init__(self, value: str, **settings: Any) -> None:
        super().__init__(value, **settings)
        self._ended: float | None = None
        """When enter or escape was pressed."""
        self._behind: list[events.Key] = []

    def stays(self) -> None:
        """It goes on: what was typed was not good, and what came behind it is typed, too."""
        self._ended = None
        for event in self._behind:
            self.app.post_message(events.Key(event.key, event.character))
        self._behind.clear()

    def action_cut(self) -> None:
        # Nothing selected, Textual would empty the clipboard.
        if self.selected_text:
            super().action_cut()

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        self.stays()

    async def _on_key(self, event: events.Key) -> None:
        if self._ended is not None:
            event.stop()
            event.prevent_default()
            self._behind.append(event)
            if monotonic() - self._ended > _ENDING:
                self.stays()
            return
        if event.is_printable:
            await super()._on_key(event)
            return
        self._restart_blink()
        if await self._edits(event.key):
            event.stop()
            event.prevent_default()

    async def _edits(self, key: str) -> bool:
        """Do what the key does here; False if it is one of the screen's."""
        for owner in self.ancestors_with_self:
            for binding in owner._bindings.key_to_bindings.get(key, ()):
                if await self.app.run_action(binding.action, owner):
                    self._ended = monotonic() if key in ("enter", "escape") else None
                    return True
            if isinstance(owner, Prompt):
                break
        return False


class Prompt(Horizontal):
    """Title, text, and a live verdict at the right. `judge` is asked at each key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="prompt.cancel"),
        Binding("up", "history(-1)", "Earlier", show=False, id="prompt.earlier"),
        Binding("down", "history(1)", "Later", show=False, id="prompt.later"),
        # As in a shell; the focus stays here.
        Binding("tab,shift+tab", "complete", "Complete", show=False, id="prompt.complete"),
    ]

    DEFAULT_CSS = """
    Prompt {
        dock: bottom;
        height: 1;
        background: $surface;
        & > Label { height: 1; width: auto; padding: 0 1; }
        & > #prompt-title { background: $primary; color: $text; text-style: bold; }
        & > #prompt-verdict { max-width: 60%; text-wrap: nowrap; text-overflow: ellipsis; }
        & > Input, & > Input:focus { width: 1fr; height: 1; border: none; padding: 0 1; background: $surface; }
        &.-valid > #prompt-verdict { color: $text-success; }
        &.-invalid > #prompt-verdict { color: $text-error; text-style: bold; }
        &.-invalid > Input { color: $text-error; }
    }
    """

    @dataclass
    class Said(Message):
        """What all its messages have: the prompt that sends them."""

        prompt: Prompt

        @property
        def control(self) -> Prompt:
            return self.prompt

    @dataclass
    class Changed(Said):
        """The text is valid and differs from what it was."""

        text: str

    @dataclass
    class Submitted(Said):
        """Enter, on a valid text."""

        text: str

    @dataclass
    class Cancelled(Said):
        """Escape: what held before the prompt opened is wanted back."""

    @dataclass
    class Left(Said):
        """The person went on elsewhere, with a click: the prompt is not needed any more."""

    def __init__(
        self,
        title: str,
        judge: Callable[[str], Verdict],
        *,
        text: str = "",
        hint: str = "",
        history: list[str] | None = None,
        words: Sequence[str] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._title = title
        self._judge = judge
        self._text = text
        self._hint = hint
        self._history = history if history is not None else []
        self._place = len(self._history)
        self._words = words
        self._cancelled = False

    def compose(self) -> ComposeResult:
        yield Label(Content(self._title), id="prompt-title")
        suggester = LastWordSuggester(self._words) if self._words else None
        yield _Field(
            self._text,
            placeholder=self._hint,
            suggester=suggester,
            select_on_focus=False,
            max_length=1000,
            compact=True,
        )
        yield Label("", id="prompt-verdict")

    def on_mount(self) -> None:
        self.field.cursor_position = len(self._text)
        self._show_verdict(self._judge(self._text))

    @property
    def field(self) -> Input:
        """Where the text is typed: give it the focus once the prompt is mounted."""
        return self.query_one(Input)

    def submitted(self, text: str) -> bool:  # noqa: ARG002 - for those that ask once more
        """Enter, on a valid text; False: the prompt stays."""
        return True

    def judge_again(self) -> None:
        """The count moves while packets arrive."""
        for field in self.query(Input):
            self._show_verdict(self._judge(field.value))

    @on(Input.Changed)
    def _judge_text(self, event: Input.Changed) -> None:
        event.stop()
        verdict = self._judge(event.value)
        self._show_verdict(verdict)
        # What was typed right before escape is heard of after it: nobody wants it any more.
        if verdict.valid and event.value != self._text and not self._cancelled:
            self._text = event.value
            self.post_message(self.Changed(self, event.value))

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        done = self._judge(event.value).valid and self.submitted(event.value)
        self._show_verdict(self._judge(event.value))
        if not done:
            self._goes_on()
            return
        text = event.value.strip()
        if text and (not self._history or self._history[-1] != text):
            self._history.append(text)
            del self._history[:-_HISTORY]
        self.post_message(self.Submitted(self, text))

    def on_descendant_blur(self) -> None:
        # A terminal window that loses the focus takes it from the field for a while; that is no leaving.
        if self.app.app_focus and self.is_attached:
            self.post_message(self.Left(self))

    async def action_complete(self) -> None:
        """Take the suggestion over, also one that had no time to be shown."""
        field = self.field
        suggested = await field.suggester.get_suggestion(field.value) if field.suggester is not None else None
        if suggested is not None:
            field.value = suggested
        field.cursor_position = len(field.value)

    def action_cancel(self) -> None:
        self._cancelled = True
        self.post_message(self.Cancelled(self))

    def action_history(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return
        self._place = place
        field = self.field
        field.value = self._history[place] if place < len(self._history) else ""
        field.cursor_position = len(field.value)

    def _goes_on(self) -> None:
        """Enter was pressed, and the prompt is not done."""
        for field in self.query(_Field):
            field.stays()

    def _show_verdict(self, verdict: Verdict) -> None:
        self.set_class(verdict.valid, "-valid")
        self.set_class(not verdict.valid, "-invalid")
        # Content, not markup: the message may quote what was typed.
        for label in self.query("#prompt-verdict").results(Label):  # none while the prompt is being removed
            label.update(Content(verdict.message))
