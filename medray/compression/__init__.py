"""Compression: merge an adapter into its base, plan bits per projection, quantise, and measure what was lost.

Flow: base + adapter -> merged (float32 parity checked) -> plan (from config.json alone) -> a backend per format ->
reloaded and compared with the merged model -> one artifact with a sub-folder a format. Knows nothing of Ray, of how
the adapter was trained or of how the result is served.
"""

from medray.compression.architecture import PARTS, Architecture, Part, architecture
from medray.compression.config import CompressConfig
from medray.compression.formats import FORMATS, planned_bytes
from medray.compression.plan import Plan, paper_plan

__all__ = [
    "FORMATS",
    "PARTS",
    "Architecture",
    "CompressConfig",
    "Part",
    "Plan",
    "architecture",
    "paper_plan",
    "planned_bytes",
]
