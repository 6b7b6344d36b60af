"""All metrics of one open answer at once, by the names under which results hold them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from medray.evaluation.extraction import abstains
from medray.evaluation.generation_config import OpenAnswerConfig
from medray.evaluation.metrics.concepts import TREATMENT, of_spans
from medray.evaluation.metrics.overlap import overlap
from medray.evaluation.metrics.quantities import fidelity, numbers
from medray.evaluation.metrics.referral import referral, refers_to_emergency_care
from medray.evaluation.metrics.safety import Text, cautions, passed, safety_items, stated_doses, warnings
from medray.evaluation.metrics.scores import Parts, cos, mas, tss
from medray.evaluation.metrics.similarity import similarity
from medray.evaluation.metrics.terms import load_lexicon
from medray.evaluation.schema import Item
from medray.inference.response_cache.embedders import Embedder, build_embedder
from medray.knowledge.entities import EntityType, Lexicon, extract

_CRITERIA: Final[frozenset[EntityType]] = frozenset({"diagnostic_criterion"})


class OpenAnswerMetrics:
    """Measures answers against references. Loads lexicon and embedder once; raises their errors when it is made."""

    def __init__(self, config: OpenAnswerConfig | None = None) -> None:
        config = config or OpenAnswerConfig()
        lexicon = load_lexicon(config.terms)
        embedder = build_embedder(config.embedder) if config.embedder else None
        self._measure = lru_cache(maxsize=1024)(
            lambda answer, reference, question, category: measure(
                answer, reference, question, category=category, lexicon=lexicon, embedder=embedder
            )
        )

    def scores(self, item: Item, answer: str) -> dict[str, float]:
        """Return the figures of an answer; one that does not apply to the item is absent."""
        return dict(self._measure(answer, item.answer, item.question, item.category))


def measure(
    answer: str,
    reference: str,
    question: str,
    *,
    category: str = "",
    lexicon: Lexicon | None = None,
    embedder: Embedder | None = None,
) -> Mapping[str, float]:
    """Return the figures of one answer. Without an embedder: no similarity, and none of the scores that hold it."""
    own, wanted, asked = (Text(text, extract(text, lexicon).spans) for text in (answer, reference, question))
    every = overlap(*(of_spans(text.spans) for text in (own, wanted, asked)))
    treatment = overlap(*(of_spans(text.spans, TREATMENT) for text in (own, wanted, asked)))
    given, known, named = (stated_doses(text, asked) for text in (own, wanted, asked))
    parts = Parts(
        coverage=every.coverage,
        entity_f1=every.f1,
        similarity=None if embedder is None else similarity(answer, reference, question, embedder),
        decisive=decisive(own, wanted, asked),
        treatment_f1=treatment.f1,
        dose_fidelity=fidelity(given, known, named),
        safety=passed(safety_items(own, wanted, asked)),
    )
    figures = {
        "knowledge_coverage": parts.coverage,
        "entity_f1": parts.entity_f1,
        "semantic_similarity": parts.similarity,
        "decisive_recall": parts.decisive,
        "treatment_f1": parts.treatment_f1,
        "dose_fidelity": parts.dose_fidelity,
        "number_fidelity": fidelity(*(numbers(text.spans) for text in (own, wanted, asked))),
        "safety": parts.safety,
        "emergency_referral": referral(answer, reference, category),
        "mas": mas(parts) if embedder else None,
        "cos": cos(parts) if embedder else None,
        "tss": tss(parts),
        "abstained": float(abstains(answer)),
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def decisive(answer: Text, reference: Text, question: Text) -> float | None:
    """Return the share of what decides in the reference that the answer holds; None where nothing there decides.

    That is: each dose with its drug, each thing warned about, each criterion, and the referral to emergency care.
    """
    doses = stated_doses(reference, question) - stated_doses(question, question)
    warned, criteria = warnings(reference) - warnings(question), of_spans(reference.spans, _CRITERIA)
    kept = [dose in stated_doses(answer, question) for dose in doses]
    kept += [concept in cautions(answer) for concept in warned]
    kept += [concept in of_spans(answer.spans, _CRITERIA) for concept in criteria]
    if refers_to_emergency_care(reference.text):
        kept.append(refers_to_emergency_care(answer.text))
    return sum(kept) / len(kept) if kept else None
