"""Who may share an answer: the scope, and the keyed names under which questions are found.

A scope is tenant + model fingerprint + prompt version + sampling parameters. Its parts and the question are joined with
their lengths in front, so no choice of names makes two scopes look alike, and hashed with HMAC-SHA-256, so that
short questions cannot be guessed from what is stored. Nothing here keeps text.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from medray.errors import InputError

TAG_BYTES: Final = 16
KEY_BYTES: Final = 32

Scalar = str | int | float | bool | None
Sampling = str | Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom an answer may be served to again. `model` is the artifact's fingerprint.

    `sampling` is a name or the parameters themselves; a mapping becomes canonical JSON, so order does not matter.
    Raises InputError for anything that is not text (or, in `sampling`, plain values).
    """

    tenant: str
    model: str
    prompt_version: str | int  # versions are often counted
    sampling: Sampling = ""

    def __post_init__(self) -> None:
        if not isinstance(self.sampling, str):
            object.__setattr__(self, "sampling", _canonical(self.sampling))
        if isinstance(self.prompt_version, int):
            object.__setattr__(self, "prompt_version", str(self.prompt_version))
        for name in ("tenant", "model", "prompt_version", "sampling"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"scope.{name}: expected text, got {type(getattr(self, name)).__name__}")

    def encoded(self) -> bytes:
        """Return bytes that differ whenever any part differs."""
        return joined(self.tenant, self.model, str(self.prompt_version), str(self.sampling))


def joined(*parts: str | bytes) -> bytes:
    """Join parts so that the parts can be told from the result: each with its length in front."""
    raw = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in raw)


def scope_tag(key: bytes, scope: Scope) -> bytes:
    """Return the 16 bytes that name a scope's partition."""
    return hmac.digest(key, joined("scope", scope.encoded()), "sha256")[:TAG_BYTES]


def lookup_key(key: bytes, scope: Scope, normalised: str) -> bytes:
    """Return the 32 bytes under which a normalised question of a scope is stored."""
    return hmac.digest(key, joined("question", scope.encoded(), normalised), "sha256")


def _canonical(sampling: Mapping[str, Scalar]) -> str:
    try:
        plain = dict(sampling)
        if not all(isinstance(value, str | int | float | bool | None) for value in plain.values()):
            raise TypeError
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        raise InputError("scope.sampling: expected text or a mapping of names to plain values") from None
