"""Make the pictures of README from the program itself: `make screenshots`.

The app runs over the capture that is shipped, without a terminal of its own, so that the same program gives
the same pictures.
"""

from __future__ import annotations

import asyncio
import queue
from dataclasses import dataclass
from pathlib import Path

from netwatch.app.app import NetwatchApp
from netwatch.app.opening import DEMO
from netwatch.capture.block import Batch
from netwatch.capture.decode import Decoder
from netwatch.capture.engine import Engine
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file
from netwatch.widgets.palette import Look

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """A file name, a size, and the keys that lead there."""

    name: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()


# A TLS hello with its handshake and the server's name unfolded.
HELLO = ("colon", *"86", "enter", "enter", *["down"] * 2, "left", "end", "right", "end", "right", *["down"] * 12)
HELLO += ("right", *["down"] * 5)
PICTURES = (
    Picture("dashboard", (120, 40), (*["pagedown"] * 3, "down", "down")),
    Picture("small", (80, 24), (*["pagedown"] * 6, "t", "d")),
    Picture("large", (200, 60), ("pagedown", "down", "tab", "down", "down")),
    Picture("filter", (120, 40), ("slash", *"tls and ipv6")),
    Picture("packet", (120, 40), HELLO),
    Picture("stream", (120, 40), ("colon", *"1243", "enter", "f")),
    Picture("help", (160, 50), ("question_mark",)),
)


async def shoot(picture: Picture) -> None:
    """Read the whole capture, press the keys, save what is on the screen."""
    source = open_file(str(DEMO))
    batches: queue.Queue[Batch] = queue.Queue()
    session = Session(source, buffer=None, own_addresses=["192.0.2.10"])
    engine = Engine(source, Decoder(), batches)
    app = NetwatchApp(session, engine, batches, look=Look())
    try:
        async with app.run_test(size=picture.size) as pilot:
            while not app.state.ended:
                await pilot.pause(0.02)
            await pilot.press(*picture.keys)
            await pilot.pause(0.6)
            app.save_screenshot(f"{picture.name}.svg", path=str(HERE))
    finally:
        list(engine.stop())
        source.close()


def main() -> None:
    for picture in PICTURES:
        asyncio.run(shoot(picture))
        print(HERE / f"{picture.name}.svg")


if __name__ == "__main__":
    main()
