"""The keys that protect the cache, and sealing under them.

One secret from the environment becomes, through HKDF with the folder's salt, separate keys for values, vectors, look-up
names and the audit. Sealing is AES-256-GCM: what was changed or moved to another place does not open. Nonces are
random, which is safe up to about 2^32 writes under one secret and folder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medray.errors import ConfigError

KEY_VARIABLE: Final = "MEDRAY_CACHE_KEY"
_MIN_CHARACTERS: Final = 32
_NONCE_BYTES: Final = 12


class Damaged(Exception):  # noqa: N818 - reads as the state it reports
    """Sealed bytes do not open: changed, cut, moved, or sealed under another key."""


class Sealer:
    """Authenticated encryption under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Encrypt; the result opens only with the same `place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt and check. Raises Damaged."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise Damaged from None


@dataclass(frozen=True, slots=True)
class Keys:
    """Separate keys by use; `lookup` and `audit` are for HMAC."""

    lookup: bytes = field(repr=False)
    audit: bytes = field(repr=False)
    values: Sealer = field(repr=False)
    vectors: Sealer = field(repr=False)


def derive(secret: bytes, salt: bytes) -> Keys:
    """Return the keys of one folder."""

    def key(use: str) -> bytes:
        info = b"medray response cache 1 " + use.encode()
        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)

    return Keys(key("lookup"), key("audit"), Sealer(key("values")), Sealer(key("vectors")))


def ephemeral() -> Keys:
    """Return keys that live and die with this process: for a cache without a disk tier."""
    return derive(os.urandom(32), os.urandom(16))


def secret_from(environment: Mapping[str, str]) -> bytes | None:
    """Return the secret, or None if there is none. Raises ConfigError if it is too short to be one."""
    text = environment.get(KEY_VARIABLE, "")
    if not text:
        return None
    if len(text) < _MIN_CHARACTERS:
        raise ConfigError(
            f"{KEY_VARIABLE}: expected at least {_MIN_CHARACTERS} characters of randomness, got {len(text)}: "
            "make one with `python -c 'import secrets; print(secrets.token_hex(32))'`"
        )
    return text.encode("utf-8", "surrogateescape")
