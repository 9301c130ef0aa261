"""JA4 as its authors describe it, with their examples; JA3 and JA3S."""

from __future__ import annotations

from dataclasses import replace
from hashlib import md5

import pytest

from netwatch.capture.dissect.ja4 import Hello, ja3, ja3s, ja4, ja4_raw

CHROME = Hello(
    version=0x0303,
    ciphers=[
        *(0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9),
        *(0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
    ],
    extensions=[
        *(0x5A5A, 0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D),
        *(0x0005, 0x0023, 0x0012, 0x002B, 0xFF01, 0x000B, 0x000A, 0x0015),
    ],
    groups=[0x4A4A, 29, 23, 24],
    point_formats=[0],
    algorithms=[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
    versions=[0x3A3A, 0x0304, 0x0303],
    protocols=[b"h2", b"http/1.1"],
)
"""The example of the description."""


def test_the_published_example() -> None:
    assert ja4(CHROME, "t") == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja4_raw(CHROME, "t") == (
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_"
        "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_"
        "0403,0804,0401,0503,0805,0501,0806,0601"
    )


@pytest.mark.parametrize("transport", ["t", "q", "d"])
def test_it_says_what_carries_the_hello(transport: str) -> None:
    assert ja4(CHROME, transport)[:3] == f"{transport}13"


@pytest.mark.parametrize(
    ("protocols", "wanted"),
    [
        ([], "00"),
        ([b""], "00"),
        ([b"h2"], "h2"),
        ([b"http/1.1", b"h2"], "h1"),
        ([b"x"], "xx"),
        ([b"\xab"], "ab"),
        ([b"\xab\xcd"], "ad"),
        ([b"\x30\xab"], "3b"),
        ([b"\x30\x31\xab\xcd"], "3d"),
        ([b"\x30\xab\xcd\x31"], "01"),
    ],
)
def test_the_protocol_in_two_characters(protocols: list[bytes], wanted: str) -> None:
    assert ja4(replace(CHROME, protocols=protocols), "t")[8:10] == wanted


@pytest.mark.parametrize(
    ("version", "versions", "wanted"),
    [
        (0x0303, [], "12"),
        (0x0301, [0x0301, 0x0302], "11"),
        (0x0300, [], "s3"),
        (0x0002, [], "s2"),
        (0xFEFD, [], "d2"),
        (0xFEFD, [0xFEFC, 0xFEFD], "d3"),
        (0xFEFF, [], "d1"),
        (0x0999, [], "00"),
        (0x0303, [0x0A0A], "12"),
    ],
)
def test_the_version(version: int, versions: list[int], wanted: str) -> None:
    assert ja4(replace(CHROME, version=version, versions=versions), "t")[1:3] == wanted


def test_nothing_offered_gives_zeros_and_many_stop_at_99() -> None:
    assert ja4(Hello(version=0x0303), "t") == "t12i000000_000000000000_000000000000"
    many = Hello(version=0x0303, ciphers=list(range(0x100, 0x200)), extensions=[0, *range(0x100, 0x200)])
    assert ja4(many, "t").startswith("t12d999900_")


def test_no_signature_algorithms_leave_no_trailing_underscore() -> None:
    assert ja4_raw(Hello(version=0x0303, ciphers=[0x1301], extensions=[10]), "t") == "t12i010100_1301_000a"


def test_the_order_of_extensions_does_not_matter_to_ja4_but_to_ja3() -> None:
    turned = replace(CHROME, extensions=CHROME.extensions[::-1], ciphers=CHROME.ciphers[::-1])
    assert ja4(turned, "t") == ja4(CHROME, "t")
    assert ja3(turned) != ja3(CHROME)


def test_ja3_leaves_grease_out() -> None:
    digest, full = ja3(CHROME)
    assert full == (
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
        "27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0"
    )
    assert digest == md5(full.encode(), usedforsecurity=False).hexdigest()


def test_ja3_of_a_published_example() -> None:
    hello = Hello(
        version=769,
        ciphers=[47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
        extensions=[0, 10, 11],
        groups=[23, 24, 25],
        point_formats=[0],
    )
    assert ja3(hello) == (
        "ada70206e40642a3e4461f35503241d5",
        "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0",
    )
    assert ja3(Hello(version=769, ciphers=[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99])) == (
        "de350869b8c85de67a350c8d186f11e6",
        "769,4-5-10-9-100-98-3-6-19-18-99,,,",
    )


def test_ja3s_has_one_cipher_and_the_extensions() -> None:
    # as tshark 4.0 gives it for a server of OpenSSL 3.0
    hello = Hello(version=771, ciphers=[49200], extensions=[65281, 11, 35, 23])
    assert ja3s(hello) == ("ec74a5c51106f0419184d0dd08fb05bc", "771,49200,65281-11-35-23")
