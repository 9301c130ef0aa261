"""What is pasted is told from what is typed, wherever the terminal's pieces end."""

from __future__ import annotations

import pytest
from textual.events import Paste

from netwatch.app.pasting import Pastes

START, END = "\x1b[200~", "\x1b[201~"


def taken(*pieces: str) -> list[str | tuple[str]]:
    """What comes of them: what was typed in one piece, each paste as a tuple; nothing follows the last."""
    pastes, made = Pastes(), list[str | tuple[str]]()
    for piece in pieces:
        for each in pastes.feed(piece):
            if isinstance(each, Paste):
                made.append((each.text,))
            elif made and isinstance(made[-1], str):
                made[-1] += each
            else:
                made.append(each)
    held = pastes.release()
    return [*made, held] if held else made


@pytest.mark.parametrize(
    ("pasted", "shown"),
    [
        ("", ""),
        ("two words", "two words"),
        ("q\x1bq\x1b[Aq\x1b\x1b[200~\x1b[20", "q\ufffdq\ufffd[Aq\ufffd\ufffd[200~\ufffd[20"),
        ("é\n\x03", "é\n\ufffd"),
    ],
)
def test_every_way_to_cut_it(pasted: str, shown: str) -> None:
    text = f"ab{START}{pasted}{END}c\x1b[A"
    wanted = ["ab", (shown,), "c\x1b[A"]
    for first in range(len(text)):
        for second in range(first, len(text)):
            assert taken(text[:first], text[first:second], text[second:]) == wanted
    assert taken(*text) == wanted


@pytest.mark.parametrize("typed", ["\x1b", "\x1b[", "\x1b[20", "\x1b\x1b", "q\x1b"])
def test_what_could_be_a_beginning_is_typed_where_nothing_follows(typed: str) -> None:
    assert "".join(str(each) for each in taken(typed)) == typed


def test_only_what_is_typed_may_wait_for_nothing_to_follow() -> None:
    pastes = Pastes()
    assert list(pastes.feed(f"{START}a\x1b")) == []
    assert not pastes.undecided
    assert pastes.release() == ""
    (paste,) = pastes.feed("[201~")
    assert isinstance(paste, Paste)
    assert paste.text == "a"


def test_no_paste_grows_for_ever() -> None:
    pastes = Pastes()
    for piece in (START, *["x" * 4096] * 100):
        assert list(pastes.feed(piece)) == []
    (paste, typed) = pastes.feed(f"{END}y")
    assert isinstance(paste, Paste)
    assert len(paste.text) == 65536
    assert typed == "y"


def test_no_control_is_left_in_what_is_pasted() -> None:
    everything = "".join(map(chr, range(0x3000)))
    (paste,) = Pastes().feed(f"{START}{everything}{END}")
    assert isinstance(paste, Paste)
    text = paste.text
    assert len(text) == len(everything)
    assert [char for char in text if not char.isprintable() and char not in "\r\n"] == []
    assert text[0x20:0x7F] == everything[0x20:0x7F]
    assert taken(f"{START}tcp\tport\xa080{END}") == [("tcp port 80",)]
