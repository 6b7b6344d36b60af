"""Everything that docs/cache-safety.md shows, as one JSON object."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from medray.config import config_hash
from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.calibration import Calibration
from medray.inference.response_cache.clinical import ClinicalRules, Equivalence
from medray.inference.response_cache.config import CacheConfig
from medray.inference.response_cache.disk.control import MemoryControl
from medray.inference.response_cache.embedders import build_embedder
from medray.inference.response_cache.gate import Gate
from medray.inference.response_cache.safety import counting, eq8
from medray.inference.response_cache.safety.counting import Tally
from medray.inference.response_cache.safety.pairs import Pairs
from medray.report import provenance

# What is usual in the field, for comparison; the paper gives no setting of its own.
_ANY_BUDGET: Final = 0.999
_USUAL: Final = ((0.0, 0.85), (0.3, 0.85))


def measure(pairs: Pairs, calibration: Calibration, embedders: Sequence[str], command: Sequence[str]) -> dict[str, Any]:
    """Measure rules, cache and Eq. 8 on labelled pairs. Raises ModelError for an embedder that is not here."""
    rules = ClinicalRules()
    everything = [*pairs.minimal, *pairs.paraphrases]
    said = counting.by_kind(everything, counting.equivalence_hits(rules, everything))
    through = counting.end_to_end(lambda: _cache(calibration), everything)
    alone = [row for name in embedders for row in _eq8_rows(name, rules, pairs)]
    return {
        "kinds": pairs.kinds(),
        "rules": _rows(said),
        "end_to_end": _rows(through),
        "eq8": alone,
        "classes": _classes(calibration),
        "budget": CacheConfig().false_hit_budget,
        "crowded": counting.crowded(lambda: _cache(calibration), pairs),
        "pairs_sha256": pairs.sha256,
        "rules_version": calibration.rules,
        "provenance": provenance(seed=None, config_hash=config_hash(calibration), command=command),
    }


def _cache(calibration: Calibration) -> ResponseCache:
    """Return a cache with its defaults but every class open: a closed class would look safe without being tried."""
    return ResponseCache(CacheConfig(false_hit_budget=_ANY_BUDGET), calibration=calibration)


def _rows(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """Return the tallies with one over all minimal pairs."""
    total = Tally()
    for kind, tally in tallies.items():
        if kind != "paraphrase":
            total.n += tally.n
            total.hits += tally.hits
            total.refused += tally.refused
            total.ids += tally.ids
    return {name: tally.as_row() for name, tally in [*sorted(tallies.items()), ("all", total)]}


def _eq8_rows(name: str, rules: Equivalence, pairs: Pairs) -> list[dict[str, Any]]:
    embedder = build_embedder(name)
    different, same = eq8.parts(embedder, rules, pairs.minimal), eq8.parts(embedder, rules, pairs.paraphrases)
    rows: list[dict[str, Any]] = [{"embedder": name, **row} for row in eq8.best_alone(different, same)]
    for weight, threshold in _USUAL:
        found = eq8.alone_at(different, same, weight, threshold)
        rows.append({"embedder": name, "setting": "usual", "jaccard_weight": weight, "threshold": threshold, **found})
    for row in rows:
        reached = different.at(row["jaccard_weight"]) >= row["threshold"]
        hits = dict(zip((pair.id for pair in pairs.minimal), map(bool, reached), strict=True))
        row["by_kind"] = {kind: tally.hits for kind, tally in counting.by_kind(pairs.minimal, hits).items()}
    return rows


def _classes(calibration: Calibration) -> dict[str, Any]:
    gate = Gate(calibration, MemoryControl().audited, CacheConfig().false_hit_budget)
    rows = {}
    for name, judged in gate.judgements().items():
        own = calibration.classes.get(name)
        rows[name] = {
            "trials": own.trials if own else 0,
            "false_hits": own.false_hits if own else 0,
            "basis": judged.basis,
            "bound_95": judged.bound,
            "open": judged.open,
        }
    return rows
