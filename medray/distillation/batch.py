"""A micro-batch on a device: token ids, padded on the right, and where the answers are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medray.distillation.encoding import EncodedLessons
from medray.distillation.order import Rows


@dataclass(frozen=True)
class Batch:
    """`ids` [B, T] (int64) and `answer` [B, T] (bool: this token belongs to an answer).

    No attention mask: padding is on the right, so under causal attention no real token ever sees it, and the decoder
    may take its fastest path.
    """

    ids: Any
    answer: Any

    @property
    def targets(self) -> Any:
        """The answer tokens [N], in row order: what the N selected positions have to predict."""
        return self.ids[:, 1:][self.answer[:, 1:]]

    def select(self, states_BTD: Any) -> Any:
        """Return the [N, D] states that predict the answer tokens: each one position before its token."""
        return states_BTD[:, :-1][self.answer[:, 1:]]


def collate(lessons: EncodedLessons, rows: Rows, *, pad_id: int, device: Any = "cpu") -> Batch:
    """Pad the given rows to the longest of them."""
    lengths = lessons.lengths[rows]
    ids = np.full((len(rows), int(lengths.max())), pad_id, dtype=np.int64)
    answer = np.zeros(ids.shape, dtype=bool)
    for position, row in enumerate(rows):
        ids[position, : lengths[position]] = lessons.row(int(row))
        answer[position, lessons.prompt_lengths[row] : lengths[position]] = True
    return Batch(torch.from_numpy(ids).to(device), torch.from_numpy(answer).to(device))
