"""How rows lie on disk: a small open header and sealed content, bound to each other and to their place.

An entry's header (row number, expiry, scope tag) is readable without the key, so that bounds can be kept; it is part
of what the seal authenticates, as is the key of the row, so neither can be changed or swapped. Vectors are int8.
"""

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from medray.inference.response_cache.entry import Entry, unpack
from medray.inference.response_cache.keys import Damaged, Keys
from medray.inference.response_cache.scope import KEY_BYTES, TAG_BYTES

_HEADER: Final = struct.Struct(f">BQd{TAG_BYTES}s")
_ROW: Final = struct.Struct(">Q")
_FORMAT: Final = 1


class Header(NamedTuple):
    """What can be read of an entry without its key."""

    row: int
    expires_s: float
    scope: bytes


def row_key(row: int) -> bytes:
    """Return a row number as a key that sorts by number."""
    return _ROW.pack(row)


def row_of(key: bytes) -> int:
    """Return the number at the end of a key."""
    number: int = _ROW.unpack(key[-_ROW.size :])[0]
    return number


def read_header(data: bytes) -> Header:
    """Return the header of an entry's bytes. Raises Damaged if they are too short or of another format."""
    try:
        version, row, expires_s, scope = _HEADER.unpack_from(data)
    except struct.error:
        raise Damaged from None
    if version != _FORMAT:
        raise Damaged
    return Header(row, expires_s, scope)


def seal_entry(keys: Keys, entry: Entry, row: int) -> bytes:
    """Return an entry's row."""
    header = _HEADER.pack(_FORMAT, row, entry.expires_s, entry.scope)
    return header + keys.values.seal(entry.pack(), entry.key + header)


def open_entry(keys: Keys, key: bytes, data: bytes) -> Entry:
    """Rebuild an entry. Raises Damaged."""
    header = read_header(data)
    content = keys.values.open(data[_HEADER.size :], key + data[: _HEADER.size])
    return unpack(content, key=key, scope=header.scope, expires_s=header.expires_s)


def seal_vector(keys: Keys, place: bytes, key: bytes, embedder: str, vector: npt.NDArray[np.float32]) -> bytes:
    """Return a vector's row: the key of its entry, the embedder's name, the vector as int8. `place` is its row key."""
    name = embedder.encode()
    rounded = np.clip(np.rint(vector * 127.0), -127, 127).astype(np.int8)
    return keys.vectors.seal(key + bytes([len(name)]) + name + rounded.tobytes(), place)


def open_vector(keys: Keys, place: bytes, data: bytes, embedder: str) -> tuple[bytes, npt.NDArray[np.float32]] | None:
    """Return an entry's key and its vector, None if another embedder made it. Raises Damaged."""
    content = keys.vectors.open(data, place)
    key, rest = content[:KEY_BYTES], content[KEY_BYTES:]
    name, raw = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    if name != embedder.encode():
        return None
    return key, np.frombuffer(raw, dtype=np.int8).astype(np.float32) / np.float32(127.0)
