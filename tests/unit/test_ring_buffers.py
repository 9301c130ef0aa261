"""Memory of a ring's blocks is used again, and never while somebody holds it."""

from __future__ import annotations

import numpy as np

from netwatch.capture.sources.buffers import Buffers


def test_what_nobody_holds_is_used_again() -> None:
    buffers = Buffers(1024, 2)
    place = buffers.take()[:700].ctypes.data
    assert buffers.take()[:10].ctypes.data == place


def test_what_a_view_holds_is_left_alone() -> None:
    buffers = Buffers(1024, 2)
    view = buffers.take()[:700][100:200].view("V10")
    view_of_it = np.ndarray((5,), "u1", view)
    del view
    other = buffers.take()
    other[:] = 1
    view_of_it[:] = 2
    assert (other == 1).all()


def test_no_more_are_kept_than_the_spare_ones() -> None:
    buffers = Buffers(1024, 2)
    held = [buffers.take() for _ in range(10)]
    assert len({each.ctypes.data for each in held}) == 10
    held.clear()
    buffers.take()
    assert len(buffers._all) == 3


def test_what_is_let_go_of_goes_back_though_none_is_taken() -> None:
    buffers = Buffers(1024, 2)
    held = [buffers.take() for _ in range(10)]
    del held[1:]
    buffers.trim()
    assert len(buffers._all) == 3
    held.clear()
    buffers.trim()
    assert len(buffers._all) == 2
