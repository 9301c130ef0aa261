"""What cannot be captured is said in one line, with what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.sources.afpacket import open_live

AS_NOBODY = """
from netwatch.capture.errors import CaptureError
from netwatch.capture.sources.afpacket import open_live
try:
    open_live(["lo"], ring=1 << 20, snaplen=0, promiscuous=False, capture_filter="")
except CaptureError as error:
    print(error.code, error)
"""


def test_no_permission() -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
    runs = subprocess.run((*nobody, sys.executable, "-c", "import netwatch"), capture_output=True, check=False)
    if runs.returncode:
        pytest.skip("this Python cannot be run by nobody")
    done = subprocess.run((*nobody, sys.executable, "-c", AS_NOBODY), capture_output=True, text=True, check=True)
    code, text = done.stdout.strip().split(" ", 1)
    assert code == "77"
    assert "CAP_NET_RAW" in text
    assert 'sudo "$(command -v netwatch)" -i lo' in text


def test_unknown_interface_lists_those_that_exist(pair: Any) -> None:
    with pytest.raises(CaptureError, match=r"no interface 'b7'; there are: lo, .*b0.*any") as caught:
        pair.right.call(lambda: open_live(["b7"], ring=1 << 20, snaplen=0, promiscuous=False, capture_filter=""))
    assert caught.value.code == 2


def test_a_ring_larger_than_the_share_of_memory_is_cut_and_said(pair: Any, capturing: Any) -> None:
    with capturing(pair.right, "b0", ring=1 << 40) as got:
        pass
    assert len(got.notes) == 1
    assert "instead of 1024G: 5 % of the available memory" in got.notes[0]
