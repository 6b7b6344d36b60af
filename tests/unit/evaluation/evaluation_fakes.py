"""Items and scorers without a model: one answers by rule, one dies on chosen items."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from medray.evaluation.schema import Item, Outcome

LETTERS = "ABCDEFGH"


def item(number: int, task: str = "medqa", options: int = 4, answer: int | None = None, **changes: Any) -> Item:
    answer = number % options if answer is None else answer
    facts: dict[str, Any] = {
        "id": f"{task}/{number}",
        "task": task,
        "kind": "choice",
        "question": f"Question number {number} " + "x" * (number % 7),
        "answer": f"option {answer}",
        "options": tuple(f"option {place}" for place in range(options)),
        "answer_index": answer,
        "stratum": f"step{1 + number % 2}",
        "category": ("diagnosis", "treatment")[number % 2],
    }
    return Item(**facts | changes)


def items(count: int, **changes: Any) -> list[Item]:
    return [item(number, **changes) for number in range(count)]


def outcome(
    of: Item, chosen: int | None, repeat: int = 0, order: tuple[int, ...] | None = None, **changes: Any
) -> Outcome:
    order = tuple(range(len(of.options))) if order is None else order
    facts: dict[str, Any] = {
        "item_id": of.id,
        "task": of.task,
        "stratum": of.stratum,
        "category": of.category,
        "repeat": repeat,
        "order": order,
        "prompt_sha256": hashlib.sha256(of.question.encode()).hexdigest(),
        "status": "ok",
        "raw_output": "" if chosen is None else f"({LETTERS[order.index(chosen)]})",
        "letter": "" if chosen is None else LETTERS[order.index(chosen)],
        "chosen": chosen,
        "correct": chosen == of.answer_index,
        "tokens": 2,
        "seconds": 0.5,
    }
    return Outcome(**facts | changes)


class RuleScorer:
    """Answers by a rule from item to chosen place, `repeats` times."""

    def __init__(self, rule: Callable[[Item], int | None] = lambda item: item.answer_index, repeats: int = 1) -> None:
        self.rule = rule
        self.repeats = repeats
        self.closed = 0
        self.asked: list[str] = []

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        for one in items:
            self.asked.append(one.id)
            for repeat in range(self.repeats):
                yield outcome(one, self.rule(one), repeat, scores={"loglikelihood/0": -1.0})

    def close(self) -> None:
        self.closed += 1


class BrittleScorer(RuleScorer):
    """Raises (or ends its process) at chosen items, the first `times` times it meets each."""

    def __init__(self, bad: Sequence[str], *, kill: bool = False, times: int = 10**9) -> None:
        super().__init__()
        self.bad = dict.fromkeys(bad, times)
        self.kill = kill

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        for one in items:
            if self.bad.get(one.id, 0) > 0:
                self.bad[one.id] -= 1
                if self.kill:
                    os.abort()
                raise ZeroDivisionError("a message that quotes the question")
            yield from super().score([one])
