"""Capture filters as programs: what is compiled, and what is made of it for the kernel."""

from __future__ import annotations

import ctypes

import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.kernel import bpf

ETHERNET, RAW, SLL2 = 1, 101, 276
RET, LOAD_HALF, LOAD_BYTE, LOAD_WORD = 0x06, 0x28, 0x30, 0x20
METADATA = 0xFFFFF000

pytestmark = pytest.mark.skipif(bpf.libpcap_version() is None, reason="needs libpcap")


def test_accept_takes_that_many_bytes() -> None:
    assert bpf.accept(96) == ((RET, 0, 0, 96),)


@pytest.mark.parametrize("linktype", [ETHERNET, RAW, SLL2])
def test_what_matches_is_taken_up_to_the_snap_length(linktype: int) -> None:
    program = bpf.compile_filter("udp port 53", linktype, 96)
    assert {k for code, _, _, k in program if code == RET} == {0, 96}


def test_a_mistake_is_libpcaps_message() -> None:
    with pytest.raises(CaptureError, match=r"capture filter 'port port': .*syntax error") as caught:
        bpf.compile_filter("port port", ETHERNET, 96)
    assert caught.value.code == 2


def test_not_ascii() -> None:
    with pytest.raises(CaptureError, match="not ASCII"):
        bpf.compile_filter("host jürgen", ETHERNET, 96)


def test_without_libpcap(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise OSError(name)

    bpf._libpcap.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", none)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None if name == "pcap" else name)
    with pytest.raises(CaptureError, match=r"libpcap0\.8") as caught:
        bpf.compile_filter("udp", ETHERNET, 96)
    assert caught.value.code == 2
    assert bpf.libpcap_version() is None


def test_loopback_copies_are_rejected_first() -> None:
    program = bpf.without_loopback_copies(bpf.accept(96))
    assert program[-1] == (RET, 0, 0, 96)
    assert program[-2] == (RET, 0, 0, 0)
    for at, (code, jt, jf, _) in enumerate(program):
        if code == 0x15:
            assert at + 1 + max(jt, jf) < len(program)


@pytest.mark.parametrize("handled", [[], [0x0800], [0x0004, 0x0800, 0x86DD], list(range(300))])
def test_jumps_of_the_counting_program_end_at_its_verdicts(handled: list[int]) -> None:
    program = bpf.discarded_after_capture(handled)
    assert program[-2:] == ((RET, 0, 0, 1), (RET, 0, 0, 0))
    for at, (code, jt, _, k) in enumerate(program):
        if code == 0x15 and at > 5:
            assert k in handled
            assert at + 1 + jt == len(program) - 1


def test_cooked_programs_read_metadata_and_start_at_the_network_header() -> None:
    program = bpf.without_sll2(bpf.compile_filter("ip proto 17", SLL2, 96))
    loads = [(code, k) for code, _, _, k in program if code in (LOAD_HALF, LOAD_BYTE)]
    assert loads == [(LOAD_HALF, METADATA + 0), (LOAD_BYTE, 9)]


@pytest.mark.parametrize(
    ("load", "metadata"),
    [((LOAD_HALF, 0), 0), ((LOAD_WORD, 4), 8), ((LOAD_HALF, 8), 28), ((LOAD_BYTE, 10), 4)],
    ids=["protocol", "ifindex", "hatype", "pkttype"],
)
def test_fields_of_the_cooked_header(load: tuple[int, int], metadata: int) -> None:
    code, k = load
    assert bpf.without_sll2(((code, 0, 0, k),)) == ((code, 0, 0, METADATA + metadata),)


@pytest.mark.parametrize("load", [(LOAD_HALF, 2), (LOAD_WORD, 0), (LOAD_BYTE, 12), (0x48, 4)])
def test_fields_that_the_kernel_does_not_keep(load: tuple[int, int]) -> None:
    with pytest.raises(CaptureError, match="link header"):
        bpf.without_sll2(((load[0], 0, 0, load[1]),))
