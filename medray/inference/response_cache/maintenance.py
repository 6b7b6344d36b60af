"""What `medray cache` does to a folder: look, verify, withdraw, export. Works beside processes that use it."""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from medray.errors import CapabilityError
from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.config import DiskConfig
from medray.inference.response_cache.disk import DiskTier, open_control, open_tier
from medray.inference.response_cache.keys import KEY_VARIABLE

_REMOVED_AT_ONCE: Final = 500


def folder_stats(folder: Path) -> dict[str, Any]:
    """Return sizes and the audit's running estimate by class."""
    control = open_control(folder)
    try:
        audited = control.audited()
    finally:
        control.close()
    tier = _open(folder)
    try:
        entries, size = tier.size()
    finally:
        tier.close()
    classes = {
        name: {"audited": n, "wrong": wrong, "wrong_rate_bound_95": upper_bound(wrong, n)}
        for name, (n, wrong) in audited.items()
    }
    return {"entries": entries, "bytes": size, "audit": classes}


def verify_folder(folder: Path) -> dict[str, int]:
    """Open every entry and drop what may not be served; return counts of whole, damaged, expired, withdrawn."""
    counts = {"whole": 0, "damaged": 0, "expired": 0, "withdrawn": 0}
    drop: list[bytes] = []
    control, tier = open_control(folder), _open(folder)
    try:
        for key, entry in tier.all_entries():
            if entry is None:
                state = "damaged"
            elif entry.expires_s <= time.time():
                state = "expired"
            elif control.is_withdrawn(entry.artifact, entry.model):
                state = "withdrawn"
            else:
                state = "whole"
            counts[state] += 1
            if state != "whole":
                drop.append(key)
        for at in range(0, len(drop), _REMOVED_AT_ONCE):
            tier.remove(drop[at : at + _REMOVED_AT_ONCE])
    finally:
        tier.close()
        control.close()
    return counts


def withdraw(folder: Path, artifact: str) -> None:
    """Withdraw an artifact for good. Raises CapabilityError if that cannot be made durable."""
    control = open_control(folder)
    try:
        control.withdraw(artifact)
    finally:
        control.close()


def export_folder(folder: Path, out: Path) -> int:
    """Write every whole entry as a JSON line to a new file of mode 0600; return how many."""
    tier = _open(folder)
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        tier.close()
        raise CapabilityError(f"cannot write {out}: {type(error).__name__}; give a new file") from None
    written = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            for _, entry in tier.all_entries():
                if entry is not None:
                    row = {
                        "question": entry.question,
                        "answer": entry.answer.text,
                        "artifact": entry.artifact,
                        "class": entry.category,
                        "created_s": entry.created_s,
                        "expires_s": entry.expires_s,
                    }
                    stream.write(json.dumps(row) + "\n")
                    written += 1
    finally:
        tier.close()
    return written


def _open(folder: Path) -> DiskTier:
    tier = open_tier(DiskConfig(folder=folder))
    if tier is None:
        raise CapabilityError(f"expected the cache's key in {KEY_VARIABLE}, got none: set it")
    return tier
