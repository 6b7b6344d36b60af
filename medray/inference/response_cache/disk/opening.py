"""Opening the disk tier under the environment's key: the salt, the check that the key is the folder's, the warning."""

import os
from pathlib import Path
from typing import Any, Final

import lmdb

from medray.errors import CapabilityError, ConfigError, DataError
from medray.inference.response_cache.config import DiskConfig
from medray.inference.response_cache.disk import environment
from medray.inference.response_cache.disk.tier import DiskTier
from medray.inference.response_cache.keys import KEY_VARIABLE, Damaged, Keys, derive, secret_from
from medray.log import event

# Address space, not disk: LMDB keeps whole pages, half empty at worst, and old ones while a reader looks at them. The
# bound on sealed content must be reached before this one, which would turn the tier off.
_MAP_SHARE: Final = 4
_SPARE_BYTES: Final = 64 * 1024**2
_CHECK: Final = b"medray response cache"
_SALT_BYTES: Final = 16


def open_tier(config: DiskConfig) -> DiskTier | None:
    """Open the tier under the environment's key; None, said once, if there is no key.

    Raises ConfigError for another folder's key, DataError for damaged pages, CapabilityError for a folder that cannot
    be used.
    """
    secret = secret_from(os.environ)
    if secret is None:
        _say_once_without_key(config.folder)
        return None
    env = environment.acquire(config.folder / "entries", _MAP_SHARE * config.max_bytes + _SPARE_BYTES)
    try:
        return DiskTier(env, _keys_of(env, secret), config.max_bytes)
    except environment.DAMAGE as error:
        environment.release(env)
        raise environment.damaged(error) from None
    except lmdb.Error as error:
        environment.release(env)
        raise CapabilityError(
            f"cache: expected a folder that LMDB can read and write, got {type(error).__name__}: check the free space, "
            "or start with an empty folder"
        ) from None
    except BaseException:
        environment.release(env)
        raise


def _keys_of(env: lmdb.Environment, secret: bytes) -> Keys:
    """Derive the folder's keys; the first process chooses the salt."""
    meta = env.open_db(b"meta")
    with env.begin(db=meta) as transaction:
        salt, check = transaction.get(b"salt"), transaction.get(b"check")
    if salt is None or check is None:
        salt, check = _begin_folder(env, meta, secret)
    keys = derive(secret, bytes(salt))
    try:
        keys.values.open(bytes(check), b"check")
    except Damaged:
        raise ConfigError(
            f"cache: expected the key under which this folder was written in {KEY_VARIABLE}, got another one "
            "(or a damaged folder): give that key or an empty folder"
        ) from None
    return keys


def _begin_folder(env: lmdb.Environment, meta: Any, secret: bytes) -> tuple[bytes, bytes]:
    """Choose the salt, unless another process was faster; return salt and check."""
    with env.begin(write=True, db=meta) as transaction:
        salt, check = transaction.get(b"salt"), transaction.get(b"check")
        if salt is None or check is None:
            salt = os.urandom(_SALT_BYTES)
            check = derive(secret, salt).values.seal(_CHECK, b"check")
            transaction.put(b"salt", salt)
            transaction.put(b"check", check)
        return bytes(salt), bytes(check)


_said: set[Path] = set()


def _say_once_without_key(folder: Path) -> None:
    if folder not in _said:
        _said.add(folder)
        event("cache_disk_off", level="warning", reason=f"no_{KEY_VARIABLE}")


def open_or_go_on(config: DiskConfig) -> DiskTier | None:
    """Open the tier as `open_tier`; None, said once, for damaged pages: an endpoint needs no cache to answer."""
    try:
        return open_tier(config)
    except DataError:
        event("cache_disk_off", level="warning", reason="damaged")
        return None
