"""The key map of the main screen: every key with its id, label and tooltip, in one place.

The bindings, the footer and the help are made from this table; a test holds that no key stands in it twice. Not used:
ctrl+h, i, j, m, s, which terminals take for themselves. ctrl+z is theirs, too, but one that is asked for single keys
leaves it to the program: it stops the program, as the terminal would, and nothing else.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from textual.binding import Binding

from netwatch.capture.protocols import SWITCHES

__all__ = [
    "DETAIL_KEYS",
    "GROUPS",
    "HELP_KEYS",
    "KEYS",
    "PICKER_KEYS",
    "PROGRAM_KEYS",
    "STREAM_KEYS",
    "Key",
    "bindings",
]


class Key(NamedTuple):
    """One action and the keys that start it."""

    id: str
    """Stable: what a key map of one's own refers to."""
    keys: str
    """Textual's names, comma-separated."""
    shown: str
    """How footer and help write the key."""
    action: str
    label: str
    tooltip: str
    group: str
    rank: int = 0
    """Place in the footer, 1 first; 0: not there."""
    first: bool = False
    """Handled before the pane that has the focus sees it."""


GROUPS: Final = ("Packets", "Filter", "Panes", "Show", "Program")
"""In the order in which the help lists them."""

# What is typed right behind /, : or e must reach the prompt that opens, also where it comes in one piece: so these
# are handled first, and the focus has moved before the next key is looked at.
KEYS: Final[tuple[Key, ...]] = (
    Key("move.up", "up,k", "↑ k", "move(-1)", "up", "Move up; leaves the live tail", "Panes"),
    Key("move.down", "down,j", "↓ j", "move(1)", "down", "Move down", "Panes"),
    Key("move.page_up", "pageup", "pgup", "move_pages(-1)", "page up", "Move up a page", "Panes"),
    Key("move.page_down", "pagedown", "pgdn", "move_pages(1)", "page down", "Move down a page", "Panes"),
    Key("move.first", "home,g", "home g", "first", "first", "First row that is kept", "Panes"),
    Key(
        "move.last",
        "end,G",
        "end G",
        "last",
        "live",
        "Newest packet; live from there on, if more comes",
        "Packets",
        10,
    ),
    Key("tree.fold", "left,h", "← h", "fold(False)", "fold", "Close a branch, or go to its parent", "Panes"),
    Key("tree.unfold", "right,l", "→ l", "fold(True)", "unfold", "Open a branch", "Panes"),
    Key("pane.next", "tab", "tab", "next_pane(1)", "pane", "Next pane", "Panes", 5),
    Key("pane.previous", "shift+tab", "shift+tab", "next_pane(-1)", "pane back", "Previous pane", "Panes"),
    Key("open", "enter", "enter", "open", "open", "Open the packet; in a table show only this", "Packets", 2),
    Key("back", "escape", "esc", "back", "back", "One level back: filter, switches, pane, reading", "Filter", 4),
    Key("pause", "space", "space", "pause", "pause", "Pause the view, capture goes on; a replay stops", "Packets", 1),
    Key("filter", "slash", "/", "filter", "filter", "Type a display filter", "Filter", 3, first=True),
    Key("go_to", "colon", ":", "go_to", "go to", "Go to a packet number or a time", "Packets", 9, first=True),
    Key(
        "match.next",
        "n",
        "n",
        "match(True)",
        "next",
        "Next mark; without marks, next of the conversation",
        "Packets",
    ),
    Key(
        "match.previous",
        "N",
        "N",
        "match(False)",
        "previous",
        "Previous mark; without marks, of the conversation",
        "Packets",
    ),
    Key(
        "time.back",
        "left_square_bracket",
        "[",
        "step(False)",
        "back in time",
        "A step back in packet time; a replay pauses there",
        "Packets",
    ),
    Key(
        "time.forward",
        "right_square_bracket",
        "]",
        "step(True)",
        "forward in time",
        "A step forward; a replay plays up to there at once",
        "Packets",
    ),
    Key("speed.down", "minus", "-", "speed(False)", "slower", "A replay plays slower: down to 0.1x", "Packets"),
    Key("speed.up", "plus", "+", "speed(True)", "faster", "A replay plays faster: up to 100x, then max", "Packets"),
    Key("load", "L", "L", "load", "stop reading", "Stop reading the file; again: read on", "Packets"),
    Key("mark", "m", "m", "mark", "mark", "Mark the packet, or take its mark away", "Packets", 11),
    Key(
        "stream",
        "f",
        "f",
        "follow",
        "follow",
        "Follow the stream: what both ends of the conversation said",
        "Packets",
        16,
    ),
    Key("copy", "y", "y", "copy", "copy", "Copy the line to the clipboard of your terminal", "Packets", 12),
    Key(
        "save",
        "e",
        "e",
        "save",
        "export",
        "Save all, what is shown, or the marked packets as a file",
        "Packets",
        15,
        first=True,
    ),
    Key("time", "T", "T", "time_format", "time", "Time: since start, delta, local, UTC", "Show", 8),
    Key("unit", "b", "b", "unit", "bits/bytes", "Rates in bits or bytes", "Show", 13),
    Key(
        "interfaces",
        "I",
        "I",
        "interfaces",
        "interfaces",
        "Capture on other interfaces, or in another namespace",
        "Show",
    ),
    Key("names", "R", "R", "names", "names", "Names of all, names of hosts, or addresses", "Show"),
    Key("own_session", "x", "x", "own_session", "own SSH", "Your own SSH session, hidden or shown", "Show"),
    Key("conversations", "v", "v", "conversations", "conversations", "Talkers, or who talks to whom", "Show"),
    Key("statistics", "S", "S", "statistics", "stats", "Statistics of all packets, or of the filter", "Show", 7),
    *(
        Key(
            f"switch.{switch.label.lower()}",
            switch.key,
            switch.key,
            f"switch('{switch.key}')",
            switch.label,
            f"Show {switch.label}; several switches show their union",
            "Filter",
        )
        for switch in SWITCHES
    ),
    Key("switch.clear", "0", "0", "clear_switches", "all", "All switches off: every protocol is shown", "Filter"),
    Key("help", "question_mark", "?", "help", "help", "All keys, and what the screen means", "Program", 6),
)

