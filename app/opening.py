"""Options -> the source of the packets."""

from __future__ import annotations

import os
from typing import Final

from netwatch.app.options import Options
from netwatch.app.output import tell
from netwatch.capture.block import Source
from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = ["DEMO", "open_source"]

DEMO: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "capture", "data", "demo.pcapng")
"""The capture that is shipped: symlinked or installed, it lies beside this package."""

_STDIN: Final = 0


def open_source(options: Options, *, reread: bool = False) -> Source:
    """Open what is to be read; a live source is not bound yet. Raises CaptureError.

    `reread`: packets will be read again, as only the dashboard does; a compressed file then needs room on a disk.
    """
    if options.live:
        return _open_live(options)
    source = _open_recorded(options, reread)
    if not options.capture_filter:
        return source
    # libpcap is asked only where there is a filter.
    from netwatch.capture.sources.filtered import Filtered

    try:
        return Filtered(source, options.capture_filter)
    except CaptureError:
        source.close()
        raise


def _open_live(options: Options) -> Source:
    from netwatch.capture.kernel.interfaces import default_interface
    from netwatch.capture.sources.afpacket import open_live

    return open_live(
        list(options.interfaces) or [default_interface()],
        ring=options.ring,
        snaplen=options.snaplen,
        promiscuous=options.promiscuous,
        capture_filter=options.capture_filter,
        place=options.place,
    )


def _open_recorded(options: Options, reread: bool) -> Source:
    if options.demo:
        from netwatch.capture.sources.replay import Replay

        # What is only printed comes to an end by itself, unless it was said when.
        endless = not options.headless or options.count is not None or options.duration is not None
        replay = Replay(DEMO, loop=endless)
        replay.name = "demo"
        return replay
    if options.read == "-":
        from netwatch.capture.sources.stream import open_stream

        if os.isatty(_STDIN):
            raise CaptureError("-r - reads a capture from a pipe, but standard input is the terminal", EXIT_USAGE)
        return open_stream(_STDIN, "stdin")
    assert options.read is not None  # the only one left
    if options.replay is not None:
        from netwatch.capture.sources.replay import Replay

        return Replay(options.read, loop=False, speed=options.replay, reread=reread)
    from netwatch.capture.sources.files import READ_AHEAD, open_file

    # Without a screen nobody waits for the first block, and each costs 2 ms whatever is in it. With still more
    # at once, new memory costs what is saved.
    ahead = 32 << 20 if options.headless else READ_AHEAD
    removed = f"{options.read} was removed; reading on what its writer adds"
    # The dashboard has no line for it: it waits as with any other file that does not grow.
    on_removed = None if reread else lambda: tell(removed)
    return open_file(options.read, follow=options.follow, on_removed=on_removed, reread=reread, ahead=ahead)
