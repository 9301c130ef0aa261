"""FTP, IMAP and POP: what their lines say, in Wireshark's names and forms."""

from __future__ import annotations

from tests.unit.handmade import Opened, value, values


def test_ftp_knows_which_folder_the_client_is_in() -> None:
    """RFC 959, 4.1.1 and appendix II."""
    talk = Opened(21)
    steps = (
        (b"PWD", b'257 "/home/a ""q""" is it', '/home/a "q"'),
        (b"CWD sub", b"250 ok", '/home/a "q"/sub'),
        (b"CWD /abs/x/", b"250 ok", "/abs/x/"),
        (b"CWD nowhere", b"550 no", "/abs/x/"),
        (b"CDUP", b"250 ok", "/abs"),
        (b"CWD ..", b"250 ok", "/"),
    )
    assert value(talk.ask(b"NOOP\r\n"), "ftp.current-working-directory") == ""
    for request, response, folder in steps:
        talk.ask(request + b"\r\n")
        assert value(talk.answer(response + b"\r\n"), "ftp.current-working-directory") == folder
    assert value(talk.ask(b"NOOP\r\n"), "ftp.current-working-directory") == "/"


def test_an_ftp_path_has_a_bound() -> None:
    talk = Opened(21)
    talk.answer(b'257 "/a" is it\r\n')
    for _ in range(3):
        talk.ask(b"CWD " + b"x" * 2000 + b"\r\n")
        tree = talk.answer(b"250 ok\r\n")
    assert value(tree, "ftp.current-working-directory") == ""


def test_ftp_lines_say_whether_they_ask() -> None:
    talk = Opened(21)
    asked, answered = talk.ask(b"EPRT |2|2001:db8::1|6000|\r\n"), talk.answer(b"200-yes\r\n  and more\r\n2x0 ok\r\n")
    assert (value(asked, "ftp.request"), value(asked, "ftp.response")) == ("1", "0")
    assert (value(answered, "ftp.request"), value(answered, "ftp.response")) == ("0", "1")
    assert value(asked, "ftp.eprt.af") == "2"
    assert values(answered, "ftp.response.arg") == ["yes", "  and more", "2x0 ok"]
    assert values(answered, "ftp.response.code") == ["200"]


def test_imap_commands_and_the_responses_that_end_them() -> None:
    """RFC 9051, 2.2.1 and 7.1."""
    talk = Opened(143)
    asked = talk.ask(b'a2 UID COPY 1:3 "Sent box"\r\n')
    names = ("tag", "command", "request", "request.command", "request.command.uid", "request.folder", "request_tag")
    assert [value(asked, f"imap.{name}") for name in names] == [
        "a2",
        "UID",
        'a2 UID COPY 1:3 "Sent box"',
        "COPY",
        "1",
        '"Sent box"',
        "a2",
    ]
    answered = talk.answer(b"* 3 EXISTS\r\na2 OK COPY done\r\n")
    assert answered.info == "Response: a2 OK COPY done"
    names = ("tag", "command", "response", "response.command", "response.status", "response_tag", "response_to")
    assert [values(answered, f"imap.{name}") for name in names] == [
        ["a2"],
        ["COPY"],
        ["a2 OK COPY done"],
        ["COPY"],
        ["OK"],
        ["a2"],
        ["3"],
    ]
    assert value(answered, "imap.time") == "0.000000000"


def test_an_untagged_imap_response_ends_no_command() -> None:
    talk = Opened(143)
    assert value(talk.ask(b"a1 NOOP\r\n"), "imap.request.command.uid") == ""
    tree = talk.answer(b"* OK still here\r\n")
    assert tree.info == "Response: * OK still here"
    assert value(tree, "imap.line") == "* OK still here\\r\\n"
    assert not values(tree, "imap.response") + values(tree, "imap.tag") + values(tree, "imap.response.status")
    assert value(talk.answer(b"a1 OK\r\n"), "imap.response_to") == "3"
    assert value(talk.answer(b"a1 OK\r\n"), "imap.response_to") == ""


def test_pop_lines() -> None:
    talk = Opened(110)
    asked, answered = talk.ask(b"USER me\r\n"), talk.answer(b"+OK go on\r\n")
    assert (value(asked, "pop.request.command"), value(asked, "pop.request.parameter")) == ("USER", "me")
    assert (value(answered, "pop.response.indicator"), value(answered, "pop.response.description")) == (
        "+OK",
        "go on",
    )
    assert (values(asked, "pop.request"), values(answered, "pop.response")) == ([""], [""])
