"""Files to items. A row that cannot be asked is counted by reason, never guessed at; too many of them are an error."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from medray.data.config import MAX_REJECT_SHARE
from medray.data.example import Example, Reason, Reject
from medray.data.sources import Unit, open_corpus, read
from medray.data.sources.files import shown
from medray.data.tally import Tally
from medray.errors import DataError
from medray.evaluation.schema import Item
from medray.evaluation.tasks.contexts import contexts
from medray.evaluation.tasks.families import DECISIONS, Family, family_of, shape_of, shows_context
from medray.knowledge.classification import classify


@dataclass(frozen=True)
class Task:
    """The items of one file, after `limit`; `available` before it, `rejected` rows by reason."""

    name: str
    items: tuple[Item, ...]
    available: int
    rejected: Mapping[str, int]


def load_items(
    tasks: Mapping[str, str], *, limit: int | None = None, seed: int = 0, max_reject_share: float = MAX_REJECT_SHARE
) -> list[Item]:
    """Return the items of all tasks, in the order of tasks and files. Raises DataError. See `load_task`."""
    return [
        item
        for name, location in tasks.items()
        for item in load_task(name, location, limit=limit, seed=seed, max_reject_share=max_reject_share).items
    ]


def load_task(
    name: str, location: str, *, limit: int | None = None, seed: int = 0, max_reject_share: float = MAX_REJECT_SHARE
) -> Task:
    """Read one file or folder. Raises DataError when it is no exam, or more than `max_reject_share` of rows are bad.

    `limit` draws that many by the hash of (seed, id) and keeps the file's order.
    """
    tally = Tally()
    items = _distinct(list(_items(name, location, tally)))
    tally.check(f"task '{name}'", max_reject_share)
    if not items:
        raise DataError(f"task '{name}': expected questions in {shown(location)}, got none: check the file")
    if len({item.kind for item in items}) > 1:
        raise DataError(f"task '{name}': expected exams or open questions, got both in one task: part the files")
    return Task(name, tuple(_drawn(items, limit, seed)), len(items), tally.by_reason())


def _items(name: str, location: str, tally: Tally) -> Iterator[Item]:
    for unit in open_corpus(location):
        passages = contexts(unit) if shows_context(name) else {}
        for row in read(unit):
            made = row.reason if isinstance(row, Reject) else _item(name, row, passages, unit)
            tally.add(made if isinstance(made, Reason) else None)
            if isinstance(made, Item):
                yield made


def _item(name: str, example: Example, passages: Mapping[int, str], unit: Unit) -> Item | Reason:
    family = family_of(name, example)
    if not example.question.strip():
        return Reason.EMPTY_QUESTION
    if family.shape == "exam" and shape_of(example) != "exam":
        raise _other_shape(name, "lettered options", unit)
    if family.shape == "decision":
        return _decision(name, example, family, passages)
    if family.shape == "open":
        if shape_of(example) == "exam":
            raise _other_shape(name, "open questions", unit)
        return _made(name, example, family) if example.answer.strip() else Reason.EMPTY_ANSWER
    return _made(name, example, family, options=example.options, index=example.answer_index)


def _decision(name: str, example: Example, family: Family, passages: Mapping[int, str]) -> Item | Reason:
    decision = example.meta.get("decision", "").strip().lower()
    if decision not in DECISIONS:
        return Reason.NO_KEY
    context = passages.get(example.position, "")
    return _made(name, example, family, options=DECISIONS, index=DECISIONS.index(decision), context=context)


def _made(
    name: str,
    example: Example,
    family: Family,
    *,
    options: tuple[str, ...] = (),
    index: int | None = None,
    context: str = "",
) -> Item:
    own = example.meta.get("qid", "").removeprefix(f"{name}/") or f"{example.source}#{example.position}"
    return Item(
        id=f"{name}/{own}",
        task=name,
        kind="choice" if options else "open",
        question=example.question,
        answer=example.answer,
        options=options,
        answer_index=index,
        context=context,
        stratum=example.meta.get(family.stratum, "") if family.stratum else "",
        category=classify(example.question).category,
        meta={**example.meta, "family": family.name, "source": example.source, "position": str(example.position)},
    )


def _distinct(items: list[Item]) -> list[Item]:
    """Give items that share an id (a corpus may repeat its own) their row's position as well."""
    times = Counter(item.id for item in items)
    return [
        item if times[item.id] == 1 else replace(item, id=f"{item.id}#{item.meta['source']}:{item.meta['position']}")
        for item in items
    ]


def _drawn(items: list[Item], limit: int | None, seed: int) -> list[Item]:
    if limit is None or limit >= len(items):
        return items
    kept = set(sorted((item.id for item in items), key=lambda name: _rank(name, seed))[:limit])
    return [item for item in items if item.id in kept]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _other_shape(name: str, expected: str, unit: Unit) -> DataError:
    return DataError(f"task '{name}': expected {expected} in {unit.sources[0]}, got other rows: check file and name")
