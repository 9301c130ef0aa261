"""DNS between two namespaces, dnsmasq answering dig: what it was told to answer is what is shown."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.live.wire import SERVER, Seen, needs_tshark, values

pytestmark = pytest.mark.skipif(
    shutil.which("dnsmasq") is None or shutil.which("dig") is None, reason="needs dnsmasq and dig"
)

TOLD = [
    "--host-record=a.example.test,192.0.2.7,2001:db8::7",
    "--cname=alias.example.test,a.example.test",
    "--mx-host=example.test,mail.example.test,10",
    "--txt-record=example.test,first part,second part",
    "--srv-host=_sip._udp.example.test,a.example.test,5060,3,4",
    "--ptr-record=7.2.0.192.in-addr.arpa,a.example.test",
    "--caa-record=example.test,128,issue,ca.example.test",
    "--naptr-record=example.test,100,10,U,E2U+sip,!^.*$!sip:info@example.test!",
    f"--txt-record=long.example.test,{','.join(str(number) * 200 for number in range(9))}",
    "--dns-rr=https.example.test,65,000100000100030268320003000220fb",
]
ASKED = [
    (["a.example.test", "A"], "dns.a", ["192.0.2.7"]),
    (["a.example.test", "AAAA"], "dns.aaaa", ["2001:db8::7"]),
    (["alias.example.test", "A"], "dns.cname", ["a.example.test"]),
    (["example.test", "MX"], "dns.mx.mail_exchange", ["mail.example.test"]),
    (["example.test", "TXT"], "dns.txt", ["first part", "second part"]),
    (["_sip._udp.example.test", "SRV"], "dns.srv.port", ["5060"]),
    (["-x", "192.0.2.7"], "dns.ptr.domain_name", ["a.example.test"]),
    (["example.test", "CAA"], "dns.caa.issue", ["ca.example.test"]),
    (["example.test", "NAPTR"], "dns.naptr.regex", ["!^.*$!sip:info@example.test!"]),
    (["https.example.test", "TYPE65"], "dns.svcb.svcparam.port", ["8443"]),
    (["https.example.test", "TYPE65"], "dns.svcb.svcparam.alpn", ["h2"]),
    (["+tcp", "long.example.test", "TXT"], "dns.txt", [str(number) * 200 for number in range(9)]),
    (["+subnet=198.51.100.0/24", "a.example.test", "A"], "dns.a", ["192.0.2.7"]),
    (["nothing.example.test", "A"], "dns.flags.rcode", ["3"]),
]
"""What dig asks, and what of the answer is looked at."""


@contextmanager
def serving(space: Any, folder: Path) -> Iterator[None]:
    """dnsmasq with what it is told alone, from when it answers."""
    command = ["ip", "netns", "exec", space.name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]
    command += ["--no-resolv", "--no-hosts", "--user=root", f"--pid-file={folder / 'pid'}", "--local=/example.test/"]
    command += [f"--listen-address={SERVER}", "--bind-interfaces", *TOLD]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < until:
                try:
                    space.run("dig", "+tries=1", "+time=1", f"@{SERVER}", "a.example.test")
                    break
                except AssertionError:
                    time.sleep(0.1)
            else:
                pytest.fail(f"dnsmasq does not answer: {process.poll()}")
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def answers(
    wired: Any, capturing: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Seen, list[str]]:
    """(what passed, what dig said)"""
    said = []
    with serving(wired.right, tmp_path_factory.mktemp("dnsmasq")), capturing(wired.right, "b0") as got:
        for question, _, _ in ASKED:
            said.append(wired.left.run("dig", "+tries=1", f"@{SERVER}", *question))
    return Seen.of(got), said


def test_what_was_told_is_what_is_shown(answers: tuple[Seen, list[str]]) -> None:
    seen, said = answers
    shown = [tree for tree in seen.trees if tree.protocol == "DNS" and "response" in tree.info]
    assert len(shown) == len(ASKED)
    for tree, (question, field, wanted), words in zip(shown, ASKED, said, strict=True):
        assert values([tree], field) == wanted, question
        assert tree.verdict.kind == "ok"
        ident = int(values([tree], "dns.id")[0], 16)
        assert f"id: {ident}\n" in words
    assert "No such name" in shown[-1].info
    # dnsmasq says nothing of the subnet that dig was told to ask for
    assert seen.values("dns.opt.client.addr4") == ["198.51.100.0"]


def test_each_answer_knows_its_question(answers: tuple[Seen, list[str]]) -> None:
    trees = answers[0].trees
    asked = {
        values([tree], "dns.id")[0]: number
        for number, tree in enumerate(trees, 1)
        if tree.protocol == "DNS" and "response" not in tree.info
    }
    for tree in trees:
        if tree.protocol == "DNS" and "response" in tree.info:
            assert values([tree], "dns.response_to") == [str(asked[values([tree], "dns.id")[0]])]
            assert 0 < float(values([tree], "dns.time")[0]) < 5


@needs_tshark
def test_as_tshark_has_it(answers: tuple[Seen, list[str]], by_tshark: Callable[..., list[list[str]]]) -> None:
    seen, _ = answers
    said = by_tshark(seen.frames)
    assert [row for row in seen.rows if row[0] == "DNS"] == [row for row in said if row[0] == "DNS"]
