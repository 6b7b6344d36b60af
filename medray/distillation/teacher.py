"""Where the teacher's distribution comes from: one protocol, a live model, and a deterministic fake that ships.

A signal gives logits by slices of the N answer tokens, so that a chunked loss never holds them all; a captured
signal fits behind the same protocol.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from medray.distillation.batch import Batch
from medray.distillation.decoder import answer_states, head, require_plain_head


class TeacherSignal(Protocol):
    """The teacher's view of one micro-batch."""

    def logits(self, part: slice) -> Any:
        """Return logits [n, W] of the answer tokens in `part`, without gradients."""
        ...


class Teacher(Protocol):
    """Whatever can look at a micro-batch as the teacher does."""

    def signal(self, batch: Batch) -> TeacherSignal:
        """Return the signal for the batch's answer tokens."""
        ...


@dataclass(frozen=True)
class HiddenSignal:
    """Last hidden states [N, D] and the teacher's head: D numbers a token hold the whole distribution."""

    states: Any
    head: Any

    def logits(self, part: slice) -> Any:
        """Apply the head to some of the tokens."""
        with torch.no_grad():
            return self.head(self.states[part])


class LiveTeacher:
    """A frozen model in this process."""

    def __init__(self, model: Any, name: str = "teacher") -> None:
        self._model = model.eval().requires_grad_(False)
        require_plain_head(model, name)

    def signal(self, batch: Batch) -> HiddenSignal:
        """Run the decoder once."""
        with torch.inference_mode():
            states = answer_states(self._model, batch)
        # Inference tensors cannot take part in autograd; a copy of the answer positions is small.
        return HiddenSignal(states.clone(), head(self._model))


class FakeTeacher:
    """A fixed bigram teacher: the logits after a token are a row of a seeded random table."""

    def __init__(self, vocab_size: int, *, seed: int = 0, scale: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._table_VV = scale * torch.randn(vocab_size, vocab_size, generator=generator)

    def signal(self, batch: Batch) -> "FakeSignal":
        """Look up the token before each answer token."""
        return FakeSignal(self._table_VV[batch.select(batch.ids)])


@dataclass(frozen=True)
class FakeSignal:
    """Logits [N, V] that are simply there."""

    rows: Any

    def logits(self, part: slice) -> Any:
        """Return the stored rows."""
        return self.rows[part]
