"""`I`: which interfaces are captured, those of other network namespaces among them.

What can be asked through sockets that are open is asked through them: it needs neither rights nor the helper. Only
other namespaces do. All of it is done in threads: a machine may have thousands of interfaces and processes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from netwatch.app.keys import PICKER_KEYS, bindings
from netwatch.capture.errors import EXIT_USAGE, CaptureError
from netwatch.capture.helper.client import HelperError
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.kernel.namespaces import Place
from netwatch.capture.kernel.rtnetlink import Link, links
from netwatch.capture.kernel.sockets import Sockets
from netwatch.capture.sources.port import ANY
from netwatch.capture.text import escape
from netwatch.widgets.footer import Footer, Hint
from netwatch.widgets.pane import Pane
from netwatch.widgets.picker import Choice, Picker
from netwatch.widgets.units import quantity, rate

if TYPE_CHECKING:
    from netwatch.capture.helper.client import Helper
    from netwatch.capture.session import Session
    from netwatch.capture.sources.afpacket import LiveSource
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["InterfacesScreen"]

_PERIOD: Final = 1.0
"""Seconds between two looks at interfaces …"""
_NAMESPACES_PERIOD: Final = 5.0
"""… and at namespaces."""
_STATES: Final = {LinkState.UP: "up", LinkState.NO_CARRIER: "no carrier", LinkState.DOWN: "down"}
_HOME: Final[dict[str, object]] = {"name": "", "pid": 0, "inode": 0}
"""The helper is where netwatch was started."""


class InterfacesScreen(Screen[str], inherit_bindings=False):
    """Dismissed with a line that says what was done; empty: nothing."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(PICKER_KEYS))

    DEFAULT_CSS = "InterfacesScreen { layout: vertical; }"

    def __init__(
        self, session: Session, source: LiveSource, look: Look, display: Display, helper: Helper | None
    ) -> None:
        super().__init__()
        self._session = session
        self._source = source
        self._look = look
        self._display = display
        self._helper = helper
        self._place = source.place
        """The namespace whose interfaces are shown."""
        self._request = _HOME
        """How the helper is asked for it."""
        self._asking: socket.socket | None = None
        """Tells its interfaces; None: the capture's own sockets do."""
        self._links: list[Link] = []
        self._before: tuple[float, dict[str, int]] = (0.0, {})
        """Packets by interface at the last look, and when that was."""
        self._rates: dict[str, float] = {}
        self._namespaces: list[Choice] = []
        self._busy: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Picker(self._session, self._look, self._display, id="picker")
        hints = sorted((key for key in PICKER_KEYS if key.rank), key=lambda key: key.rank)
        yield Footer([Hint(key.shown, key.label, key.action) for key in hints], self._look, id="footer")

    def on_mount(self) -> None:
        self.picker.focus()
        self._again()
        self.set_interval(_PERIOD, self._again)
        self._again_namespaces()
        self.set_interval(_NAMESPACES_PERIOD, self._again_namespaces)

    def on_unmount(self) -> None:
        self._listen_to(None)

    @property
    def picker(self) -> Picker:
        return self.query_one(Picker)

    @property
    def footer(self) -> Footer:
        return self.query_one(Footer)

    # Keys

    def action_move(self, rows: int) -> None:
        self.picker.move(rows)

    def action_page(self, pages: int) -> None:
        self.picker.move(pages * self.picker.page)

    def action_edge(self, last: bool) -> None:
        if last:
            self.picker.go_last()
        else:
            self.picker.go_first()

    def action_mark(self) -> None:
        self.picker.toggle_mark()

    def action_erase(self) -> None:
        self.picker.type(self.picker.typed[:-1])

    def action_back(self) -> None:
        """One level back: what was typed, the other namespace, the screen."""
        if self.picker.typed:
            self.picker.type("")
        elif self._place.inode != self._source.place.inode:
            self._go_into(self._source.place, _HOME, None)
        else:
            self.dismiss("")

    @on(Pane.Opened)
    def _clicked_twice(self) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        """Capture on it, and on those that are marked; of a namespace show the interfaces."""
        choice, picker = self.picker.selected_row, self.picker
        if choice is None:
            return
        if choice.place is not None and not choice.interface:
            self._open(choice.place, dict(choice.request))
            return
        names = [each for each in (ANY, *(link.name for link in self._links)) if each in picker.marked]
        self._switch(names or [choice.interface], self._place, dict(self._request))

    def action_help(self) -> None:
        from netwatch.app.help_screen import HelpScreen

        self.app.push_screen(HelpScreen(self._look, at="Interfaces"))

    @on(Footer.Chosen)
    async def _hint_clicked(self, event: Footer.Chosen) -> None:
        await self.run_action(event.action)

    # What takes its time

    @work(thread=True)
    def _switch(self, names: list[str], place: Place, request: dict[str, object]) -> None:
        helper = self._helper

        def fetch() -> Sockets:
            if helper is None:
                raise CaptureError("there is no helper process, which alone can make another socket", EXIT_USAGE)
            return Sockets.of(helper.call_fd("sockets", **request)[1])

        try:
            self._source.switch(names, place, fetch)
        except (CaptureError, HelperError, OSError, ValueError) as error:
            self._call(self.footer.say, escape(str(error)), role="alert", seconds=8)
        else:
            self._call(self.dismiss, escape(f"switching to {', '.join(names)}"))

    @work(thread=True)
    def _open(self, place: Place, request: dict[str, object]) -> None:
        asking = None
        try:
            if place.inode != self._source.home.inode:
                if self._helper is None:
                    raise HelperError("there is no helper process, which alone can look into other namespaces")
                asking = socket.socket(fileno=self._helper.call_fd("interfaces", **request)[1][0])
                asking.settimeout(1.0)
        except (HelperError, OSError, LookupError) as error:
            self._call(self.footer.say, escape(f"{place.words or place.label}: {error}"), role="alert", seconds=8)
        else:
            self._call(self._go_into, place, request, asking)

    @work(thread=True)
    def _look_at_links(self, place: Place, asking: socket.socket | None) -> None:
        try:
            found = links(asking) if asking is not None else self._source.links(place)
        except OSError as error:
            self._call(self._say, f"interfaces cannot be listed: {error.strerror or error}")
        else:
            self._call(self._take, place, found)
        finally:
            self._busy.discard("links")

    @work(thread=True)
    def _look_for_namespaces(self, helper: Helper) -> None:
        try:
            rows = helper.call("namespaces")
        except HelperError as error:
            self._call(self._say, f"other namespaces: {error}")
        else:
            self._call(self._take_namespaces, rows["rows"], rows["left"])
        finally:
            self._busy.discard("namespaces")

    def _call(self, work: Any, *arguments: Any, **named: Any) -> None:
        """In the thread of the screen, if that is still there."""
        with contextlib.suppress(RuntimeError):  # the program ends
            self.app.call_from_thread(lambda: work(*arguments, **named) if self.is_attached else None)

    # What came of it

    def _again(self) -> None:
        if "links" not in self._busy:
            self._busy.add("links")
            self._look_at_links(self._place, self._asking)

    def _again_namespaces(self) -> None:
        if self._helper is None:
            self._say("other namespaces: there is no helper process")
        elif "namespaces" not in self._busy:
            self._busy.add("namespaces")
            self._look_for_namespaces(self._helper)

    def _go_into(self, place: Place, request: dict[str, object], asking: socket.socket | None) -> None:
        self._listen_to(asking)
        self._place, self._request = place, request
        self._links, self._before, self._rates = [], (0.0, {}), {}
        self.picker.clear()
        self._again()

    def _listen_to(self, asking: socket.socket | None) -> None:
        before, self._asking = self._asking, asking
        if before is not None:
            before.close()

    def _take(self, place: Place, found: list[Link]) -> None:
        if place.inode != self._place.inode:
            return
        now, (then, counts) = time.monotonic(), self._before
        if counts:
            seconds = max(now - then, 0.1)
            self._rates = {
                link.name: max(0, link.packets - counts[link.name]) / seconds for link in found if link.name in counts
            }
        self._links, self._before = found, (now, {link.name: link.packets for link in found})
        self._show()

    def _take_namespaces(self, rows: list[list[Any]], left: int) -> None:
        try:
            self._namespaces = [self._namespace(*row) for row in rows]
        except (TypeError, ValueError, LookupError):
            self._say("other namespaces: the helper's answer cannot be read")
            return
        if left:
            self._say(f"{left} more namespaces are not listed")
        elif len(rows) < 2:
            self._say("no other network namespace can be seen")
        else:
            self._say("")
        self._show()

    def _say(self, note: str) -> None:
        self.picker.note = escape(note)
        self.picker.paint()

    def _show(self) -> None:
        words = self._place.words
        self.picker.title = f"Interfaces of {escape(words)}" if words else "Interfaces"
        here = self._place.inode == self._source.place.inode
        captured = {port.name for port in self._source.ports} if here else set()
        choices = [self._choice(link, link.name in captured) for link in self._links]
        if self._links:
            words = "all of them, without link headers"
            choices.append(Choice(ANY, interface=ANY, words=words, captured=ANY in captured))
        if here:
            choices += [each for each in self._namespaces if each.request["inode"] != self._place.inode]
        self.picker.show(choices)

    def _choice(self, link: Link, captured: bool) -> Choice:
        return Choice(
            escape(link.name),
            interface=link.name,
            state=_STATES.get(link.state, ""),
            up=link.state is LinkState.UP,
            captured=captured,
            packets=quantity(link.packets),
            rate=rate(self._rates[link.name]) if link.name in self._rates else "",
            words="  ".join(link.addresses),
        )

    def _namespace(
        self,
        inode: int,
        own: bool,
        names: list[str],
        runtime: str,
        container: str,
        programs: list[list[Any]],
        processes: int,
    ) -> Choice:
        """A row of the helper's, whose texts are anybody's."""
        pid = int(programs[0][0]) if programs else 0
        request: dict[str, object] = {"name": str(names[0]) if names else "", "pid": pid, "inode": int(inode)}
        told = ", ".join(f"{name} {number}" for number, name in programs)
        more = f" and {processes - len(programs)} more" if processes > len(programs) else ""
        home = self._source.home
        if own or inode == home.inode:
            label = escape(home.words or "where netwatch was started")
            return Choice(label, place=home, request={**_HOME, "inode": home.inode}, words=escape(told + more))
        if names:
            name, place = f"ns:{names[0]}", Place(str(names[0]), inode, f"/run/netns/{names[0]}")
        elif runtime:
            name, place = f"{runtime} {container}".rstrip(), Place(str(container or runtime), inode)
        else:
            name, place = f"{programs[0][1]} {pid}" if programs else "?", Place(str(pid), inode)
        return Choice(escape(name), place=place, request=request, words=escape(told + more))
