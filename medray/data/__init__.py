"""From corpora to clean examples: readers, cleaning, duplicates, leakage, splits.

Files in the corpora's own formats go in, `Example` values come out; a row that cannot be used becomes a `Reject` with
its source and position. The package knows neither prompts nor models. Ray appears in `pipeline` alone.
"""

from medray.data.example import Example, Reason, Reject
from medray.data.splits import Split, split_of

__all__ = ["Example", "Reason", "Reject", "Split", "split_of"]