PROGRAM_KEYS: Final = (
    Key("quit", "q,ctrl+c", "q", "app.quit", "quit", "Quit", "Program", 14),
    Key(
        "suspend",
        "ctrl+z",
        "ctrl+z",
        "app.suspend_process",
        "suspend",
        "Back to the shell for a while; fg goes on here",
        "Program",
        first=True,
    ),
    Key(
        "repaint",
        "ctrl+l",
        "ctrl+l",
        "app.repaint",
        "repaint",
        "Paint all anew, where something else wrote on the screen",
        "Program",
        first=True,
    ),
)
"""What works on every screen."""


DETAIL_KEYS: Final[tuple[Key, ...]] = (
    Key("detail.names", "R", "R", "names", "names", "Names beside addresses and ports, or none", "Detail", 11),
    Key("detail.back", "escape", "esc", "back", "back", "Back to the list, to the packet seen last", "Detail", 1),
    Key("detail.pane", "tab", "tab", "switch_pane", "pane", "Between fields and bytes", "Detail", 2),
    Key(
        "detail.buffer",
        "b",
        "b",
        "buffer",
        "data",
        "Bytes of the packet, put together, decrypted",
        "Detail",
        6,
    ),
    Key(
        "detail.tshark",
        "W",
        "W",
        "tshark",
        "tshark",
        "The fields as tshark has them, where it is installed",
        "Detail",
        7,
    ),
    Key("detail.next", "n", "n", "neighbour(1)", "next", "Next packet that the list shows", "Detail", 3),
    Key("detail.previous", "N", "N", "neighbour(-1)", "prev", "Previous packet that the list shows", "Detail", 4),
    Key("detail.mark", "m", "m", "mark", "mark", "Mark the packet, or take its mark away", "Detail", 10),
    Key("detail.copy", "y", "y", "copy", "copy", "Copy the field's line; in the bytes, as hexadecimal", "Detail", 9),
    Key("detail.stream", "f", "f", "follow", "follow", "Follow the stream of the packet's conversation", "Detail", 5),
    Key("detail.help", "question_mark", "?", "help", "help", "This page", "Detail", 8),
)
"""An opened packet. Arrows and their vi letters belong to the fields and the bytes."""

