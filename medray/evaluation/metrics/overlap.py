"""Knowledge coverage and entity F1: how many concepts of the reference an answer holds, and how many of its own are so.

Concepts that stand in the question with the same polarity count on neither side, so repeating the question earns
nothing; a concept that the reference negates is covered only where the answer negates it.
"""

from dataclasses import dataclass

from medray.evaluation.metrics.concepts import Concepts, beyond, shared


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many concepts the reference holds beyond the question, the answer holds, and both hold."""

    reference: int
    answer: int
    both: int

    @property
    def coverage(self) -> float | None:
        """Share of the reference's concepts that the answer holds (T1); None without any."""
        return self.both / self.reference if self.reference else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of coverage and of the share of the answer's concepts that are the reference's."""
        return 2 * self.both / (self.reference + self.answer) if self.reference else None


def overlap(answer: Concepts, reference: Concepts, question: Concepts) -> Overlap:
    """Compare an answer's concepts with a reference's."""
    wanted, given = beyond(reference, question), beyond(answer, question)
    return Overlap(len(wanted), len(given), len(shared(wanted, given)))
