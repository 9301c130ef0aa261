"""What the footer says of a file that cannot be written: at once, until it goes on or the person has read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.app.recording import Recording
    from netwatch.widgets.footer import Footer

__all__ = ["Trouble"]


class Trouble:
    """Call `look` now and then."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._said: str | None = None
        """What the footer said last, as long as nothing can be written."""
        self._standing = False
        """It stood there at the last look."""
        self._read = False
        """The person took it away."""

    @property
    def fault(self) -> OSError | None:
        """Why packets are missing in the file, as the disk said last."""
        return self._recording.fault

    def look(self, footer: Footer) -> None:
        """Say what there is to say."""
        words = self._recording.trouble
        if words is None:
            if self._said is not None:
                footer.say(
                    f"writing goes on; {self._recording.recorder.dropped:,} packets were not written", seconds=8
                )
            self._said, self._standing, self._read = None, False, False
            return
        ours = footer.notice is not None and footer.notice == self._said
        self._read = self._read or (self._standing and footer.notice is None)
        if ours or (footer.notice is None and not self._read) or self._said is None:
            self._said = f" {escape(words)} "
            footer.say(self._said, role="alert-chip", seconds=None)
            ours = True
        self._standing = ours
