"""Lessons and marked rows of our own for the sensitivity tests."""

from dataclasses import dataclass

from medray.compression.rows import Row
from medray.compression.sensitivity.marks import Marked


@dataclass(frozen=True)
class FakeLesson:
    id: str
    system: str
    user: str
    target: str


SYSTEM = "You are a careful helper."
LESSONS = [
    FakeLesson(
        str(n), SYSTEM, f"What helps against {what}?", f"Take {100 * n + 400} mg of {drug} with a glass of water."
    )
    for n, (what, drug) in enumerate(
        [("asthma", "ibuprofen"), ("fever", "paracetamol"), ("gout", "aspirin"), ("pain", "morphine")]
    )
]


def _row(length, start, terms, numbers):
    marks = ["term" if at in terms else "number" if at in numbers else None for at in range(length)]
    return Marked(Row(tuple((7 * at + length) % 300 + 5 for at in range(length)), start), tuple(marks))


ROWS = (_row(24, 10, {3, 4, 12, 13}, {18}), _row(17, 6, {2, 9}, {10, 15}), _row(30, 20, {5, 22, 27}, {29}))
