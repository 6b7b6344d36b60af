"""Eq. 8 on labelled pairs: what it can and cannot tell apart, for every weight and threshold on a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.clinical import Equivalence
from medray.inference.response_cache.embedders import Embedder
from medray.inference.response_cache.safety.pairs import Pair
from medray.inference.response_cache.similarity import jaccard, words

_STEPS: Final = 20
WEIGHTS: Final = tuple(step / _STEPS for step in range(_STEPS + 1))
THRESHOLDS: Final = tuple(step / 100 for step in range(10, 100))
PARAPHRASE_GOAL: Final = 0.85

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of Eq. 8 for a list of pairs."""

    jaccard: Values
    cosine: Values

    def at(self, weight: float) -> Values:
        """Return Eq. 8 for every pair."""
        return weight * self.jaccard + (1.0 - weight) * self.cosine


def parts(embedder: Embedder, rules: Equivalence, pairs: Sequence[Pair]) -> Parts:
    """Compute both parts as the cache does: over canonical terms for embedders that read them, else over words."""
    texts, terms = zip(*(_read(embedder, rules, text) for pair in pairs for text in (pair.a, pair.b)), strict=True)
    rows = embedder.embed(list(texts)).astype(np.float64)
    cosines = np.einsum("nd,nd->n", rows[0::2], rows[1::2])
    overlaps = [jaccard(a, b) for a, b in zip(terms[0::2], terms[1::2], strict=True)]
    return Parts(np.array(overlaps), cosines)


def best_alone(minimal: Parts, paraphrases: Parts) -> list[dict[str, Any]]:
    """Return Eq. 8's best settings without an equivalence check, over the whole grid.

    "as many paraphrases": the fewest false hits among settings that hit the share of paraphrases asked of the cache.
    "as safe": the most paraphrases among settings without a false hit.
    """
    settings = [(weight, threshold) for weight in WEIGHTS for threshold in THRESHOLDS]
    rows = [
        {"jaccard_weight": weight, "threshold": threshold, **alone_at(minimal, paraphrases, weight, threshold)}
        for weight, threshold in settings
    ]
    reaching = [row for row in rows if row["paraphrase_hits"] >= PARAPHRASE_GOAL * row["paraphrases"]]
    clean = [row for row in rows if row["false_hits"] == 0]
    found = []
    if reaching:
        best = min(reaching, key=lambda row: (row["false_hits"], -row["paraphrase_hits"]))
        found.append({"setting": f"best that hits {PARAPHRASE_GOAL:.0%} of paraphrases", **best})
    if clean:
        found.append({"setting": "best without a false hit", **max(clean, key=lambda row: row["paraphrase_hits"])})
    return found


def alone_at(minimal: Parts, paraphrases: Parts, weight: float, threshold: float) -> dict[str, Any]:
    """Return how many minimal pairs and paraphrases reach a threshold."""
    wrong, n = int((minimal.at(weight) >= threshold).sum()), len(minimal.cosine)
    return {
        "false_hits": wrong,
        "n": n,
        "bound_95": upper_bound(wrong, n),
        "paraphrase_hits": int((paraphrases.at(weight) >= threshold).sum()),
        "paraphrases": len(paraphrases.cosine),
    }


def _read(embedder: Embedder, rules: Equivalence, text: str) -> tuple[str, frozenset[str]]:
    if not embedder.reads_terms:
        return text, words(text)
    terms = rules.terms(text, rules.profile(text))
    return " ".join(sorted(terms)), terms
