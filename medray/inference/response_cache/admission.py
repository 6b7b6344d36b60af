"""Who comes near the cache: a question is screened, and an allowed one gets the place where its answer would lie.

Questions asked again and again are screened once; what is remembered of them is a keyed hash and the verdict, never
their text. Thread-safe.
"""

import hmac
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from medray.errors import InputError
from medray.inference.response_cache.keys import Keys
from medray.inference.response_cache.normalise import normalise
from medray.inference.response_cache.policy import PLAIN, RequestShape, Screening, screen
from medray.inference.response_cache.scope import Scope, lookup_key, scope_tag

_KEPT: Final = 4_096


class Place(NamedTuple):
    """Where an allowed question lives."""

    key: bytes
    scope: bytes
    category: str


class Admission:
    """See the module."""

    def __init__(self, keys: Keys, max_characters: int) -> None:
        self._keys = keys
        self._max_characters = max_characters
        self._verdicts: OrderedDict[bytes, Screening] = OrderedDict()
        self._lock = threading.Lock()

    def place(self, question: str, scope: Scope, shape: RequestShape) -> Place | str:
        """Return where a question lives, or why it must stay out. Raises InputError for what is no question."""
        if not isinstance(question, str):
            raise InputError(f"question: expected text, got {type(question).__name__}")
        found = self._screen(question, shape)
        if found.refusal is not None:
            return found.refusal
        key = lookup_key(self._keys.lookup, scope, normalise(question))
        return Place(key, scope_tag(self._keys.lookup, scope), found.category)

    def _screen(self, question: str, shape: RequestShape) -> Screening:
        if shape != PLAIN or len(question) > self._max_characters:
            return screen(question, shape, max_characters=self._max_characters)
        name = hmac.digest(self._keys.lookup, b"screening" + question.encode("utf-8", "surrogatepass"), "sha256")
        with self._lock:
            known = self._verdicts.get(name)
            if known is not None:
                self._verdicts.move_to_end(name)
                return known
        found = screen(question, max_characters=self._max_characters)
        with self._lock:
            self._verdicts[name] = found
            if len(self._verdicts) > _KEPT:
                self._verdicts.popitem(last=False)
        return found
