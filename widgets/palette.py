"""One palette: every colour and every drawing character of the screen stands here.

Three depths. `full` has true colours on a dark ground of its own (a terminal with 256 gets the nearest). `ansi` uses
the sixteen colours of the person's theme on the person's ground. `mono` has none: bold, dim, underlined and reverse
carry what colours say elsewhere, and symbols carry it everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final, Literal

from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme

from netwatch.capture.protocols import PROTOCOLS, named

__all__ = ["ASCII", "CONSOLE", "UNICODE", "Depth", "Glyphs", "Look", "theme"]

Depth = Literal["full", "ansi", "mono"]

_GROUND: Final = "#0d1117"

_FULL: Final[dict[str, str]] = {
    "text": "#c9d1d9",
    "bright": "bold #f0f6fc",
    "dim": "#8b949e",
    "faint": "#565f6b",
    "border": "#30363d",
    "border-focus": "#539bf5",
    "title": "bold #adbac7",
    "title-focus": "bold #f0f6fc",
    "head": "#768390",
    "key": "bold #539bf5",
    "track": "#1c2229",
    "thumb": "#768390",
    "incoming": "#57c7a3",
    "outgoing": "#b392f0",
    "total": "#539bf5",
    "good": "#57c7a3",
    "alert": "bold #f85149",
    "alert-chip": "bold #ffffff on #d70000",
    "live-chip": "bold #0d1117 on #3fb950",
    "pause-chip": "bold #0d1117 on #f2cc60",
    "busy-chip": "bold #0d1117 on #539bf5",
    "ended-chip": "bold #0d1117 on #8b949e",
    "filter-chip": "bold #0d1117 on #e3b341",
    "malformed": "#f85149",
    "truncated": "#d29922",
    "marked": "bold #e3b341",
    "event": "bold #0d1117 on #d29922",
    "group": "#768390",
}

_ANSI: Final[dict[str, str]] = {
    "text": "default",
    "bright": "bold default",
    "dim": "white",
    "faint": "bright_black",
    "border": "bright_black",
    "border-focus": "bright_blue",
    "title": "bold default",
    "title-focus": "bold bright_blue",
    "head": "bright_black",
    "key": "bold bright_blue",
    "track": "bright_black",
    "thumb": "white",
    "incoming": "green",
    "outgoing": "magenta",
    "total": "bright_blue",
    "good": "green",
    "alert": "bold bright_red",
    "alert-chip": "bold bright_white on red",
    "live-chip": "bold black on green",
    "pause-chip": "bold black on yellow",
    "busy-chip": "bold bright_white on blue",
    "ended-chip": "bold black on white",
    "filter-chip": "bold black on yellow",
    "malformed": "bright_red",
    "truncated": "yellow",
    "marked": "bold bright_yellow",
    "event": "bold black on yellow",
    "group": "bright_black",
}

_MONO: Final[dict[str, str]] = {
    "bright": "bold",
    "faint": "dim",
    "border": "dim",
    "border-focus": "bold",
    "title": "bold",
    "title-focus": "bold reverse",
    "head": "underline",
    "key": "bold",
    "alert": "bold reverse",
    "alert-chip": "bold reverse",
    "live-chip": "bold",
    "pause-chip": "bold reverse",
    "busy-chip": "bold",
    "ended-chip": "bold",
    "filter-chip": "bold reverse",
    "malformed": "bold",
    "marked": "bold",
    "event": "bold reverse",
    "group": "dim",
}

_FAMILIES: Final[dict[str, tuple[str, str]]] = {
    "tcp": ("#6cb6ff", "bright_blue"),
    "udp": ("#8ddb8c", "green"),
    "icmp": ("#f69d50", "yellow"),
    "dns": ("#d2a8ff", "magenta"),
    "web": ("#f2cc60", "bright_yellow"),
    "tls": ("#4fd1d9", "cyan"),
    "arp": ("#f28fb8", "bright_magenta"),
    "quic": ("#56d4a8", "bright_cyan"),
    "ssh": ("#b8e36b", "bright_green"),
    "ip": ("#adbac7", "white"),
    "link": ("#8b98a9", "white"),
    "routing": ("#cfa77c", "yellow"),
    "tunnel": ("#a5a2ff", "bright_blue"),
    "sctp": ("#86b6dd", "blue"),
    "config": ("#d6cf8a", "bright_yellow"),
    "discovery": ("#c39bd3", "magenta"),
    "files": ("#e0a672", "yellow"),
    "mail": ("#eabfa5", "bright_magenta"),
    "voice": ("#8ad7e6", "bright_cyan"),
    "data": ("#a8c98a", "bright_green"),
    "other": ("#a3adb8", "white"),
    "event": ("#d29922", "yellow"),
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that draw. One cell each."""

    corners: str
    """Top left, top right, bottom left, bottom right."""
    across: str
    down: str
    thumb: str
    bar: str
    half_bar: str
    track: str
    """What a bar has left to fill."""
    graph: str
    """One line of a graph by height, from nothing to full."""
    opened: str
    closed: str
    leaf: str
    marked: str
    malformed: str
    truncated: str
    more: str
    incoming: str
    outgoing: str
    dot: str
    here: str
    """Where on a line of time the list stands."""
    learned: str
    """Before a name that stands in place of an address."""
    braille: bool
    """Whether the graphs of the header may use braille."""
    unicode: bool
    """Whether there is more than ASCII."""

    @property
    def frame(self) -> str:
        """Class of a screen whose frames Textual draws."""
        return "-ascii" if not self.unicode else "-round" if self.corners == "╭╮╰╯" else "-square"