STREAM_KEYS: Final[tuple[Key, ...]] = (
    Key(
        "stream.back",
        "escape",
        "esc",
        "back",
        "back",
        "One level back: a search, what was found, the list",
        "Stream",
        1,
    ),
    Key("stream.hex", "r", "r", "hexadecimal", "hex", "Text or hexadecimal", "Stream", 2),
    Key("stream.side", "o", "o", "side", "client only", "Both sides, only the client, only the server", "Stream", 3),
    Key("stream.find", "slash", "/", "find", "find", "Find text or bytes (\\x00)", "Stream", 4, first=True),
    Key("stream.next", "n", "n", "match(True)", "next", "Next match", "Stream", 7),
    Key("stream.previous", "N", "N", "match(False)", "previous", "Previous match", "Stream", 9),
    Key("stream.packet", "enter", "enter", "packet", "packet", "To the list, to the packet of the line", "Stream", 5),
    Key("stream.save", "e", "e", "save", "save", "Save the bytes: both, client, server", "Stream", 6, first=True),
    Key("stream.copy", "y", "y", "copy", "copy", "Copy the line; its bytes, if it is hexadecimal", "Stream", 8),
    Key("stream.help", "question_mark", "?", "help", "help", "This page", "Stream", 10),
    Key("stream.up", "up,k", "↑ k", "move(-1)", "up", "Up", "Stream"),
    Key("stream.down", "down,j", "↓ j", "move(1)", "down", "Down", "Stream"),
    Key("stream.page_up", "pageup", "pgup", "move_pages(-1)", "page up", "Page up", "Stream"),
    Key("stream.page_down", "pagedown,space", "pgdn", "move_pages(1)", "page down", "Page down", "Stream"),
    Key("stream.first", "home,g", "home g", "first", "first", "First line", "Stream"),
    Key("stream.last", "end,G", "end G", "last", "end", "Last line; from there on with what comes", "Stream"),
)
"""A stream that is followed."""

PICKER_KEYS: Final[tuple[Key, ...]] = (
    Key(
        "picker.choose",
        "enter",
        "enter",
        "choose",
        "switch",
        "Capture there; of a namespace show the interfaces",
        "Picker",
        1,
    ),
    Key(
        "picker.mark",
        "space",
        "space",
        "mark",
        "several",
        "Mark an interface: those that are marked are captured together",
        "Picker",
        2,
    ),
    Key(
        "picker.back",
        "escape",
        "esc",
        "back",
        "back",
        "One level back: what was typed, the namespace, the list of packets",
        "Picker",
        3,
    ),
    Key(
        "picker.erase",
        "backspace",
        "backspace",
        "erase",
        "erase",
        "What is typed narrows down; take a letter back",
        "Picker",
    ),
    Key("picker.up", "up", "↑", "move(-1)", "up", "Up", "Picker"),
    Key("picker.down", "down", "↓", "move(1)", "down", "Down", "Picker"),
    Key("picker.page_up", "pageup", "pgup", "page(-1)", "page up", "Page up", "Picker"),
    Key("picker.page_down", "pagedown", "pgdn", "page(1)", "page down", "Page down", "Picker"),
    Key("picker.first", "home", "home", "edge(False)", "first", "First line", "Picker"),
    Key("picker.last", "end", "end", "edge(True)", "end", "Last line", "Picker"),
    Key("picker.help", "question_mark", "?", "help", "help", "This page", "Picker", 4),
)
"""Interfaces to choose from. Letters narrow them down."""

HELP_KEYS: Final[tuple[Key, ...]] = (
    Key("help.close", "escape,question_mark,enter,q", "esc", "close", "close", "Close", "Help"),
    Key("help.up", "up,k", "↑ k", "scroll(-1)", "up", "Up", "Help"),
    Key("help.down", "down,j", "↓ j", "scroll(1)", "down", "Down", "Help"),
    Key("help.page_up", "pageup", "pgup", "page(-1)", "page up", "Page up", "Help"),
    Key("help.page_down", "pagedown,space", "pgdn", "page(1)", "page down", "Page down", "Help"),
    Key("help.first", "home,g", "home", "edge(False)", "top", "Top", "Help"),
    Key("help.last", "end,G", "end", "edge(True)", "end", "End", "Help"),
)


def bindings(keys: tuple[Key, ...]) -> list[Binding]:
    """Keys as Textual wants them. What is typed into a prompt goes to the prompt, ctrl+c never does."""
    made = []
    for key in keys:
        for name in key.keys.split(","):
            made.append(
                Binding(
                    name,
                    key.action,
                    key.label,
                    show=False,
                    tooltip=key.tooltip,
                    id=f"{key.id}.{name}",
                    priority=key.first or name == "ctrl+c",
                )
            )
    return made
