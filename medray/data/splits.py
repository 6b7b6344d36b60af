"""Train and validation by a hash of the group: no list to keep, nothing moves when rows are added."""

import hashlib
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "valid"]


def split_of(group: str, seed: int, valid_share: float) -> Split:
    """Return the split of a group: a pure function of its three arguments, so a group never stands in two splits.

    About `valid_share` of all groups go to `valid`; with the same seed a larger share keeps those of a smaller one.
    """
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    return "valid" if int.from_bytes(digest[:8], "big") < valid_share * 2**64 else "train"
