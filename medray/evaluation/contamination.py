"""Which items a training corpus gives away: a score on those is memory, not medicine.

An item's question, and its passage where it has one, are compared with each training row by runs of words, as the data
stage compares when it drops leaks (`medray.data.leakage`): the item is affected when one row holds at least `overlap`
of the runs that only a few items share. A question shorter than a run is affected when a row holds it whole. Pure but
for `training_texts`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from medray.data.config import LeakageConfig
from medray.data.leakage import LeakIndex, index_questions
from medray.data.ngrams import ngram_hashes
from medray.data.text import hash64, words
from medray.evaluation.schema import Item
from medray.knowledge.lessons import Lesson, load_lessons

Part: TypeAlias = Literal["question", "passage"]

_MIN_WORDS: Final = 3  # fewer than these are said everywhere


@dataclass(frozen=True, slots=True)
class TrainingText:
    """One training row: where it stands and everything a model reads of it."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Affected:
    """An item and the row that holds most of it; `overlap` in (0, 1], `answer_seen` if the row says the answer too."""

    item_id: str
    task: str
    part: Part
    overlap: float
    row: str
    answer_seen: bool


@dataclass(frozen=True)
class Contamination:
    """What was compared and what was found. `incomparable` items are too short, or say only what many items say."""

    rows: int
    items: Mapping[str, int]
    affected: tuple[Affected, ...]
    incomparable: tuple[str, ...]

    @property
    def affected_ids(self) -> frozenset[str]:
        """The items whose score should be told apart."""
        return frozenset(found.item_id for found in self.affected)

    def as_json(self) -> dict[str, Any]:
        """Return the report: counts by task, and every affected item with its row."""
        hit = Counter(found.task for found in {found.item_id: found for found in self.affected}.values())
        return {
            "rows": self.rows,
            "tasks": {
                task: {"items": count, "affected": hit[task], "share": hit[task] / count}
                for task, count in self.items.items()
            },
            "incomparable": len(self.incomparable),
            "affected": [
                {name: getattr(found, name) for name in Affected.__dataclass_fields__} for found in self.affected
            ],
        }


def contamination(
    items: Sequence[Item], rows: Iterable[TrainingText], config: LeakageConfig | None = None
) -> Contamination:
    """Compare items with training rows; of several rows the one that holds most of an item is named."""
    chosen = config or LeakageConfig()
    index = _Index(items, chosen)
    best: dict[tuple[str, Part], tuple[float, bool, str]] = {}
    count = 0
    for row in rows:
        count += 1
        found = words(row.text)
        for item, part, overlap in index.held(found, chosen.overlap):
            seen = _says(found, words(item.answer))
            key = (item.id, part)
            best[key] = max(best.get(key, (0.0, False, "")), (overlap, seen, row.id))
    affected = tuple(
        Affected(item.id, item.task, part, overlap, row, seen)
        for item in items
        for part in ("question", "passage")
        for overlap, seen, row in ([best[item.id, part]] if (item.id, part) in best else [])
    )
    return Contamination(count, Counter(item.task for item in items), affected, index.incomparable)


def training_texts(corpora: Iterable[str]) -> Iterator[TrainingText]:
    """Yield the rows of prepared lessons or raw corpora, all splits. Raises DataError."""
    for corpus in corpora:
        for lesson in load_lessons(corpus, split=None, valid_share=0.0, seed=0):
            yield TrainingText(lesson.id, _text(lesson))


class _Index:
    """All questions and passages as runs of words; short ones as one run of their own length."""

    def __init__(self, items: Sequence[Item], config: LeakageConfig) -> None:
        self._parts: dict[int, list[tuple[Item, Part]]] = defaultdict(list)  # by hash of the text
        self._short: dict[int, list[tuple[list[str], Item, Part]]] = defaultdict(list)  # by hash of the first words
        long: dict[int, str] = {}
        silent: list[str] = []
        for item, part, text in _texts(items):
            found = words(text)
            if len(found) >= config.ngram_words:
                long.setdefault(hash64(found), text)
                self._parts[hash64(found)].append((item, part))
            elif len(found) >= _MIN_WORDS:
                (run,) = ngram_hashes(found[:_MIN_WORDS], _MIN_WORDS).tolist()
                self._short[run].append((found, item, part))
            else:
                silent.append(item.id)
        self._starts = np.array(sorted(self._short), dtype=np.uint64)
        # With an overlap of 1 `needed` is the number of telling runs of each text, in the order of `long`.
        self._runs: LeakIndex = index_questions(long.values(), config.model_copy(update={"overlap": 1.0}))
        self._keys = list(long)
        templates = [key for key, telling in zip(self._keys, self._runs.needed, strict=True) if not telling]
        silent += [item.id for key in templates for item, part in self._parts[key] if part == "question"]
        self.incomparable = tuple(dict.fromkeys(silent))

    def held(self, row: list[str], overlap: float) -> Iterator[tuple[Item, Part, float]]:
        """Yield the items of which a row's words hold at least `overlap`."""
        runs = np.unique(ngram_hashes(row, self._runs.ngram_words))
        telling = runs[_among(runs, self._runs.grams)].tolist()
        count = Counter(place for run in telling for place in self._runs.holders[run])
        for place, held in count.items():
            share = held / self._runs.needed[place]
            if share >= overlap:
                yield from ((item, part, share) for item, part in self._parts[self._keys[place]])
        starts = ngram_hashes(row, _MIN_WORDS)
        for at in np.flatnonzero(_among(starts, self._starts)).tolist():
            for text, item, part in self._short[int(starts[at])]:
                if row[at : at + len(text)] == text:
                    yield item, part, 1.0


def _texts(items: Sequence[Item]) -> Iterator[tuple[Item, Part, str]]:
    for item in items:
        yield item, "question", item.question
        if item.context:
            yield item, "passage", item.context


def _text(lesson: Lesson) -> str:
    return "\n".join([lesson.question, lesson.answer, lesson.target])


def _says(row: Sequence[str], answer: Sequence[str]) -> bool:
    """Tell whether a row holds an answer's words in one run."""
    if not answer or len(answer) > len(row):
        return False
    return bool((ngram_hashes(row, len(answer)) == ngram_hashes(answer, len(answer))).any())


def _among(runs: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Tell which runs the sorted array `known` holds."""
    if not known.size:
        return np.zeros(runs.shape, dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, runs), known.size - 1)
    return np.asarray(known[at] == runs)
