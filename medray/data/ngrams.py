"""Hashes of all runs of n words of a text, computed together: what duplicates and leakage are found by."""

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_FINAL = np.uint64(0xC2B2AE3D27D4EB4F)


def ngram_hashes(words: Sequence[str], size: int) -> npt.NDArray[np.uint64]:
    """Return the 64-bit hash of every run of `size` words, in order; none when there are fewer words.

    The same on every machine. Words are told apart by 32 bits, runs by 64.
    """
    count = len(words) - size + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint64)
    codes = np.fromiter((_code(word) for word in words), dtype=np.uint64, count=len(words))
    mixed = np.zeros(count, dtype=np.uint64)
    for at in range(size):
        mixed = mix(mixed * _FACTOR + codes[at : at + count])
    return mixed


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread every bit over the whole word; a bijection."""
    values = values ^ (values >> np.uint64(31))
    values = values * _FINAL
    return values ^ (values >> np.uint64(29))


@lru_cache(maxsize=1 << 17)
def _code(word: str) -> int:
    return crc32(word.encode())
