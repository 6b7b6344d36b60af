"""What the paper claims in its tables T1 to T4, as data. Claims to test, never results of ours.

Zhang and Qin, arXiv 2505.00025. Their conditions cannot be checked: 78.6 GB cannot hold 70B weights in FP16, and in T2
tokens a second fell while latency improved, so answers must have become shorter. A column without claims is ours.
"""

from dataclasses import dataclass
from typing import Final, Literal

Name = Literal["T1", "T2", "T3", "T4"]
Value = float | None


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of the paper: columns with units, rows of label and values, the best of which is its own system."""

    name: Name
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Value, ...]], ...]


PAPER: Final[dict[Name, PaperTable]] = {
    "T1": PaperTable(
        "T1",
        "Accuracy",
        ("USMLE Step 1 accuracy, %", "knowledge coverage, %"),
        (
            ("the paper's system", (92.1, 93.5)),
            ("R1-Distill-Qwen-32B", (90.1, 90.7)),
            ("Med-PaLM 2", (88.5, 91.2)),
            ("GPT-o1", (90.8, 92.3)),
            ("Claude 3.7 Sonnet Extended", (92.8, 94.1)),
        ),
    ),
    "T2": PaperTable(
        "T2",
        "Resources",
        ("memory, GB", "weights, GB", "s a problem", "tokens a second", "tokens an answer"),
        (
            ("70B, FP16", (78.6, None, 2.06, 25.13, None)),
            ("7B, FP16", (14.9, None, 1.45, 28.13, None)),
            ("the paper's system", (5.25, None, 1.27, 24.96, None)),
        ),
    ),
    "T3": PaperTable(
        "T3",
        "Ablation of knowledge acquisition",
        ("MAS, 0-10", "COS, 0-10", "TSS, 0-10", "KRR, %"),
        (
            ("full", (8.6, 8.7, 9.0, 93.6)),
            ("without MedKL", (7.8, 8.0, 8.5, 85.7)),
            ("without progressive strategy", (7.9, 8.0, 8.3, 85.3)),
            ("without basic-knowledge priority", (8.0, 8.2, 8.5, 87.2)),
            ("without specialised transfer", (8.1, 8.4, 8.7, 87.9)),
            ("without retention loss", (8.3, 8.5, 8.8, 90.6)),
        ),
    ),
    "T4": PaperTable(
        "T4",
        "Ablation of inference optimisation",
        ("s a problem", "tokens a second", "s to the first token"),
        (
            ("full", (1.27, 24.96, 0.04)),
            ("without shape-aware caching", (1.58, 20.24, 0.08)),
            ("without flash attention", (1.49, 21.64, 0.07)),
            ("without the two-level cache", (1.76, 17.72, 0.08)),
            ("without problem-adaptive acceleration", (1.37, 23.21, 0.05)),
        ),
    ),
}
