"""Which projections may lose bits: what each one does to the tokens that matter clinically (PAPER R1).

Two looks at a model over the same marked rows: how much attention reaches medical terms and numbers, per head and layer
(`attention`), and how far loss and KL rise on exactly those tokens when one projection alone is quantised (`probe`).
`measure` runs both, piece by piece through a cache; `cluster` runs the pieces as Ray tasks. Pure but for those two.
"""

from medray.compression.sensitivity.attention import AttentionShare, attention_share
from medray.compression.sensitivity.marks import Marked, mark
from medray.compression.sensitivity.measure import SensitivityConfig, measure
from medray.compression.sensitivity.probe import Probe, Rise, run_probes
from medray.compression.sensitivity.result import Sensitivity

__all__ = [
    "AttentionShare",
    "Marked",
    "Probe",
    "Rise",
    "Sensitivity",
    "SensitivityConfig",
    "attention_share",
    "mark",
    "measure",
    "run_probes",
]
