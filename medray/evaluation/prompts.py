"""From an item to what a model reads and what it may say next. Text in, text out; knows no tokenizer.

The style `lm_eval` is that of lm-evaluation-harness 0.4 for medqa_4options, medmcqa, pubmedqa, mmlu and mmlu's
continuations, to the character, so that figures can be compared; `chat` asks as a user would, for the model's own
template. By `letters` options are shown and their letters scored; by `text` they are not shown and their text is.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final, Literal, TypeAlias

from medray.evaluation.schema import Item
from medray.evaluation.shuffle import shown
from medray.evaluation.tasks.families import DECISIONS
from medray.inference.engine import Message
from medray.knowledge.lexicon import CATEGORIES, Category
from medray.knowledge.prompts import build_messages

Style: TypeAlias = Literal["lm_eval", "chat"]
Method: TypeAlias = Literal["letters", "text"]

_ASK_LETTER: Final = "Answer with the letter of the one best option."
_ASK_DECISION: Final = "Answer with one word: yes, no or maybe."
_ASK_TEXT: Final = "Answer in a few words."
_DELIMITER: Final = " "
_BETWEEN_SHOTS: Final = "\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question in one order of its options.

    Either `text` or `messages` is what the model reads. `answers` are what it may say, in the order shown, each after
    `delimiter`; `labels` name them in results: letters as shown, or the words themselves for yes/no/maybe.
    """

    answers: tuple[str, ...]
    labels: tuple[str, ...]
    text: str = ""
    messages: tuple[Message, ...] = ()
    delimiter: str = ""

    @property
    def sha256(self) -> str:
        """Hash of everything that is shown and scored."""
        turns = [[message.role, message.content] for message in self.messages]
        content = [self.text, turns, [self.delimiter + answer for answer in self.answers]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def build_prompt(
    item: Item, order: Sequence[int], *, style: Style, method: Method, shots: Sequence[Item] = ()
) -> Prompt:
    """Return the prompt of an item; the shots show their options in their own order."""
    answers, labels = _answers(item, order, method)
    if style == "chat":
        return Prompt(answers, labels, messages=_turns(item, order, method, shots))
    solved = [_plain(shot, _own(shot), method) + _DELIMITER + gold(shot, method) for shot in shots]
    text = _BETWEEN_SHOTS.join([*solved, _plain(item, order, method)])
    return Prompt(answers, labels, text=_description(item, method) + text, delimiter=_DELIMITER)


def gold(item: Item, method: Method) -> str:
    """Return the right answer of an item in its own order, as it is to be said."""
    if item.answer_index is None:
        return item.answer
    return _answers(item, _own(item), method)[0][item.answer_index]


def is_decision(item: Item) -> bool:
    """Tell whether the options are yes, no and maybe: those are said, not lettered."""
    return item.options == DECISIONS


def shows_options(item: Item, method: Method) -> bool:
    """Tell whether the order of options is seen by the model."""
    return bool(item.options) and method == "letters" and not is_decision(item)


def lettered(item: Item, order: Sequence[int]) -> str:
    """Return the options as lines `A. ...`, each with its line end."""
    pairs = zip(ascii_uppercase, shown(item.options, order), strict=False)
    return "".join(f"{letter}. {option}\n" for letter, option in pairs)


def chat_question(item: Item, order: Sequence[int], method: Method) -> str:
    """Return the question as a user's message, with the passage, the options where they are shown, and what to do."""
    passage = f"Abstract: {item.context}\n\n" if item.context else ""
    if shows_options(item, method):
        return f"{passage}Question: {item.question.strip()}\n\n{lettered(item, order)}\n{_ASK_LETTER}"
    return f"{passage}Question: {item.question.strip()}\n\n{_ASK_DECISION if is_decision(item) else _ASK_TEXT}"


def _answers(item: Item, order: Sequence[int], method: Method) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not item.options:
        return (item.answer,), ("",)
    texts = shown(item.options, order)
    letters = tuple(ascii_uppercase[: len(texts)])
    if is_decision(item):
        return texts, texts
    return (letters if method == "letters" else texts), letters


def _plain(item: Item, order: Sequence[int], method: Method) -> str:
    passage = f"Abstract: {item.context}\n" if item.context else ""
    if not shows_options(item, method):
        question = item.question if is_decision(item) else item.question.strip()
        return f"{passage}Question: {question}\nAnswer:"
    options = lettered(item, order)
    family = item.meta.get("family")
    if family == "mmlu":
        return f"{item.question.strip()}\n{options}Answer:"
    if family == "medmcqa":
        return f"Question: {item.question}\nChoices:\n{options}Answer:"
    return f"{passage}Question: {item.question}\n{options}Answer:"


def _description(item: Item, method: Method) -> str:
    if item.meta.get("family") != "mmlu" or not item.stratum:
        return ""
    kind = "multiple choice questions" if method == "letters" else "questions"
    return f"The following are {kind} (with answers) about {item.stratum.replace('_', ' ')}.\n\n"


def _turns(item: Item, order: Sequence[int], method: Method, shots: Sequence[Item]) -> tuple[Message, ...]:
    if not item.options and not shots:  # an open question is asked as the served model is asked
        category: Category = item.category if item.category in CATEGORIES else "general"
        return tuple(Message(turn["role"], turn["content"]) for turn in build_messages(item.question, category))
    turns: list[Message] = []
    for shot in shots:
        turns.append(Message("user", chat_question(shot, _own(shot), method)))
        turns.append(Message("assistant", gold(shot, method)))
    return (*turns, Message("user", chat_question(item, order, method)))


def _own(item: Item) -> tuple[int, ...]:
    return tuple(range(len(item.options)))
