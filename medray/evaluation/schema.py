"""What is asked (`Item`), what came of it (`Outcome`), and who does it (`Scorer`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

ItemKind = Literal["choice", "open"]
Status = Literal["ok", "failed"]


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a task.

    For `choice`, `options` are in the file's order and `answer_index` is the correct one's place; for `open` both are
    empty and `answer` is the reference. `stratum` is what results are told apart by within a task (USMLE step,
    subject), `category` the class of the question (K1).
    """

    id: str
    task: str
    kind: ItemKind
    question: str
    answer: str
    options: tuple[str, ...] = ()
    answer_index: int | None = None
    context: str = ""
    stratum: str = ""
    category: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one system did with one item in one order of its options: one row of `items.parquet`.

    `chosen` is a place in the item's own order of options, whatever order was shown; None is unparsed (or open).
    `letter` is the letter as shown. `scores` are named figures of this item (log-likelihoods of options as
    `loglikelihood/0`, metrics of open answers by their names). A failed item has `status` "failed", counts as wrong and
    names the error's type, never its text.
    """

    item_id: str
    task: str
    stratum: str
    category: str
    repeat: int
    order: tuple[int, ...]
    prompt_sha256: str
    status: Status
    raw_output: str = ""
    letter: str = ""
    chosen: int | None = None
    correct: bool | None = None
    tokens: int = 0
    seconds: float = 0.0
    error: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """Scores items by one system. Made once per worker process; models are loaded when it is made."""

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield the outcomes of each item, `repeats` of them, in the order given; an item's failure is an outcome."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...
