"""A stream of questions as an assistant might see it: few are asked often, and in changing words.

An intent is what somebody wants to know; its wordings are ways to ask it. Intents come from MedQuAD's questions (by
topic and kind, in wordings of our own) and from labelled paraphrases. Popularity follows Zipf's law.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from medray.errors import DataError
from medray.inference.response_cache.safety.pairs import Pair

# MedQuAD's own wording first. A topic stands for the braces as it is written there.
_WORDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "information": ("What is (are) {} ?", "What is {}?", "Can you tell me what {} is?"),
    "symptoms": ("What are the symptoms of {} ?", "What symptoms does {} cause?", "symptoms of {}"),
    "treatment": ("What are the treatments for {} ?", "How is {} treated?", "What is the treatment of {}?"),
    "causes": ("What causes {} ?", "What are the causes of {}?", "What is the cause of {}?"),
    "inheritance": ("Is {} inherited ?", "Is {} hereditary?", "Is {} an inherited condition?"),
    "prevention": ("How to prevent {} ?", "How can {} be prevented?", "How do you prevent {}?"),
    "frequency": ("How many people are affected by {} ?", "How common is {}?", "What is the prevalence of {}?"),
    "outlook": ("What is the outlook for {} ?", "What is the prognosis of {}?", "What is the outlook in {}?"),
    "exams and tests": ("How to diagnose {} ?", "How is {} diagnosed?", "How do doctors diagnose {}?"),
}


class Asked(NamedTuple):
    """One request: which intent, in which words."""

    intent: int
    text: str


def medquad_intents(path: Path, count: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Return the wordings of `count` intents of a Parquet file with columns focus and qtype. Raises DataError."""
    import pyarrow.parquet

    try:
        table: Any = pyarrow.parquet.read_table(path, columns=["focus", "qtype"]).to_pydict()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"expected MedQuAD's questions in {path.name} with columns focus and qtype, got {type(error).__name__}"
        ) from None
    found = {(focus, kind) for focus, kind in zip(table["focus"], table["qtype"], strict=True) if kind in _WORDINGS}
    if len(found) < count:
        raise DataError(f"expected {count} different topics and kinds in {path.name}, got {len(found)}")
    chosen = rng.sample(sorted(found), count)
    return [tuple(wording.format(focus) for wording in _WORDINGS[kind]) for focus, kind in chosen]


def pair_intents(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Return the wordings of up to `count` random labelled paraphrases."""
    chosen = rng.sample(list(pairs), min(count, len(pairs)))
    return [(pair.a, pair.b) for pair in chosen]


def stream(intents: Sequence[Sequence[str]], exponent: float, rng: random.Random) -> Iterator[Asked]:
    """Yield requests without end: intents by Zipf's law over a random order, wordings evenly."""
    order = list(range(len(intents)))
    rng.shuffle(order)
    weights = [1.0 / rank**exponent for rank in range(1, len(order) + 1)]
    while True:
        (intent,) = rng.choices(order, weights)
        yield Asked(intent, rng.choice(intents[intent]))
