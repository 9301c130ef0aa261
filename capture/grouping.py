"""Rows with equal keys, found by hashing whole columns: what counts packets by address.

Sorting 128-bit keys costs some 200 ns a row; here each round is a handful of passes over a column. The hash is
multilinear over 32-bit words modulo 2**64, its upper bits taken, which is strongly universal (Dietzfelbinger,
"Universal hashing and k-wise independent random variables via integer arithmetic without primes", 1996): with
multipliers drawn for this process, no choice of addresses by a sender makes collisions likelier than chance.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash_words", "owners"]

ROUNDS: Final = 8
"""Keys that lost their slot this often are sorted: work stays bounded whatever the keys are."""
WORDS: Final = 5
"""64-bit words of the longest key: two IPv6 addresses, and ports with what goes with them."""

_MULTIPLIERS = np.frombuffer(os.urandom(ROUNDS * WORDS * 2 * 8), np.uint64).reshape(ROUNDS, WORDS * 2)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


def hash_words(words: Sequence[NDArray[np.uint64]], turn: int = 0) -> NDArray[np.uint64]:
    """shape (n,): a hash of the key that the i-th elements of `words` make; its upper bits are the good ones.

    At most WORDS arrays of shape (n,). `turn` < ROUNDS chooses one of the hash functions.
    """
    factors = _MULTIPLIERS[turn]
    total: NDArray[np.uint64] = (words[0] & _LOW) * factors[0]
    total += (words[0] >> _HALF) * factors[1]
    for at, word in enumerate(words[1:], 1):
        total += (word & _LOW) * factors[2 * at]
        total += (word >> _HALF) * factors[2 * at + 1]
    return total


def owners(words: Sequence[NDArray[np.uint64]]) -> NDArray[np.int32]:
    """shape (n,): for each row the number of one row, the same for all with an equal key, whose key it has.

    Rows write their number into a table at their hash and read back who won; who finds a stranger tries again with
    another hash. The table is at most half full, so a fifth of the keys at worst goes on to the next round.
    """
    n = len(words[0])
    bits = max(n.bit_length() + 1, 4)
    shift = np.uint64(64 - bits)
    table = np.empty(1 << bits, np.int32)
    owner = rows = np.arange(n, dtype=np.int32)
    mine = list(words)
    for turn in range(ROUNDS):
        slots = (hash_words(mine, turn) >> shift).view(np.int64)
        table[slots] = rows
        found = table.take(slots)
        same = words[0].take(found) == mine[0]
        for whole, part in zip(words[1:], mine[1:], strict=True):
            same &= whole.take(found) == part
        if turn == 0:
            owner = found
        else:
            owner[rows] = found
        if same.all():
            return owner
        left = np.flatnonzero(~same)
        rows = rows[left]
        mine = [word[left] for word in mine]
    _, firsts, inverse = np.unique(np.stack(mine, axis=1), axis=0, return_index=True, return_inverse=True)
    owner[rows] = rows[firsts[inverse.reshape(-1)]]
    return owner
