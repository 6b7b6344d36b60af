"""Choosing what ships: Eq. 8's weights per embedder, and the counts by class that open or close it.

The equivalence check carries the safety, so the threshold is generous: the highest one that loses at most 1 % of the
paraphrases which the rules call equivalent. Of all weights, the one that then lets the fewest minimal pairs through to
the rules is taken: fewer candidates, less work.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from medray.inference.response_cache.calibration import Calibration, Counted, Weights
from medray.inference.response_cache.clinical import Equivalence
from medray.inference.response_cache.embedders import build_embedder
from medray.inference.response_cache.equivalence import rules_version
from medray.inference.response_cache.safety.counting import equivalence_hits
from medray.inference.response_cache.safety.eq8 import WEIGHTS, Parts, parts
from medray.inference.response_cache.safety.pairs import Pair, Pairs
from medray.knowledge import classify

_LOST_AT_MOST: Final = 0.01
_ROUNDING: Final = 0.005  # int8 vectors shift a cosine by about this much
_LOWEST: Final = 0.05
_HIGHEST: Final = 0.95  # a threshold near 1 would turn rounding into misses


def calibrate(pairs: Pairs, rules: Equivalence, embedders: Sequence[str]) -> Calibration:
    """Measure on labelled pairs. Raises ModelError for an embedder that is not here."""
    found = equivalence_hits(rules, pairs.paraphrases)
    equivalent = [pair for pair in pairs.paraphrases if found[pair.id]]
    return Calibration(
        minimal_pairs=len(pairs.minimal),
        paraphrases=len(pairs.paraphrases),
        pairs_sha256=pairs.sha256,
        rules=rules_version(),
        classes=count_classes(pairs.minimal, equivalence_hits(rules, pairs.minimal)),
        embedders={name: weights_for(name, rules, pairs.minimal, equivalent) for name in embedders},
    )


def count_classes(minimal: Sequence[Pair], hits: Mapping[str, bool]) -> dict[str, Counted]:
    """Count the equivalence check's false hits by the class of the asked question."""
    counts: dict[str, list[int]] = {}
    for pair in minimal:
        entry = counts.setdefault(classify(pair.b).category, [0, 0])
        entry[0] += 1
        entry[1] += int(hits[pair.id])
    return {name: Counted(trials=n, false_hits=wrong) for name, (n, wrong) in sorted(counts.items())}


def weights_for(name: str, rules: Equivalence, minimal: Sequence[Pair], equivalent: Sequence[Pair]) -> Weights:
    """Return Eq. 8's weights for one embedder."""
    embedder = build_embedder(name)
    same, different = parts(embedder, rules, equivalent), parts(embedder, rules, minimal)
    weight = min(WEIGHTS, key=lambda value: (_let_through(different, same, value), value))
    threshold = _threshold(same, weight)
    recall = float((same.at(weight) >= threshold).mean())
    return Weights(jaccard_weight=weight, threshold=threshold, candidate_recall=round(recall, 4))


def _let_through(different: Parts, same: Parts, weight: float) -> int:
    return int((different.at(weight) >= _threshold(same, weight)).sum())


def _threshold(same: Parts, weight: float) -> float:
    """Return the highest threshold on a 0.01 grid that loses no more than allowed, with room for rounding."""
    lowest = float(np.quantile(same.at(weight), _LOST_AT_MOST, method="lower")) - _ROUNDING
    return min(max(math.floor(lowest * 100) / 100, _LOWEST), _HIGHEST)
