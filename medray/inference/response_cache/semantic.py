"""Finding stored questions that mean the same: candidates by Eq. 8 within a scope, decided by clinical equivalence.

A question becomes a `View` (profile, terms, vector) once. The scope's index proposes neighbours, those above the
threshold are compared with the question, best first and those in memory before those on disk, and the first without a
single reason against it is returned. A second opinion, if given, may only veto. What other processes wrote is read into
the index by a background thread, newest first; until then it is missed, never served wrongly.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from medray.inference.response_cache.calibration import Weights
from medray.inference.response_cache.clinical import Equivalence
from medray.inference.response_cache.disk import DiskTier
from medray.inference.response_cache.embedders import Embedder
from medray.inference.response_cache.entry import Entry, Tier
from medray.inference.response_cache.filling import Filler, Stopped
from medray.inference.response_cache.index import Partitions, Vector
from medray.inference.response_cache.memory import MemoryTier
from medray.inference.response_cache.similarity import jaccard, similarity, words

_ROWS_A_BREATH: Final = 16  # a thread that never sleeps makes look-ups wait for the interpreter, 5 ms at a time
_BREATH_S: Final = 0.000_5
_DISK_CANDIDATES: Final = 6  # each costs a read, a decryption and a profile

Veto = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class View:
    """A question as the semantic look-up sees it."""

    question: str = field(repr=False)
    profile: Any = field(repr=False)
    terms: frozenset[str] = field(repr=False)
    vector: Vector = field(repr=False)


class Described(NamedTuple):
    """What of a question is compared: enough for an entry whose vector lies in the index already."""

    profile: Any
    terms: frozenset[str]


class Found(NamedTuple):
    """An equivalent stored question's entry."""

    entry: Entry
    described: Described
    tier: Tier
    similarity: float


class SemanticLookup:
    """See the module."""

    def __init__(
        self,
        equivalence: Equivalence,
        embedder: Embedder,
        weights: Weights,
        *,
        neighbours: int,
        max_vectors: int,
        memory: MemoryTier,
        disk: DiskTier | None,
        veto: Veto | None = None,
    ) -> None:
        self._equivalence = equivalence
        self._embedder = embedder
        self._weights = weights
        self._neighbours = neighbours
        self._max_vectors = max_vectors
        self._memory = memory
        self._disk = disk
        self._veto = veto
        self._partitions = Partitions(embedder.dimensions, max_vectors)
        self._filler = Filler(self._fill) if disk is not None else None

    @property
    def vectors(self) -> int:
        """How many vectors the indexes hold."""
        return len(self._partitions)

    @property
    def failed_fills(self) -> int:
        """How often the index could not be filled from disk."""
        return self._filler.failed if self._filler is not None else 0

    @property
    def embedder(self) -> str:
        """The embedder's name."""
        return self._embedder.name

    def view(self, question: str) -> View:
        """Profile and embed a question."""
        profile, terms = self.describe(question)
        text = " ".join(sorted(terms)) if self._embedder.reads_terms else question
        return View(question, profile, terms, self._embedder.embed([text])[0])

    def describe(self, question: str) -> Described:
        """Profile a question without embedding it."""
        profile = self._equivalence.profile(question)
        return Described(profile, self._terms(question, profile))

    def size_bytes(self, profile: Any) -> int:
        """Estimate what a profile takes in memory."""
        return self._equivalence.size_bytes(profile)

    def add(self, entry: Entry, view: View) -> None:
        """Make an entry findable in its scope; one without a recognised term is found by its own words only."""
        if view.terms:
            self._partitions.add(entry.scope, entry.key, view.vector)

    def remove(self, entry: Entry) -> None:
        """Make an entry unfindable."""
        self._partitions.remove(entry.scope, entry.key)

    def find(self, view: View, scope: bytes, usable: Callable[[Entry], bool]) -> Found | None:
        """Return an entry of the scope that is similar, equivalent and usable: of those in memory the most similar.

        Questions in which nothing is recognised have nothing to be compared by, so they find nothing.
        """
        if not view.terms:
            return None
        self._catch_up(scope)
        here: list[Found] = []
        elsewhere: list[tuple[bytes, float]] = []
        for key, cosine in self._neighbours_of(view, scope):
            resident = self._memory.get(key, touch=False)
            if resident is None or resident.profile is None:
                elsewhere.append((key, cosine))
                continue
            described = Described(resident.profile, resident.terms)
            here.append(Found(resident.entry, described, "memory", self._similarity(view, described, cosine)))
        here.sort(key=lambda found: found.similarity, reverse=True)
        on_disk = (self._read(view, scope, *candidate) for candidate in elsewhere[:_DISK_CANDIDATES])
        candidates = chain(here, (found for found in on_disk if found is not None))
        return next((found for found in candidates if self._fits(view, scope, found, usable)), None)

    def _fits(self, view: View, scope: bytes, found: Found, usable: Callable[[Entry], bool]) -> bool:
        """Tell whether a candidate may answer; the cheapest question first, what is served last."""
        if found.similarity < self._weights.threshold or found.entry.scope != scope:
            return False
        if self._equivalence.compare(view.profile, found.described.profile):
            return False
        if self._veto is not None and self._veto(view.question, found.entry.question):
            return False
        return usable(found.entry)

    def wait_until_filled(self) -> None:
        """Wait until the background thread has nothing to do."""
        if self._filler is not None:
            self._filler.wait()

    def close(self) -> None:
        """End the background thread."""
        if self._filler is not None:
            self._filler.close()

    def _terms(self, question: str, profile: Any) -> frozenset[str]:
        return self._equivalence.terms(question, profile) if self._embedder.reads_terms else words(question)

    def _similarity(self, view: View, described: Described, cosine: float) -> float:
        return similarity(self._weights.jaccard_weight, jaccard(view.terms, described.terms), cosine)

    def _neighbours_of(self, view: View, scope: bytes) -> Iterator[tuple[bytes, float]]:
        """Yield nearest keys with their cosines, as long as with all terms in common they could reach the threshold."""
        for key, cosine in self._partitions.search(scope, view.vector, self._neighbours):
            if similarity(self._weights.jaccard_weight, 1.0, cosine) < self._weights.threshold:
                return
            yield key, cosine

    def _read(self, view: View, scope: bytes, key: bytes, cosine: float) -> Found | None:
        entry = self._disk.get(key) if self._disk is not None else None
        if entry is None:
            self._partitions.remove(scope, key)  # evicted or removed, here or by another process
            return None
        described = self.describe(entry.question)
        return Found(entry, described, "disk", self._similarity(view, described, cosine))

    def _catch_up(self, scope: bytes) -> None:
        """Ask for what was written to the scope since, by this or another process."""
        if self._disk is None or self._filler is None:
            return
        if self._disk.newest_row() > self._partitions.synced(scope):
            self._filler.ask(scope)

    def _fill(self, scope: bytes, stopped: Stopped) -> None:
        """Bring in what the disk has of a scope beyond what was brought in before, newest first."""
        if self._disk is None:
            return
        partition, room = self._partitions.of(scope), self._partitions.share()
        known = partition.synced > 0  # then these rows are news, else they are the past
        newest = self._disk.newest_row()
        rows = self._disk.vectors_between(scope, partition.synced, newest + 1, self._embedder.name)
        for number, (key, vector) in enumerate(islice(rows, room)):
            if stopped():
                return
            if number % _ROWS_A_BREATH == 0:
                time.sleep(_BREATH_S)
            if key not in partition:
                self._partitions.add(scope, key, vector, youngest=known)
        partition.synced = newest
