"""False hits and found paraphrases: by the equivalence check alone, and end to end through a cache.

End to end means: the first question's answer is stored, the second is asked; a refusal to cache is counted apart and
is no safe answer. "Crowded" asks every second question of a cache that holds every first one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.clinical import Equivalence
from medray.inference.response_cache.safety.pairs import Pair, Pairs
from medray.inference.response_cache.scope import Scope


@dataclass(slots=True)
class Tally:
    """Trials, hits and the ids of the pairs that hit; `refused` pairs were never tried."""

    n: int = 0
    hits: int = 0
    refused: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, pair: Pair, hit: bool) -> None:
        """Count one trial."""
        self.n += 1
        if hit:
            self.hits += 1
            self.ids.append(pair.id)

    def as_row(self) -> dict[str, Any]:
        """Return plain data with the 95 % upper bound."""
        return {
            "n": self.n,
            "hits": self.hits,
            "refused": self.refused,
            "bound_95": upper_bound(self.hits, self.n),
            "ids": self.ids,
        }


def equivalence_hits(rules: Equivalence, pairs: Sequence[Pair]) -> dict[str, bool]:
    """Return by pair id whether the rules call the two questions equivalent."""
    return {pair.id: not rules.compare(rules.profile(pair.a), rules.profile(pair.b)) for pair in pairs}


def by_kind(pairs: Sequence[Pair], hits: dict[str, bool]) -> dict[str, Tally]:
    """Count hits by kind of difference ("paraphrase" for those without)."""
    tallies: dict[str, Tally] = {}
    for pair in pairs:
        tallies.setdefault(pair.kind or "paraphrase", Tally()).add(pair, hits[pair.id])
    return tallies


def end_to_end(make_cache: Callable[[], ResponseCache], pairs: Sequence[Pair]) -> dict[str, Tally]:
    """Store the first question's answer, ask the second; each pair in a scope of its own."""
    tallies: dict[str, Tally] = {}
    with make_cache() as cache:
        for pair in pairs:
            tally = tallies.setdefault(pair.kind or "paraphrase", Tally())
            scope = Scope(pair.id, "measured", "1", "")
            asked = cache.exact_key(pair.b, scope)
            if not cache.store(pair.a, pair.id, scope) or asked is None:
                tally.refused += 1
                continue
            tally.add(pair, cache.lookup(pair.b, scope) is not None)
    return tallies


def crowded(make_cache: Callable[[], ResponseCache], pairs: Pairs) -> dict[str, Any]:
    """Ask every second question of one scope that holds all first ones; list hits across pairs for review."""
    scope = Scope("crowd", "measured", "1", "")
    everything = [*pairs.minimal, *pairs.paraphrases]
    with make_cache() as cache:
        for pair in everything:
            cache.store(pair.a, pair.id, scope)
        hits = [(pair, cache.lookup(pair.b, scope)) for pair in everything]
    own = [pair.id for pair, hit in hits if hit is not None and hit.answer == pair.id]
    other = [
        {"asked": pair.id, "served": hit.answer, "kind": hit.kind}
        for pair, hit in hits
        if hit is not None and hit.answer != pair.id
    ]
    minimal = {pair.id for pair in pairs.minimal}
    return {
        "asked": len(everything),
        "own_minimal": [name for name in own if name in minimal],
        "own_paraphrases": sum(name not in minimal for name in own),
        "across_pairs": other,
    }