UNICODE: Final = Glyphs(
    "╭╮╰╯",
    "─",
    "│",
    "┃",
    "━",
    "╸",
    "─",
    " ▁▂▃▄▅▆▇█",
    "▾",
    "▸",
    "·",
    "◆",
    "!",
    "~",
    "…",
    "▼",
    "▲",
    "·",
    "●",
    "≈",
    True,
    True,
)
CONSOLE: Final = replace(
    UNICODE,
    corners="┌┐└┘",
    thumb="█",
    bar="■",
    half_bar="■",
    graph=" ░░▒▒▓▓██",
    opened="▼",
    closed="►",
    marked="♦",
    more=">",
    here="•",
    braille=False,
)
"""Of the Linux console: its fonts have 256 or 512 characters, all of them those of code page 437."""
ASCII: Final = Glyphs(
    "++++",
    "-",
    "|",
    "#",
    "=",
    "-",
    " ",
    " .:-=+*##",
    "v",
    ">",
    " ",
    "@",
    "!",
    "~",
    ">",
    "v",
    "^",
    "-",
    "O",
    "=",
    False,
    False,
)


@dataclass(frozen=True)
class Look:
    """Styles by role and by protocol, for one depth of colour."""

    depth: Depth = "full"
    glyphs: Glyphs = UNICODE

    @staticmethod
    def of_terminal(color_system: str | None, no_color: bool, encoding: str, *, console: bool = False) -> Look:
        """What this terminal can show; `color_system` is Rich's word for it; `console`: it is Linux' own."""
        glyphs = (
            (CONSOLE if console else UNICODE) if encoding.lower().replace("-", "") in ("utf8", "utf16") else ASCII
        )
        if not no_color and color_system in ("truecolor", "256"):
            return Look("full", glyphs)
        # A bar's track differs from the bar by its shade alone.
        return Look("mono" if no_color or color_system is None else "ansi", replace(glyphs, track=" "))

    @cached_property
    def ground(self) -> Style:
        """What everything is painted on."""
        return Style(bgcolor=_GROUND) if self.depth == "full" else Style.null()

    @cached_property
    def roles(self) -> dict[str, Style]:
        """Style by role. All three depths have the same roles."""
        table = {"full": _FULL, "ansi": _ANSI, "mono": _MONO}[self.depth]
        return {role: self.ground + Style.parse(table.get(role, "")) for role in _FULL}

    @cached_property
    def families(self) -> dict[str, Style]:
        """Style by colour family of capture.protocols."""
        if self.depth == "mono":
            return dict.fromkeys(_FAMILIES, self.ground)
        which = 0 if self.depth == "full" else 1
        return {family: self.ground + Style(color=colors[which]) for family, colors in _FAMILIES.items()}

    @cached_property
    def protocols(self) -> list[Style]:
        """Style by protocol id."""
        return [self.families[protocol.family] for protocol in PROTOCOLS]

    def protocol(self, name: str) -> Style:
        """Style of a protocol by its filter name; what is not in the table looks like data."""
        return self.families[named(name).family]

    def __getitem__(self, role: str) -> Style:
        return self.roles[role]

    def selected(self, style: Style, focused: bool) -> Style:
        """`style` as it stands in the row under the cursor."""
        return _selected(self.depth, style, focused)


@lru_cache(512)
def _selected(depth: Depth, style: Style, focused: bool) -> Style:
    if depth == "full":
        return style + (Style(bgcolor="#1f3b5c", bold=True) if focused else Style(bgcolor="#1c2530"))
    if depth == "ansi":
        return Style(color="bright_white", bgcolor="blue", bold=True) if focused else style + Style(underline=True)
    return style + (Style(reverse=True) if focused else Style(underline=True))


def theme(look: Look) -> Theme:
    """The same colours for what Textual's own widgets paint (prompt, detail, help)."""
    if look.depth != "full":
        return Theme(
            name="netwatch",
            ansi=True,
            primary="ansi_bright_blue",
            secondary="ansi_cyan",
            warning="ansi_yellow",
            error="ansi_bright_red",
            success="ansi_green",
            accent="ansi_bright_blue",
            foreground="ansi_default",
            background="ansi_default",
            surface="ansi_default",
            panel="ansi_default",
            boost="ansi_default",
            variables={
                **BUILTIN_THEMES["ansi-dark"].variables,
                "block-cursor-foreground": "ansi_bright_white",
                "block-cursor-background": "ansi_blue",
                "input-cursor-background": "ansi_white",
                "input-cursor-foreground": "ansi_black",
                "border": "ansi_bright_blue",
                "border-blurred": "ansi_bright_black",
            },
        )
    return Theme(
        name="netwatch",
        primary="#316dca",
        secondary="#4fd1d9",
        warning="#d29922",
        error="#f85149",
        success="#57c7a3",
        accent="#539bf5",
        foreground="#c9d1d9",
        background=_GROUND,
        surface=_GROUND,
        panel="#161b22",
        variables={
            "block-cursor-foreground": "#f0f6fc",
            "block-cursor-background": "#1f3b5c",
            "block-cursor-blurred-background": "#1c2530",
            "border": "#539bf5",
            "border-blurred": "#30363d",
            "scrollbar": "#30363d",
            "scrollbar-hover": "#768390",
            "scrollbar-active": "#539bf5",
            "scrollbar-background": _GROUND,
        },
    )
